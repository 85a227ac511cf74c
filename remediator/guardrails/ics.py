"""The text of an iCalendar file (RFC 5545) as components and properties that still know their line. No meaning yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from remediator.errors import InvalidConfig

FIRST_YEAR, LAST_YEAR = 1601, 2999
"""Beyond them a time is a placeholder, and too near to the ends of what can be counted."""
_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAM = re.compile(r';([A-Za-z0-9-]+)=((?:"[^"]*"|[^";:,])*(?:,(?:"[^"]*"|[^";:,])*)*)')
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(Z?)", re.ASCII)
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?", re.ASCII
)


class InvalidCalendar(InvalidConfig):
    """A calendar that cannot be read; the message names calendar, line, property and the next step."""


class Unreadable(Exception):
    """What is wrong at one line. `parse_calendar` adds which calendar it is."""

    def __init__(self, line: int, what: str, hint: str) -> None:
        super().__init__(f"line {line}: {what}. {hint}")


@dataclass(frozen=True, slots=True)
class Property:
    """`DTSTART;TZID=Europe/Berlin:20261224T080000`. Names are in upper case, parameters without their quotes."""

    name: str
    params: Mapping[str, str]
    value: str
    line: int

    def wrong(self, what: str, hint: str) -> Unreadable:
        return Unreadable(self.line, f"{self.name}: {what}", hint)


@dataclass(slots=True)
class Component:
    """`BEGIN:name` ... `END:name`."""

    name: str
    line: int
    properties: list[Property] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Property]:
        return (prop for prop in self.properties if prop.name == name)

    def one(self, name: str) -> Property | None:
        """Raises: Unreadable when it is there twice."""
        found = list(self.all(name))
        if len(found) > 1:
            raise found[1].wrong("is there twice", "Remove one of them.")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Duration:
    """Days and weeks are counted on the calendar, the rest is elapsed time (RFC 5545, 3.3.6)."""

    days: timedelta
    rest: timedelta


def read_components(text: str) -> list[Component]:
    """The calendars of a file. Raises: Unreadable, also for a file that breaks off."""
    root = Component("", 0)
    open_ones = [root]
    for number, line in _lines(text):
        prop = _property(line, number)
        inner = open_ones[-1]
        if prop.name == "BEGIN":
            begun = Component(prop.value.upper(), number)
            inner.components.append(begun)
            open_ones.append(begun)
        elif prop.name == "END":
            if prop.value.upper() != inner.name:
                begun_text = f"BEGIN:{inner.name} of line {inner.line}" if inner.name else "no BEGIN"
                raise prop.wrong(f"{prop.value:.40} follows {begun_text}", "Export the calendar again.")
            open_ones.pop()
        else:
            inner.properties.append(prop)
    inner = open_ones[-1]
    if inner is not root:
        raise Unreadable(inner.line, f"BEGIN:{inner.name} has no END", "The file is cut off; export or copy it again.")
    lines = [prop.line for prop in root.properties] + [c.line for c in root.components if c.name != "VCALENDAR"]
    if lines or not root.components:
        raise Unreadable(
            min(lines, default=1), "expected BEGIN:VCALENDAR", "Give the path of an iCalendar (.ics) file."
        )
    return root.components


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Unfolded lines with the number of their first; a line that begins with white space continues the one before."""
    start, current = 0, ""
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        if line[:1] in (" ", "\t"):
            current += line[1:]
            continue
        if current.strip():
            yield start, current
        start, current = number, line
    if current.strip():
        yield start, current


def _property(line: str, number: int) -> Property:
    name = _NAME.match(line)
    at, params = name.end() if name else 0, {}
    while name and (param := _PARAM.match(line, at)):
        params[param[1].upper()] = param[2].strip('"')
        at = param.end()
    if not name or line[at : at + 1] != ":":
        raise Unreadable(number, f"{line[:40]!r} is no line of a calendar", "Export the calendar again.")
    return Property(name[0].upper(), params, line[at + 1 :].strip(), number)


def read_time(prop: Property, text: str) -> date | datetime:
    """A date, a naive datetime (local or floating), or one in UTC. Raises: Unreadable."""
    try:
        if match := _DATE.fullmatch(text):
            return date(int(match[1]), int(match[2]), int(match[3]))
        if match := _TIME.fullmatch(text):
            year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
            moment = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001  # 60: a leap second
            return moment.replace(tzinfo=UTC) if match[7] else moment
    except ValueError as exc:
        raise prop.wrong(f"{text} does not exist ({exc})", "Correct the date.") from None
    raise prop.wrong(f"{text[:40]!r} is no date or time", "Write it like 20261224 or 20261224T080000Z.")


def read_duration(prop: Property, text: str) -> Duration:
    """Raises: Unreadable, also for one that is negative."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()[1:]) or match[1] == "-":
        raise prop.wrong(f"{text[:40]!r} is no duration of an event", "Write it like P3D or PT2H30M.")
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[1:])
    return Duration(timedelta(weeks=weeks, days=days), timedelta(hours=hours, minutes=minutes, seconds=seconds))
