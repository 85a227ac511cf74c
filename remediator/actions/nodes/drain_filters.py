"""Which pods a drain takes, which it leaves, and which forbid it. Pure.

The order is that of `kubectl drain`; the first filter that leaves or refuses a pod decides. Finished pods run no more,
so nothing of them is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from remediator.actions.nodes.budgets import budgets_of
from remediator.actions.nodes.standing import full_name
from remediator.actions.pods import pod_has_finished, pod_is_leaving
from remediator.actions.workload import OURS
from remediator.objects import Object, annotations_of, controller_of, dig, ref_of, uid_of

MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the filters look at besides the pod: what was allowed, and all DaemonSets, budgets and namespaces."""

    ignore_daemonsets: bool
    delete_emptydir: bool
    force: bool
    daemonsets: frozenset[str]
    """Uids."""
    pdbs: Sequence[Object]
    namespaces: Mapping[str, Object]


@dataclass(frozen=True, slots=True)
class Ruling:
    """`why` a pod is left where it is, or forbids the drain, for people."""

    kind: Literal["leave", "refuse"]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """All pods of a node by what becomes of them. `left` and `refused` say why, in the order of names."""

    taken: tuple[Object, ...]
    left: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]


def sort_pods(pods: Sequence[Object], around: Surroundings) -> Sorted:
    taken: list[Object] = []
    ruled: dict[str, list[tuple[str, str]]] = {"leave": [], "refuse": []}
    for pod in sorted(pods, key=full_name):
        ruling = next((found for rule in _FILTERS if (found := rule(pod, around)) is not None), None)
        if ruling is None:
            taken.append(pod)
        else:
            ruled[ruling.kind].append((full_name(pod), ruling.why))
    return Sorted(taken=tuple(taken), left=tuple(ruled["leave"]), refused=tuple(ruled["refuse"]))


def _going(pod: Object, around: Surroundings) -> Ruling | None:
    return Ruling("leave", "going away already") if pod_is_leaving(pod) else None


def _of_daemonset(pod: Object, around: Surroundings) -> Ruling | None:
    """Its controller would put it right back. One whose DaemonSet is gone has nobody who would make it again."""
    owner = controller_of(pod)
    if owner is None or owner.get("kind") != "DaemonSet" or pod_has_finished(pod):
        return None
    if owner.get("uid") not in around.daemonsets:
        return None if around.force else Ruling("refuse", "its DaemonSet is gone: `force: true` loses it")
    if around.ignore_daemonsets:
        return Ruling("leave", "a DaemonSet's")
    return Ruling("refuse", "a DaemonSet's: `ignore_daemonsets: true` leaves it")


def _mirror(pod: Object, around: Surroundings) -> Ruling | None:
    """A file on the node runs it; the API server only shows it."""
    by_node = (controller_of(pod) or {}).get("kind") == "Node"
    return Ruling("leave", "a static pod") if by_node or MIRROR in annotations_of(pod) else None


def _empty_dir(pod: Object, around: Surroundings) -> Ruling | None:
    if around.delete_emptydir or pod_has_finished(pod):
        return None
    if any("emptyDir" in volume for volume in dig(pod, "spec", "volumes") or ()):
        return Ruling("refuse", "keeps data in an emptyDir: `delete_emptydir: true` loses it")
    return None


def _bare(pod: Object, around: Surroundings) -> Ruling | None:
    if around.force or pod_has_finished(pod) or controller_of(pod) is not None:
        return None
    return Ruling("refuse", "has no controller that would make it again: `force: true` loses it")


def _owner_says_no(pod: Object, around: Surroundings) -> Ruling | None:
    """The last look honours these too, but then half of the pods would be gone already."""
    namespace = around.namespaces.get(str(dig(pod, "metadata", "namespace")))
    for obj in (pod, *((namespace,) if namespace is not None else ())):
        where = "" if obj is pod else f"{ref_of(obj)} "
        for key, forbids in _WORDS.items():
            value = annotations_of(obj).get(key)
            if value is not None and forbids(value):
                return Ruling("refuse", f"{where}carries the annotation {key}: its owner may remove it")
    return None


def _two_budgets(pod: Object, around: Surroundings) -> Ruling | None:
    """The API answers an error for ever, not "wait"."""
    found = budgets_of(pod, around.pdbs)
    if len(found) < 2:
        return None
    names = " and ".join(sorted(ref_of(pdb).name for pdb in found))
    return Ruling("refuse", f"disruption budgets {names} both cover it, so the API never evicts it: make them one")


_WORDS: Mapping[str, Callable[[str], bool]] = {
    f"{OURS}pause": lambda value: True,
    f"{OURS}protect": lambda value: value.lower() != "false",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": lambda value: value.lower() == "false",
    "karpenter.sh/do-not-disrupt": lambda value: value.lower() == "true",
}
"""Annotations by which an owner says "do not evict", and the values that mean it."""

_FILTERS: tuple[Callable[[Object, Surroundings], Ruling | None], ...] = (
    _going,
    _of_daemonset,
    _mirror,
    _empty_dir,
    _bare,
    _owner_says_no,
    _two_budgets,
)


def uids(objects: Sequence[Object]) -> frozenset[str]:
    return frozenset(uid_of(obj) for obj in objects)
