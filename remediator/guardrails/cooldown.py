"""`cooldown`: a target is left alone for a while after a ladder on it has ended, longest after one that did not help.

Any playbook counts, and so does the opposite action: scale up, then down, then up again is a loop, not a remedy. Two
failovers in a row are there and back again. What takes back a temporary change waits for nothing that went well: its
alert has been quiet for longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from remediator.actions.change import Direction
from remediator.guardrails.answers import holds, not_applicable, passes
from remediator.guardrails.facts import Facts, Run
from remediator.guardrails.scopes import target_keys
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, iso

NAME = "cooldown"
READS = frozenset({"runs", "targets", "between_rungs", "reverts"})

OPPOSITE: Mapping[Direction, Direction] = {"up": "down", "down": "up", "failover": "failover"}


def check(facts: Facts) -> Verdict:
    """Object until every earlier run on a target is cold. What was refunded has done nothing and heats nothing."""
    if facts.between_rungs:
        return not_applicable(NAME, "the next rung of a ladder that has begun")
    keys = target_keys(facts)
    ended = [
        (run, run.ended_at)
        for run in facts.runs
        if run.ended_at is not None
        and run.target_key in keys
        and not run.tokens_back
        and run.remediation_id != facts.remediation_id
        and not (facts.reverts and run.outcome == "succeeded")
    ]
    if not ended:
        return passes(NAME, "nothing has been done here lately")
    run, end = max(ended, key=lambda pair: pair[1] + _length(facts, pair[0]))
    return _judge(facts, run, end)


def _judge(facts: Facts, run: Run, end: datetime) -> Verdict:
    length = _length(facts, run)
    over = end + length
    opposite = " (the opposite action)" if _opposite(facts, run) else ""
    last = f"last {run.remediation_id} {about(facts.now - end)} ago, {run.outcome or 'ended'}{opposite}"
    numbers = {"last": run.remediation_id, "until": iso(over), "length_s": length.total_seconds()}
    if facts.now >= over:
        return passes(NAME, last, **numbers)
    when = f"over at {clock(over, facts.now, facts.zone)}"
    return holds(NAME, last, when, brief=f"{NAME} ({last}; {when})", **numbers)


def _length(facts: Facts, run: Run) -> timedelta:
    success, failure = facts.limits.cooldown_success, facts.limits.cooldown_failure
    if _opposite(facts, run):
        return max(success, failure)
    return success if run.outcome == "succeeded" else failure


def _opposite(facts: Facts, run: Run) -> bool:
    return any(OPPOSITE.get(target.change.goes) == run.direction for target in facts.targets)
