"""Facts of a pod, read from the raw object. Pure."""

from __future__ import annotations

from datetime import datetime

from remediator.actions.times import parse_time
from remediator.objects import Object, dig


def pod_is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True and it is not going away."""
    if pod_is_leaving(pod):
        return False
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in dig(pod, "status", "conditions") or ()
    )


def pod_is_leaving(pod: Object) -> bool:
    return dig(pod, "metadata", "deletionTimestamp") is not None


def pod_has_finished(pod: Object) -> bool:
    """Succeeded or Failed: it will never run again, and its controller has replaced it already."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


def created_at(pod: Object) -> datetime:
    """When it was created, in whole seconds."""
    return parse_time(pod["metadata"]["creationTimestamp"])


def unready_since(pod: Object) -> datetime:
    """Since when an unready pod has been so: its last Ready transition, or its creation."""
    for condition in dig(pod, "status", "conditions") or ():
        if condition.get("type") == "Ready" and condition.get("lastTransitionTime"):
            return parse_time(condition["lastTransitionTime"])
    return created_at(pod)


def ordinal_of(pod: Object) -> int:
    """The ordinal of a StatefulSet's pod, -1 for other pods."""
    tail = name_of(pod).rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def name_of(pod: Object) -> str:
    return str(dig(pod, "metadata", "name", default=""))
