"""What a plan may cost and what all it changes, counted from its effects, for people who have to agree to it. Pure."""

from __future__ import annotations

from remediator.actions.change import Change, Delete, Evict
from remediator.actions.diff import diff_lines
from remediator.people.story import Risk
from remediator.remediation.state import Plan, PlannedStep


def risk_of(plan: Plan | None) -> Risk | None:
    """None where nothing is planned."""
    if plan is None:
        return None
    steps = [step for step in plan.steps if step.action]
    planned = [step for step in steps if step.effects]
    return Risk(
        takes=max((step.takes for step in planned), default=0),
        of=plan.before.available if plan.before else None,
        pods=sum(isinstance(effect, Evict | Delete) for step in planned for effect in step.effects),
        lasting=tuple(arrows(step.summary or step.action) for step in planned if not _has_way_back(step)),
        unplanned=sum(not step.effects and not step.resolved for step in steps),  # resolved: it has nothing to do
    )


def _has_way_back(step: PlannedStep) -> bool:
    return all(effect.undoable for effect in step.effects)


def plan_lines(plan: Plan | None) -> tuple[str, ...]:
    """Every step with every field that it changes: `1. scale: replicas 3 → 5`, and what its summary leaves out below
    it."""
    if plan is None:
        return ()
    lines = []
    for index, step in enumerate(plan.steps):
        number = f"{index + 1}. " if len(plan.steps) > 1 else ""
        lines.append(f"{number}{f'{name}: ' if (name := step.action.replace('_', ' ')) else ''}{step.summary}")
        fields = diff_lines(Change(effects=step.effects, summary=""), plan.target)
        lines += [f"   {line}" for line in fields if line != step.summary]
        lines += [f"   {note}" for note in step.notes]
    return tuple(arrows(line) for line in lines)


def arrows(text: str) -> str:
    """`3 -> 5` as people read it, `3 → 5`."""
    return text.replace(" -> ", " → ")
