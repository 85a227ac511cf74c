"""RRULE of a calendar event. dateutil knows the rules; what a part may hold is checked here, because it takes anything.

It accepts BYMONTHDAY=40, INTERVAL=0 and COUNT=-3 without a word. A freeze that never comes, or a loop without end, must
not be what a slip of the keyboard means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, tzinfo
from typing import Protocol

from dateutil import rrule  # type: ignore[import-untyped]  # ships no types; `Rule` below is all that we use

from remediator.guardrails.ics import LAST_YEAR, Property, read_time

_FREQUENCIES = {name: getattr(rrule, name) for name in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")}
_TOO_OFTEN = frozenset({"HOURLY", "MINUTELY", "SECONDLY"})
_WEEKDAYS = {name: getattr(rrule, name) for name in ("MO", "TU", "WE", "TH", "FR", "SA", "SU")}
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBERS: Mapping[str, tuple[int, int, bool]] = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYSETPOS": (1, 366, True),
    "BYHOUR": (0, 23, False),
}
"""Lowest, highest, and whether it may count backwards. BYMINUTE and BYSECOND are refused: no freeze needs them."""
_SINGLE: Mapping[str, tuple[int, int]] = {"INTERVAL": (1, 1000), "COUNT": (1, 100_000)}
_EXAMPLE = "Write it like FREQ=WEEKLY;BYDAY=FR or FREQ=YEARLY;UNTIL=20301231T000000Z."


class Rule(Protocol):
    """The starts that a rule gives, naive and on the clocks of the event's zone, ascending."""

    def __iter__(self) -> Iterator[datetime]: ...

    def between(self, after: datetime, before: datetime, inc: bool = False) -> list[datetime]: ...


def read_rule(prop: Property, start: datetime, zone: tzinfo) -> Rule:
    """A rule for an event that starts at `start` (naive, in `zone`). Raises: Unreadable."""
    parts: dict[str, str] = {}
    for item in prop.value.upper().strip(";").split(";"):
        key, equals, value = item.partition("=")
        if not equals or not value or key in parts:
            raise prop.wrong(f"{item[:40]!r} is no part of a rule, or is there twice", _EXAMPLE)
        parts[key] = value
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        often = f"{frequency} is too often for a freeze" if frequency in _TOO_OFTEN else f"FREQ cannot be {frequency!r}"
        raise prop.wrong(often, f"Use one of {', '.join(_FREQUENCIES)}.")
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise prop.wrong("has both COUNT and UNTIL", "Remove one of them.")
    arguments: dict[str, object] = {}
    for key, value in parts.items():
        arguments[key.lower()] = _part(prop, frequency, key, value, zone)
    if "byday" in arguments:
        arguments["byweekday"] = arguments.pop("byday")
    try:
        rule: Rule = rrule.rrule(_FREQUENCIES[frequency], dtstart=start, **arguments)
    except ValueError as exc:
        raise prop.wrong(str(exc), _EXAMPLE) from None
    if next(iter(rule), None) is None:
        raise prop.wrong("never happens", "Correct its days and months, or when it ends.")
    return rule


def _part(prop: Property, frequency: str, key: str, value: str, zone: tzinfo) -> object:
    if key == "UNTIL":
        return _until(prop, value, zone)
    if key == "WKST" and value in _WEEKDAYS:
        return _WEEKDAYS[value]
    if key == "BYDAY":
        return [_weekday(prop, frequency, item) for item in value.split(",")]
    if key in _SINGLE:
        low, high = _SINGLE[key]
        return _number(prop, key, value, low, high)
    if key in _NUMBERS:
        low, high, backwards = _NUMBERS[key]
        return [_number(prop, key, item, low, high, backwards) for item in value.split(",")]
    raise prop.wrong(f"{key}={value[:40]} is not understood", _EXAMPLE)


def _number(prop: Property, key: str, text: str, low: int, high: int, backwards: bool = False) -> int:
    value = int(text) if re.fullmatch(r"[+-]?\d{1,6}", text, re.ASCII) else None
    if value is None or not low <= (abs(value) if backwards else value) <= high:
        also = f" or -{high} to -{low}" if backwards else ""
        raise prop.wrong(f"{key} cannot be {text[:40]!r}", f"Use {low} to {high}{also}.")
    return value


def _weekday(prop: Property, frequency: str, text: str) -> object:
    match = _BYDAY.fullmatch(text)
    nth = int(match[1] or 0) if match else 0
    if not match or abs(nth) > 53 or (match[1] and (nth == 0 or frequency not in ("MONTHLY", "YEARLY"))):
        raise prop.wrong(f"BYDAY cannot be {text[:40]!r} here", "Write MO to SU; 1SU and -1SU only monthly or yearly.")
    return _WEEKDAYS[match[2]](nth) if nth else _WEEKDAYS[match[2]]


def _until(prop: Property, text: str, zone: tzinfo) -> datetime:
    """The last moment that counts, on the event's own clocks. A date means all of that day."""
    until: date | datetime = read_time(prop, text)
    if until.year > LAST_YEAR:  # "for ever", and no zone can be applied to the year 9999
        return datetime.max  # noqa: DTZ901  # what clocks show
    if not isinstance(until, datetime):
        return datetime.combine(until, time.max)
    return until.astimezone(zone).replace(tzinfo=None) if until.tzinfo else until
