"""`plan_age`: a plan describes the cluster of a moment; an old one is made again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from remediator.guardrails.answers import holds, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about

NAME = "plan_age"
READS = frozenset({"planned_at"})


def check(facts: Facts) -> Verdict:
    """A plan from the future is a clock that jumped, and as good as an old one."""
    if facts.planned_at is None:
        return not_applicable(NAME, "not planned yet")
    age, most = facts.now - facts.planned_at, facts.limits.plan_age
    numbers: dict[str, Any] = {"age_s": age.total_seconds(), "limit_s": most.total_seconds()}
    if age < timedelta(0):
        return holds(NAME, "the plan is from the future: a clock has jumped", "it is made again", **numbers)
    reason = f"the plan is {about(age)} old, at most {about(most)}"
    return holds(NAME, reason, "it is made again", **numbers) if age > most else passes(NAME, reason, **numbers)
