"""Quiet hours: what can wait is told after them. Never a question, a page, or anything that needs a person now.

A window is one of those of the guardrails (cron, duration, IANA zone), so the nights in which clocks change are held to
the same rules. A message that waits is already stored; it leaves earlier when its incident has something urgent to say.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from remediator.guardrails.windows import is_open
from remediator.people.severity import Sev, SevName, sev_of
from remediator.people.story import Story
from remediator.people.wording import wording
from remediator.playbooks.fields import Strict, complaint
from remediator.playbooks.windows_model import Window, Windows

LONGEST = timedelta(hours=20)
"""Nothing waits longer, whatever the windows say: the outbox gives up on what is a day old."""
CALM = frozenset({"held", "acting", "waiting", "verifying", "succeeded", "superseded"})
"""States that need nobody."""


class QuietHours(Strict):
    """`quiet_hours:`. Which severities may wait, and when."""

    windows: Annotated[tuple[Window, ...], Field(min_length=1)]
    severity: tuple[SevName, ...] = (Sev.SEV3, Sev.SEV4)

    @model_validator(mode="after")
    def _zones(self) -> QuietHours:
        if missing := next((window for window in self.windows if not window.zone), None):
            raise complaint(f"window {missing.title} has no zone", "Write an IANA name such as Europe/Berlin.")
        return self

    def until(self, story: Story, at: datetime) -> datetime | None:
        """When a story of this severity may be told; None: now."""
        return self.ends(at) if sev_of(story) in self.severity else None

    def ends(self, at: datetime) -> datetime | None:
        """When the quiet hours that are on now are over; None: there are none now."""
        opening = is_open((Windows(deny=self.windows),), {}, at)
        if opening.open:
            return None
        return min(opening.until or at + LONGEST, at + LONGEST)


def can_wait(story: Story) -> bool:
    """Nobody was asked about it and nobody is needed: whoever has answered wants to see what comes of it."""
    calm = story.state in CALM and not wording(story.state).needs_person
    note = story.approval  # every plan has one, also of what asks nobody
    asked = note is not None and bool(note.expires_at or note.approved_by or note.rejected_by)
    return calm and not asked and story.cleared_at is None
