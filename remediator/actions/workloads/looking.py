"""What the actions of this folder share in looking around a target. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from remediator.actions.change import NotPossible
from remediator.actions.owners import git_owner, git_sets, managers_of
from remediator.actions.render import dotted
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.actions.workload import OURS
from remediator.objects import Object, annotations_of, dig, labels_of, ref_of
from remediator.ports import FIELD_MANAGER, MADE_BY

KEPT_FOR = timedelta(hours=24)
"""What a remediation has created is its proof: for so long no cleaning takes it away."""

PROTECT = f"{OURS}protect"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def listed(view: View, name: str) -> tuple[Object, ...]:
    """The list that `wants` has asked for. Raises: NotPossible (hold) when nobody has read it: it is not empty."""
    if name not in view.found:
        raise NotPossible(f"CANNOT SEE: {name} around {view.ref} were not read", hold=True)
    return tuple(view.found[name])


def one_found(view: View, name: str) -> Object | None:
    """The object that `wants` has asked for; None when it does not exist. Raises: NotPossible (hold)."""
    if name not in view.found:
        raise NotPossible(f"CANNOT SEE: {name} of {view.ref} was not read", hold=True)
    found: Object | None = view.found[name]
    return found


def namespace_name(view: View) -> str:
    """The namespace of the target, or the target itself when it is one. Raises: NotPossible."""
    name = view.ref.name if view.ref.kind == "Namespace" else view.ref.namespace
    if not name:
        raise NotPossible(f"{view.ref} is in no namespace: name a target that is")
    return name


def refuse_leaving(view: View) -> None:
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")


def is_protected(obj: Object) -> bool:
    """Whether its owner has said that it is untouchable. Any value but `false` counts."""
    return annotations_of(obj).get(PROTECT, "false").lower() != "false"


def kept_as_proof(obj: Object, now: datetime) -> bool:
    """Whether a remediation has made it less than a day ago, so that people may still want to look at it."""
    born = dig(obj, "metadata", "creationTimestamp")
    return MADE_BY in labels_of(obj) and (not born or now - parse_time(str(born)) < KEPT_FOR)


def refuse_git(obj: Object, path: tuple[str, ...]) -> None:
    """For objects beside the target, which we write as well. Raises: NotPossible when Git says what stands there."""
    owner = git_owner(obj)
    if owner is not None and git_sets(obj, path):
        raise NotPossible(
            f"{owner} owns {dotted(path)} of {ref_of(obj)} and would take it back: change it there",
            guardrail="ownership",
        )


def set_by_others(obj: Object, path: tuple[str, ...]) -> str:
    """Who wrote this field last, when it was not us; `somebody` when the object does not tell."""
    managers = managers_of(obj, path)
    if not managers:
        return "somebody"
    return "" if managers[0].name == FIELD_MANAGER else managers[0].name


def one_of(names: Iterable[str], most: int = 5) -> str:
    """Some names for people: `a, b, c and 4 more`."""
    known = sorted(names)
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def in_order(objects: Sequence[Object], order: Sequence[str]) -> tuple[Object, ...]:
    """Those that `order` names first and in its order, the rest by name."""
    place = {name: index for index, name in enumerate(order)}

    def rank(obj: Object) -> tuple[int, str, str]:
        ref = ref_of(obj)
        at = place.get(f"{ref.kind}/{ref.name}", place.get(ref.name, len(order)))
        return at, ref.name, ref.kind

    return tuple(sorted(objects, key=rank))


def is_named(obj: Object, names: Sequence[str]) -> bool:
    """Whether a list of names (`api`, or `StatefulSet/db` where two have one name) holds this object."""
    ref = ref_of(obj)
    return ref.name in names or f"{ref.kind}/{ref.name}" in names
