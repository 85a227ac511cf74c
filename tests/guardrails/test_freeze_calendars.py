"""The operator's calendar files, as they are read beside the event loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remediator.freeze_calendars import CalendarFile, FreezeCalendars
from remediator.guardrails import calendars
from remediator.guardrails.windows import LOOK_AHEAD

NOW = datetime(2026, 11, 21, 17, tzinfo=UTC)
TEXT = b"""BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART:19800107T080000Z
DURATION:PT1H
RRULE:FREQ=WEEKLY
END:VEVENT
END:VCALENDAR
"""


def test_everything_that_a_guardrail_asks_is_worked_out_before_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of rules from long ago take seconds, and the guardrails run in the event loop."""
    known = FreezeCalendars({"freeze": CalendarFile(path=Path("f.ics"), zone="UTC")}, lambda path: TEXT, lambda: NOW)
    known.look()
    monkeypatch.setattr(calendars.Event, "starts", lambda *args: pytest.fail("worked out in the event loop"))
    found = known.known.calendars["freeze"]
    for at in (NOW, NOW + timedelta(days=300)):
        assert list(found.intervals(at, at + LOOK_AHEAD))
