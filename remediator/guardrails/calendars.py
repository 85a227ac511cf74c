"""Freeze calendars: every event of an `.ics` file is a deny window. Text in, intervals out; nobody reads a file here.

When in doubt it is frozen. An event covers every instant at which the clocks of its zone show a time between its start
and its end, so it begins at the first and ends at the second of two equal times in autumn. A repeated event keeps its
times on the clock, as calendar programs show it, also where that is an hour more or less; hours of a DURATION are
elapsed time. An event marked "free", tentative or private freezes all the same, only STATUS:CANCELLED does not. Times
without a zone, and whole days, are in the zone that the operator gave with the calendar. DTSTART always counts, whether
its rule includes it or not.

What is not understood (EXRULE, a change of "this and future" events, rules below a day) is an error, never skipped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from remediator.guardrails.ics import (
    FIRST_YEAR,
    LAST_YEAR,
    Component,
    Duration,
    InvalidCalendar,
    Property,
    Unreadable,
    read_components,
    read_duration,
    read_time,
)
from remediator.guardrails.ics_zone import Zones
from remediator.guardrails.intervals import Interval, Source, union
from remediator.guardrails.recurrence import Rule, read_rule
from remediator.guardrails.wall_time import earliest, latest

ONE_DAY = timedelta(days=1)
LONGEST = timedelta(days=366)
_NOTHING = Duration(timedelta(0), timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`start` is naive, on the clocks of `zone`. `excluded` are instants at which an occurrence does not begin."""

    start: datetime
    zone: tzinfo
    length: Duration
    summary: str
    whole_days: bool = False
    rules: tuple[Rule, ...] = ()
    excluded: frozenset[datetime] = frozenset()

    def starts(self, first: datetime, last: datetime) -> set[datetime]:
        """Naive, those from `first` to `last`."""
        found = {self.start} if first <= self.start <= last else set()
        return found.union(*(rule.between(first, last, inc=True) for rule in self.rules))


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """A freeze calendar that was read. Equal only to itself, so that what was worked out for it can be kept."""

    name: str
    zone: str
    events: tuple[Event, ...]

    def intervals(self, after: datetime, before: datetime) -> Iterator[Interval]:
        """Those that end after `after` and begin before `before`, in order; what overlaps within a year is one."""
        for year in range((after - LONGEST - ONE_DAY).year, before.year + 1):
            begun = _of_year(self, year)
            for interval in islice(begun, bisect_right(begun, after, key=_end), None):
                if interval.start >= before:
                    return
                yield interval

    def work_out(self, now: datetime) -> None:
        """Everything that can be asked about `now`, and a year more, so that no year begins with a long answer."""
        for year in range((now - LONGEST - ONE_DAY).year, now.year + 3):
            _of_year(self, year)


def parse_calendar(text: str, name: str, zone: str) -> Calendar:
    """An `.ics` file. `zone` (IANA) is for times that have none. Raises: InvalidCalendar with line and next step."""
    try:
        events = [event for part in read_components(text) for event in _events(part, ZoneInfo(zone))]
    except Unreadable as exc:
        raise InvalidCalendar(f"calendar {name}: {exc}") from None
    return Calendar(name, zone, tuple(events))


@lru_cache(maxsize=256)
def _of_year(calendar: Calendar, year: int) -> tuple[Interval, ...]:
    """Everything that begins in that year (UTC). Kept, because a rule has to be counted from its very first start."""
    first, last = datetime(year, 1, 1) - ONE_DAY, datetime(year, 12, 31) + 2 * ONE_DAY  # noqa: DTZ001  # local times
    found = []
    for event in calendar.events:
        title = f"{calendar.name} ({event.summary})" if event.summary else calendar.name
        source = Source("calendar", title, calendar.zone)
        for wall in event.starts(first, last):
            start = earliest(wall, event.zone)
            end = latest(wall + event.length.days, event.zone) + event.length.rest
            if start.year == year and start < end and start not in event.excluded:
                found.append(Interval(start, end, source))
    return tuple(union([iter(sorted(found))]))


def _end(interval: Interval) -> datetime:
    return interval.end


def _events(calendar: Component, floating: tzinfo) -> Iterator[Event]:
    """Of one VCALENDAR, overrides applied."""
    zones = Zones(calendar, floating)
    parts = [part for part in calendar.components if part.name == "VEVENT"]
    replaced: dict[str, set[datetime]] = {}
    whole_days: dict[str, bool] = {}
    for part in parts:
        if (which := part.one("RECURRENCE-ID")) and _uid(part):
            if which.params.get("RANGE"):
                raise which.wrong("RANGE is not understood", "Split the series in two in the calendar program.")
            (instant,) = _instants(which, zones)
            replaced.setdefault(_uid(part), set()).add(instant)
            whole_days[_uid(part)] = not isinstance(read_time(which, which.value), datetime)
    for part in parts:
        status = part.one("STATUS")
        if status and status.value.upper() == "CANCELLED":
            continue
        for event in _event(part, zones):
            master = not part.one("RECURRENCE-ID")
            gone = replaced.get(_uid(part), set()) if master else set()
            if gone and whole_days[_uid(part)] != event.whole_days:
                raise Unreadable(part.line, "RECURRENCE-ID and DTSTART differ in kind", "Use dates or times for both.")
            yield replace(event, excluded=event.excluded | gone)


def _event(part: Component, zones: Zones) -> Iterator[Event]:
    """The event, and one more for each RDATE."""
    for prop in part.all("EXRULE"):
        raise prop.wrong("is not understood", "Use EXDATE.")
    begins = part.one("DTSTART")
    if begins is None:
        raise Unreadable(part.line, "VEVENT has no DTSTART", "Give the event a start, or remove it.")
    start, zone, whole_days = _wall(begins, begins.value, zones)
    length = _length(part, start, zone, whole_days, zones)
    excluded = set[datetime]()
    for prop in part.all("EXDATE"):
        if any(isinstance(read_time(prop, text), datetime) == whole_days for text in prop.value.split(",")):
            raise prop.wrong(
                "is a date where DTSTART has a time, or the other way round", "Use the same kind for both."
            )
        excluded |= _instants(prop, zones)
    summary = part.one("SUMMARY")
    event = Event(
        start=start,
        zone=zone,
        length=length,
        summary=_title(summary.value) if summary else "",
        whole_days=whole_days,
        rules=tuple(read_rule(prop, start, zone) for prop in part.all("RRULE")),
        excluded=frozenset(excluded),
    )
    yield event
    for prop in part.all("RDATE"):
        for text in prop.value.split(","):
            moment, _, end = text.partition("/")
            extra, extra_zone, _ = _wall(prop, moment, zones)
            own = _period(prop, extra, extra_zone, end, zones) if end else length
            yield replace(event, start=extra, zone=extra_zone, length=own, rules=())


def _wall(prop: Property, text: str, zones: Zones) -> tuple[datetime, tzinfo, bool]:
    """What clocks show, in which zone, and whether it is a date only. UTC is a zone, too."""
    moment: date | datetime = read_time(prop, text)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise prop.wrong(f"{text} is no date of a freeze", f"Use the years {FIRST_YEAR} to {LAST_YEAR}.")
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min), zones.floating, True
    zone = moment.tzinfo or zones.of(prop)
    return moment.replace(tzinfo=None), zone, False


def _instants(prop: Property, zones: Zones) -> set[datetime]:
    walls = (_wall(prop, text, zones) for text in prop.value.split(","))
    return {earliest(wall, zone) for wall, zone, _ in walls}


def _length(part: Component, start: datetime, zone: tzinfo, whole_days: bool, zones: Zones) -> Duration:
    """How long it is. Without an end a whole day, or nothing for a time (RFC 5545, 3.6.1)."""
    ends, lasts = part.one("DTEND"), part.one("DURATION")
    if ends and lasts:
        raise lasts.wrong("there is a DTEND as well", "Remove one of them.")
    at_least = ONE_DAY if whole_days else timedelta(0)
    if ends:
        return _until(ends, ends.value, start, zone, at_least, zones)
    if lasts:
        return _bounded(lasts, read_duration(lasts, lasts.value))
    return Duration(at_least, timedelta(0))


def _until(
    prop: Property,
    text: str,
    start: datetime,
    zone: tzinfo,
    at_least: timedelta,
    zones: Zones,
) -> Duration:
    end, end_zone, whole_days = _wall(prop, text, zones)
    if whole_days != bool(at_least):
        raise prop.wrong("is a date where DTSTART has a time, or the other way round", "Use the same kind for both.")
    if end_zone is not zone:
        end = latest(end, end_zone).astimezone(zone).replace(tzinfo=None)
    if end < start:
        raise prop.wrong("is before DTSTART", "Swap them.")
    return _bounded(prop, Duration(max(end - start, at_least), timedelta(0)))


def _period(prop: Property, start: datetime, zone: tzinfo, text: str, zones: Zones) -> Duration:
    if text.startswith(("P", "+", "-")):
        return _bounded(prop, read_duration(prop, text))
    return _until(prop, text, start, zone, timedelta(0), zones)


def _bounded(prop: Property, length: Duration) -> Duration:
    if length.days + length.rest > LONGEST:
        raise prop.wrong("the event takes more than 366 days", "Correct its end, or write several events.")
    return length


def _uid(part: Component) -> str:
    uid = part.one("UID")
    return uid.value if uid else ""


def _title(text: str) -> str:
    """One short line, without the escapes of the format."""
    plain = text.replace("\\n", " ").replace("\\N", " ").replace("\\", "")
    return "".join(letter for letter in plain if letter.isprintable())[:60].strip()
