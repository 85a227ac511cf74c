"""`exec_check`: a program of the operator's list says in a container that it is well: the app opens its own connection.

    exec_check: {command: django-db-check, expect: OK}
    exec_check: {command: django-db-check, target: {kind: Deployment, name: api}}

Only commands that the operator marks `read_only`. It runs in the oldest ready pod of each target. Another exit code, or
other words, are bad; a program that could not be run says nothing.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.pods import created_at, name_of, pod_is_ready
from remediator.objects import Object, uid_of
from remediator.playbooks.fields import NAME_PATTERN
from remediator.redact import redact
from remediator.remediation.checks.base import (
    CheckArgs,
    CheckContext,
    CheckKind,
    CheckTarget,
    Unknown,
    answer,
    one_line,
)
from remediator.remediation.checks.condition import NamedObject, named
from remediator.remediation.checks.workload import default_container, pods_of, read_target
from remediator.remediation.outside_asking import ask
from remediator.remediation.samples import CheckSample

NAME = "exec_check"

Word = Annotated[str, Field(min_length=1, max_length=500)]


class ExecCheckArgs(CheckArgs):
    """`command` of `outside.exec` with the words for its `*`; `expect`: text that its output holds. `container`: by
    default the annotated one, or the first. `target`: another workload than the playbook's, such as the application
    of a database."""

    command: Annotated[str, Field(pattern=NAME_PATTERN)]
    args: Annotated[tuple[Word, ...], Field(max_length=20)] = ()
    expect: Annotated[str, Field(max_length=300)] = ""
    container: Annotated[str, Field(max_length=63)] = ""
    target: NamedObject | None = None

    @property
    def about(self) -> str:
        return self.command


async def run_in_ready_pod(args: ExecCheckArgs, context: CheckContext, target: CheckTarget) -> tuple[str, Any]:
    """The pod's name, and what the program said there. Raises: Unknown, ReadError."""
    pods = await pods_of(context.cluster, await read_target(context, target))
    pod = oldest_ready(pods)
    if pod is None:
        raise Unknown(f"{target.ref} has no ready pod to run {args.command} in")
    container = args.container or default_container(pod)
    request = {"about": "output", "command": args.command, "args": list(args.args), "uid": uid_of(pod)}
    ran = await ask(context, "exec", f"{target.ref.namespace}/{name_of(pod)}/{container}", request)
    return name_of(pod), ran


def oldest_ready(pods: tuple[Object, ...]) -> Object | None:
    ready = [pod for pod in pods if pod_is_ready(pod)]
    return min(ready, key=lambda pod: (created_at(pod), name_of(pod)), default=None)


async def sample(args: ExecCheckArgs, context: CheckContext) -> CheckSample:
    """Every target must be well. Raises: Unknown, ReadError."""
    targets = (named(args.target, context),) if args.target else context.targets
    ran = await asyncio.gather(*(run_in_ready_pod(args, context, target) for target in targets))
    if not ran:
        raise Unknown("there is no target")
    bad = [problem for pod, said in ran if (problem := _problem(args, pod, said))]
    if bad:
        return answer(NAME, "bad", "; ".join(bad), context.now, badness=float(len(bad)))
    return answer(
        NAME, "good", f"{args.command} is well in {', '.join(pod for pod, _ in ran)}", context.now, badness=0.0
    )


def _problem(args: ExecCheckArgs, pod: str, said: Any) -> str:
    """What is wrong, empty when nothing is. Raises: Unknown where more was said than is kept."""
    if said["exit_code"]:
        words = one_line(redact(said["stderr"] or said["stdout"]), 100)
        return f"{args.command} in {pod} ended with exit code {said['exit_code']}: {words}"
    if args.expect and args.expect not in said["stdout"]:
        if said["cut"]:
            raise Unknown(f"{args.command} in {pod} said more than is kept, and {args.expect!r:.60} is not in that")
        return f"{args.command} in {pod} did not say {args.expect!r:.60}"
    return ""


KIND = CheckKind(NAME, ExecCheckArgs, sample)
