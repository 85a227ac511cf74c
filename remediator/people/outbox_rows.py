"""What waits to be sent, and what the outbox needs from its store.

A message enters the outbox in the same transaction as the event it tells of, so that neither exists without the other.
Rows of a channel with one `key` belong together: one main message in one chat channel with its thread, or one incident
at a pager. They are sent one at a time, in order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from remediator.ports import MessageRef

OutboxKind = Literal["post", "update", "reply", "event", "again"]
"""`post`: a new main message, also when there is one. `update`: the main message in place, or a new one when there is

none yet. `reply`: into the thread of the main message. `event`: anything else, in order. `again`: the newest state once
more, because an update that nobody answered may land late; only the store makes these.
"""

SETTLE = timedelta(seconds=60)
"""After this long, a call that nobody answered is not under way any more. Ours are cut off after 10 seconds; what is
behind them gives up within a minute."""

MAIN_KINDS: frozenset[OutboxKind] = frozenset({"post", "update", "again"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One message to be stored. `payload` is JSON: `text` and `blocks` for chat, the event for a pager.

    `once`: when not empty and known to the store, sent or not, the message is not stored again.
    """

    channel: str
    """Which carrier takes it: slack, pagerduty, webhook, ..."""
    destination: str
    """A Slack channel id, or the name of a pager service."""
    key: str
    kind: OutboxKind
    payload: Mapping[str, Any]
    once: str = ""
    not_before: datetime | None = None
    """It can wait until then (quiet hours), or until its key has something to say that cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One stored message that is still to be sent. Ids grow in the order in which rows were stored."""

    id: int
    channel: str
    destination: str
    key: str
    kind: OutboxKind
    payload: Mapping[str, Any]
    tries: int = 0
    due_at: datetime
    created_at: datetime
    main: MessageRef | None = None
    """The main message of the key, when the row was read."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One row to send now, and the rows it makes superfluous. `changed`: the row differs from what is stored."""

    row: OutboxRow
    superseded: tuple[int, ...] = ()
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """How one channel of the outbox is doing."""

    channel: str
    pending: int = 0
    oldest_at: datetime | None = None
    """Since when the oldest pending message waits; repetitions (`again`) do not count."""
    dead: int = 0
    """Given up since the time that was asked for."""
    error: str = ""
    """Of the last one given up, or else of the oldest that waits; empty when nothing went wrong."""


class OutboxStore(Protocol):
    """The outbox's rows. Every method is one transaction. Raises: JournalUnavailable.

    A row is pending until it was `sent`, `failed` for good, or superseded by a newer one. Several workers may
    share a store: whoever begins to send a row holds its whole key until it says how the row went, or until the hold
    lapses. A lapsed hold, and word from a worker that lost its hold, mean that something may land late: the main
    message of the key is then sent once more (`again`), `SETTLE` later. Until it is begun the payload of such a row
    says who asked for it and when (`by`, `at`).
    """

    async def due(self, channel: str, now: datetime, limit: int, *, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        """The pending rows of at most `limit` keys of a channel that nobody holds, oldest first, without those whose
        destination is in `skip`. Keys with new messages or events come before those with updates, then replies.

        A key waits as a whole: a row is due when its own `due_at` and that of the oldest pending row of its key have
        come (`again` aside). That keeps the order within a key while an older row is being retried.
        """
        ...

    async def begin(self, sending: Sending, holder: str, until: datetime, now: datetime) -> OutboxRow | None:
        """Hold the key of the row for this worker, store the row as given if it changed (kind, payload, tries,
        created_at), and mark the others superseded. Returns the row to send: with its `main` as of now and, for
        `again`, the payload of the newest main message; None when another worker was faster, or when something of
        the key has to go first.
        """
        ...

    async def sent(self, row_id: int, ref: MessageRef | None, holder: str, now: datetime) -> bool:
        """It was delivered. A `ref` becomes the main message of the row's key. False: the hold was lost."""
        ...

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
        """It was not delivered: counted as a try, due again at `retry_at`, or given up when that is None.

        `unanswered`: an update that may land late. `as_post`: no try, but a new message from now on. False: the hold
        was lost.
        """
        ...

    async def abandon(self, serving: Collection[str], before: datetime, error: str, now: datetime) -> Mapping[str, int]:
        """Give up what was stored before then for channels other than these. Returns how many, by channel."""
        ...

    async def clock_set_back(self, by: timedelta, now: datetime) -> None:
        """What waits is due that much earlier, at the soonest now, and no hold lasts longer than `SETTLE` from now."""
        ...

    async def message_ref(self, key: str) -> MessageRef | None:
        """Where the main message of a key is."""
        ...

    async def letters(self, since: datetime) -> Sequence[Letters]:
        """Every channel that has rows waiting, or given up since then."""
        ...
