"""`max_attempts`: ladders (a playbook and its rungs) per episode; what did not help once is a person's."""

from __future__ import annotations

from remediator.guardrails.answers import denies, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many

NAME = "max_attempts"
READS = frozenset({"ladders", "between_rungs", "reverts"})


def check(facts: Facts) -> Verdict:
    most = facts.limits.max_attempts
    if facts.between_rungs:
        return not_applicable(NAME, "the next rung of a ladder that has begun")
    if facts.reverts:
        return not_applicable(NAME, f"it takes back what {facts.reverts} did, which is no attempt of its own")
    reason = f"{many(facts.ladders, 'attempt')} in this episode, at most {most}"
    if facts.ladders >= most:
        return denies(
            NAME, reason, "a new episode begins 1h after the last alert is quiet", done=facts.ladders, limit=most
        )
    return passes(NAME, reason, done=facts.ladders, limit=most)
