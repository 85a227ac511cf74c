"""Quiet hours: until when something waits, on the clocks of a zone, and that nothing urgent waits behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from remediator.adapters.sql.journal import SqlJournal
from remediator.people.coalescing import next_of_key
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.quiet_hours import LONGEST, QuietHours
from remediator.people.severity import Sev
from tests.people.stories import SUCCEEDED

NIGHT = {"cron": "0 22 * * *", "duration": "9h", "zone": "Europe/Berlin"}
WEEKEND = {"cron": "0 7 * * sat", "duration": "2d", "zone": "Europe/Berlin"}
NIGHTS = QuietHours.model_validate({"windows": [NIGHT]})
BERLIN = ZoneInfo("Europe/Berlin")


def there(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        pytest.param(there(2026, 6, 2, 21, 59), None, id="a minute before"),
        pytest.param(there(2026, 6, 2, 22, 0), there(2026, 6, 3, 7, 0), id="begins"),
        pytest.param(there(2026, 6, 3, 6, 59), there(2026, 6, 3, 7, 0), id="the last minute"),
        pytest.param(there(2026, 6, 3, 7, 0), None, id="over"),
        # A window lasts its elapsed time, so it ends an hour later or earlier on the clock in these two nights.
        pytest.param(there(2026, 3, 29, 4, 0), there(2026, 3, 29, 8, 0), id="clocks go forward"),
        pytest.param(there(2026, 10, 25, 4, 0), there(2026, 10, 25, 6, 0), id="clocks go back"),
    ],
)
def test_when_they_end(at: datetime, until: datetime | None) -> None:
    assert NIGHTS.ends(at) == until


def test_windows_that_meet_are_one_and_nothing_waits_for_ever() -> None:
    both = QuietHours.model_validate({"windows": [NIGHT, WEEKEND]})
    friday = there(2026, 6, 5, 22, 0)
    assert both.ends(friday) == friday + LONGEST, "told late in the evening rather than given up on"
    always = QuietHours.model_validate({"windows": [{"cron": "* * * * *", "duration": "1h", "zone": "UTC"}]})
    assert always.ends(friday) == friday + LONGEST


def test_only_for_the_severities_that_are_named() -> None:
    at = there(2026, 6, 2, 23, 0)
    story = replace(SUCCEEDED, sev="sev2")
    assert NIGHTS.until(story, at) is None
    assert NIGHTS.until(replace(story, sev="sev3"), at) == there(2026, 6, 3, 7, 0)
    louder = NIGHTS.model_copy(update={"severity": (Sev.SEV4,)})
    assert louder.until(replace(story, sev="sev3"), at) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"windows": []},
        {"windows": [{"cron": "0 22 * * *", "duration": "9h"}]},
        {"windows": [{"cron": "0 22 * * *", "duration": "9h", "zone": "Berlin"}]},
        {"windows": [NIGHT], "severity": ["P3"]},
        {"windows": [NIGHT], "zone": "UTC"},
    ],
)
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QuietHours.model_validate(bad)


# --- in the outbox ----------------------------------------------------------------------------------------------------

NOW = datetime(2026, 6, 2, 21, 0, tzinfo=UTC)
MORNING = NOW + timedelta(hours=8)


def message(text: str, *, key: str = "k", **changes: Any) -> OutboxMessage:
    payload = {"text": text, "blocks": []}
    values: dict[str, Any] = {"channel": "slack", "destination": "C0OPS", "key": key, "kind": "update", **changes}
    return OutboxMessage(payload=payload, **values)


async def texts(journal: SqlJournal, at: datetime) -> list[str]:
    return [row.payload["text"] for row in await journal.due("slack", at, 10)]


async def test_what_can_wait_is_stored_now_and_due_later() -> None:
    journal = SqlJournal.in_memory()
    await journal.store_messages([message("fixed", not_before=MORNING)], NOW)
    assert await texts(journal, MORNING - timedelta(seconds=1)) == []
    assert await texts(journal, MORNING) == ["fixed"]


async def test_what_cannot_wait_takes_along_what_was_waiting_for_its_incident_only() -> None:
    journal = SqlJournal.in_memory()
    await journal.store_messages(
        [message("acting", not_before=MORNING), message("other", key="o", not_before=MORNING)], NOW
    )
    await journal.store_messages([message("Approval needed", kind="post")], NOW + timedelta(hours=1))
    assert await texts(journal, NOW + timedelta(hours=1)) == ["acting", "Approval needed"]
    assert await texts(journal, MORNING) == ["acting", "other", "Approval needed"]


async def test_what_is_being_tried_again_is_not_hurried() -> None:
    journal = SqlJournal.in_memory()
    await journal.store_messages([message("first", not_before=MORNING)], NOW)
    (row,) = await journal.due("slack", MORNING, 10)
    assert await journal.begin(next_of_key([row], behind=False), "me", MORNING + timedelta(minutes=1), MORNING)
    later = MORNING + timedelta(minutes=5)
    await journal.failed(row.id, "429", later, "me", MORNING)
    await journal.store_messages([message("second")], MORNING)
    assert await texts(journal, MORNING + timedelta(seconds=1)) == []
    assert await texts(journal, later) == ["first", "second"]
