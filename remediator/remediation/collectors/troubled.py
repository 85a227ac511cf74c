"""`pods_not_running` and `pending_reason`: which pods do not run, and what keeps those back that wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.pods import created_at, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.errors import ReadError
from remediator.objects import Object, controller_of, dig, uid_of
from remediator.playbooks.fields import Duration
from remediator.playbooks.quantity import parse_quantity
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import CollectorKind, Evidence, target_objects, target_pods
from remediator.remediation.collectors.events import event_time
from remediator.remediation.collectors.reading import (
    Part,
    ScopedArgs,
    age,
    condition,
    count,
    hand_over,
    namespaces_of,
    one_word,
    place_of,
    read,
    said,
    where,
    word,
)
from remediator.remediation.collectors.status import describe_pod

NOT_RUNNING, PENDING = "pods_not_running", "pending_reason"


class NotRunningArgs(ScopedArgs):
    """`older_than`: younger pods are still starting. `limit`: how many are shown."""

    older_than: Duration = timedelta(minutes=2)
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class PendingArgs(ScopedArgs):
    """`pods`: how many of the pods that wait are explained, the oldest."""

    pods: Annotated[int, Field(ge=1, le=20)] = 5


async def not_running(args: NotRunningArgs, context: CheckContext) -> Evidence:
    """Pods that should run and are not ready; finished ones of Jobs are left out."""
    spaces = namespaces_of(args, context)
    part = await read(context, "Pod", spaces)
    troubled = [p for p in part.items if _is_troubled(p) and context.now - created_at(p) >= args.older_than]
    troubled.sort(key=lambda p: (where(p), created_at(p)))
    states = Counter(state_of(p) for p in troubled)
    rows = [{"pod": where(p), "state": state_of(p), "node": dig(p, "spec", "nodeName", default="")} for p in troubled]
    told = ", ".join(f"{n} {state}" for state, n in states.most_common(5))
    lines = [f"{where(p)} ({age(context.now, dig(p, 'metadata', 'creationTimestamp'))}) {_tail(p)}" for p in troubled]
    return hand_over(
        NOT_RUNNING,
        context,
        title=f"pods that do not run {place_of(spaces)}",
        lines=[*lines[: args.limit], *([f"and {len(lines) - args.limit} more"] if len(lines) > args.limit else ())],
        summary=f"{len(troubled)} of {count(len(part.items), 'pod')} not running" + (f": {told}" if told else ""),
        parts=(part,),
        rows=rows,
        data={"states": dict(states), "pods": len(part.items)},
    )


def _is_troubled(pod: Object) -> bool:
    phase = dig(pod, "status", "phase")
    if phase == "Succeeded" or (phase == "Failed" and _controller_kind(pod) == "Job"):
        return False
    return not pod_is_ready(pod)


def _controller_kind(pod: Object) -> str:
    return str((controller_of(pod) or {}).get("kind", ""))


def state_of(pod: Object) -> str:
    """One word: why a container waits, else the reason or phase of the pod. Only words that Kubernetes writes."""
    if pod_is_leaving(pod):
        return "Terminating"
    for status in (
        *(dig(pod, "status", "initContainerStatuses") or ()),
        *(dig(pod, "status", "containerStatuses") or ()),
    ):
        reason = dig(status, "state", "waiting", "reason")
        if reason and reason != "PodInitializing":
            return one_word(reason)
    phase = one_word(dig(pod, "status", "reason") or dig(pod, "status", "phase"))
    return "NotReady" if phase == "Running" else phase


def _tail(pod: Object) -> str:
    """The describing line without the name."""
    return describe_pod(pod).partition(": ")[2]


async def pending(args: PendingArgs, context: CheckContext) -> Evidence:
    """What the scheduler says, claims that are not bound, quotas that are full. Raises: Unknown, ReadError."""
    waiting = await _waiting(args, context)
    shown = waiting[: args.pods]
    spaces = sorted({str(dig(p, "metadata", "namespace", default="")) for p in shown})
    spaces = spaces or [t.ref.namespace for t in context.targets if t.ref.namespace]
    claims, quotas = await asyncio.gather(
        read(context, "PersistentVolumeClaim", spaces or ("",)), read(context, "ResourceQuota", spaces or ("",))
    )
    refused, problem = await _refused(context)
    lines = [line for pod in shown for line in _explained(pod, claims, context)]
    full = [line for quota in quotas.items for line in full_quota(quota)]
    reasons = Counter(_reason(pod) for pod in waiting)
    told = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common(4))
    return hand_over(
        PENDING,
        context,
        title=f"why {count(len(waiting), 'pod')} cannot start",
        lines=[*lines, *full, *refused],
        summary=(f"{count(len(waiting), 'pod')} pending: {told}" if waiting else "no pod is pending")
        + (f"; {count(len(full), 'quota')} used up" if full else "")
        + (f"; {count(len(refused), 'refusal')} to make pods" if refused else ""),
        parts=(claims, quotas),
        problems=(problem,),
        data={"pending": len(waiting), "reasons": dict(reasons), "full_quotas": len(full), "refused": len(refused)},
        private=True,
    )


async def _waiting(args: PendingArgs, context: CheckContext) -> list[Object]:
    """Pending pods of the targets, or of the namespaces where there are none or that is asked for."""
    if context.targets and not args.namespace:
        found: Sequence[Object] = await target_pods(context)
    else:
        part = await read(context, "Pod", namespaces_of(args, context))
        if part.problem:
            raise Unknown(part.problem)
        found = part.items
    held = [p for p in found if dig(p, "status", "phase") == "Pending" and not pod_has_finished(p)]
    return sorted(held, key=created_at)


def _reason(pod: Object) -> str:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return one_word(scheduled.get("reason"))
    return state_of(pod)


def _explained(pod: Object, claims: Part, context: CheckContext) -> list[str]:
    scheduled = condition(pod, "PodScheduled")
    lines = [f"{where(pod)}: pending for {age(context.now, dig(pod, 'metadata', 'creationTimestamp'))}, {_reason(pod)}"]
    if scheduled.get("status") == "False":
        lines.append(f"  the scheduler{said(scheduled.get('message'), 400)}")
    gates = [word(gate.get("name")) for gate in dig(pod, "spec", "schedulingGates") or ()]
    if gates:
        lines.append(f"  held by scheduling gates: {', '.join(gates)}")
    wanted = {dig(v, "persistentVolumeClaim", "claimName") for v in dig(pod, "spec", "volumes") or ()} - {None}
    for name in sorted(map(str, wanted)) if not claims.problem else ():
        lines += _claim(name, str(dig(pod, "metadata", "namespace", default="")), claims)
    return lines


def _claim(name: str, namespace: str, claims: Part) -> list[str]:
    for claim in claims.items:
        if where(claim) == f"{namespace}/{name}":
            phase = word(dig(claim, "status", "phase"))
            return [] if phase == "Bound" else [f"  claim {name} is {phase}, class {_class(claim)}"]
    return [f"  claim {name} does not exist"]


def _class(claim: Object) -> str:
    return word(dig(claim, "spec", "storageClassName") or "the default")


def full_quota(quota: Object) -> list[str]:
    """Resources of a quota of which nothing is left."""
    hard: Mapping[str, Any] = dig(quota, "status", "hard") or {}
    used: Mapping[str, Any] = dig(quota, "status", "used") or {}
    return [
        f"quota {where(quota)}: {word(name)} {word(used.get(name))} of {word(limit)} used"
        for name, limit in sorted(hard.items())
        if name in used and _number(used[name]) >= _number(limit) > 0
    ]


def _number(value: object) -> float:
    try:
        return parse_quantity(str(value))
    except ValueError:
        return 0.0


async def _refused(context: CheckContext) -> tuple[list[str], str]:
    """Pods that could not even be made: quotas and webhooks answer the controller, so only events tell. And what could
    not be read."""
    try:
        targets = await target_objects(context)
        owners = [uid_of(o) for o in targets]
        namespaces = {str(dig(o, "metadata", "namespace", default="")) for o in targets} - {""}
        sets = await asyncio.gather(*(context.cluster.list("ReplicaSet", n) for n in sorted(namespaces)))
        owners += [uid_of(rs) for found in sets for rs in found.items if (controller_of(rs) or {}).get("uid") in owners]
        events = await asyncio.gather(
            *(context.cluster.list("Event", n, fields="reason=FailedCreate") for n in sorted(namespaces))
        )
    except (ReadError, Unknown) as exc:
        return [], f"Event: could not be read, {one_line(str(exc) or type(exc).__name__, 150)}"
    about = [e for found in events for e in found.items if dig(e, "involvedObject", "uid") in owners]
    about = sorted((e for e in about if e.get("reason") == "FailedCreate"), key=event_time)[-3:]
    lines = [
        f"{word(dig(e, 'involvedObject', 'name'), 253)} could not make a pod {age(context.now, event_time(e))} ago"
        f"{said(e.get('message'), 300)}"
        for e in about
    ]
    return lines, ""


KINDS_OF_EVIDENCE = (
    CollectorKind(NOT_RUNNING, NotRunningArgs, not_running),
    CollectorKind(PENDING, PendingArgs, pending),
)
