"""`min_healthy`: of several targets, or a fleet, enough must be healthy before one more is touched."""

from __future__ import annotations

from typing import Any

from remediator.actions.workload import percent_of
from remediator.guardrails.answers import holds, not_applicable, passes
from remediator.guardrails.facts import Facts, Fleet
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import first_of

NAME = "min_healthy"
READS = frozenset({"fleet", "limits"})


def check(facts: Facts) -> Verdict:
    """The playbook's share of the total at the beginning, never below the operator's, never none. It rounds up."""
    fleet = facts.fleet
    if fleet is None:
        return not_applicable(NAME, "neither several targets nor a fleet")
    wanted = (facts.limits.min_healthy, facts.limits.min_healthy_floor, 1)
    keep = max(percent_of(value, fleet.total, round_up=True) for value in wanted)
    healthy = sum(1 for member in fleet.members if member.healthy)
    numbers: dict[str, Any] = {"healthy": healthy, "total": fleet.total, "keep": keep}
    reason = f"{healthy} of {fleet.total} healthy, {keep} must be"
    if healthy >= keep:
        return passes(NAME, reason, **numbers)
    changes = f"passes when healthy >= {keep}" if keep <= fleet.total else "it never passes with these limits"
    return holds(NAME, f"{reason} ({first_of(_sick(fleet))})" if _sick(fleet) else reason, changes, **numbers)


def _sick(fleet: Fleet) -> list[str]:
    sick = [f"{member.key}: {member.why}" for member in fleet.members if not member.healthy]
    gone = fleet.total - len(fleet.members)
    return [*sick, f"{gone} gone"] if gone > 0 else sick
