"""Sends what the outbox holds: at least once, in order per key, paced per destination, no channel behind another.

Nothing here waits: `run_channel` looks at what is due at `now`, sends it, writes down how it went and says when to come
back. `run` is the loop around it. Retries are due times in the store, so a restart forgets none; only the pacing is in
memory, and losing it costs at most a 429.

At least once: Slack knows no idempotency key, so a post whose answer got lost is posted again. Updates then go to the
second one; the first stays as it was. A crash between a post and its record does the same. PagerDuty deduplicates.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.messages import CONTINUED
from remediator.people.outbox_rows import CHANNELS, OutboxChannel, OutboxRow, OutboxStore, Sending, next_of_key
from remediator.ports import Chat, ChatError, Clock, MessageRef, Pager

log = structlog.get_logger(__name__)

MESSAGE_RETRIED = "message_retried"
MESSAGE_BROKEN = "message_broken"
MESSAGE_FAILED = "message_failed"
MESSAGE_GETS_SUCCESSOR = "message_gets_successor"
MESSAGE_NOT_CLOSED = "message_not_closed"
OUTBOX_STALLED = "outbox_stalled"

Result = Literal["sent", "retried", "failed", "superseded"]
"""How one row went; a metric label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a channel may go, and how patient it is."""

    gap: timedelta
    """Shortest time between two calls for one destination."""
    first_retry: timedelta
    longest_retry: timedelta
    give_up_after: timedelta = timedelta(hours=24)
    """Age at which a message is worth less than the trouble; logged and counted as failed."""

    def backoff(self, tries: int) -> timedelta:
        """Doubled with each try, up to the longest."""
        factor: int = 2 ** min(tries, 20)
        return min(self.longest_retry, self.first_retry * factor)


PACES: Mapping[OutboxChannel, Pace] = {
    # Slack allows about one message a second in a channel
    "slack": Pace(gap=timedelta(seconds=1), first_retry=timedelta(seconds=1), longest_retry=timedelta(minutes=1)),
    # PagerDuty takes about 120 events a minute for a routing key, and asks for retries 30 s apart
    "pagerduty": Pace(
        gap=timedelta(seconds=0.5), first_retry=timedelta(seconds=5), longest_retry=timedelta(seconds=60)
    ),
}


@dataclass(frozen=True, slots=True)
class _Pause:
    """A destination that is left alone until then. `since` shows a wall clock that was set back."""

    since: datetime
    until: datetime


class Outbox:
    """The worker. One per store; `report` is told how each row went, for metrics."""

    def __init__(
        self,
        store: OutboxStore,
        *,
        chat: Chat | None = None,
        pagers: Mapping[str, Pager] | None = None,
        paces: Mapping[OutboxChannel, Pace] = PACES,
        report: Callable[[OutboxChannel, Result], None] = lambda channel, result: None,
        page_size: int = 200,
    ) -> None:
        self._store = store
        self._chat = chat
        self._pagers = pagers or {}
        self._paces = paces
        self._report = report
        self._page_size = page_size
        self._pauses: dict[tuple[OutboxChannel, str], _Pause] = {}
        self._unrecorded: dict[int, MessageRef | None] = {}
        """Delivered, but the store did not take the record: recorded first thing, never delivered again."""
        self._pokes = {channel: asyncio.Event() for channel in CHANNELS}

    def poke(self) -> None:
        """Something was stored: look now."""
        for poke in self._pokes.values():
            poke.set()

    async def run(self, clock: Clock, *, poll_s: float = 1.0) -> None:
        """Work until cancelled. Channels have a loop each, so that one that hangs holds up nobody else."""
        async with asyncio.TaskGroup() as loops:
            for channel in CHANNELS:
                loops.create_task(self._run_channel_forever(channel, clock, poll_s))

    async def _run_channel_forever(self, channel: OutboxChannel, clock: Clock, poll_s: float) -> None:
        poke = self._pokes[channel]
        while True:
            poke.clear()
            try:
                again = await self.run_channel(channel, clock.now())
            except Exception as exc:  # the store is down, or a defect: the next look may find it mended
                log.warning(OUTBOX_STALLED, channel=channel, error=repr(exc))
                await clock.sleep(poll_s)
                continue
            wait_s = poll_s if again is None else min(poll_s, max(0.0, (again - clock.now()).total_seconds()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await poke.wait()

    async def run_once(self, now: datetime) -> datetime | None:
        """One look at every channel; see `run_channel`."""
        times = await asyncio.gather(*(self.run_channel(channel, now) for channel in CHANNELS))
        return min((time for time in times if time is not None), default=None)

    async def run_channel(self, channel: OutboxChannel, now: datetime) -> datetime | None:
        """Send what is due, at most one call per destination, destinations side by side.

        Returns when a paused destination may be served again; None means wait for a poke or the next poll.
        Raises: JournalUnavailable.
        """
        await self._record_delivered(now)
        while True:
            paused = self._paused(channel, now)
            rows = await self._store.due(channel, now, self._page_size, skip=paused)
            if not rows:
                return min(paused.values(), default=None)
            # Each destination served is paused afterwards, so every round sees fewer of them.
            sends = [self._send(sending, now) for sending in _one_per_destination(rows)]
            failures = await asyncio.gather(*sends, return_exceptions=True)
            if failure := next((f for f in failures if f is not None), None):
                raise failure

    def _paused(self, channel: OutboxChannel, now: datetime) -> dict[str, datetime]:
        self._pauses = {k: p for k, p in self._pauses.items() if p.since <= now < p.until}
        return {destination: p.until for (of, destination), p in self._pauses.items() if of == channel}

    def _pause(self, row: OutboxRow, now: datetime, wait: timedelta) -> None:
        self._pauses[row.channel, row.destination] = _Pause(now, now + max(wait, self._paces[row.channel].gap))

    async def _record_delivered(self, now: datetime) -> None:
        for row_id, ref in list(self._unrecorded.items()):
            await self._store.sent(row_id, ref, now)
            self._unrecorded.pop(row_id, None)

    async def _send(self, sending: Sending, now: datetime) -> None:
        """Raises: JournalUnavailable."""
        row = sending.row
        self._pause(row, now, timedelta(0))
        if sending.changed:
            await self._store.merge(row, sending.superseded)
            for _ in sending.superseded:
                self._report(row.channel, "superseded")
        try:
            ref = await self._deliver(row)
        except ChatError as exc:
            await self._not_delivered(row, exc, now)
        except JournalUnavailable:
            raise  # before anything was sent: the row is as it was, and no try of it counts
        except Exception as exc:  # a defect in one message must not keep the ones behind it from people
            log.error(MESSAGE_BROKEN, **_facts(row), exc_info=exc)
            await self._not_delivered(row, ChatError(repr(exc), retry_after_s=0.0), now)
        else:
            self._unrecorded[row.id] = ref
            self._report(row.channel, "sent")
            await self._store.sent(row.id, ref, now)
            self._unrecorded.pop(row.id, None)

    async def _deliver(self, row: OutboxRow) -> MessageRef | None:
        """Raises: ChatError."""
        if row.kind == "event":
            pager = self._pagers.get(row.destination)
            if pager is None:
                raise ChatError(f"no pager service is called {row.destination!r}")
            await pager.send(row.payload)
            return None
        if self._chat is None:
            raise ChatError("no chat is configured")
        text, blocks = str(row.payload["text"]), tuple(row.payload["blocks"])
        main = await self._store.message_ref(row.key)
        if row.kind == "reply":
            if main is None:
                raise ChatError("there is no message to reply to")
            await self._chat.post(main.channel, text, blocks, thread=main.ts)
            return None
        if row.kind == "update" and main is not None:
            await self._chat.update(main, text, blocks)
            return None
        posted = await self._chat.post(row.destination, text, blocks)
        if main is not None:
            await self._close(main, row)
        return posted

    async def _close(self, old: MessageRef, row: OutboxRow) -> None:
        """Point an older main message to the newer one. Tried once: it helps the reader, nothing depends on it."""
        assert self._chat is not None
        try:
            await self._chat.update(old, CONTINUED.text, CONTINUED.blocks)
        except ChatError as exc:
            log.info(MESSAGE_NOT_CLOSED, **_facts(row), error=str(exc))

    async def _not_delivered(self, row: OutboxRow, error: ChatError, now: datetime) -> None:
        """Raises: JournalUnavailable."""
        pace = self._paces[row.channel]
        if error.retry_after_s is not None and now - row.created_at < pace.give_up_after:
            asked = timedelta(seconds=error.retry_after_s)
            self._pause(row, now, asked)
            await self._store.failed(row.id, str(error), now + max(asked, pace.backoff(row.tries)), now)
            self._report(row.channel, "retried")
            log.info(MESSAGE_RETRIED, **_facts(row), error=str(error))
        elif error.retry_after_s is None and row.kind == "update" and await self._store.message_ref(row.key):
            # The message is gone, too old or not ours any more: people get a successor instead of a stale one.
            await self._store.merge(replace(row, kind="post", tries=0, due_at=now), ())
            self._report(row.channel, "retried")
            log.info(MESSAGE_GETS_SUCCESSOR, **_facts(row), error=str(error))
        else:
            await self._store.failed(row.id, str(error), None, now)
            self._report(row.channel, "failed")
            log.error(MESSAGE_FAILED, **_facts(row), error=str(error))


def _facts(row: OutboxRow) -> dict[str, object]:
    return {
        "row": row.id,
        "channel": row.channel,
        "destination": row.destination,
        "kind": row.kind,
        "key": row.key,
        "tries": row.tries,
    }


def _one_per_destination(rows: Sequence[OutboxRow]) -> list[Sending]:
    """For each destination the most useful row: a new message, then an update or event, then a reply; oldest first."""

    def by_key(row: OutboxRow) -> str:
        return row.key

    ranks = {"post": 0, "event": 0, "update": 1, "reply": 2}
    by_id = sorted(rows, key=lambda row: row.id)
    sendings = [next_of_key(list(group)) for _, group in groupby(sorted(by_id, key=by_key), key=by_key)]
    chosen: dict[str, Sending] = {}
    for sending in sorted(sendings, key=lambda s: (ranks[s.row.kind], s.row.id)):
        chosen.setdefault(sending.row.destination, sending)
    return list(chosen.values())
