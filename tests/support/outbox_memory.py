"""An outbox store in memory, for tests of what works on one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from remediator.errors import JournalUnavailable
from remediator.people.outbox_rows import MAIN_KINDS, SETTLE, Letters, OutboxMessage, OutboxRow, Sending
from remediator.ports import MessageRef

State = Literal["pending", "sent", "failed", "superseded"]

_RANKS = {"post": 0, "event": 0, "update": 1, "again": 1, "reply": 2}


@dataclass(slots=True)
class Stored:
    row: OutboxRow
    state: State = "pending"
    error: str = ""
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    holder: str
    until: datetime


class MemoryOutbox:
    """`down` makes every call raise JournalUnavailable, `refuse_records` only those that record a delivery."""

    def __init__(self) -> None:
        self.rows: dict[int, Stored] = {}
        self.refs: dict[str, MessageRef] = {}
        self.holds: dict[tuple[str, str], Hold] = {}
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

    async def due(self, channel: str, now: datetime, limit: int, *, skip: Collection[str] = ()) -> list[OutboxRow]:
        self._check()
        heads: dict[str, OutboxRow] = {}
        for row in self.pending():
            if row.channel == channel and row.kind != "again":
                heads.setdefault(row.key, row)
        rows = [
            replace(row, main=self.refs.get(row.key))
            for row in self.pending()
            if row.channel == channel
            and row.destination not in skip
            and row.due_at <= now
            and (row.key not in heads or heads[row.key].due_at <= now)
            and not self._is_held(row, now)
        ]
        best = sorted(rows, key=lambda row: (_RANKS[row.kind], row.id))
        keys = list(dict.fromkeys(row.key for row in best))[:limit]
        return [row for row in rows if row.key in keys]

    async def begin(self, sending: Sending, holder: str, until: datetime, now: datetime) -> OutboxRow | None:
        self._check()
        row = sending.row
        involved = [self.rows[row_id] for row_id in (row.id, *sending.superseded)]
        if self._is_held(row, now) or any(s.state != "pending" or s.row.due_at > now for s in involved):
            return None
        if self._older(row, sending):
            return None
        if (row.channel, row.key) in self.holds:
            self._say_again(row, now)
        self.holds[row.channel, row.key] = Hold(holder, until)
        if row.kind == "again":
            row = replace(row, payload=self._newest(row))
        if sending.changed or row.kind == "again":
            self.rows[row.id].row = row
        for row_id in sending.superseded:
            self.rows[row_id].state, self.rows[row_id].done_at = "superseded", now
        return replace(row, main=self.refs.get(row.key))

    async def sent(self, row_id: int, ref: MessageRef | None, holder: str, now: datetime) -> bool:
        self._check()
        if self.refuse_records:
            raise JournalUnavailable("disk full")
        stored = self.rows[row_id]
        if not self._gives_back(stored.row, holder):
            self._say_again(stored.row, now)
            return False
        stored.state, stored.done_at, stored.error = "sent", now, ""
        if ref is not None:
            self.refs[stored.row.key] = ref
        return True

    async def failed(
        self,
        row_id: int,
        error: str,
        retry_at: datetime | None,
        holder: str,
        now: datetime,
        *,
        unanswered: bool = False,
        as_post: bool = False,
    ) -> bool:
        self._check()
        stored = self.rows[row_id]
        mine = self._gives_back(stored.row, holder)
        if unanswered:
            self._say_again(stored.row, now)
        if not mine:
            return False
        stored.error = error
        if retry_at is None:
            stored.state, stored.done_at = "failed", now
        elif as_post:
            stored.row = replace(stored.row, kind="post", tries=0, due_at=retry_at)
        else:
            stored.row = replace(stored.row, tries=stored.row.tries + 1, due_at=retry_at)
        return True

    async def abandon(self, serving: Collection[str], before: datetime, error: str, now: datetime) -> Mapping[str, int]:
        self._check()
        found: Counter[str] = Counter()
        for stored in self.rows.values():
            row = stored.row
            if stored.state == "pending" and row.channel not in serving and row.created_at <= before:
                stored.state, stored.error, stored.done_at = "failed", error, now
                found[row.channel] += 1
        return found

    async def clock_set_back(self, by: timedelta, now: datetime) -> None:
        self._check()
        for stored in self.rows.values():
            if stored.state == "pending" and stored.row.due_at > now:
                stored.row = replace(stored.row, due_at=max(now, stored.row.due_at - by))
        for place, hold in self.holds.items():
            self.holds[place] = replace(hold, until=min(hold.until, now + SETTLE))

    async def message_ref(self, key: str) -> MessageRef | None:
        self._check()
        return self.refs.get(key)

    async def letters(self, since: datetime) -> list[Letters]:
        self._check()
        found = []
        for channel in sorted({stored.row.channel for stored in self.rows.values()}):
            mine = [stored for stored in self.rows.values() if stored.row.channel == channel]
            waiting = [s for s in mine if s.state == "pending"]
            real = [s for s in waiting if s.row.kind != "again"]
            dead = [s for s in mine if s.state == "failed" and s.done_at is not None and s.done_at >= since]
            if waiting or dead:
                errors = [max(dead, key=lambda s: s.row.id).error] if dead else [s.error for s in real[:1]]
                oldest = real[0].row.created_at if real else None
                letters = Letters(
                    channel=channel, pending=len(waiting), oldest_at=oldest, dead=len(dead), error="".join(errors)
                )
                found.append(letters)
        return found

    def _older(self, row: OutboxRow, sending: Sending) -> bool:
        """Something of the key that has to go first."""
        return any(
            other.id < row.id and other.kind != "again" and (other.kind in MAIN_KINDS or row.kind not in MAIN_KINDS)
            for other in self.pending()
            if (other.channel, other.key) == (row.channel, row.key) and other.id not in sending.superseded
        )

    def _is_held(self, row: OutboxRow, now: datetime) -> bool:
        hold = self.holds.get((row.channel, row.key))
        return hold is not None and hold.until > now

    def _gives_back(self, row: OutboxRow, holder: str) -> bool:
        hold = self.holds.get((row.channel, row.key))
        if hold is None or hold.holder != holder:
            return False
        del self.holds[row.channel, row.key]
        return True

    def _say_again(self, row: OutboxRow, now: datetime) -> None:
        if row.kind not in MAIN_KINDS or row.key not in self.refs:
            return
        for stored in self.rows.values():
            other = stored.row
            same = (other.channel, other.key, other.kind) == (row.channel, row.key, "again")
            if same and stored.state == "pending" and other.due_at > now:
                stored.row = replace(other, due_at=now + SETTLE)
                return
        again = replace(row, id=len(self.rows) + 1, kind="again", payload={}, tries=0, main=None)
        self.rows[again.id] = Stored(replace(again, due_at=now + SETTLE, created_at=now))

    def _newest(self, row: OutboxRow) -> Mapping[str, object]:
        states = [
            stored.row.payload
            for stored in self.rows.values()
            if (stored.row.channel, stored.row.key) == (row.channel, row.key)
            and stored.row.kind in ("post", "update")
            and stored.state != "failed"
        ]
        return states[-1] if states else {}

    def _check(self) -> None:
        if self.down:
            raise JournalUnavailable("the store is down")
