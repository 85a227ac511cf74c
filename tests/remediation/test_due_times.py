"""When a schedule is due, also when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.schedule_model import Schedule
from remediator.remediation.due_times import due_after, next_due

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def every(cron: str, zone: str = BERLIN) -> Schedule:
    return Schedule(cron=cron, zone=zone)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        pytest.param("0 2 * * *", BERLIN, "2026-01-10 00:30", "2026-01-10 01:00", id="winter"),
        pytest.param("0 2 * * *", BERLIN, "2026-07-10 00:00", "2026-07-11 00:00", id="exactly then is over"),
        pytest.param("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:00", id="skipped in spring"),
        pytest.param("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 00:30", id="twice in autumn, the first"),
        pytest.param("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-26 01:30", id="twice in autumn, no second"),
        pytest.param("0 3 * * sun#1", "America/New_York", "2026-03-02 00:00", "2026-04-05 07:00", id="first sunday"),
        pytest.param("0 0 29 feb *", "UTC", "2026-03-01 00:00", "2028-02-29 00:00", id="leap day"),
        pytest.param("0 9 * * *", "Pacific/Kiritimati", "2026-01-10 00:00", "2026-01-10 19:00", id="far east"),
        pytest.param("0 9 * * *", "Pacific/Pago_Pago", "2026-01-10 00:00", "2026-01-10 20:00", id="far west"),
        pytest.param("0 9 30 12 *", "Pacific/Apia", "2011-12-29 00:00", "2011-12-30 10:00", id="a day that never was"),
    ],
)
def test_the_next_one(cron: str, zone: str, after: str, due: str) -> None:
    assert next_due(every(cron, zone), utc(after)) == utc(due)


def test_an_hour_that_clocks_skip_is_due_once() -> None:
    found = list(due_after(every("*/15 2 * * *"), utc("2026-03-28 12:00"), utc("2026-03-29 12:00")))
    assert found == [utc("2026-03-29 01:00")]


@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001
    cron=st.sampled_from(["*/7 * * * *", "0 2 * * *", "30 2,3 * * *", "15 */5 * * mon-fri", "0 0 L * *"]),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
    cut=st.floats(0, 1),
)
def test_cut_anywhere_nothing_is_lost_and_nothing_comes_twice(
    start: datetime, cron: str, zone: str, cut: float
) -> None:
    """A process that dies and comes back looks from where the other one stopped."""
    first = start.replace(tzinfo=UTC)
    end = first + timedelta(days=3)
    middle = first + cut * (end - first)
    schedule = every(cron, zone)
    whole = list(due_after(schedule, first, end))
    assert whole == [*due_after(schedule, first, middle), *due_after(schedule, middle, end)]
    assert whole == sorted(set(whole))
