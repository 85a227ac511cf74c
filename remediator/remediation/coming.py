"""What the next shift should know beforehand: the operator's windows and freezes that begin or end soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from remediator.guardrails.policy import Policy
from remediator.guardrails.windows import UnknownWindow, is_open
from remediator.people.handover import Coming
from remediator.remediation.fact_reading import KnownCalendars

AHEAD = timedelta(hours=48)


def coming_up(policy: Policy, calendars: Callable[[], KnownCalendars]) -> Callable[[datetime], Sequence[Coming]]:
    """What happens within `AHEAD`; a calendar that cannot be read is said, since nothing is begun meanwhile."""

    def look(now: datetime) -> Sequence[Coming]:
        known = calendars()
        return [*_windows(policy, known, now), *_freezes(known, now)]

    return look


def _windows(policy: Policy, known: KnownCalendars, now: datetime) -> Iterator[Coming]:
    for where, windows in policy.all_windows():
        try:
            opening = is_open((windows.in_zone(policy.zone),), known.calendars, now)
        except UnknownWindow as exc:
            yield Coming(at=now, what=f"{where}: nothing is begun, because {exc}")
            continue
        if opening.until is not None and opening.until <= now + AHEAD:
            by = f" ({opening.by.name})" if opening.by is not None else ""
            yield Coming(at=opening.until, what=f"{where} {'closes' if opening.open else 'opens'}{by}")


def _freezes(known: KnownCalendars, now: datetime) -> Iterator[Coming]:
    for _, calendar in sorted(known.calendars.items()):
        for freeze in calendar.intervals(now, now + AHEAD):
            begun = freeze.start <= now
            what = f"calendar {freeze.by.name} {'ends' if begun else 'begins'}"
            yield Coming(at=freeze.end if begun else freeze.start, what=what)
