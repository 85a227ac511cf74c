"""`store_history`: the target carries a marker of ours that the journal does not know.

Somebody restored an old store, or pointed a second one at this cluster: what was done here cannot be counted.
"""

from __future__ import annotations

from remediator.guardrails.answers import holds, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict

NAME = "store_history"
READS = frozenset({"unknown_marker"})


def check(facts: Facts) -> Verdict:
    if facts.unknown_marker:
        return holds(
            NAME,
            f"store history is missing: the target carries our effect {facts.unknown_marker}, which the journal lacks",
            "passes when the journal is whole again, or somebody removes the annotation from the target",
            marker=facts.unknown_marker,
        )
    return passes(NAME, "the journal knows what it has done here")
