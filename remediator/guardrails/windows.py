"""`windows`: nothing begins outside its hours, and nothing at all during a freeze. Deny windows and calendars win.

What a window means in time:

- It is half-open, [start, end): at its end it is over.
- It starts when the clocks of its zone show what its cron says. A time that clocks skip in spring starts at the moment
  they are put forward. A time that they show twice in autumn starts an allow window the first time only, and a deny
  window both times: `0 * * * *` for 1h denies every hour, also the repeated one.
- It ends `duration` of elapsed time later: 6h are six hours also in the night in which clocks change.

The playbook's windows and the operator's are all in force; a moment is open when it is open for each of them. Where one
has no allow windows, it allows everything that it does not deny. With `overrun` its end, or the beginning of a freeze,
does not stop work that has begun. What undoes an effect is not asked here at all.

Everything is worked out in UTC. How far is looked ahead for the next change is bounded, what is said about this moment
never is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, reduce
from typing import Literal
from zoneinfo import ZoneInfo

from remediator.guardrails.answers import cannot_see, holds, not_applicable, passes
from remediator.guardrails.calendars import Calendar
from remediator.guardrails.facts import Facts
from remediator.guardrails.intervals import Interval, Source, Stream, TooMany, at_most, intersection, union, without
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.wall_time import earliest, latest
from remediator.guardrails.words import clock, iso
from remediator.playbooks.cron import parse_cron
from remediator.playbooks.windows_model import Window, Windows

NAME = "windows"
READS = frozenset({"calendars", "clock"})

LOOK_AHEAD = timedelta(days=400)
"""More than a year, so that yearly windows are found."""
MOST = 10_000
"""Windows in a row that are looked at for an opening. Only what never opens, because every allow window lies in a deny
window, needs so many."""
ONE_DAY = timedelta(days=1)


class UnknownWindow(Exception):
    """A window that nobody can place in time: its calendar or its zone is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whether work may begin at a moment, and until when that stays so.

    `by` is what decides: of an open moment what ends it, of a closed one the deny window or calendar that lasts longest
    or else the allow window that is waited for. None = nothing does within the look-ahead, as `until` says.
    """

    open: bool
    by: Source | None
    until: datetime | None

    @property
    def opens_at(self) -> datetime | None:
        return None if self.open else self.until


def is_open(windows: Sequence[Windows], calendars: Mapping[str, Calendar], at: datetime) -> Opening:
    """Whether `at` is open for every one of `windows`. Raises: UnknownWindow."""
    at = at.astimezone(UTC)
    horizon = at + LOOK_AHEAD
    denied = _first(_denials(windows, calendars, at, horizon))
    hopes = [_first(_allowances(each, at, horizon)) for each in windows if each.allow]
    allowed = [hope for hope in hopes if hope is not None]
    if denied is not None and denied.start <= at:
        return Opening(open=False, by=denied.by, until=_opens_at(windows, calendars, at, horizon))
    if len(allowed) < len(hopes):
        return Opening(open=False, by=None, until=None)
    if allowed and max(allowed).start > at:
        return Opening(open=False, by=max(allowed).by, until=_opens_at(windows, calendars, at, horizon))
    ends = [(hope.end, hope.by) for hope in allowed]
    ends += [(denied.start, denied.by)] if denied is not None else []
    until, by = min(ends, default=(None, None))
    return Opening(open=True, by=by, until=until if until is not None and until <= horizon else None)


def closes_at(
    windows: Sequence[Windows], calendars: Mapping[str, Calendar], now: datetime, started: bool
) -> datetime | None:
    """The instant from which no effect may begin any more; None = not within the look-ahead.

    `now` itself when it is closed, or when nobody can tell. `started`: work has begun, so that `overrun` counts.
    """
    try:
        opening = is_open(_binding(windows, started), calendars, now)
    except UnknownWindow:
        return now
    return opening.until if opening.open else now


def check(facts: Facts) -> Verdict:
    """Hold outside the windows. A calendar that is not there may hold a freeze for this very moment."""
    windows: tuple[Windows, ...] = facts.limits.windows
    if not windows:
        return not_applicable(NAME, "no windows are configured")
    try:
        opening = is_open(windows, facts.calendars, facts.now)
        binding = opening if opening.open else is_open(_binding(windows, facts.started), facts.calendars, facts.now)
    except UnknownWindow as exc:
        return cannot_see(NAME, "whether a freeze is on", str(exc))
    if opening.open:
        return _open(facts, opening)
    if binding.open:
        what = f"{_closed(opening)}, but this work has begun and overrun lets it finish"
        return passes(NAME, what, **_numbers(binding))
    return _held(facts, binding)


def _open(facts: Facts, opening: Opening) -> Verdict:
    if opening.by is None or opening.until is None:
        return passes(NAME, f"open for at least {LOOK_AHEAD.days} days")
    then = opening.by.name if opening.by.kind == "allow" else f"then {_noun(opening.by)}"
    return passes(NAME, f"open until {_clock(facts, opening.by, opening.until)} ({then})", **_numbers(opening))


def _held(facts: Facts, opening: Opening) -> Verdict:
    if opening.by is None or opening.until is None:
        when = f"does not open within {LOOK_AHEAD.days} days"
    else:
        when = f"opens at {_clock(facts, opening.by, opening.until)}"
    return replace(holds(NAME, _closed(opening), when), facts=_numbers(opening))


def _closed(opening: Opening) -> str:
    if opening.by is None:
        return "outside its allow windows"
    if opening.by.kind == "allow":
        return f"outside its allow windows, next is {opening.by.name}"
    return f"closed by {_noun(opening.by)}"


def _noun(source: Source) -> str:
    return f"calendar {source.name}" if source.kind == "calendar" else f"{source.kind} window {source.name}"


def _clock(facts: Facts, source: Source, moment: datetime) -> str:
    return clock(moment, facts.now, source.zone)


def _numbers(opening: Opening) -> Mapping[str, object]:
    return {"until": iso(opening.until) if opening.until else None, "by": _noun(opening.by) if opening.by else None}


def _binding(windows: Sequence[Windows], started: bool) -> tuple[Windows, ...]:
    """Those that count: work that has begun needs no open window where `overrun` lets it finish."""
    return tuple(each for each in windows if not (started and each.overrun))


def _opens_at(
    windows: Sequence[Windows], calendars: Mapping[str, Calendar], at: datetime, horizon: datetime
) -> datetime | None:
    always = iter([Interval(at, horizon + ONE_DAY, Source("", "", ""))])
    allowed = (at_most(_allowances(each, at, horizon), MOST) for each in windows if each.allow)
    denied = at_most(_denials(windows, calendars, at, horizon), MOST)
    try:
        opening = _first(without(reduce(intersection, allowed, always), denied))
    except TooMany:
        return None
    return opening.start if opening is not None and opening.start <= horizon else None


def _denials(windows: Sequence[Windows], calendars: Mapping[str, Calendar], at: datetime, horizon: datetime) -> Stream:
    """Every deny window and freeze that ends after `at`."""
    names = sorted({name for each in windows for name in each.calendars})
    if missing := [name for name in names if name not in calendars]:
        raise UnknownWindow(f"calendar {missing[0]} cannot be read")
    denying = [_occurrences("deny", window, at, horizon) for each in windows for window in each.deny]
    return union([*denying, *(calendars[name].intervals(at, horizon) for name in names)])


def _allowances(windows: Windows, at: datetime, horizon: datetime) -> Stream:
    return union(_occurrences("allow", window, at, horizon) for window in windows.allow)


def _occurrences(kind: Literal["allow", "deny"], window: Window, at: datetime, horizon: datetime) -> Stream:
    """What of a window ends after `at` and begins by `horizon`."""
    if not window.zone:
        raise UnknownWindow(f"{kind} window {window.title} has no time zone")
    source = Source(kind, window.title, window.zone)
    # One day for the zone's offset, one for a day that clocks skip whole, as Samoa's did in 2011.
    first, last = (at - window.duration).date() - 2 * ONE_DAY, horizon.date() + ONE_DAY
    found = [_starts(window, first, last)]
    if kind == "deny":
        found.append(_second_starts(window, first, last))
    pieces = union((Interval(start, end + window.duration, source) for start, end in starts) for starts in found)
    return (piece for piece in pieces if piece.end > at and piece.start <= horizon)


def _starts(window: Window, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    """Runs of starts so close that the window stays on between them: the first and last instant of each."""
    zone, cron = ZoneInfo(window.zone), parse_cron(window.cron)
    runs = _runs(cron.minutes, window.duration)
    for day in cron.dates(first, last):
        if day in _uneven_days(window.zone, day.year):
            for minute in cron.minutes:
                start = earliest(_wall(day, minute), zone)
                yield start, start
        else:
            midnight = earliest(_wall(day, 0), zone)
            for begin, end in runs:
                yield midnight + begin, midnight + end


def _second_starts(window: Window, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    """The same on the days on which clocks change: the second of times that come twice, and the others once more."""
    zone, cron = ZoneInfo(window.zone), parse_cron(window.cron)
    for year in range(first.year, last.year + 1):
        for day in _uneven_days(window.zone, year):
            if first <= day <= last and cron.on(day):
                for minute in cron.minutes:
                    start = latest(_wall(day, minute), zone)
                    yield start, start


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))


@lru_cache(maxsize=1024)
def _uneven_days(zone: str, year: int) -> tuple[date, ...]:
    """The days that do not begin and end with the same offset from UTC, in order."""
    there, first = ZoneInfo(zone), datetime(year, 1, 1)  # noqa: DTZ001  # what clocks show
    midnights = [first + day * ONE_DAY for day in range((date(year + 1, 1, 1) - first.date()).days)]
    return tuple(
        day.date()
        for day in midnights
        if day.replace(tzinfo=there).utcoffset() != (day + ONE_DAY).replace(tzinfo=there, fold=1).utcoffset()
    )


@lru_cache(maxsize=1024)
def _runs(minutes: tuple[int, ...], duration: timedelta) -> tuple[tuple[timedelta, timedelta], ...]:
    """The starts of one day as runs that the duration bridges."""
    found: list[tuple[timedelta, timedelta]] = []
    for start in (timedelta(minutes=minute) for minute in minutes):
        if found and start - found[-1][1] <= duration:
            found[-1] = (found[-1][0], start)
        else:
            found.append((start, start))
    return tuple(found)


def _first(stream: Stream) -> Interval | None:
    return next(stream, None)
