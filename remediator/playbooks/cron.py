"""Cron expressions of five fields, as data: which days, and which minutes of such a day.

Read like crontab(5): numbers, `*`, lists, ranges, steps, three-letter names of months and weekdays; Sunday is 0 and 7.
On top of it `sun#1` (the first Sunday of the month, up to #5) and `L` (the last day of the month).

Refused on purpose: day of month together with weekday. Cron takes the days that match *either*, hardly anybody means
that, and its implementations disagree about `*/2` there. `sun#1` says what is usually meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

ONE_DAY = timedelta(days=1)
_LONGEST_MONTH = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(\*|([a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?)(?:/(\d{1,2}))?", re.ASCII)
_NTH = re.compile(r"([a-z]{3}|\d)#([1-5])", re.ASCII)


class BadCron(ValueError):
    """An expression that is no cron, or never fires. `hint` is the next step."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}. {hint}")
        self.what, self.hint = what, hint


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day of month", 1, 31)
MONTH = _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
WEEKDAY = _Field("weekday", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)})


@dataclass(frozen=True, slots=True)
class Cron:
    """`minutes` are the starts within a day, counted from midnight, ascending. None = every day.

    `weekdays` are ISO weekdays (1 = Monday) with 1 to 5 for the nth of a month, or 0 for each.
    """

    minutes: tuple[int, ...]
    months: frozenset[int]
    days: frozenset[int] | None = None
    last_day: bool = False
    weekdays: frozenset[tuple[int, int]] | None = None

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        if self.days is not None:
            return day.day in self.days or (self.last_day and (day + ONE_DAY).day == 1)
        if self.weekdays is None:
            return True
        weekday = day.isoweekday()
        return (weekday, 0) in self.weekdays or (weekday, (day.day + 6) // 7) in self.weekdays

    def dates(self, first: date, last: date) -> Iterator[date]:
        """The days on which it starts, from `first` to `last`, both included."""
        day = first
        while day <= last:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self.on(day):
                yield day
            day += ONE_DAY


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> Cron:
    """Raises: BadCron."""
    parts = text.lower().split()
    if len(parts) != 5:
        hint = 'Write minute, hour, day of month, month and weekday, such as "0 22 * * mon-fri".'
        raise BadCron(f"a cron expression has 5 fields, {text!r:.60} has {len(parts)}", hint)
    minute, hour, day, month, weekday = parts
    days, last_day = _days_of_month(day)
    weekdays = _weekdays(weekday)
    if days is not None and weekdays is not None:
        raise BadCron(
            f"day of month {day!r} and weekday {weekday!r} together start on days that match either of them",
            "Write * for one of them; the first Sunday of a month is * in the third field and sun#1 in the fifth.",
        )
    cron = Cron(
        minutes=tuple(sorted(h * 60 + m for h in _values(hour, HOUR) for m in _values(minute, MINUTE))),
        months=_values(month, MONTH),
        days=days,
        last_day=last_day,
        weekdays=weekdays,
    )
    if days is not None and not last_day and min(days) > max(_LONGEST_MONTH[number] for number in cron.months):
        raise BadCron(f"day {min(days)} does not exist in month {month}, so it never starts", "Choose a day that does.")
    return cron


def _days_of_month(text: str) -> tuple[frozenset[int] | None, bool]:
    """None = every day; and whether the last one is meant, whatever its number."""
    items = text.split(",")
    numbers = [item for item in items if item != "l"]
    values = _values(",".join(numbers), DAY) if numbers else frozenset[int]()
    return (None if len(values) == 31 else values), len(numbers) < len(items)


def _weekdays(text: str) -> frozenset[tuple[int, int]] | None:
    """Pairs of ISO weekday and nth of the month (0 = each); None = every day."""
    found: set[tuple[int, int]] = set()
    for item in text.split(","):
        nth = _NTH.fullmatch(item)
        numbers = {_number(nth[1], WEEKDAY)} if nth else _values(item, WEEKDAY)
        found |= {(number or 7, int(nth[2]) if nth else 0) for number in numbers}
    return None if {day for day, nth in found if nth == 0} == set(range(1, 8)) else frozenset(found)


def _values(text: str, of: _Field) -> frozenset[int]:
    return frozenset(value for item in text.split(",") for value in _item(item, of))


def _item(text: str, of: _Field) -> range:
    match = _ITEM.fullmatch(text)
    if not match:
        hint = f"Write numbers from {of.low} to {of.high}, *, or lists, ranges and steps of them, such as 1,5 or 1-5."
        raise BadCron(f"{of.name} cannot be {text!r:.40}", hint)
    whole, first, last, step = match.groups()
    if whole == "*":
        low, high = of.low, of.high
    else:
        low = _number(first, of)
        high = low if last is None else _number(last, of)
        if of is WEEKDAY and last == "sun":
            high = 7  # fri-sun
    if high < low:
        raise BadCron(f"{of.name} {text!r} runs backwards", "Write it as two, such as 22-23,0-3.")
    if step is None:
        return range(low, high + 1)
    if last is None and whole != "*":
        raise BadCron(f"{of.name} {text!r} has a step without a range", f"Write {low}-{of.high}/{step}.")
    if not 1 <= int(step) <= of.high - of.low:
        raise BadCron(f"{of.name} {text!r} cannot have the step {step}", f"Use 1 to {of.high - of.low}.")
    return range(low, high + 1, int(step))


def _number(text: str, of: _Field) -> int:
    value = of.names.get(text, int(text) if text.isdecimal() else -1)
    if not of.low <= value <= of.high:
        names = f" or {', '.join(of.names)}" if of.names else ""
        raise BadCron(f"{of.name} cannot be {text}", f"Use {of.low} to {of.high}{names}.")
    return value
