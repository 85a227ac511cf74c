"""Facts of a node, read from the raw object, and what every action on nodes refuses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from remediator.actions.change import NotPossible
from remediator.actions.owners import managers_of
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.actions.workload import OURS
from remediator.objects import Object, annotations_of, dig, labels_of, ref_of
from remediator.ports import FIELD_MANAGER

CORDONED = f"{OURS}cordoned"
"""Annotation with the time of our cordon: only what carries it is uncordoned again."""

UNSCHEDULABLE = ("spec", "unschedulable")
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

SERVER_LABELS = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/etcd",
    "node-role.kubernetes.io/master",
)
"""Roles of nodes that run the control plane. The label is enough, whatever its value."""

_REMOVERS = {
    "ToBeDeletedByClusterAutoscaler": "the cluster autoscaler",
    "karpenter.sh/disrupted": "Karpenter",
    "karpenter.sh/disruption": "Karpenter",
}
"""Taints by which an autoscaler says that it is removing a node, and whose they are."""

MOST_NAMES = 5
"""Names in one sentence; the others are counted."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The Ready condition. `Unknown` = the kubelet is silent, which is also what a node without a condition is."""

    status: Literal["True", "False", "Unknown"]
    since: datetime | None


def ready_of(node: Object) -> Ready:
    for condition in dig(node, "status", "conditions") or ():
        if condition.get("type") == "Ready":
            since = condition.get("lastTransitionTime")
            status = condition.get("status")
            return Ready(status if status in ("True", "False") else "Unknown", parse_time(since) if since else None)
    return Ready("Unknown", None)


def is_cordoned(node: Object) -> bool:
    return dig(node, *UNSCHEDULABLE) is True


def cordoned_by_us(node: Object) -> bool:
    """Whether the cordon that is there is ours.

    The annotation outlives an uncordon by hand, so it is no proof where managedFields say that somebody else has set
    the field since.
    """
    if not is_cordoned(node) or CORDONED not in annotations_of(node):
        return False
    managers = managers_of(node, UNSCHEDULABLE)
    return not managers or any(manager.name == FIELD_MANAGER for manager in managers)


def who_cordoned(node: Object) -> str:
    """For people: who set the field last, as far as the object tells."""
    others = [manager.name for manager in managers_of(node, UNSCHEDULABLE) if manager.name != FIELD_MANAGER]
    return others[0] if others else "somebody else"


def is_server(node: Object) -> bool:
    """Whether it runs the control plane, or etcd."""
    return any(label in labels_of(node) for label in SERVER_LABELS)


def refuse_leaving(view: View) -> None:
    """What is being removed already is left to whoever removes it."""
    if dig(view.target, "metadata", "deletionTimestamp"):
        raise NotPossible(f"{view.ref} is being deleted already")
    for taint in dig(view.target, "spec", "taints") or ():
        if remover := _REMOVERS.get(str(taint.get("key"))):
            raise NotPossible(f"{remover} is removing {view.ref} already", guardrail="ownership")


def refuse_too_many(view: View, nodes: Iterable[Object], most: int) -> None:
    """Hold while as many other nodes are out of service as may be together with this one, and never take the last."""
    others = [node for node in nodes if ref_of(node) != view.ref]
    out = [ref_of(node).name for node in others if is_cordoned(node) or ready_of(node).status != "True"]
    if len(out) == len(others):
        raise NotPossible(f"no other node than {view.ref.name} takes pods: what runs there could go nowhere", hold=True)
    if len(out) + 1 > most:
        raise NotPossible(
            f"{some(sorted(out))} {'is' if len(out) == 1 else 'are'} cordoned or not ready already, "
            f"max_unavailable is {most}, this node included",
            hold=True,
        )


def some(names: Sequence[str]) -> str:
    """`a, b and 3 more`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


def copies(count: int, word: str) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
