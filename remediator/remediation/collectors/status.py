"""`status`: the target's status and its pods in a few lines, as `kubectl describe` and `get pods` would tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.pods import name_of, pod_is_leaving, pod_is_ready
from remediator.actions.workload import images_of, read_workload
from remediator.errors import ReadError
from remediator.objects import WORKLOADS, Object, dig, ref_of
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.checks.workload import restarts_of
from remediator.remediation.collectors.base import (
    CollectArgs,
    CollectorKind,
    Evidence,
    bounded,
    target_objects,
    target_pods,
)

NAME = "status"

MOST_PODS = 20


class StatusArgs(CollectArgs):
    """No arguments."""


async def collect(args: StatusArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    targets = await target_objects(context)
    try:
        pods = await target_pods(context)
        problem = ""
    except (ReadError, Unknown) as exc:
        pods, problem = [], f"pods: {exc}"
    lines = [line for obj in targets for line in describe(obj)]
    lines += [describe_pod(p) for p in pods[:MOST_PODS]]
    text, cut = bounded(lines, keep="begin")
    return Evidence(
        kind=NAME,
        title=f"status of {', '.join(str(ref_of(o)) for o in targets)}",
        text=text,
        data={"targets": [_numbers(o) for o in targets], "pods": {"total": len(pods), "ready": _ready(pods)}},
        taken_at=context.now,
        truncated=cut or len(pods) > MOST_PODS,
        error=one_line(problem),
        summary="; ".join(_short(o) for o in targets) + (f"; {_ready(pods)} of {len(pods)} pods ready" if pods else ""),
        private=True,  # messages of conditions are free text
    )


def describe(obj: Object) -> list[str]:
    """One object: its numbers, images and conditions."""
    lines = [_short(obj)]
    for container, image in images_of(dig(obj, "spec", "template") or {}).items():
        lines.append(f"  image {container}: {one_line(image, 200)}")
    for condition in dig(obj, "status", "conditions") or ():
        said = one_line(str(condition.get("message") or ""), 200)
        reason = condition.get("reason") or ""
        lines.append(f"  {condition.get('type')}={condition.get('status')} {reason}{f': {said}' if said else ''}")
    return lines


def describe_pod(pod: Object) -> str:
    """One pod on one line: phase, readiness, restarts, and why it waits or died."""
    why = [reason for status in _statuses(pod) if (reason := _container_reason(status))]
    state = "Terminating" if pod_is_leaving(pod) else str(dig(pod, "status", "phase", default="Unknown"))
    ready = "ready" if pod_is_ready(pod) else "not ready"
    node = dig(pod, "spec", "nodeName", default="no node")
    line = f"pod {name_of(pod)}: {state}, {ready}, {restarts_of(pod)} restarts, {node}"
    return f"{line} ({'; '.join(why)})" if why else line


def _statuses(pod: Object) -> list[Mapping[str, Any]]:
    return [*(dig(pod, "status", "initContainerStatuses") or ()), *(dig(pod, "status", "containerStatuses") or ())]


def _container_reason(status: Mapping[str, Any]) -> str:
    name = status.get("name", "")
    if waiting := dig(status, "state", "waiting", "reason"):
        return f"{name}: {waiting}"
    for when in ("state", "lastState"):
        if ended := dig(status, when, "terminated"):
            return f"{name}: {ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"
    return ""


def _short(obj: Object) -> str:
    if obj.get("kind") not in WORKLOADS:
        return str(ref_of(obj))
    w = read_workload(obj)
    behind = "" if w.observed else ", the controller is behind"
    return f"{w.ref}: {w.desired} wanted, {w.updated} updated, {w.ready} ready, {w.available} available{behind}"


def _numbers(obj: Object) -> dict[str, Any]:
    if obj.get("kind") not in WORKLOADS:
        return {"ref": str(ref_of(obj))}
    w = read_workload(obj)
    counts = {"desired": w.desired, "updated": w.updated, "ready": w.ready, "available": w.available}
    return {"ref": str(w.ref), **counts, "observed": w.observed}


def _ready(pods: list[Object]) -> int:
    return sum(1 for p in pods if pod_is_ready(p))


KIND = CollectorKind(NAME, StatusArgs, collect)
