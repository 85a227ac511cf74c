"""Rows of the outbox as a carrier gets them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import Phase

from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from tests.people.stories import NOW

SEARCH = (Phase.explicit, Phase.reuse, Phase.generate)
"""Stories are too large to be shrunk in reasonable time."""


def shown(text: str) -> bool:
    """Nothing in it is hidden, turns the text around, or breaks the line; a left-to-right mark turns it back."""
    return not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text.replace("\u200e", ""))


@dataclass(slots=True)
class StillClock:
    """A clock that is moved by hand."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def boot(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def row(message: OutboxMessage, *, number: int = 1, tries: int = 0, at: datetime = NOW) -> OutboxRow:
    return OutboxRow(
        id=number,
        channel=message.channel,
        destination=message.destination,
        key=message.key,
        kind=message.kind,
        payload=message.payload,
        tries=tries,
        due_at=at,
        created_at=at,
    )
