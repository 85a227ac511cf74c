"""What waits to be sent, and what the outbox needs from its store.

A message enters the outbox in the same transaction as the event it tells of, so that neither exists without the other.
Rows with one `key` belong together: one main message in one chat channel with its thread, or one incident at a pager.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from remediator.ports import MessageRef

OutboxChannel = Literal["slack", "pagerduty"]
CHANNELS: tuple[OutboxChannel, ...] = ("slack", "pagerduty")

OutboxKind = Literal["post", "update", "reply", "event"]
"""`post`: a new main message, also when there is one. `update`: the main message in place, or a new one when there is

none yet. `reply`: into the thread of the main message. `event`: to a pager.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One message to be stored. `payload` is JSON: `text` and `blocks` for chat, the event for a pager.

    `once`: when not empty and known to the store, sent or not, the message is not stored again.
    """

    channel: OutboxChannel
    destination: str
    """A Slack channel id, or the name of a pager service."""
    key: str
    kind: OutboxKind
    payload: Mapping[str, Any]
    once: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One stored message that is still to be sent. Ids grow in the order in which rows were stored."""

    id: int
    channel: OutboxChannel
    destination: str
    key: str
    kind: OutboxKind
    payload: Mapping[str, Any]
    tries: int = 0
    due_at: datetime
    created_at: datetime


class OutboxStore(Protocol):
    """The outbox's rows. Every method is one transaction. Raises: JournalUnavailable.

    A row is pending until it was `sent`, `failed` for good, or superseded by a `merge`.
    """

    async def due(
        self, channel: OutboxChannel, now: datetime, limit: int, *, skip: Collection[str] = ()
    ) -> Sequence[OutboxRow]:
        """Pending rows of a channel, oldest first, without those whose destination is in `skip`.

        A key waits as a whole: a row is due when its own `due_at` and that of the oldest pending row of its key have
        come. That keeps the order within a key while an older row is being retried. A store that several workers share
        hides returned rows from the others for a while.
        """
        ...

    async def merge(self, row: OutboxRow, superseded: Collection[int]) -> None:
        """Store `row` as given (kind, payload, tries, due_at, created_at) and mark the others superseded."""
        ...

    async def sent(self, row_id: int, ref: MessageRef | None, now: datetime) -> None:
        """It was delivered. A `ref` becomes the main message of the row's key."""
        ...

    async def failed(self, row_id: int, error: str, retry_at: datetime | None, now: datetime) -> None:
        """It was not delivered: counted as a try, due again at `retry_at`, or given up when that is None."""
        ...

    async def message_ref(self, key: str) -> MessageRef | None:
        """Where the main message of a key is."""
        ...


@dataclass(frozen=True, slots=True)
class Sending:
    """One row to send now, and the rows it makes superfluous. `changed`: the row differs from what is stored."""

    row: OutboxRow
    superseded: tuple[int, ...] = ()
    changed: bool = False


def next_of_key(rows: Sequence[OutboxRow]) -> Sending:
    """Which of one key's due rows to send, oldest first given.

    Chat: the newest main message, since it shows everything the older ones did; then replies in order. A post that was
    not sent yet stays a post whatever came after it, or a proposal that nobody was shown would become a silent update.
    Pager: in order, except that a resolve makes everything before it superfluous: nobody is woken for what is over.
    """
    main = [row for row in rows if row.kind in ("post", "update")]
    if main:
        newest = main[-1]
        kind: OutboxKind = "post" if any(row.kind == "post" for row in main) else "update"
        # In the place of the oldest one: the replies behind it go on waiting for it when it has to be tried again.
        merged = replace(newest, id=main[0].id, kind=kind, tries=max(row.tries for row in main))
        rest = tuple(row.id for row in main[1:])
        return Sending(merged, rest, changed=bool(rest))
    resolves = [i for i, row in enumerate(rows) if row.kind == "event" and row.payload.get("event_action") == "resolve"]
    if resolves and resolves[-1] > 0:
        last = resolves[-1]
        merged = replace(rows[last], tries=max(row.tries for row in rows[: last + 1]))
        return Sending(merged, tuple(row.id for row in rows[:last]), changed=True)
    return Sending(rows[0])
