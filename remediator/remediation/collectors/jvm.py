"""`jvm_heap_info`: how full the heap of each target is, as the JVM itself says (`jcmd PID GC.heap_info`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from remediator.playbooks.fields import NAME_PATTERN
from remediator.remediation.checks.base import CheckContext, Unknown
from remediator.remediation.checks.exec_check import ExecCheckArgs, run_in_ready_pod
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, bounded

NAME = "jvm_heap_info"


class HeapInfoArgs(CollectArgs):
    """`command`: the one of `outside.exec`, read_only, that asks the JVM."""

    command: Annotated[str, Field(pattern=NAME_PATTERN)] = "jvm-heap-info"
    container: Annotated[str, Field(max_length=63)] = ""


async def collect(args: HeapInfoArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    lines: list[str] = []
    pods: list[str] = []
    for target in context.targets:
        command = ExecCheckArgs(command=args.command, container=args.container)
        pod, said = await run_in_ready_pod(command, context, target)
        if said["exit_code"]:
            raise Unknown(f"{args.command} in {pod} ended with exit code {said['exit_code']}")
        lines += [f"--- {pod}", *said["stdout"].splitlines()]
        pods.append(pod)
    text, cut = bounded(lines, keep="begin")
    return Evidence(
        kind=NAME,
        title=f"heap of {', '.join(pods)}",
        text=text,
        data={"pods": pods},
        taken_at=context.now,
        truncated=cut,
        summary=f"heap of {len(pods)} pods",
        private=True,
    )


KIND = CollectorKind(NAME, HeapInfoArgs, collect)
