"""`overload`: while the environment is overloaded, nothing takes capacity away without a person's yes.

A restart is not free: what remains has to carry the load of what is gone, and a copy that comes back is cold.
"""

from __future__ import annotations

from remediator.actions.change import Change
from remediator.guardrails.answers import asks, cannot_see, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many

NAME = "overload"
READS = frozenset({"overload", "targets", "limits"})


def check(facts: Facts) -> Verdict:
    """Ask a person for changes that reduce capacity while the operator's query holds; the others may help."""
    if not any(reduces_capacity(target.change) for target in facts.targets):
        return not_applicable(NAME, "takes no capacity away")
    where = f"environment {facts.limits.environment}" if facts.limits.environment else "this environment"
    if facts.overload is None and facts.limits.overload:
        return cannot_see(NAME, f"whether {where} is overloaded", "its overload query was not asked")
    if facts.overload is None:
        return not_applicable(NAME, f"no overload query is configured for {where}")
    if not facts.overload.says:
        return passes(NAME, "not overloaded", query=facts.overload.query)
    takes = sum(target.change.takes for target in facts.targets)
    return asks(
        NAME,
        facts,
        f"overloaded ({facts.overload.says}), and this may take {many(takes, 'ready copy', 'ready copies')} away",
        changes="runs once it is approved, or the overload is over",
        query=facts.overload.query,
        takes=takes,
    )


def reduces_capacity(change: Change) -> bool:
    return change.reduces_capacity or change.direction == "down" or change.takes > 0
