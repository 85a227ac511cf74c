"""`rollout`: the present template has replaced every older one and all copies are available.

Judged by numbers that the controller has brought up to date (observedGeneration), never by the Progressing condition
alone: its status stays True while copies are lost. Strict where kubectl is not: a StatefulSet is done only when every
pod is the new revision and ready.

Bad is what waiting does not mend: Kubernetes gave up (ProgressDeadlineExceeded), or a pod made since the effect cannot
start. Anything else that is not done is still on its way, so unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from remediator.actions.pods import created_at, name_of, pod_is_leaving, pod_is_ready
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.actions.workload import BROKEN_REASONS, Workload, read_workload, rollout_state
from remediator.errors import ReadError
from remediator.objects import WORKLOADS, Object, dig
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, CheckTarget, Unknown, answer
from remediator.remediation.checks.workload import pods_of, read_target
from remediator.remediation.samples import CheckAnswer, CheckSample

NAME = "rollout"

CRASHES = 2
"""One crash can be a dependency that was late; the second in a row is a program that does not start."""


class RolloutArgs(CheckArgs):
    """`allow_zero`: a workload that is meant to have no copies passes. Otherwise none wanted proves nothing."""

    allow_zero: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What one target says."""

    answer: CheckAnswer
    detail: str
    missing: int = 0


async def sample(args: RolloutArgs, context: CheckContext) -> CheckSample:
    """All targets must be rolled out; one that failed is enough for bad. Beside workloads what is none is left out: a
    playbook may restart those who read a Secret after it has changed. Raises: Unknown, ReadError."""
    targets = [t for t in context.targets if t.ref.kind in WORKLOADS] or context.targets
    found = await asyncio.gather(*(_look(args, context, t) for t in targets))
    if not found:
        raise Unknown("there is no target")
    return answer(
        NAME, gravest(found), "; ".join(f.detail for f in found), context.now, badness=sum(f.missing for f in found)
    )


def gravest(found: list[Found]) -> CheckAnswer:
    """Bad before unknown before good."""
    answers = {f.answer for f in found}
    return "bad" if "bad" in answers else "unknown" if "unknown" in answers else "good"


async def _look(args: RolloutArgs, context: CheckContext, target: CheckTarget) -> Found:
    if target.ref.kind not in WORKLOADS:
        raise Unknown(f"a {target.ref.kind} has no rollout")
    obj = await read_target(context, target)
    found = judge_rollout(obj, context.since, allow_zero=args.allow_zero)
    if found.answer != "unknown" or context.since is None:
        return found
    try:
        pods = await pods_of(context.cluster, obj)
    except ReadError:
        return found  # what we know stands; the pods would only have told why
    broken = cannot_start(pods, context.since)
    return Found("bad", f"{found.detail}; {broken}", found.missing) if broken else found


def judge_rollout(obj: Object, since: datetime | None, *, allow_zero: bool = False) -> Found:
    """What the object alone says."""
    workload = read_workload(obj)
    missing = max(0, workload.desired - workload.available)
    numbers = f"{workload.updated} of {workload.desired} updated, {workload.available} available"
    if not workload.observed:
        return Found("unknown", f"{workload.ref}: the controller has not seen the last change yet", missing)
    # Without pods: whether one is broken is asked below, of the new ones only.
    view = View(target=obj, ref=workload.ref, root=workload.ref, read_at=since or datetime.min.replace(tzinfo=UTC))
    match rollout_state(view):
        case "done" if workload.desired == 0 and not allow_zero:
            return Found("unknown", f"{workload.ref}: no copy is wanted, which proves nothing")
        case "done":
            return Found("good", f"{workload.ref}: {numbers}")
        case "failed" if since is None or _gave_up_after(obj, since):
            return Found("bad", f"{workload.ref}: {numbers}; Kubernetes gave up (ProgressDeadlineExceeded)", missing)
        case "stuck":
            return Found("unknown", f"{workload.ref}: {numbers}; {_why_stuck(workload)}", missing)
        case _:
            return Found("unknown", f"{workload.ref}: {numbers}; still on its way", missing)


def _gave_up_after(obj: Object, since: datetime) -> bool:
    """Whether the verdict is about what we did: the condition of an earlier rollout stays until the new one moves."""
    for condition in dig(obj, "status", "conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("lastUpdateTime"):
            return parse_time(condition["lastUpdateTime"]) >= since.replace(microsecond=0)
    return True


def _why_stuck(workload: Workload) -> str:
    return "it is paused" if workload.paused else "with OnDelete nothing moves until pods are deleted"


def cannot_start(pods: tuple[Object, ...], since: datetime) -> str:
    """The first pod made since the effect that will not start by waiting, with the reason; empty = none is known."""
    floor = since.replace(microsecond=0)  # Kubernetes cuts fractions off creation times
    for pod in sorted(pods, key=name_of):
        if pod_is_leaving(pod) or pod_is_ready(pod) or created_at(pod) < floor:
            continue
        statuses = (
            *(dig(pod, "status", "initContainerStatuses") or ()),
            *(dig(pod, "status", "containerStatuses") or ()),
        )
        for status in statuses:
            reason = str(dig(status, "state", "waiting", "reason", default=""))
            crashing = reason == "CrashLoopBackOff" and int(status.get("restartCount") or 0) < CRASHES
            if reason in BROKEN_REASONS and not crashing:
                return f"new pod {name_of(pod)} cannot start: {reason}"
    return ""


KIND = CheckKind(NAME, RolloutArgs, sample)
