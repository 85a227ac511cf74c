"""`zalando_scale`: more or fewer instances of a PostgreSQL of Zalando's operator.

The number is in the operator's own object: it takes back what somebody writes into the StatefulSet.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.base import Right
from remediator.actions.change import Change, NotPossible
from remediator.actions.databases.cnpg_scale import InstancesParams, wanted_copies
from remediator.actions.databases.parts import refuse_leaving, refuse_other_kind, set_fields
from remediator.actions.pods import name_of, ordinal_of
from remediator.actions.render import brief
from remediator.actions.view import ListOf, View, Wanted
from remediator.objects import dig, labels_of

POSTGRESQL = "postgresql.acid.zalan.do"
INSTANCES_PATH = ("spec", "numberOfInstances")

ROLE = "spilo-role"
LEADER = frozenset({"master", "primary"})
"""Patroni 4 says primary; before it was master."""

AT_WORK = frozenset({"Creating", "Updating"})


class ZalandoScale:
    """Undo puts the recorded number back, compare-and-set."""

    name = "zalando_scale"
    kinds: tuple[str, ...] = (POSTGRESQL,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights = (Right("patch", POSTGRESQL), Right("list", "Pod"))
    params = InstancesParams

    def wants(self, params: InstancesParams, view: View) -> Mapping[str, Wanted]:
        return {"pods": ListOf(kind="Pod", namespace=view.ref.namespace, labels=f"cluster-name={view.ref.name}")}

    def resolve(self, params: InstancesParams, view: View) -> InstancesParams:
        """`by` as an absolute number within the bounds. Raises: NotPossible."""
        refuse_other_kind(view, POSTGRESQL)
        return InstancesParams(instances=_wanted(params, view), min=params.min, max=params.max)

    def plan(self, params: InstancesParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_other_kind(view, POSTGRESQL)
        refuse_leaving(view)
        present = _present(view)
        wanted = _wanted(params, view)
        _refuse_unsettled(view)
        down = wanted < present
        return Change(
            effects=(set_fields(view, [(INSTANCES_PATH, wanted)]),),
            takes=max(0, present - wanted),
            summary=f"instances {present} -> {wanted}",
            direction="down" if down else "up",
            reduces_capacity=down,
            needs_approval=_why_a_person(wanted, view) if down else "",
            notes=_notes(view, down),
        )


def _present(view: View) -> int:
    number = dig(view.target, *INSTANCES_PATH)
    if not isinstance(number, int) or number < 1:
        raise NotPossible(f"{view.ref} has no instances (spec.numberOfInstances): somebody has switched it off")
    return number


def _wanted(params: InstancesParams, view: View) -> int:
    return wanted_copies(str(view.ref), _present(view), params.instances, params.by, params.min, params.max)


def _refuse_unsettled(view: View) -> None:
    status = str(dig(view.target, "status", "PostgresClusterStatus", default=""))
    if status in AT_WORK:
        raise NotPossible(f"{view.ref} is {status}: wait until its operator is done", hold=True)
    if status != "Running":
        said = brief(status or "without a status")
        raise NotPossible(f"{view.ref} is {said}: see what its operator complains about first")


def _why_a_person(wanted: int, view: View) -> str:
    """The StatefulSet drops the pods with the highest numbers, whoever of them leads."""
    if wanted == 1:
        return f"{view.ref} would have no standby left"
    leaders = [pod for pod in view.found["pods"] if labels_of(pod).get(ROLE) in LEADER]
    if len(leaders) != 1:
        return f"which pod of {view.ref} leads is not known (label {ROLE}), and it may be one that goes"
    leader = leaders[0]
    return f"{name_of(leader)} leads and would go: a failover" if ordinal_of(leader) >= wanted else ""


def _notes(view: View, down: bool) -> tuple[str, ...]:
    if down:
        return ("whether the volumes of removed instances stay is decided by the operator's retention policy",)
    size = brief(str(dig(view.target, "spec", "volume", "size", default=""))) or "unknown size"
    return (f"each new instance takes a volume of {size}", "standbys serve reads only")
