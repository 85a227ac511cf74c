"""What outside systems told us and is not dealt with yet: clicks and webhooks, durable before they are answered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

InboxSource = Literal["slack", "pagerduty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One thing that was said. `key` names it in its source: said twice, it is stored once. `body` is JSON."""

    source: InboxSource
    key: str
    body: Any
    id: int = 0
    tries: int = 0
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What is not dealt with yet. `error`: why the oldest one that was tried could not be."""

    count: int
    oldest_at: datetime | None = None
    error: str = ""


class InboxStore(Protocol):
    """Every method is one transaction on the store's lane for control writes. Raises: JournalUnavailable."""

    async def take_in(self, item: Incoming, now: datetime) -> bool:
        """Durable when this returns; False when it was there already."""
        ...

    async def incoming(
        self, now: datetime, limit: int, skip: Collection[int] = (), full: Collection[str] = ()
    ) -> Sequence[Incoming]:
        """What is due, oldest first, without these rows and these sources."""
        ...

    async def undone(self) -> Undone:
        """Everything that is not dealt with, due or not."""
        ...

    async def dealt_with(self, item_id: int, result: str, now: datetime) -> None:
        """It never comes back. `result` is one line for the record."""
        ...

    async def put_off(self, item_id: int, error: str, until: datetime, now: datetime) -> None:
        """It could not be dealt with: counted as a try, due again then."""
        ...
