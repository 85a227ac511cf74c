"""`mode`: what this playbook may do here at all: observe, suggest, approve, auto."""

from __future__ import annotations

from remediator.guardrails.answers import asks, passes, suggests
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.playbooks.model import Mode

NAME = "mode"
READS = frozenset({"playbook", "limits"})


def check(facts: Facts) -> Verdict:
    """The weaker of the playbook's mode and the operator's ceiling; some changes need a person's yes in auto too."""
    wanted, ceiling = facts.limits.mode, facts.limits.mode_ceiling
    mode = min(wanted, ceiling, key=lambda m: m.rank)
    capped = f"mode {wanted}, the ceiling here is {ceiling}" if mode is not wanted else f"mode {mode}"
    numbers = {"mode": mode.value, "ceiling": ceiling.value}
    match mode:
        case Mode.OBSERVE | Mode.SUGGEST:
            return suggests(NAME, capped, "set mode: approve or auto in the playbook", **numbers)
        case Mode.APPROVE:
            return asks(NAME, facts, capped, **numbers)
        case Mode.AUTO:
            reasons = dict.fromkeys(t.change.needs_approval for t in facts.targets if t.change.needs_approval)
            if reasons:
                return asks(NAME, facts, f"{capped}, but {'; '.join(reasons)}", **numbers)
            return passes(NAME, capped, **numbers)
