"""`storm`: when much breaks at once there is one cause, and restarting every victim is not the cure.

A storm begins when more distinct targets of matched playbooks arrive within five minutes than the limit allows, and
lasts until that has not been the case for fifteen. Re-sends and alerts that join do not count: they bring no new
target. The arrivals of a whole delivery are on record before any of them is decided (the runner sees to that).

Arrivals say when it begins; from then on it is on record, and what is on record holds until whoever keeps it closes it
and lets its members go, oldest first. What most of its targets stand on (a node, a zone, a release) may be acted on
meanwhile: that may be the one cause. A person has to agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.guardrails.answers import asks, holds, passes
from remediator.guardrails.facts import Arrival, Facts, Parent, Storm
from remediator.guardrails.verdict import Answer, Verdict
from remediator.guardrails.words import about, clock, iso, many

NAME = "storm"
READS = frozenset({"arrivals", "known_workloads", "storm", "parent"})

WINDOW = timedelta(minutes=5)
QUIET_FOR = timedelta(minutes=15)
LOOK_BACK = WINDOW + QUIET_FOR
"""How far back arrivals are needed."""

AT_LEAST = 5
SHARE = 0.02
"""Of the workloads that the observer knows: a big cluster has more small troubles at any time."""

COMMON = 0.8
"""What stands under so many of a storm's targets may be their one cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """A storm at this moment. `peak_at` = when there were too many last, `until` = its end if no more come."""

    targets: int
    limit: int
    peak_at: datetime

    @property
    def until(self) -> datetime:
        return self.peak_at + QUIET_FOR


def limit_for(known_workloads: int) -> int:
    return max(AT_LEAST, int(known_workloads * SHARE))


def last_peak(arrivals: Sequence[Arrival], limit: int, now: datetime) -> tuple[datetime, int] | None:
    """The latest moment at which the window held more distinct targets than the limit, and how many; None = never.

    An arrival later than now counts as now: a clock that was set back must not end a storm.
    """
    recent = sorted((min(a.at, now), a.target_key) for a in arrivals if a.at > now - LOOK_BACK)
    found, first = None, 0
    within: Counter[str] = Counter()
    for at, target in recent:
        within[target] += 1
        while recent[first][0] <= at - WINDOW:
            gone = recent[first][1]
            within[gone] -= 1
            if not within[gone]:
                del within[gone]
            first += 1
        if len(within) > limit:
            found = (at, len(within))
    return found


def by_arrivals(arrivals: Sequence[Arrival], limit: int, now: datetime) -> Lasting | None:
    """The storm that the arrivals alone make; None when it has been quiet for long enough."""
    peak = last_peak(arrivals, limit, now)
    if peak is None or now >= peak[0] + QUIET_FOR:
        return None
    return Lasting(targets=peak[1], limit=limit, peak_at=peak[0])


def lasting(arrivals: Sequence[Arrival], on_record: Storm | None, limit: int, now: datetime) -> Lasting | None:
    """The storm of this moment: the one on record until it is closed, or one that only the arrivals know so far."""
    found = by_arrivals(arrivals, limit, now)
    if on_record is None:
        return found
    most = max(on_record.targets, found.targets if found else 0)
    return Lasting(targets=most, limit=limit, peak_at=found.peak_at if found else on_record.peak_at)


def check(facts: Facts) -> Verdict:
    """Hold everything while a storm lasts, but for what stands under most of it."""
    limit = limit_for(facts.known_workloads)
    found = lasting(facts.arrivals, facts.storm, limit, facts.now)
    if found is None:
        now = len({a.target_key for a in facts.arrivals if a.at > facts.now - WINDOW})
        return passes(
            NAME, f"{many(now, 'target')} in {about(WINDOW)}, a storm is more than {limit}", targets=now, limit=limit
        )
    if facts.parent is not None and is_common(facts.parent):
        return _may_go_on(facts, facts.parent, found)
    return held(found, facts.storm, facts.now, facts.zone, facts.parent)


def is_common(parent: Parent) -> bool:
    return parent.of > 0 and parent.members >= COMMON * parent.of


def _may_go_on(facts: Facts, parent: Parent, found: Lasting) -> Verdict:
    reason = f"{_count(found)}; {parent.what} stands under {parent.members} of {parent.of} of them"
    return asks(NAME, facts, reason, parent=parent.what, members=parent.members, of=parent.of, **_numbers(found))


def held(
    found: Lasting, on_record: Storm | None, now: datetime, zone: str = "UTC", parent: Parent | None = None
) -> Verdict:
    """What a storm says to everything else."""
    reason = f"{_count(found)}; one shared cause is likely"
    if parent is not None:
        share = f"{parent.members} of {parent.of}"
        reason += f"; {parent.what} stands under {share} of them, which is less than {COMMON:.0%}"
    over = "over at " + clock(found.until, now, zone) if now < found.until else "about to be over"
    told = _told(on_record)
    return holds(NAME, reason, f"{told}{over} if no more come", **_numbers(found))


def _count(found: Lasting) -> str:
    return f"{many(found.targets, 'target')} in {about(WINDOW)} (limit {found.limit})"


def _told(on_record: Storm | None) -> str:
    """Whom it was told to, once for all of its members."""
    if on_record is None or not on_record.version or not (on_record.service or on_record.channels):
        return ""
    who = f"paged {on_record.service} once" if on_record.service else "said once in chat"
    return f"{who} for all {len(on_record.members)} that are held; "


def _numbers(found: Lasting) -> dict[str, Any]:
    return {"targets": found.targets, "limit": found.limit, "until": iso(found.until)}


def over_at(verdicts: Sequence[Verdict], now: datetime) -> datetime | None:
    """When the storm that holds is over by what is known now; None = no storm holds."""
    for verdict in verdicts:
        if verdict.guardrail == NAME and verdict.answer is Answer.HOLD and not verdict.cannot_see:
            until = verdict.facts.get("until")
            return datetime.fromisoformat(until) if isinstance(until, str) else now
    return None


def goes_on(verdicts: Sequence[Verdict]) -> str:
    """Why it may go on in a storm, in words: `Node n1 stands under 8 of 9 of them`; empty = it may not, or there is
    none."""
    for verdict in verdicts:
        if verdict.guardrail == NAME and verdict.answer in (Answer.ASK, Answer.PASS) and "parent" in verdict.facts:
            found = verdict.facts
            return f"{found['parent']} stands under {found['members']} of {found['of']} of them"
    return ""
