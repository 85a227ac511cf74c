"""What changes of arbitrary fields of one object amount to: whether they may be made, and what they take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.generic.dangers import at_path, danger_of, loosens
from remediator.actions.generic.kinds import protected
from remediator.actions.owners import operator_of
from remediator.actions.paths import through_list, value_at
from remediator.actions.refusals import refuse_on_delete, refuse_paused, refuse_unreadable
from remediator.actions.render import dotted
from remediator.actions.revisions import pushes_out
from remediator.actions.view import View
from remediator.actions.workload import read_workload, takes_by_rollout
from remediator.objects import WORKLOADS, Object, ref_of

TEMPLATE = ("spec", "template")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the changes take, and what a person should know."""

    takes: int = 0
    needs_approval: str = ""
    notes: tuple[str, ...] = ()


def refuse_fields(obj: Object, changes: Sequence[FieldChange]) -> None:
    """Raises: NotPossible for the first change that the generic actions do not make."""
    ref = ref_of(obj)
    if owner := operator_of(obj):
        raise NotPossible(f"{owner} decides about {ref}: act on that", guardrail="ownership")
    for change in changes:
        name = dotted(change.path)
        if reason := protected(ref.kind, change.path):
            raise NotPossible(f"{name} of {ref} is left alone: {reason}")
        if reason := danger_of(at_path(change.path, change.after)):
            raise NotPossible(f"{name} of {ref} is left alone: {reason}")
        if "securityContext" in change.path or loosens(change.before, change.after):
            raise NotPossible(f"{name} of {ref} is left alone: securityContext decides what its containers may do")
        for length in range(1, len(change.path) + 1):
            part = change.path[:length]
            if not through_list(part[-1:]):
                continue
            # A wrong container name would otherwise add a container, and a key that looks like a number another key.
            if isinstance(value_at(obj, part[:-1]), Mapping) or value_at(obj, part) is None:
                raise NotPossible(f"{ref} has no item {dotted(part)}: name one that is there")


def cost_of(obj: Object, changes: Sequence[FieldChange], view: View) -> Cost:
    """A new pod template replaces every pod. Raises: NotPossible where it would not, or would lose a good revision."""
    ref = ref_of(obj)
    if not any(change.path[:2] == TEMPLATE for change in changes):
        return Cost()
    if ref.kind not in WORKLOADS or ref != view.ref:
        return Cost(needs_approval=f"{ref} has a new pod template: how many copies that takes is not counted here")
    workload = read_workload(obj)
    refuse_paused(workload)
    refuse_on_delete(workload)
    refuse_unreadable(view, "pods", "revisions", "observed")
    if lost := pushes_out(workload, view):
        raise NotPossible(lost, guardrail="last_good_revision")
    note = "a new pod template replaces every pod; rollback, set_image and set_resources know more about that"
    return Cost(takes=takes_by_rollout(workload, view.pods), notes=(note,))
