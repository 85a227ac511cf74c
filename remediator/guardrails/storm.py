"""`storm`: when much breaks at once there is one cause, and restarting every victim is not the cure.

A storm begins when more distinct targets of matched playbooks arrive within five minutes than the limit allows, and
lasts until that has not been the case for fifteen. Re-sends and alerts that join do not count: they bring no new
target. The arrivals of a whole delivery are on record before any of them is decided (the runner sees to that).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.guardrails.answers import holds, passes
from remediator.guardrails.facts import Arrival, Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, iso

NAME = "storm"
READS = frozenset({"arrivals"})

WINDOW = timedelta(minutes=5)
QUIET_FOR = timedelta(minutes=15)
LOOK_BACK = WINDOW + QUIET_FOR
"""How far back arrivals are needed."""

AT_LEAST = 5
SHARE = 0.02
"""Of the workloads that the observer knows: a big cluster has more small troubles at any time."""


def limit_for(known_workloads: int) -> int:
    return max(AT_LEAST, int(known_workloads * SHARE))


def last_peak(arrivals: Sequence[Arrival], limit: int, now: datetime) -> tuple[datetime, int] | None:
    """The latest moment at which the window held more distinct targets than the limit, and how many; None = never."""
    recent = sorted((a for a in arrivals if now - LOOK_BACK < a.at <= now), key=lambda a: a.at)
    found = None
    for arrival in recent:
        targets = {a.target_key for a in recent if arrival.at - WINDOW < a.at <= arrival.at}
        if len(targets) > limit:
            found = (arrival.at, len(targets))
    return found


def check(facts: Facts) -> Verdict:
    """Hold everything while a storm lasts."""
    limit = limit_for(facts.known_workloads)
    peak = last_peak(facts.arrivals, limit, facts.now)
    if peak is None or facts.now >= peak[0] + QUIET_FOR:
        now = len({a.target_key for a in facts.arrivals if facts.now - WINDOW < a.at <= facts.now})
        return passes(NAME, f"{now} targets in {about(WINDOW)}, a storm is more than {limit}", targets=now, limit=limit)
    at, targets = peak
    over = at + QUIET_FOR
    return holds(
        NAME,
        f"{targets} targets in {about(WINDOW)} (limit {limit}); one shared cause is likely",
        f"over at {clock(over, facts.now, facts.zone)} if no more come",
        targets=targets,
        limit=limit,
        until=iso(over),
    )
