"""`blockers`: firing alerts and PromQL that forbid acting, the playbook's own and the operator's.

The triggering alert never blocks its own cure (whoever reads the answers sees to that). No answer blocks as well: a
critical alert that nobody could ask about may be firing.
"""

from __future__ import annotations

from typing import Any

from remediator.guardrails.answers import cannot_see, holds, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import first_of, many

NAME = "blockers"
READS = frozenset({"blockers"})


def check(facts: Facts) -> Verdict:
    """Object while one of them holds, or could not be asked. What could not be seen comes first."""
    if not facts.blockers:
        return not_applicable(NAME, "no blockers are set")
    for blocker in facts.blockers:
        if blocker.problem:
            return cannot_see(NAME, f"blocker {blocker.name}", blocker.problem)
    blocking = [blocker for blocker in facts.blockers if blocker.blocks]
    numbers: dict[str, Any] = {"asked": len(facts.blockers), "blocking": [blocker.name for blocker in blocking]}
    if not blocking:
        return passes(NAME, f"none of {many(len(facts.blockers), 'blocker')} holds", **numbers)
    return holds(
        NAME,
        "; ".join(f"{b.name} forbids it: {many(len(b.blocks), 'hit')} ({first_of(b.blocks)})" for b in blocking),
        "passes when it is over" if len(blocking) == 1 else "passes when all of them are over",
        **numbers,
    )
