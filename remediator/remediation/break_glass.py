"""What one person may never approve alone, whatever the reason: protected objects, and what cannot be taken back. Pure.

Computed from the plan itself. What the plan does not tell (a step that is planned in its turn, an action that is not
known any more) counts as what it might be at worst.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from remediator.actions.change import Delete, Effect, Evict, Patch, object_of
from remediator.guardrails import protect
from remediator.guardrails.verdict import Answer
from remediator.objects import ObjectRef
from remediator.people.approval_settings import BreakGlass
from remediator.remediation.state import Plan, Remediation

SHORTEST_REASON = 10
"""Characters. "urgent" explains nothing to the leads who read it in the morning."""
LETS_THROUGH = frozenset({Answer.PASS, Answer.NOT_APPLICABLE})
POD_ANNOTATIONS = ("spec", "template", "metadata", "annotations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """That it may be broken here: by whom, and what keeps one person from approving a remediation alone (empty =
    nothing)."""

    settings: BreakGlass
    objection: Callable[[Remediation], str]


def objection(r: Remediation, *, protected: Collection[str], changes_data: Callable[[str], bool | None]) -> str:
    """Why a single person cannot approve this; empty = one may.

    `protected` are namespaces; `changes_data` says of an action whether it changes data or what cannot be taken back
    (None = no such action is known).
    """
    if r.plan is None or r.spec is None:
        return "nothing is planned that could be judged"
    named = {ref.name if ref.kind == "Namespace" else ref.namespace for ref in _touched(r.plan)}
    if touched := sorted(named & set(protected)):
        return f"namespace {touched[0]} is protected"
    if not any(v.guardrail == protect.NAME and v.answer in LETS_THROUGH for v in r.verdicts):
        return "it is not proven that nothing of it is protected"
    return next(_lasting(r, r.plan, changes_data), "")


def _touched(plan: Plan) -> Iterator[ObjectRef]:
    yield from (plan.target, plan.root, *plan.targets)
    for step in plan.steps:
        yield from (ref for e in step.effects if (ref := object_of(e)) is not None)


def _lasting(r: Remediation, plan: Plan, changes_data: Callable[[str], bool | None]) -> Iterator[str]:
    assert r.spec is not None
    for step in r.spec.steps:
        if step.action and (lasts := changes_data(step.action)) is not False:
            why = "is not known" if lasts is None else "changes data, or what cannot be taken back"
            yield f"{step.action} {why}"
    for planned in plan.steps:
        if planned.action and not planned.effects and not planned.resolved:
            yield f"{planned.action} is planned in its turn, so it is not known yet what it changes"
        if any(not comes_back(effect) for effect in planned.effects):
            yield f"{planned.summary or planned.action} cannot be taken back"


def comes_back(effect: Effect) -> bool:
    """Whether the former state can be had again: by the recorded inverse, or because a controller makes it anew. An
    evicted or deleted pod is recreated, and a restart leaves nothing behind but a note on the pod template."""
    if effect.undoable or isinstance(effect, Evict | Delete):
        return True
    if not isinstance(effect, Patch):
        return False
    return all(change.path[: len(POD_ANNOTATIONS)] == POD_ANNOTATIONS for change in effect.changes)
