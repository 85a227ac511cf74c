"""Sends what the outbox holds: at least once, in order per key, paced per limit, no channel behind another.

Nothing here waits: `run_channel` looks at what is due at `now`, sends it, writes down how it went and says when to come
back. `run` is the loop around it. Retries are due times in the store, so a restart forgets none; only the pacing is in
memory, and losing it costs at most a 429.

At least once: Slack knows no idempotency key, so a post whose answer got lost is posted again. Updates then go to the
second one; the first stays as it was, and its buttons do nothing. PagerDuty deduplicates.

Never back to an older state: one worker holds a key while it sends, newer states take the place of older ones that
still wait, and a retry sends the newest. What is left is a call without an answer, which may land after a newer one:
after each of those the store sends the newest state once more, when nothing can be under way any longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.carrier import Carrier, Lanes
from remediator.people.coalescing import next_of_key
from remediator.people.lanes import Traffic
from remediator.people.outbox_rows import OutboxRow, OutboxStore, Sending
from remediator.people.repeats import Repeats
from remediator.ports import ChatError, Clock, MessageRef
from remediator.redact import redact

log = structlog.get_logger(__name__)

MESSAGE_RETRIED = "message_retried"
MESSAGE_BROKEN = "message_broken"
MESSAGE_FAILED = "message_failed"
MESSAGE_GETS_SUCCESSOR = "message_gets_successor"
MESSAGES_UNSERVED = "messages_unserved"
HOLD_LOST = "outbox_hold_lost"
OUTBOX_STALLED = "outbox_stalled"
OUTBOX_CLOCK_SET_BACK = "outbox_clock_set_back"

Result = Literal["sent", "retried", "failed", "superseded"]
"""How one row went; a metric label."""

HOLD = timedelta(seconds=60)
DELIVERY = timedelta(seconds=30)
"""A delivery is cut off after this, and does not start later than this after its hold did: it ends within the hold."""
BEHIND = timedelta(seconds=10)
"""A channel whose replies wait longer than this is at its limit."""
UNSERVED_AFTER = timedelta(hours=1)
"""Time to notice and to bring back a section that was removed from the configuration."""
UNSERVED = "the configuration has no section for this channel any more: restore it, or accept that these are not sent"
_UNSERVED_EVERY_S = 60.0
MOST_SAID = 300
"""Characters of an error that nobody expected."""
LONGEST_WAIT_S = 3600.0
"""Whoever asks us to come back later than this is asked again after it."""
SET_BACK_S = 1.0
"""By less than this the wall clock may go back as it is kept right."""

_RANKS = {"post": 0, "event": 0, "update": 1, "again": 1, "reply": 2}


class Outbox:
    """One worker; `carriers` by channel. `report` is told how each row went, for metrics."""

    def __init__(
        self,
        store: OutboxStore,
        carriers: Mapping[str, Carrier],
        *,
        report: Callable[[str, Result], None] = lambda channel, result: None,
        page_size: int = 20,
    ) -> None:
        self._store = store
        self._carriers = carriers
        self._report = report
        self._page_size = page_size
        self._traffic = Traffic()
        self._me = secrets.token_hex(8)
        self._repeats = Repeats(self._me)
        self._boot: Callable[[], float] | None = None
        """Seconds that pass meanwhile; None: who calls `run_channel` with times of his own says that none do, and that
        his times are steady."""
        self._unrecorded: dict[int, MessageRef | None] = {}
        """Delivered, but the store did not take the record: recorded first thing, never delivered again."""
        self._pokes = {channel: asyncio.Event() for channel in carriers}

    def poke(self) -> None:
        """Something was stored: look now."""
        for poke in self._pokes.values():
            poke.set()

    async def run(self, clock: Clock, *, poll_s: float = 1.0) -> None:
        """Work until cancelled. Channels have a loop each, so that one that hangs holds up nobody else."""
        self._boot = clock.boot
        async with asyncio.TaskGroup() as loops:
            for channel in self._carriers:
                loops.create_task(self._run_channel_forever(channel, clock, poll_s))
            loops.create_task(self._give_up_unserved_forever(clock))
            loops.create_task(self._follow_clock_forever(clock, poll_s))

    async def _run_channel_forever(self, channel: str, clock: Clock, poll_s: float) -> None:
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

    async def _follow_clock_forever(self, clock: Clock, poll_s: float) -> None:
        """Rows are due by the wall clock: where that is set back by an hour, a page would wait for an hour."""
        apart = clock.now() - timedelta(seconds=clock.boot())
        while True:
            await clock.sleep(poll_s)
            now = clock.now()
            back = apart - (now - timedelta(seconds=clock.boot()))
            if back > timedelta(seconds=SET_BACK_S):
                try:
                    await self._store.clock_set_back(back, now)
                except JournalUnavailable:
                    continue
                log.warning(OUTBOX_CLOCK_SET_BACK, seconds=back.total_seconds())
                self.poke()
            apart -= back

    async def _give_up_unserved_forever(self, clock: Clock) -> None:
        while True:
            with contextlib.suppress(JournalUnavailable):
                await self.give_up_unserved(clock.now())
            await clock.sleep(_UNSERVED_EVERY_S)

    async def give_up_unserved(self, now: datetime) -> None:
        """What waits for a channel that nobody serves becomes dead letters: the operator who removed a section sees
        it. Raises: JournalUnavailable."""
        given_up = await self._store.abandon(tuple(self._carriers), now - UNSERVED_AFTER, UNSERVED, now)
        for channel, count in given_up.items():
            log.error(MESSAGES_UNSERVED, channel=channel, messages=count)
            for _ in range(count):
                self._report(channel, "failed")

    async def run_once(self, now: datetime) -> datetime | None:
        """One look at every channel; see `run_channel`."""
        times = await asyncio.gather(*(self.run_channel(channel, now) for channel in self._carriers))
        return min((time for time in times if time is not None), default=None)

    async def run_channel(self, channel: str, now: datetime) -> datetime | None:
        """Send what is due and may go, side by side.

        Returns when a limit that holds something back allows the next call; None means wait for a poke or the next
        poll. Raises: JournalUnavailable.
        """
        await self._record_delivered(now)
        begin = self._steady(now)

        def passing() -> datetime:
            return now + timedelta(seconds=self._steady(now) - begin)

        held_back: set[str] = set()
        skip: set[str] = set()
        while True:
            at = passing()
            rows = await self._store.due(channel, at, self._page_size, skip=skip)
            sendings = self._choose(self._repeats.ripe(rows, self._steady(at)), at)
            if sendings:
                went = await asyncio.gather(
                    *(self._send(s, lanes, passing) for s, lanes in sendings), return_exceptions=True
                )
                if failure := next((one for one in went if isinstance(one, BaseException)), None):
                    raise failure
                skip |= {s.row.destination for (s, _), sent in zip(sendings, went, strict=True) if not sent}
                continue
            held_back |= {name for row in rows for name in self._carriers[channel].pace.lanes_of(row)}
            if len({row.key for row in rows}) < self._page_size:
                return self._traffic.next_free(held_back, at)
            skip |= {row.destination for row in rows}  # a long queue hides nobody else's

    def _steady(self, now: datetime) -> float:
        return now.timestamp() if self._boot is None else self._boot()

    def _choose(self, rows: Sequence[OutboxRow], now: datetime) -> list[tuple[Sending, Lanes]]:
        """What may go now: new messages and events first, then updates, then replies; the oldest first."""

        def by_key(row: OutboxRow) -> str:
            return row.key

        by_id = sorted(rows, key=lambda row: row.id)
        found = [
            next_of_key(group, behind=now - group[0].created_at >= BEHIND)
            for _, group_of in groupby(sorted(by_id, key=by_key), key=by_key)
            for group in [list(group_of)]
        ]
        chosen = []
        for sending in sorted(found, key=lambda s: (_RANKS[s.row.kind], s.row.id)):
            lanes = self._carriers[sending.row.channel].pace.lanes_of(sending.row)
            if self._traffic.enter(lanes, now):
                chosen.append((sending, lanes))
        return chosen

    async def _record_delivered(self, now: datetime) -> None:
        while self._unrecorded:
            await self._record(*self._unrecorded.popitem(), now)

    async def _record(self, row_id: int, ref: MessageRef | None, now: datetime) -> None:
        """Raises: JournalUnavailable, and then it is recorded first thing next time."""
        try:
            kept = await self._store.sent(row_id, ref, self._me, now)
        except JournalUnavailable:
            self._unrecorded[row_id] = ref
            raise
        if not kept:
            log.warning(HOLD_LOST, row=row_id)

    async def _send(self, sending: Sending, lanes: Lanes, now: Callable[[], datetime]) -> bool:
        """False: nothing was sent, another worker has it. Raises: JournalUnavailable."""
        begin = now()
        try:
            row = await self._store.begin(sending, self._me, begin + HOLD, begin)
            if row is None or now() - begin > DELIVERY:
                return False  # after a freeze the hold may be over: what is not sent cannot land late
            if sending.changed:
                for _ in sending.superseded:
                    self._report(row.channel, "superseded")
            await self._deliver(row, lanes, now)
        finally:
            self._traffic.leave(lanes, now())
        return True

    async def _deliver(self, row: OutboxRow, lanes: Lanes, now: Callable[[], datetime]) -> None:
        """Raises: JournalUnavailable."""
        if row.kind == "again" and (row.main is None or not row.payload):
            await self._store.sent(row.id, None, self._me, now())
            return
        try:
            async with asyncio.timeout(DELIVERY.total_seconds()):
                shown = replace(row, kind="update") if row.kind == "again" else row
                ref = await self._carriers[row.channel].deliver(shown, row.main)
        except ChatError as exc:
            await self._not_delivered(row, exc, lanes, now())
        except TimeoutError:
            error = ChatError(f"no answer within {DELIVERY.seconds} s", retry_after_s=0.0, unanswered=True)
            await self._not_delivered(row, error, lanes, now())
        except JournalUnavailable:
            raise  # before anything was sent: no try of it counts
        except Exception as exc:  # a defect in one message must not keep the ones behind it from people
            log.error(MESSAGE_BROKEN, **_facts(row), exc_info=exc)
            error = ChatError(redact(repr(exc))[:MOST_SAID], retry_after_s=0.0, unanswered=True)
            await self._not_delivered(row, error, lanes, now())
        else:
            self._report(row.channel, "sent")
            await self._record(row.id, ref, now())

    async def _not_delivered(self, row: OutboxRow, error: ChatError, lanes: Lanes, now: datetime) -> None:
        """Raises: JournalUnavailable."""
        pace = self._carriers[row.channel].pace
        updates = row.main is not None and row.kind in ("update", "again")
        retry_at: datetime | None = None
        if error.retry_after_s is not None and now - row.created_at < pace.give_up_after:
            asked = timedelta(seconds=min(error.retry_after_s, LONGEST_WAIT_S))
            self._traffic.slow_down(lanes, asked, now)
            retry_at = now + max(asked, pace.backoff(row.tries))
            log.info(MESSAGE_RETRIED, **_facts(row), error=str(error))
        elif error.retry_after_s is None and updates:
            # The message is gone, too old or not ours any more: people get a successor instead of a stale one.
            await self._store.failed(row.id, str(error), now, self._me, now, as_post=True)
            self._report(row.channel, "retried")
            log.info(MESSAGE_GETS_SUCCESSOR, **_facts(row), error=str(error))
            return
        else:
            log.error(MESSAGE_FAILED, **_facts(row), error=str(error))
        unanswered = error.unanswered and updates
        if unanswered:
            self._repeats.unanswered(row, now, self._steady(now))
        if not await self._store.failed(row.id, str(error), retry_at, self._me, now, unanswered=unanswered):
            log.warning(HOLD_LOST, **_facts(row))
        self._report(row.channel, "failed" if retry_at is None else "retried")


def _facts(row: OutboxRow) -> dict[str, object]:
    return {
        "row": row.id,
        "channel": row.channel,
        "destination": row.destination,
        "kind": row.kind,
        "key": row.key,
        "tries": row.tries,
    }
