"""A second opinion on windows, minute by minute, that shares no code with the guardrail.

It goes the other way, from UTC to what clocks show: stretches of minutes in which they run evenly, with a jump in
between where they are changed. Times that they skip lie in a jump, times that come twice are in two stretches. What is
covered is marked in one byte for each minute.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), 1440
NAMES = {
    name: str(number)
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, name in enumerate(names.split(), first)
}


def number(moment: datetime) -> int:
    return int((moment - EPOCH) // MINUTE)


def moment(minute: int) -> datetime:
    return EPOCH + minute * MINUTE


@dataclass(frozen=True)
class Stretch:
    """UTC minutes in which the clocks of a zone run evenly: they show the minute plus `offset`."""

    first: int
    last: int
    offset: int


@dataclass(frozen=True)
class Span:
    """The minutes from `first` up to `last`, not included, as a zone's clocks show them."""

    zone: str
    first: int
    last: int

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return _stretches(self)

    @property
    def size(self) -> int:
        return self.last - self.first


@lru_cache(maxsize=2048)
def _stretches(span: Span) -> tuple[Stretch, ...]:
    zone = ZoneInfo(span.zone)

    def offset(minute: int) -> int:
        found = moment(minute).astimezone(zone).utcoffset()
        assert found is not None
        return int(found.total_seconds()) // 60

    found = [Stretch(span.first, span.first, offset(span.first))]
    for hour in range(span.first, span.last, 60):
        end = min(hour + 60, span.last)
        if offset(hour) == offset(end) == found[-1].offset:
            found[-1] = Stretch(found[-1].first, end, found[-1].offset)
            continue
        for minute in range(hour, end):
            if offset(minute) != found[-1].offset:
                found.append(Stretch(minute, minute, offset(minute)))
            found[-1] = Stretch(found[-1].first, minute + 1, found[-1].offset)
    return tuple(found)


def field_has(text: str, value: int) -> bool:
    """Whether a field without `#` and `L` contains a number."""
    for item in text.split(","):
        item, _, step = item.partition("/")
        low, _, high = item.partition("-")
        if item == "*":
            low, high = "0", "99"
        low, high = NAMES.get(low, low), NAMES.get(high, high) or NAMES.get(low, low)
        if int(low) <= value <= int(high) and (value - int(low) * (item != "*")) % int(step or 1) == 0:
            return True
    return False


def day_has(cron: str, day: date) -> bool:
    _, _, of_month, month, weekday = cron.lower().replace("-sun", "-7").split()
    if not field_has(month, day.month):
        return False
    length = calendar.monthrange(day.year, day.month)[1]
    if of_month == "l":
        return day.day == length
    if of_month.startswith("*/"):
        return (day.day - 1) % int(of_month[2:]) == 0
    if of_month != "*":
        return field_has(of_month, day.day)
    sunday_first = (day.weekday() + 1) % 7
    for item in weekday.split(","):
        name, hash_sign, nth = item.partition("#")
        week = sum(1 for other in range(1, day.day + 1) if (day.day - other) % 7 == 0)
        both = (field_has(name, sunday_first), sunday_first == 0 and field_has(name, 7))
        if any(both) and (not hash_sign or int(nth) == week):
            return True
    return False


@lru_cache(maxsize=512)
def pattern(minute: str, hour: str) -> bytes:
    return bytes(field_has(hour, at // 60) and field_has(minute, at % 60) for at in range(DAY))


def due(cron: str, first_day: int, days: int) -> bytes:
    """One byte for each minute that clocks show on these days (counted from 1970): a window starts, or not."""
    minute, hour, *_ = cron.lower().split()
    dates = (date(1970, 1, 1) + timedelta(days=day) for day in range(first_day, first_day + days))
    return b"".join(pattern(minute, hour) if day_has(cron, day) else bytes(DAY) for day in dates)


def window_marks(span: Span, cron: str, length: timedelta, *, deny: bool) -> bytearray:
    """One byte for each minute of the span: inside the window or not."""
    first_day = span.first // DAY - 2
    shown = due(cron, first_day, span.size // DAY + 6)
    zero = first_day * DAY
    marks = bytearray(span.size)
    size = length // MINUTE

    def start(minute: int) -> None:
        begin = minute - span.first
        end = min(begin + size, len(marks))
        marks[begin:end] = b"\1" * (end - begin)

    before = highest = span.first + span.stretches[0].offset - 1
    for stretch in span.stretches:
        wall, last_wall = stretch.first + stretch.offset, stretch.last + stretch.offset - 1
        if 1 in shown[before + 1 - zero : wall - zero]:
            start(stretch.first)  # clocks have skipped it
        at = wall if deny else max(wall, highest + 1)  # an allow window does not start in what comes again
        while (at := shown.find(1, at - zero, last_wall + 1 - zero) + zero) >= zero:
            start(at - stretch.offset)
            at += 1
        before, highest = last_wall, max(highest, last_wall)
    return marks


@dataclass(frozen=True)
class Repeat:
    """An event of a calendar: `start` and `end` on the clocks of the span's zone, and which days it comes back."""

    start: datetime
    end: datetime
    freq: str = ""
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    """Monday is 0."""
    nth: int = 0
    """Monthly: which of the weekday in the month, -1 the last; 0 = the day of the month of `start`."""
    count: int | None = None
    until: date | None = None
    excluded: frozenset[date] = frozenset()

    def days(self, last: date) -> Iterable[date]:
        first, seen = self.start.date(), 0
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            if not self._has(day):
                continue
            seen += 1
            if (self.count and seen > self.count) or (self.until and day > self.until):
                return
            if day not in self.excluded:
                yield day

    def _has(self, day: date) -> bool:
        first = self.start.date()
        months = (day.year - first.year) * 12 + day.month - first.month
        length = calendar.monthrange(day.year, day.month)[1]
        match self.freq:
            case "DAILY":
                return (day - first).days % self.interval == 0
            case "WEEKLY":
                weeks = ((day - timedelta(days=day.weekday())) - (first - timedelta(days=first.weekday()))).days // 7
                return weeks % self.interval == 0 and day.weekday() in (self.weekdays or (first.weekday(),))
            case "MONTHLY" if self.nth:
                same = [d for d in range(1, length + 1) if (d - day.day) % 7 == 0]
                wanted = self.nth - 1 if self.nth > 0 else self.nth
                fits = -len(same) <= wanted < len(same) and same[wanted] == day.day
                return months % self.interval == 0 and fits and day.weekday() in self.weekdays
            case "MONTHLY":
                return months % self.interval == 0 and day.day == first.day
            case "YEARLY":
                return months % (12 * self.interval) == 0 and day.day == first.day
            case _:
                return day == first


def event_marks(span: Span, event: Repeat) -> bytearray:
    """From the first to the last minute in which clocks show a time of the event."""
    marks = bytearray(span.size)
    for day in event.days(moment(span.last).date() + timedelta(days=2)):
        begin = number(datetime.combine(day, event.start.time(), tzinfo=UTC))
        finish = begin + int((event.end - event.start) // MINUTE)
        inside: list[int] = []
        for stretch in span.stretches:
            first, last = max(stretch.first, begin - stretch.offset), min(stretch.last, finish - stretch.offset)
            inside += [first, last] if first < last else []
        if inside:
            low, high = min(inside) - span.first, max(inside) - span.first
            marks[low:high] = b"\1" * (high - low)
    return marks


def combine(sets: Sequence[tuple[Sequence[bytearray], Sequence[bytearray]]], size: int) -> bytes:
    """Open or not, for several sets of (allow marks, deny marks)."""
    opened = int.from_bytes(b"\1" * size, "big")
    for allows, denies in sets:
        if allows:
            some = 0
            for marks in allows:
                some |= int.from_bytes(marks, "big")
            opened &= some
        for marks in denies:
            opened &= ~int.from_bytes(marks, "big")
    return opened.to_bytes(size, "big")


def next_change(opened: bytes, at: int) -> int | None:
    """The first minute after `at` with the other answer; None = not in the span."""
    found = opened.find(1 - opened[at], at)
    return None if found < 0 else found
