"""`circuit_breaker`: a playbook that keeps failing is switched off, and comes back through one approved run.

Per cluster it counts failures in a row. The same failure on as many different targets, in all clusters together, opens
it everywhere: a cure that spreads the disease shows as one failure here and one there. A success closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from remediator.guardrails.answers import asks, denies, passes
from remediator.guardrails.facts import Facts, Outcome
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, first_of, iso, many

NAME = "circuit_breaker"
READS = frozenset({"outcomes", "limits"})


def check(facts: Facts) -> Verdict:
    """Open: no. Half-open, once that time is over: with a person's yes. A failure then is one more in the row."""
    limit = facts.limits.breaker_failures
    newest_first = sorted(facts.outcomes, key=lambda outcome: outcome.ended_at, reverse=True)
    here = _failed([outcome for outcome in newest_first if outcome.cluster == facts.cluster])
    if len(here) >= limit:
        return _tripped(facts, here, f"the last {many(len(here), 'run')} in {facts.cluster} did not help")
    everywhere = _failed(newest_first)
    for kind in dict.fromkeys(outcome.outcome for outcome in everywhere):
        alike = {outcome.target_key for outcome in everywhere if outcome.outcome == kind}
        if len(alike) >= limit:
            said = f"{kind} on {len(alike)} targets in all clusters together, and no success since"
            return _tripped(facts, everywhere, said)
    return passes(NAME, f"{many(len(here), 'failure')} in a row, it opens at {limit}", failures=len(here), limit=limit)


def _failed(newest_first: Iterable[Outcome]) -> Sequence[Outcome]:
    """Those since the last success."""
    return list(takewhile(lambda outcome: not outcome.good, newest_first))


def _tripped(facts: Facts, failed: Sequence[Outcome], said: str) -> Verdict:
    limit, length = facts.limits.breaker_failures, about(facts.limits.breaker_open)
    half_open = failed[0].ended_at + facts.limits.breaker_open
    runs = first_of([f"{outcome.remediation_id} {outcome.outcome}" for outcome in failed])
    reason = f"{said} ({runs}; limit {limit})"
    numbers = {"failures": len(failed), "limit": limit, "half_open": iso(half_open)}
    at = clock(half_open, facts.now, facts.zone)
    if facts.now < half_open:
        changes = f"it is half-open at {at}: then a person's yes allows a run, and a success closes it"
        return denies(NAME, f"it is open: {reason}", changes, **numbers)
    return asks(
        NAME,
        facts,
        f"it is half-open since {at}: {reason}",
        changes=f"runs once it is approved; a success closes it, a failure opens it for {length} again",
        **numbers,
    )
