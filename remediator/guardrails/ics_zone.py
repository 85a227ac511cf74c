"""Time zones that a calendar file brings along. Outlook names its zones `W. Europe Standard Time` and defines them.

A name that IANA knows means IANA's zone, whatever the file says of it: its rules are kept up to date.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo

from remediator.guardrails.ics import FIRST_YEAR, LAST_YEAR, Component, Property, Unreadable, read_time
from remediator.guardrails.recurrence import read_rule
from remediator.playbooks.windows_model import is_zone

_RULES_UNTIL = 2100
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?", re.ASCII)
_NO_SHIFT = timedelta(0)


class FileZone(tzinfo):
    """A zone as transitions: sorted pairs of instant (naive UTC) and the offset from then on.

    Wall times that exist twice or never are read as PEP 495 wants it.
    """

    def __init__(self, name: str, first: timedelta, transitions: Iterable[tuple[datetime, timedelta]]) -> None:
        self._name = name
        self._offsets = [first]
        self._instants: list[datetime] = []
        self._walls: tuple[list[datetime], list[datetime]] = ([], [])
        for instant, offset in sorted(transitions):
            before = self._offsets[-1]
            self._instants.append(instant)
            self._walls[0].append(instant + max(before, offset))
            self._walls[1].append(instant + min(before, offset))
            self._offsets.append(offset)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        if dt is None:
            return None
        return self._offsets[bisect_right(self._walls[dt.fold], dt.replace(tzinfo=None, fold=0))]

    def fromutc(self, dt: datetime) -> datetime:
        naive = dt.replace(tzinfo=None)
        at = bisect_right(self._instants, naive)
        offset = self._offsets[at]
        repeats = at > 0 and naive - self._instants[at - 1] < self._offsets[at - 1] - offset
        return (naive + offset).replace(tzinfo=self, fold=int(repeats))

    def tzname(self, dt: datetime | None) -> str:
        return self._name

    def dst(self, dt: datetime | None) -> timedelta:
        return _NO_SHIFT


class Zones:
    """Finds the zone that a property names, among IANA's and those of its own file; `floating` where it names none."""

    def __init__(self, calendar: Component, floating: tzinfo) -> None:
        self.floating = floating
        self._own: Mapping[str, Component] = {
            name.value: component
            for component in calendar.components
            if component.name == "VTIMEZONE" and (name := component.one("TZID"))
        }
        self._read: dict[str, tzinfo] = {}

    def of(self, prop: Property) -> tzinfo:
        """Raises: Unreadable."""
        name = prop.params.get("TZID")
        if name is None:
            return self.floating
        if name not in self._read:
            self._read[name] = self._find(name, prop)
        return self._read[name]

    def _find(self, name: str, prop: Property) -> tzinfo:
        component = self._own.get(name)
        location = component.one("X-LIC-LOCATION") if component else None
        parts = name.split("/") if name.startswith("/") else []  # /example.com/Europe/Berlin
        for known in (name, location.value if location else "", *("/".join(parts[n:]) for n in range(2, len(parts)))):
            if is_zone(known):
                return ZoneInfo(known)
        if component is None:
            raise prop.wrong(
                f"TZID {name!r:.60} is no IANA zone and has no VTIMEZONE", "Use a name like Europe/Berlin."
            )
        return _file_zone(name, component)


def _file_zone(name: str, component: Component) -> FileZone:
    transitions: list[tuple[datetime, timedelta]] = []
    first: tuple[datetime, timedelta] | None = None
    for part in component.components:
        if part.name not in ("STANDARD", "DAYLIGHT"):
            continue
        before, after, begins = (_needed(part, key) for key in ("TZOFFSETFROM", "TZOFFSETTO", "DTSTART"))
        start, shift = _local(begins, begins.value), _offset(before)
        onsets = {start}
        for prop in part.all("RRULE"):
            onsets.update(takewhile(lambda onset: onset.year <= _RULES_UNTIL, read_rule(prop, start, UTC)))
        for prop in part.all("RDATE"):
            onsets.update(_local(prop, text) for text in prop.value.split(","))
        transitions += [(onset - shift, _offset(after)) for onset in onsets]
        if first is None or start < first[0]:
            first = (start, shift)
    if first is None:
        raise Unreadable(component.line, f"VTIMEZONE {name!r:.60} defines nothing", "Export the calendar again.")
    return FileZone(name, first[1], transitions)


def _needed(component: Component, key: str) -> Property:
    prop = component.one(key)
    if prop is None:
        raise Unreadable(component.line, f"{component.name} has no {key}", "Export the calendar again.")
    return prop


def _local(prop: Property, text: str) -> datetime:
    found = read_time(prop, text)
    if not isinstance(found, datetime) or found.tzinfo:
        raise prop.wrong(f"{text[:40]!r} is not a local time", "Export the calendar again.")
    return found.replace(year=min(max(found.year, FIRST_YEAR), LAST_YEAR))  # some write 0001 for "always"


def _offset(prop: Property) -> timedelta:
    match = _OFFSET.fullmatch(prop.value)
    if not match or int(match[2]) > 23 or int(match[3]) > 59:
        raise prop.wrong(f"{prop.value[:40]!r} is no offset", "It must look like +0100.")
    size = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -size if match[1] == "-" else size
