"""An outbox store in memory, for tests of what works on one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from remediator.errors import JournalUnavailable
from remediator.people.outbox_rows import OutboxChannel, OutboxMessage, OutboxRow
from remediator.ports import MessageRef

State = Literal["pending", "sent", "failed", "superseded"]


@dataclass(slots=True)
class Stored:
    row: OutboxRow
    state: State = "pending"
    error: str = ""


class MemoryOutbox:
    """`down` makes every call raise JournalUnavailable, `refuse_records` only those that record a delivery."""

    def __init__(self) -> None:
        self.rows: dict[int, Stored] = {}
        self.refs: dict[str, MessageRef] = {}
        self.down = False
        self.refuse_records = False
        self._known: set[str] = set()

    async def store_messages(self, messages: Sequence[OutboxMessage], now: datetime) -> None:
        for message in messages:
            await self.add(message, now)

    async def add(self, message: OutboxMessage, now: datetime) -> None:
        self._check()
        if message.once:
            if message.once in self._known:
                return
            self._known.add(message.once)
        row = OutboxRow(
            id=len(self.rows) + 1,
            channel=message.channel,
            destination=message.destination,
            key=message.key,
            kind=message.kind,
            payload=message.payload,
            due_at=now,
            created_at=now,
        )
        self.rows[row.id] = Stored(row)

    def pending(self) -> list[OutboxRow]:
        return [stored.row for stored in self.rows.values() if stored.state == "pending"]

    def states(self) -> list[State]:
        return [stored.state for stored in self.rows.values()]

    async def due(
        self, channel: OutboxChannel, now: datetime, limit: int, *, skip: Collection[str] = ()
    ) -> list[OutboxRow]:
        self._check()
        heads: dict[str, OutboxRow] = {}
        for row in self.pending():
            heads.setdefault(row.key, row)
        rows = [
            row
            for row in self.pending()
            if row.channel == channel
            and row.destination not in skip
            and row.due_at <= now
            and heads[row.key].due_at <= now
        ]
        return rows[:limit]

    async def merge(self, row: OutboxRow, superseded: Collection[int]) -> None:
        self._check()
        self.rows[row.id].row = row
        for row_id in superseded:
            self.rows[row_id].state = "superseded"

    async def sent(self, row_id: int, ref: MessageRef | None, now: datetime) -> None:
        self._check()
        if self.refuse_records:
            raise JournalUnavailable("disk full")
        self.rows[row_id].state = "sent"
        if ref is not None:
            self.refs[self.rows[row_id].row.key] = ref

    async def failed(self, row_id: int, error: str, retry_at: datetime | None, now: datetime) -> None:
        self._check()
        stored = self.rows[row_id]
        stored.error = error
        if retry_at is None:
            stored.state = "failed"
        else:
            stored.row = replace(stored.row, tries=stored.row.tries + 1, due_at=retry_at)

    async def message_ref(self, key: str) -> MessageRef | None:
        self._check()
        return self.refs.get(key)

    def _check(self) -> None:
        if self.down:
            raise JournalUnavailable("the store is down")
