"""Windows and calendars against a brute-force minute-by-minute oracle, in eight zones over two years each.

Everywhere: open or not, and the instant at which that changes. Sweeps visit every change in two years and every minute
around each change of the clocks; Hypothesis makes up windows around the nights in which clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.guardrails.calendars import Calendar, parse_calendar
from remediator.guardrails.windows import LOOK_AHEAD, is_open
from remediator.playbooks.windows_model import Window, Windows
from tests.guardrails.windows_oracle import (
    Repeat,
    Span,
    combine,
    event_marks,
    moment,
    next_change,
    number,
    window_marks,
)

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONES = {
    "Europe/Berlin": 2025,
    "America/New_York": 2025,
    "Australia/Lord_Howe": 2025,  # half an hour
    "America/Sao_Paulo": 2017,  # clocks changed at midnight
    "Asia/Kolkata": 2025,  # never
    "Africa/Casablanca": 2025,  # back for Ramadan
    "Pacific/Apia": 2011,  # 30 December 2011 did not exist
    "America/St_Johns": 2010,  # clocks changed one minute past midnight, into the day before
}
"""The first of the two years."""


@dataclass(frozen=True)
class Sets:
    """One `windows:`; crons with their durations."""

    allow: tuple[tuple[str, timedelta], ...] = ()
    deny: tuple[tuple[str, timedelta], ...] = ()
    freezes: tuple[Repeat, ...] = field(default=(), hash=False)


def h(hours: float) -> timedelta:
    return timedelta(hours=hours)


SWEEPS = {
    "nightly, weekly deny, christmas": (
        Sets(allow=(("0 22 * * mon-fri", h(6)),), deny=(("0 8 24 12 *", h(72)), ("30 23 * * wed", h(2)))),
    ),
    "starts within the changed hours": (
        Sets(allow=(("30 2 * * *", h(1)), ("0 0 * * *", h(0.5))), deny=(("*/20 0-3 * * sun", MINUTE * 10),)),
    ),
    "deny without allow, every hour of the night": (Sets(deny=(("0 0-6 * * *", h(1)), ("45 23 * * *", MINUTE * 5))),),
    "playbook and policy": (
        Sets(allow=(("0 1 * * sat,sun", h(5)), ("0 12 L * *", h(30)))),
        Sets(allow=(("0 0 * * sun#1,sun#3", h(24)), ("15 3 */2 * *", h(2))), deny=(("0 2 * 3,10,11 *", h(1.5)),)),
    ),
    "longer than their distance": (Sets(allow=(("0 9 1,15 * *", h(24 * 15)), ("5 4 * feb-apr tue", h(26)))),),
}


@lru_cache(maxsize=32)
def span_of(zone: str) -> Span:
    year = ZONES[zone]
    return Span(zone, number(datetime(year, 1, 1, tzinfo=UTC)), number(datetime(year + 2, 1, 1, tzinfo=UTC)))


def clock_changes(span: Span) -> list[int]:
    return [stretch.first for stretch in span.stretches[1:]]


def as_model(sets: Sets, zone: str) -> Windows:
    def windows(pairs: tuple[tuple[str, timedelta], ...]) -> tuple[Window, ...]:
        return tuple(Window(cron=cron, duration=length, zone=zone) for cron, length in pairs)

    return Windows(allow=windows(sets.allow), deny=windows(sets.deny), calendars=("freeze",) if sets.freezes else ())


def as_marks(sets: tuple[Sets, ...], span: Span) -> bytes:
    return combine(
        [
            (
                [window_marks(span, cron, length, deny=False) for cron, length in each.allow],
                [window_marks(span, cron, length, deny=True) for cron, length in each.deny]
                + [event_marks(span, event) for event in each.freezes],
            )
            for each in sets
        ],
        span.last - span.first,
    )


def agrees(
    windows: tuple[Windows, ...], calendars: dict[str, Calendar], span: Span, opened: bytes, at: int, seconds: int = 0
) -> None:
    """One question, asked of both. `at` counts minutes from the beginning of the span."""
    asked = moment(span.first + at) + seconds * SECOND
    answer = is_open(windows, calendars, asked)
    change = next_change(opened, at)
    assert answer.open is bool(opened[at]), f"{span.zone} {asked} {windows}"
    if change is not None and moment(span.first + change) <= asked + LOOK_AHEAD:
        assert answer.until == moment(span.first + change), f"{span.zone} {asked} {windows}"
    else:
        end = min(moment(span.last), asked + LOOK_AHEAD)
        assert answer.until is None or answer.until >= end, f"{span.zone} {asked} {windows}"


LEAD_IN = 32 * 24 * 60
"""Minutes at the beginning of a span that are not asked about: the oracle knows no window that began before it."""


def sweep(windows: tuple[Windows, ...], calendars: dict[str, Calendar], span: Span, opened: bytes) -> int:
    """A hundred changes spread over the span: at each, just before the next, and in between. And each minute around
    every change of the clocks, where it all goes wrong if it does."""
    changes = [LEAD_IN]
    while (following := next_change(opened, changes[-1])) is not None:
        changes.append(following)
    step = max(1, len(changes) // 100)
    for at, following in list(pairwise(changes))[::step]:
        agrees(windows, calendars, span, opened, at)
        agrees(windows, calendars, span, opened, following - 1, seconds=59)
        agrees(windows, calendars, span, opened, (at + following) // 2, seconds=17)
    for change in clock_changes(span):
        middle = change - span.first
        for near in range(max(LEAD_IN, middle - 65), min(len(opened), middle + 65)):
            agrees(windows, calendars, span, opened, near)
    return len(changes)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", SWEEPS)
def test_two_years_of_windows(name: str, zone: str) -> None:
    span = span_of(zone)
    windows = tuple(as_model(each, zone) for each in SWEEPS[name])
    changes = sweep(windows, {}, span, as_marks(SWEEPS[name], span))
    assert changes > 20, "the sweep saw next to nothing"


# Calendars


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


FREEZES = {
    "every kind of rule": (
        Repeat(at("2025-01-03T18:00"), at("2025-01-06T08:00"), "WEEKLY"),
        Repeat(at("2025-01-07T02:30"), at("2025-01-07T02:50"), "DAILY", interval=3, until=date(2026, 11, 30)),
        Repeat(at("2025-01-31T22:00"), at("2025-02-01T03:30"), "MONTHLY", interval=2),
        Repeat(at("2025-12-24T00:00"), at("2025-12-27T00:00"), "YEARLY"),
        Repeat(at("2025-05-05T10:00"), at("2025-05-20T10:00")),
    ),
    "counted, with exceptions": (
        Repeat(
            at("2025-02-04T02:00"),
            at("2025-02-04T03:00"),
            "WEEKLY",
            interval=2,
            weekdays=(1, 3, 6),
            count=100,
            excluded=frozenset({date(2025, 3, 30), date(2025, 10, 26), date(2026, 2, 3)}),
        ),
        Repeat(at("2025-01-26T01:15"), at("2025-01-26T02:30"), "MONTHLY", weekdays=(6,), nth=-1),
        Repeat(at("2025-02-01T23:30"), at("2025-02-02T00:30"), "MONTHLY", weekdays=(5,), nth=1, count=12),
    ),
}


WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def as_ics(events: tuple[Repeat, ...], zone: str) -> str:
    """Written as calendar programs do."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0"]
    for index, event in enumerate(events):
        lines += ["BEGIN:VEVENT", f"UID:{index}", f"DTSTART;TZID={zone}:{event.start:%Y%m%dT%H%M%S}"]
        lines += [f"DTEND;TZID={zone}:{event.end:%Y%m%dT%H%M%S}"]
        days = [f"{event.nth or ''}{WEEKDAYS[day]}" for day in event.weekdays]
        rule = [f"FREQ={event.freq}", f"INTERVAL={event.interval}"]
        rule += [f"BYDAY={','.join(days)}"] if days else []
        rule += [f"COUNT={event.count}"] if event.count else []
        rule += [f"UNTIL={event.until:%Y%m%d}"] if event.until else []
        lines += [f"RRULE:{';'.join(rule)}"] if event.freq else []
        lines += [
            f"EXDATE;TZID={zone}:{datetime.combine(day, event.start.time()):%Y%m%dT%H%M%S}"
            for day in sorted(event.excluded)
        ]
        lines.append("END:VEVENT")
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


@pytest.mark.parametrize("zone", [zone for zone, year in ZONES.items() if year == 2025])
@pytest.mark.parametrize("name", FREEZES)
def test_two_years_of_freezes(name: str, zone: str) -> None:
    span, events = span_of(zone), FREEZES[name]
    calendars = {"freeze": parse_calendar(as_ics(events, zone), "freeze", "UTC")}
    sets = (Sets(freezes=events), Sets(allow=(("0 0 * * *", h(20)),)))
    windows = tuple(as_model(each, zone) for each in sets)
    assert sweep(windows, calendars, span, as_marks(sets, span)) > 500


# Windows that nobody thought of

minutes = st.sampled_from(["0", "30", "59", "*/20", "5,50", "10-40/15", "*"])
hours = st.sampled_from(["0", "1", "2", "3", "23", "*", "*/2", "0-3", "22-23,1", "4"])
days = st.sampled_from(
    ["* * *", "* * sat,sun", "* * fri-sun", "L * *", "* * sun#1", "* 3,10,11 sun#2", "1-7 * *", "*/2 * *", "* * 7"]
)
crons = st.builds(lambda minute, hour, day: f"{minute} {hour} {day}", minutes, hours, days)
lengths = st.integers(1, 3 * 24 * 60).map(lambda count: count * MINUTE) | st.sampled_from([MINUTE, HOUR, 24 * HOUR])
pairs = st.lists(st.tuples(crons, lengths), max_size=2).map(tuple)
several = st.lists(
    st.builds(Sets, allow=pairs, deny=pairs).filter(lambda each: bool(each.allow or each.deny)), min_size=1, max_size=2
).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    sets=several,
    zone=st.sampled_from(list(ZONES)),
    which=st.integers(0, 5),
    offsets=st.lists(st.integers(-3 * 24 * 60, 3 * 24 * 60), min_size=5, max_size=5),
    seconds=st.integers(0, 59),
)
def test_any_windows_around_any_change_of_the_clocks(
    sets: tuple[Sets, ...], zone: str, which: int, offsets: list[int], seconds: int
) -> None:
    year = span_of(zone)
    changes = clock_changes(year) or [year.first + 200 * 24 * 60]
    middle = changes[which % len(changes)]
    span = Span(zone, middle - 7 * 24 * 60, middle + 10 * 24 * 60)
    windows = tuple(as_model(each, zone) for each in sets)
    opened = as_marks(sets, span)
    for offset in (*offsets, -1, 0, 1):
        agrees(windows, {}, span, opened, 7 * 24 * 60 + offset, seconds)
