"""`windows`: the model at load, what is said at a moment, calendars, and when the store must refuse an attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from remediator.guardrails.calendars import Calendar, parse_calendar
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.ics import InvalidCalendar
from remediator.guardrails.order import Guard, evaluate
from remediator.guardrails.verdict import Answer, Verdict
from remediator.guardrails.windows import NAME, READS, UnknownWindow, check, closes_at, is_open
from remediator.playbooks.windows_model import Windows, zone_problems
from tests.guardrails.make import facts

BERLIN = "Europe/Berlin"
NIGHTLY = {"cron": "0 22 * * mon-fri", "duration": "6h", "zone": BERLIN, "name": "nightly"}
CHRISTMAS = {"cron": "0 8 24 12 *", "duration": "72h", "zone": BERLIN, "name": "christmas freeze"}


def windows(**content: Any) -> Windows:
    return Windows.model_validate(content)


def berlin(text: str) -> datetime:
    """`2026-12-24T08:00` on the clocks of Berlin; `b` behind it = the second of two equal times."""
    wall = datetime.fromisoformat(text.removesuffix("b")).replace(tzinfo=ZoneInfo(BERLIN), fold=int(text[-1] == "b"))
    return wall.astimezone(UTC)


def ics(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR", ""])


def event(*lines: str) -> str:
    return ics("BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT")


def frozen(calendar: Calendar, first: str = "2026-01-01", last: str = "2027-12-31") -> list[str]:
    """`2026-12-24 00:00 - 2026-12-27 00:00` in Berlin, every interval in between."""
    found = calendar.intervals(berlin(first), berlin(last))
    zone = ZoneInfo(BERLIN)
    return [f"{i.start.astimezone(zone):%Y-%m-%d %H:%M} - {i.end.astimezone(zone):%Y-%m-%d %H:%M}" for i in found]


# The model


@pytest.mark.parametrize(
    ("change", "what", "hint"),
    [
        ({"cron": "0 22 * *"}, "has 4", "minute, hour, day of month, month and weekday"),
        ({"cron": "0 0 22 * * *"}, "has 6", "5 fields"),
        ({"cron": "@daily"}, "has 1", "0 22 * * mon-fri"),
        ({"cron": "60 22 * * *"}, "minute cannot be 60", "Use 0 to 59"),
        ({"cron": "0 24 * * *"}, "hour cannot be 24", "Use 0 to 23"),
        ({"cron": "0 22 0 * *"}, "day of month cannot be 0", "Use 1 to 31"),
        ({"cron": "0 22 * foo *"}, "month cannot be foo", "jan, feb"),
        ({"cron": "0 22 * * 8"}, "weekday cannot be 8", "sun, mon"),
        ({"cron": "0 22 * * mon#6"}, "weekday cannot be 'mon#6'", "lists"),
        ({"cron": "0 22-3 * * *"}, "runs backwards", "22-23,0-3"),
        ({"cron": "*/0 22 * * *"}, "cannot have the step 0", "Use 1 to 59"),
        ({"cron": "*/60 22 * * *"}, "cannot have the step 60", "Use 1 to 59"),
        ({"cron": "5/15 22 * * *"}, "step without a range", "5-59/15"),
        ({"cron": "0 22,, * * *"}, "hour cannot be ''", "0 to 23"),
        ({"cron": "0 22 30 2 *"}, "day 30 does not exist in month 2", "never starts"),
        ({"cron": "0 22 31 2,4,6 *"}, "day 31 does not exist", "never starts"),
        ({"cron": "0 3 1-7 * sun"}, "either of them", "sun#1"),
        ({"cron": "0 3 */2 * sun"}, "either of them", "sun#1"),
        ({"zone": "Europe/Berlni"}, "'Europe/Berlni' is no time zone", 'Did you mean "Europe/Berlin"?'),
        ({"zone": "W. Europe Standard Time"}, "is no time zone", "Europe/Berlin"),
        ({"zone": "Europe"}, "'Europe' is no time zone", ""),
        ({"zone": "localtime"}, "'localtime' is no time zone", ""),
        ({"zone": "../../etc/passwd"}, "is no time zone", ""),
        ({"duration": "0s"}, "1m to 31d, not 0s", "calendar"),
        ({"duration": "59s"}, "1m to 31d, not 59s", "6h"),
        ({"duration": "32d"}, "1m to 31d, not 32d", "calendar"),
        ({"duration": "long"}, "expected a duration", "90s"),
        ({"name": "x" * 61}, "at most 60", "Shorten"),
        ({"name": "a\nb"}, "one line", "Shorten"),
        ({"extra": 1}, "Extra inputs", ""),
    ],
)
def test_what_is_refused_at_load(change: dict[str, Any], what: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        windows(allow=[NIGHTLY | change])
    (error,) = caught.value.errors()
    assert error["loc"][:3] == ("allow", 0, *change)
    said = f"{error['msg']} {error.get('ctx', {}).get('hint', '')}"
    assert what in said
    assert hint in said


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 0 L * *", "0 0 L,1 2 *", "0 0 * * sat-sun", "*/59 */23 * JAN-DEC SUN"]
)
def test_what_is_accepted_at_load(cron: str) -> None:
    assert windows(deny=[CHRISTMAS | {"cron": cron}]).deny[0].cron == cron


def test_windows_must_say_something() -> None:
    with pytest.raises(ValidationError, match="no window in it"):
        windows(overrun=True)


def test_windows_survive_being_stored() -> None:
    kept = windows(allow=[NIGHTLY], deny=[CHRISTMAS], calendars=["freeze"], overrun=True)
    adapter = TypeAdapter(Windows)
    assert adapter.validate_json(adapter.dump_json(kept)) == kept


def test_a_zone_comes_from_the_policy_or_is_missing_by_name() -> None:
    bare = windows(allow=[NIGHTLY, {"cron": "0 1 * * *", "duration": "1h"}], deny=[CHRISTMAS | {"zone": ""}])
    lines = list(zone_problems(bare, "", "guardrails.windows"))
    assert [line.partition(":")[0] for line in lines] == [
        "guardrails.windows.allow[1].zone",
        "guardrails.windows.deny[0].zone",
    ]
    assert all("Europe/Berlin" in line and "policy" in line for line in lines)
    assert not list(zone_problems(bare, BERLIN, "guardrails.windows"))
    filled = bare.in_zone("Asia/Tokyo")
    assert [window.zone for window in (*filled.allow, *filled.deny)] == [BERLIN, "Asia/Tokyo", "Asia/Tokyo"]
    with pytest.raises(UnknownWindow, match="no time zone"):
        is_open([bare], {}, berlin("2026-05-05T12:00"))


# Open or not

BOTH = windows(allow=[NIGHTLY], deny=[CHRISTMAS])
GAP = windows(allow=[{"cron": "30 2 * * *", "duration": "1h", "zone": BERLIN}])
GAP_DENIED = windows(deny=[{"cron": "30 2 * * *", "duration": "20m", "zone": BERLIN}])
HOURLY_DENIED = windows(deny=[{"cron": "0 0-5 * * *", "duration": "1h", "zone": BERLIN}])


@pytest.mark.parametrize(
    ("given", "at", "opened", "until"),
    [
        pytest.param([], "2026-05-05T12:00", True, None, id="no windows"),
        pytest.param([BOTH], "2026-05-05T22:00", True, "2026-05-06T04:00", id="the start belongs to it"),
        pytest.param([BOTH], "2026-05-06T04:00", False, "2026-05-06T22:00", id="the end does not"),
        pytest.param([BOTH], "2026-05-05T21:59:59", False, "2026-05-05T22:00", id="a second before"),
        pytest.param([BOTH], "2026-05-09T04:00", False, "2026-05-11T22:00", id="over the weekend"),
        pytest.param([BOTH], "2026-12-23T23:00", True, "2026-12-24T04:00", id="before the freeze"),
        pytest.param(
            [BOTH], "2026-12-24T23:00", False, "2026-12-28T22:00", id="deny wins, and what follows is a weekend"
        ),
        pytest.param([windows(deny=[CHRISTMAS])], "2026-12-27T08:00", True, "2027-12-24T08:00", id="deny only"),
        pytest.param([BOTH, GAP], "2026-05-05T12:00", False, "2026-05-06T02:30", id="both must be open"),
        pytest.param([GAP], "2026-03-29T01:59", False, "2026-03-29T03:00", id="a start that clocks skip"),
        pytest.param([GAP], "2026-03-29T03:00", True, "2026-03-29T04:00", id="for its whole hour"),
        pytest.param([GAP], "2026-10-25T02:30", True, "2026-10-25T02:30b", id="the first of two, and elapsed time"),
        pytest.param([GAP], "2026-10-25T02:30b", False, "2026-10-26T02:30", id="not the second"),
        pytest.param([GAP_DENIED], "2026-10-25T02:30b", False, "2026-10-25T02:50b", id="deny: also the second"),
        pytest.param([HOURLY_DENIED], "2026-10-25T02:10b", False, "2026-10-25T06:00", id="deny leaves no hole"),
        pytest.param([BOTH], "2026-03-27T23:00", True, "2026-03-28T04:00", id="the night before"),
        pytest.param(
            [windows(allow=[NIGHTLY | {"cron": "0 0 29 2 *"}])],
            "2026-03-01T00:00",
            False,
            None,
            id="too far away to say",
        ),
        pytest.param(
            [windows(allow=[NIGHTLY], deny=[NIGHTLY])],
            "2026-03-03T23:00",
            False,
            None,
            id="an opening that never comes",
        ),
        pytest.param(
            [
                windows(
                    allow=[{"cron": "*/10 * * * *", "duration": "1m", "zone": BERLIN}],
                    deny=[{"cron": "*/5 * * * *", "duration": "2m", "zone": BERLIN}],
                )
            ],
            "2026-03-03T23:04",
            False,
            None,
            id="given up after many",
        ),
        pytest.param(
            [windows(allow=[{"cron": "* * * * *", "duration": "1m", "zone": BERLIN}])],
            "2026-01-03T23:04",
            True,
            "2026-10-25T02:00b",
            id="always, but for the hour that comes again",
        ),
    ],
)
def test_open_or_not(given: list[Windows], at: str, opened: bool, until: str | None) -> None:
    answer = is_open(given, {}, berlin(at))
    assert (answer.open, answer.until) == (opened, berlin(until) if until else None)
    assert answer.opens_at == (None if opened else answer.until)


def test_a_night_that_comes_again_although_the_next_day_has_begun() -> None:
    """Newfoundland went back from 00:01 to 23:01 of the day before; both 23:45 deny."""
    denied = windows(deny=[{"cron": "45 23 * * *", "duration": "5m", "zone": "America/St_Johns"}])
    begins = datetime(2010, 11, 7, 2, 15, tzinfo=UTC)
    for again in (timedelta(0), timedelta(hours=1)):
        assert is_open([denied], {}, begins + again - timedelta(seconds=1)).until == begins + again
        assert is_open([denied], {}, begins + again).until == begins + again + timedelta(minutes=5)


def test_the_window_that_decides() -> None:
    def by(at: str, *more: Windows) -> str:
        source = is_open([BOTH, *more], {}, berlin(at)).by
        return f"{source.kind} {source.name} {source.zone}" if source else ""

    tokyo = windows(allow=[{"cron": "0 6 * * *", "duration": "1h", "zone": "Asia/Tokyo"}])  # 23:00 in Berlin, in summer
    assert by("2026-05-05T23:00") == "allow nightly Europe/Berlin"
    assert by("2026-12-25T23:00") == "deny christmas freeze Europe/Berlin"
    assert by("2026-05-05T23:00", tokyo) == "allow 0 6 * * * Asia/Tokyo", "it closes first"
    assert by("2026-05-05T22:30", tokyo) == "allow 0 6 * * * Asia/Tokyo", "it is the one waited for"


# Calendars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            event("DTSTART:20261224T070000Z", "DTEND:20261227T070000Z"),
            ["2026-12-24 08:00 - 2026-12-27 08:00"],
            id="UTC",
        ),
        pytest.param(
            event("DTSTART;TZID=America/New_York:20261224T070000", "DURATION:PT2H30M"),
            ["2026-12-24 13:00 - 2026-12-24 15:30"],
            id="a zone and a duration",
        ),
        pytest.param(
            event("DTSTART:20261224T070000", "DTEND:20261224T080000"),
            ["2026-12-24 07:00 - 2026-12-24 08:00"],
            id="floating: the calendar's zone",
        ),
        pytest.param(
            event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227"),
            ["2026-12-24 00:00 - 2026-12-27 00:00"],
            id="whole days",
        ),
        pytest.param(event("DTSTART;VALUE=DATE:20261224"), ["2026-12-24 00:00 - 2026-12-25 00:00"], id="one whole day"),
        pytest.param(
            event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261224"),
            ["2026-12-24 00:00 - 2026-12-25 00:00"],
            id="one whole day that ends as it begins",
        ),
        pytest.param(event("DTSTART:20261224T070000Z"), [], id="a reminder without length"),
        pytest.param(event("DTSTART:20261224T070000Z", "DURATION:PT1H", "STATUS:CANCELLED"), [], id="cancelled"),
        pytest.param(
            event("DTSTART:20261224T070000Z", "DURATION:PT1H", "STATUS:TENTATIVE", "TRANSP:TRANSPARENT"),
            ["2026-12-24 08:00 - 2026-12-24 09:00"],
            id="tentative and free is frozen all the same",
        ),
        pytest.param(
            event("DTSTART:20261224T07", " 0000Z", "DUR", "\tATION:PT1H"),
            ["2026-12-24 08:00 - 2026-12-24 09:00"],
            id="folded lines",
        ),
        pytest.param(
            event(
                "DTSTART;TZID=Europe/Berlin:20260327T220000",
                "DTEND;TZID=Europe/Berlin:20260328T060000",
                "RRULE:FREQ=DAILY;COUNT=2",
            ),
            ["2026-03-27 22:00 - 2026-03-28 06:00", "2026-03-28 22:00 - 2026-03-29 06:00"],
            id="a repeated event keeps its times on the clock",
        ),
        pytest.param(
            event("DTSTART;TZID=Europe/Berlin:20260328T220000", "DURATION:PT8H"),
            ["2026-03-28 22:00 - 2026-03-29 07:00"],
            id="hours of a duration are elapsed time",
        ),
        pytest.param(
            event("DTSTART;TZID=Europe/Berlin:20260328T220000", "DURATION:P1DT1H"),
            ["2026-03-28 22:00 - 2026-03-29 23:00"],
            id="days of a duration are not",
        ),
        pytest.param(
            event(
                "DTSTART:20260106T080000Z",
                "DURATION:PT1H",
                "RRULE:FREQ=WEEKLY;UNTIL=20260120T080000Z",
                "EXDATE:20260113T080000Z",
            ),
            ["2026-01-06 09:00 - 2026-01-06 10:00", "2026-01-20 09:00 - 2026-01-20 10:00"],
            id="until is included, an exception is not",
        ),
        pytest.param(
            event(
                "DTSTART:20260106T080000Z",
                "DURATION:PT1H",
                "RDATE:20260107T080000Z",
                "RDATE;VALUE=PERIOD:20260108T080000Z/PT2H",
            ),
            [
                "2026-01-06 09:00 - 2026-01-06 10:00",
                "2026-01-07 09:00 - 2026-01-07 10:00",
                "2026-01-08 09:00 - 2026-01-08 11:00",
            ],
            id="further dates",
        ),
        pytest.param(
            event("DTSTART:20260105T080000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=1"),
            ["2026-01-05 09:00 - 2026-01-05 10:00", "2026-01-06 09:00 - 2026-01-06 10:00"],
            id="the start counts though the rule does not include it",
        ),
        pytest.param(
            event("DTSTART:20260105T080000Z", "DURATION:PT1H", "BEGIN:VALARM", "DURATION:PT9H", "END:VALARM"),
            ["2026-01-05 09:00 - 2026-01-05 10:00"],
            id="an alarm within is not the event",
        ),
        pytest.param(ics("BEGIN:VTODO", "DTSTART:20260105T080000Z", "DURATION:PT1H", "END:VTODO"), [], id="no event"),
    ],
)
def test_events(text: str, expected: list[str]) -> None:
    assert frozen(parse_calendar(text, "freeze", BERLIN)) == expected


def test_one_occurrence_that_was_moved_and_one_that_was_cancelled() -> None:
    series = ["UID:s", "DTSTART;TZID=Europe/Berlin:20260105T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3"]
    moved = ["UID:s", "RECURRENCE-ID:20260106T070000Z", "DTSTART:20260110T070000Z", "DURATION:PT2H"]
    gone = ["UID:s", "RECURRENCE-ID;TZID=Europe/Berlin:20260107T080000", "DTSTART:20260107T070000Z", "STATUS:CANCELLED"]
    other = ["UID:t", "DTSTART:20260106T070000Z", "DURATION:PT30M"]
    text = ics(*(line for part in (moved, series, gone, other) for line in ("BEGIN:VEVENT", *part, "END:VEVENT")))
    assert frozen(parse_calendar(text, "freeze", BERLIN)) == [
        "2026-01-05 08:00 - 2026-01-05 09:00",
        "2026-01-06 08:00 - 2026-01-06 08:30",
        "2026-01-10 08:00 - 2026-01-10 10:00",
    ]


OUTLOOK = (
    "BEGIN:VTIMEZONE",
    "TZID:W. Europe Standard Time",
    "BEGIN:STANDARD",
    "DTSTART:16010101T030000",
    "TZOFFSETFROM:+0200",
    "TZOFFSETTO:+0100",
    "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10",
    "END:STANDARD",
    "BEGIN:DAYLIGHT",
    "DTSTART:16010101T020000",
    "TZOFFSETFROM:+0100",
    "TZOFFSETTO:+0200",
    "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3",
    "END:DAYLIGHT",
    "END:VTIMEZONE",
)


@pytest.mark.parametrize("start", ["20260329T020000", "20260329T023000", "20261025T020000", "20261025T023000"])
@pytest.mark.parametrize("hours", [1, 20])
def test_a_zone_that_the_file_defines_is_like_the_real_one(start: str, hours: int) -> None:
    lines = (f"DURATION:PT{hours}H", "RRULE:FREQ=DAILY;COUNT=300", "END:VEVENT")
    own = ics(*OUTLOOK, "BEGIN:VEVENT", f'DTSTART;TZID="W. Europe Standard Time":{start}', *lines)
    real = ics("BEGIN:VEVENT", f"DTSTART;TZID=Europe/Berlin:{start}", *lines)
    assert frozen(parse_calendar(own, "x", "UTC")) == frozen(parse_calendar(real, "x", "UTC")) != []


def test_all_year_the_offset_of_a_zone_that_the_file_defines_is_the_real_one() -> None:
    text = ics(*OUTLOOK, "BEGIN:VEVENT", "DTSTART;TZID=W. Europe Standard Time:20260105T080000", "END:VEVENT")
    (read,) = parse_calendar(text, "x", "UTC").events
    for half_hours in range(2 * 24 * 365):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + half_hours * timedelta(minutes=30)
        assert moment.astimezone(read.zone).utcoffset() == moment.astimezone(ZoneInfo(BERLIN)).utcoffset()


def test_a_freeze_over_the_turn_of_the_year_is_still_on_in_january() -> None:
    calendar = parse_calendar(event("DTSTART;VALUE=DATE:20261220", "DTEND;VALUE=DATE:20270110"), "x", BERLIN)
    answer = is_open([windows(calendars=["x"])], {"x": calendar}, berlin("2027-01-05T12:00"))
    assert (answer.open, answer.until) == (False, berlin("2027-01-10T00:00"))


def test_until_a_date_means_all_of_that_day() -> None:
    rule = "RRULE:FREQ=WEEKLY;UNTIL=20260120"
    calendar = parse_calendar(event("DTSTART:20260106T230000Z", "DURATION:PT1H", rule), "x", BERLIN)
    assert [begin[:10] for begin in frozen(calendar)] == ["2026-01-07", "2026-01-14", "2026-01-21"]


def test_placeholders_for_always_and_for_ever() -> None:
    zone = ("BEGIN:STANDARD", "DTSTART:00010101T000000", "TZOFFSETFROM:+0530", "TZOFFSETTO:+0530", "END:STANDARD")
    rule = "RRULE:FREQ=YEARLY;INTERVAL=2;UNTIL=99991231T235959Z"
    text = ics(
        *("BEGIN:VTIMEZONE", "TZID:Their time", *zone, "END:VTIMEZONE"),
        *("BEGIN:VEVENT", "DTSTART;TZID=Their time:20260105T123000", "DURATION:PT1H", rule, "END:VEVENT"),
    )
    assert frozen(parse_calendar(text, "x", "UTC"), last="2029-01-01") == [
        "2026-01-05 08:00 - 2026-01-05 09:00",
        "2028-01-05 08:00 - 2028-01-05 09:00",
    ]


@pytest.mark.parametrize("name", ["/example.com/20200101_1/Europe/Berlin", "Berlin of old"])
def test_a_zone_that_iana_knows_under_another_name(name: str) -> None:
    zone = ("BEGIN:VTIMEZONE", "TZID:Berlin of old", "X-LIC-LOCATION:Europe/Berlin", "END:VTIMEZONE")
    text = ics(*zone, "BEGIN:VEVENT", f"DTSTART;TZID={name}:20260705T080000", "DURATION:PT1H", "END:VEVENT")
    assert frozen(parse_calendar(text, "x", "UTC")) == ["2026-07-05 08:00 - 2026-07-05 09:00"]


START = "DTSTART:20260105T080000Z"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", ["line 1", "BEGIN:VCALENDAR", ".ics"], id="empty"),
        pytest.param("<html>login</html>", ["line 1", "'<html>login</html>' is no line"], id="not a calendar"),
        pytest.param("BEGIN:VEVENT\nEND:VEVENT\n", ["line 1", "expected BEGIN:VCALENDAR"], id="no calendar around it"),
        pytest.param(event(START)[:-28], ["line 3", "BEGIN:VEVENT", "cut off"], id="cut off"),
        pytest.param(event("BEGIN:VALARM"), ["line 6", "END", "BEGIN:VALARM of line 5"], id="wrong nesting"),
        pytest.param(event("SUMMARY:x"), ["line 3", "no DTSTART"], id="no start"),
        pytest.param(event(START, START), ["line 6", "DTSTART", "twice"], id="two starts"),
        pytest.param(event("DTSTART:20260230T080000Z"), ["line 5", "DTSTART", "does not exist"], id="no such day"),
        pytest.param(event("DTSTART:99991231T235959Z"), ["line 5", "1601 to 2999"], id="the end of time"),
        pytest.param(event(START, "EXDATE:00010101T000000Z"), ["line 6", "1601 to 2999"], id="the beginning of time"),
        pytest.param(event("DTSTART:tomorrow"), ["line 5", "no date or time"], id="no date"),
        pytest.param(event(START, "DTEND:20260104T080000Z"), ["line 6", "before DTSTART"], id="backwards"),
        pytest.param(
            event(START, "DTEND;VALUE=DATE:20260106"), ["line 6", "the same kind"], id="a date as end of a time"
        ),
        pytest.param(event(START, "DTEND:20270303T080000Z"), ["line 6", "366 days"], id="for years"),
        pytest.param(event(START, "DURATION:1h"), ["line 6", "DURATION", "PT2H30M"], id="bad duration"),
        pytest.param(event(START, "DURATION:-PT1H"), ["line 6", "DURATION"], id="negative duration"),
        pytest.param(event(START, "DURATION:PT1H", "DTEND:20260105T090000Z"), ["line 6", "DTEND as well"], id="both"),
        pytest.param(
            event("DTSTART;TZID=Mars/Base:20260105T080000"), ["line 5", "Mars/Base", "Europe/Berlin"], id="zone"
        ),
        pytest.param(event(START, "EXRULE:FREQ=DAILY"), ["line 6", "EXRULE"], id="EXRULE"),
        pytest.param(event(START, "EXDATE;VALUE=DATE:20260106"), ["line 6", "EXDATE", "same kind"], id="EXDATE a date"),
        pytest.param(
            event(START, "RECURRENCE-ID;RANGE=THISANDFUTURE:20260105T080000Z"), ["line 6", "RANGE", "Split"], id="RANGE"
        ),
        *(
            pytest.param(event(START, f"RRULE:{rule}"), ["line 6", "RRULE", said], id=rule)
            for rule, said in (
                ("FREQ=WEEKLY;COUN=5", "COUN=5"),
                ("FREQ=FORTNIGHTLY", "FORTNIGHTLY"),
                ("COUNT=3", "FREQ"),
                ("FREQ=HOURLY", "too often"),
                ("FREQ=DAILY;INTERVAL=0", "Use 1 to 1000"),
                ("FREQ=DAILY;COUNT=0", "Use 1 to"),
                ("FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z", "both"),
                ("FREQ=DAILY;COUNT=3;COUNT=4", "twice"),
                ("FREQ=MONTHLY;BYMONTHDAY=40", "Use 1 to 31"),
                ("FREQ=YEARLY;BYMONTH=13", "Use 1 to 12"),
                ("FREQ=WEEKLY;BYDAY=XX", "MO to SU"),
                ("FREQ=WEEKLY;BYDAY=2MO", "monthly or yearly"),
                ("FREQ=DAILY;BYMINUTE=1", "BYMINUTE"),
                ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never happens"),
                ("FREQ=DAILY;UNTIL=soon", "no date"),
            )
        ),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, said: list[str]) -> None:
    with pytest.raises(InvalidCalendar) as caught:
        parse_calendar(text, "freeze", BERLIN)
    assert all(word in str(caught.value) for word in ("calendar freeze", *said)), str(caught.value)


# The guardrail

FREEZE = parse_calendar(event("DTSTART;VALUE=DATE:20260505", "SUMMARY:Big sale\\, day 1"), "freeze", BERLIN)
FROZEN = windows(calendars=["freeze"])


def ask(at: str, *given: Windows, **more: Any) -> Verdict:
    limits = replace(EffectiveLimits(), windows=given)
    return check(facts(now=berlin(at), limits=limits, **{"calendars": {"freeze": FREEZE}, **more}))


def test_what_it_says() -> None:
    verdict = ask("2026-05-06T23:00", BOTH)
    assert (verdict.answer, verdict.reason) == (Answer.PASS, "open until 2026-05-07 04:00 Europe/Berlin (nightly)")
    assert verdict.facts["until"] == "2026-05-07T02:00:00+00:00"
    verdict = ask("2026-12-24T06:00", windows(deny=[CHRISTMAS]))
    assert verdict.reason == "open until 08:00 Europe/Berlin (then deny window christmas freeze)"
    verdict = ask("2026-12-24T12:00", windows(deny=[CHRISTMAS]))
    assert (verdict.answer, verdict.reason) == (Answer.HOLD, "closed by deny window christmas freeze")
    assert verdict.changes == "opens at 2026-12-27 08:00 Europe/Berlin"
    assert verdict.facts["until"] == "2026-12-27T07:00:00+00:00"
    verdict = ask("2026-05-06T12:00", BOTH)
    assert (verdict.answer, verdict.reason) == (Answer.HOLD, "outside its allow windows, next is nightly")
    assert verdict.changes == "opens at 22:00 Europe/Berlin"
    verdict = ask("2026-05-05T12:00", FROZEN)
    assert (verdict.answer, verdict.reason) == (Answer.HOLD, "closed by calendar freeze (Big sale, day 1)")
    assert verdict.changes == "opens at 2026-05-06 00:00 Europe/Berlin"
    verdict = ask("2026-05-07T12:00", FROZEN)
    assert (verdict.answer, verdict.reason) == (Answer.PASS, "open for at least 400 days")
    verdict = ask("2026-05-07T12:00", windows(allow=[NIGHTLY], deny=[NIGHTLY]))
    assert (verdict.answer, verdict.changes) == (Answer.HOLD, "does not open within 400 days")
    assert ask("2026-05-07T12:00").answer is Answer.NOT_APPLICABLE


def test_the_operators_freeze_beats_the_playbooks_window() -> None:
    assert ask("2026-05-05T23:00", BOTH).answer is Answer.PASS
    assert ask("2026-05-05T23:00", BOTH, FROZEN).answer is Answer.HOLD


OVERRUN = windows(allow=[NIGHTLY], overrun=True)


@pytest.mark.parametrize(
    ("given", "started", "answer"),
    [
        pytest.param([OVERRUN], False, Answer.HOLD, id="not begun"),
        pytest.param([OVERRUN], True, Answer.PASS, id="begun"),
        pytest.param([BOTH], True, Answer.HOLD, id="no overrun"),
        pytest.param([OVERRUN, BOTH], True, Answer.HOLD, id="one closed set without overrun"),
        pytest.param([OVERRUN, windows(deny=[CHRISTMAS])], True, Answer.PASS, id="the other is open"),
    ],
)
def test_overrun_lets_work_that_has_begun_finish(given: list[Windows], started: bool, answer: Answer) -> None:
    verdict = ask("2026-05-06T12:00", *given, started=started)
    assert verdict.answer is answer
    assert ("overrun lets it finish" in verdict.reason) is (answer is Answer.PASS)


def test_a_calendar_that_is_gone_is_never_no_freeze() -> None:
    verdict = ask("2026-05-07T12:00", FROZEN, calendars={})
    assert (verdict.answer, verdict.cannot_see) == (Answer.HOLD, True)
    assert verdict.reason == "calendar freeze cannot be read"
    limits = replace(EffectiveLimits(), windows=(FROZEN,))
    unread = facts(limits=limits, calendars={"freeze": FREEZE}, unknown={"calendars": "freeze.ics: line 3: cut off"})
    (verdict,) = evaluate(unread, (Guard(NAME, READS, check),))
    assert (verdict.answer, verdict.cannot_see, verdict.reason) == (Answer.HOLD, True, "freeze.ics: line 3: cut off")


def test_a_window_without_a_zone_is_not_guessed() -> None:
    verdict = ask("2026-05-07T12:00", windows(allow=[NIGHTLY | {"zone": ""}]))
    assert (verdict.answer, verdict.cannot_see) == (Answer.HOLD, True)


@pytest.mark.parametrize(
    ("given", "started", "at", "expected"),
    [
        pytest.param([BOTH], False, "2026-05-05T23:00", "2026-05-06T04:00", id="open"),
        pytest.param([BOTH], False, "2026-05-05T12:00", "2026-05-05T12:00", id="closed: from now on"),
        pytest.param([OVERRUN], False, "2026-05-05T23:00", "2026-05-06T04:00", id="open, overrun, not begun"),
        pytest.param([OVERRUN], True, "2026-05-05T23:00", None, id="open, overrun, begun"),
        pytest.param([OVERRUN, FROZEN], True, "2026-05-04T23:00", "2026-05-05T00:00", id="the freeze has no overrun"),
        pytest.param([], False, "2026-05-05T23:00", None, id="no windows"),
        pytest.param(
            [windows(calendars=["gone"])], False, "2026-05-05T23:00", "2026-05-05T23:00", id="nobody can tell"
        ),
    ],
)
def test_from_when_no_effect_may_begin(given: list[Windows], started: bool, at: str, expected: str | None) -> None:
    assert closes_at(given, {"freeze": FREEZE}, berlin(at), started) == (berlin(expected) if expected else None)
    assert timedelta(0) <= (closes_at(given, {"freeze": FREEZE}, berlin(at), started) or berlin(at)) - berlin(at)
