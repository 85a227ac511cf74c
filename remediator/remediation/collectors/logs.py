"""`logs`: the end of the logs of the most troubled pods, of this run or of the one that crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.pods import name_of
from remediator.errors import ReadError
from remediator.objects import Object, dig, ref_of
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.checks.workload import default_container
from remediator.remediation.collectors.base import MAX_TEXT, CollectArgs, CollectorKind, Evidence, bounded, target_pods

NAME = "logs"


class LogsArgs(CollectArgs):
    """`previous`: of the container's run before this one. `container`: by default the annotated or the troubled one."""

    previous: bool = False
    lines: Annotated[int, Field(ge=1, le=1000)] = 100
    container: str = ""
    pods: Annotated[int, Field(ge=1, le=5)] = 2


async def collect(args: LogsArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError (pods cannot be listed). A log that cannot be read is said in its place."""
    pods = (await target_pods(context))[: args.pods]
    if not pods:
        raise Unknown("the target has no pods")
    read = await asyncio.gather(*(_one(args, context, pod) for pod in pods))
    share = MAX_TEXT // len(read)
    parts, truncated = [], False
    for heading, lines, _ in read:
        text, cut = bounded(lines, limit=share - len(heading) - 1)
        parts.append(f"{heading}\n{text}" if text else heading)
        truncated = truncated or cut
    errors = [error for _, _, error in read if error]
    which = "previous " if args.previous else ""
    return Evidence(
        kind=NAME,
        title=f"{which}logs of {', '.join(name_of(p) for p in pods)}",
        text="\n\n".join(parts),
        data={"pods": [name_of(p) for p in pods], "lines": sum(len(lines) for _, lines, _ in read)},
        taken_at=context.now,
        truncated=truncated,
        error=one_line("; ".join(errors)) if len(errors) == len(read) else "",
        summary=f"{sum(len(lines) for _, lines, _ in read)} {which}log lines of {len(pods)} pods",
        private=True,
    )


async def _one(args: LogsArgs, context: CheckContext, pod: Object) -> tuple[str, list[str], str]:
    """Heading, lines, error."""
    container = args.container or _troubled(pod) or default_container(pod)
    heading = f"--- {name_of(pod)} / {container or 'the only container'}{' (previous)' if args.previous else ''}"
    try:
        text = await context.cluster.logs(
            ref_of({"kind": "Pod", **pod}),
            container=container,
            previous=args.previous,
            lines=args.lines,
            limit_bytes=2 * MAX_TEXT,
        )
    except ReadError as exc:
        why = one_line(str(exc) or type(exc).__name__)
        return f"{heading}: {why}", [], why
    return heading, text.splitlines()[-args.lines :], ""


def _troubled(pod: Object) -> str:
    """The container that waits, has crashed or restarted most; empty when none stands out."""

    def trouble(status: Mapping[str, Any]) -> tuple[bool, int]:
        return not status.get("ready", False), int(status.get("restartCount") or 0)

    statuses = sorted(dig(pod, "status", "containerStatuses") or (), key=trouble, reverse=True)
    return str(statuses[0].get("name", "")) if statuses and trouble(statuses[0]) > (False, 0) else ""


KIND = CollectorKind(NAME, LogsArgs, collect)
