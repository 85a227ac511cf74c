"""Which disruption budgets stand in the way of evictions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.actions.pods import pod_is_leaving
from remediator.objects import Object, dig, labels_of


def budgets_of(pod: Object, pdbs: Sequence[Object]) -> tuple[Object, ...]:
    """The budgets that an eviction of this pod asks. None for a pod that is pending, finished or going: there the API
    asks nobody."""
    if dig(pod, "status", "phase") != "Running" or pod_is_leaving(pod):
        return ()
    return tuple(pdb for pdb in pdbs if _covers(pdb, pod))


def allows_none(pdb: Object) -> bool:
    """Whether it allows no disruption now, or has not said yet."""
    return int(dig(pdb, "status", "disruptionsAllowed") or 0) < 1


def _covers(pdb: Object, pod: Object) -> bool:
    """An empty selector is every pod of the namespace, a missing one none."""
    if dig(pdb, "metadata", "namespace") != dig(pod, "metadata", "namespace"):
        return False
    selector = dig(pdb, "spec", "selector")
    if selector is None:
        return False
    labels = labels_of(pod)
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key"), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(str(key)) in values
        case "NotIn":
            return labels.get(str(key)) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True  # unknown to us: it may cover the pod, so it counts
