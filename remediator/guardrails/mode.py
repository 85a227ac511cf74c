"""`mode`: what this playbook may do here at all: observe, suggest, approve, auto."""

from __future__ import annotations

from remediator.guardrails.answers import asks, denies, passes, suggests
from remediator.guardrails.environments import ANY, REVERSIBLE
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import listed
from remediator.playbooks.model import Mode

NAME = "mode"
READS = frozenset({"playbook", "limits", "project", "targets"})


def check(facts: Facts) -> Verdict:
    """The weakest of the playbook's mode and the ceilings of environment and project; in auto, some changes need a
    person's yes all the same."""
    own = facts.limits.environment
    if elsewhere := sorted(facts.environments - {own}):
        where = " and ".join(name or "what is in no environment" for name in elsewhere)
        changes = "write one playbook for each environment"
        return denies(
            NAME, f"it acts in {where}, and the policy of {own or 'no environment'} was chosen for it", changes
        )
    ceiling, of = _ceiling(facts)
    wanted = max(facts.limits.mode, facts.playbook.mode, key=lambda m: m.rank)
    mode = min(facts.limits.mode, ceiling, key=lambda m: m.rank)
    capped = f"mode {wanted}, the ceiling {of} is {ceiling}" if wanted.rank > mode.rank else f"mode {mode}"
    numbers = {"mode": mode.value, "ceiling": ceiling.value, "environment": facts.limits.environment}
    match mode:
        case Mode.OBSERVE | Mode.SUGGEST:
            raised = (
                "set mode: approve or auto in the playbook" if wanted is mode else f"the ceiling {of} may be raised"
            )
            return suggests(NAME, capped, raised, **numbers)
        case Mode.APPROVE if facts.playbook.is_checklist:
            return passes(NAME, f"{capped}; each of its steps asks people itself", **numbers)
        case Mode.APPROVE:
            return asks(NAME, facts, capped, **numbers)
        case Mode.AUTO:
            reasons = dict.fromkeys(t.change.needs_approval for t in facts.targets if t.change.needs_approval)
            if reasons:
                return asks(NAME, facts, f"{capped}, but {'; '.join(reasons)}", **numbers)
            if others := dict.fromkeys(_action(facts, t) for t in facts.targets if not _by_itself(facts, t)):
                return asks(NAME, facts, f"{_allowed(facts)}; {listed(list(others))} needs an approval", **numbers)
            return passes(NAME, capped, **numbers)


def _ceiling(facts: Facts) -> tuple[Mode, str]:
    """The lowest one, and whose it is."""
    ceiling = facts.limits.mode_ceiling
    if facts.project is not None and facts.project.mode.rank <= ceiling.rank:
        return facts.project.mode, f"of project {facts.project.name}"
    return ceiling, f"of {facts.limits.environment}" if facts.limits.environment else "here"


def _by_itself(facts: Facts, target: TargetFacts) -> bool:
    auto = facts.limits.auto
    if ANY in auto or _action(facts, target) in auto:
        return True
    return REVERSIBLE in auto and all(effect.undoable for effect in target.change.effects)


def _action(facts: Facts, target: TargetFacts) -> str:
    steps = facts.playbook.steps
    return (steps[target.step].action if target.step < len(steps) else "") or facts.action


def _allowed(facts: Facts) -> str:
    words = ["what can be taken back" if word == REVERSIBLE else word for word in facts.limits.auto]
    return f"{facts.limits.environment or 'the policy'} runs {listed(words)} by itself"
