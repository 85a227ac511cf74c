"""The loops beside the runner: take alerts in, reload playbooks, watch workloads, send messages, forget what is old.

Each loop outlives every error of its work; a loop that ended would be a silent stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from remediator.errors import RemediatorError
from remediator.metrics import Metrics
from remediator.people.outbox_rows import Letters, OutboxMessage
from remediator.ports import Clock
from remediator.remediation.intake import Intake
from remediator.remediation.journal import Journal
from remediator.remediation.state import Remediation, State

log = structlog.get_logger()

RETENTION_EVERY = timedelta(hours=1)
EPISODE_QUIET = timedelta(hours=1)
NOT_RESENT_AFTER = timedelta(hours=24)
"""An alert that fires is sent again every `repeat_interval`; what was not for so long is over, or silenced. No resolved
message may come for it (`send_resolved: false`), and its episode would stay open for ever. A `repeat_interval` must be
shorter than this; a longer one makes an alert that never stopped a new one."""
RESENDS_WITHIN = timedelta(hours=5)
"""After a start nothing counts as silent for so long: nobody could hear us before. Alertmanager's default is 4 h."""
UPKEEP_EVERY = timedelta(seconds=30)
OVER = frozenset({State.SUCCEEDED, State.SUPERSEDED})
"""Endings with which people were told that the alerts are gone."""


async def for_ever(
    name: str, work: Callable[[], Awaitable[float]], clock: Clock, wake: asyncio.Event | None = None
) -> None:
    """Run `work` again and again; it returns the seconds to its next turn, `wake` ends the pause early."""
    while True:
        if wake is not None:
            wake.clear()
        try:
            pause = await work()
        except RemediatorError as exc:
            log.warning("loop_failed", loop=name, error=str(exc))
            pause = 1.0
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("loop_failed", loop=name)
            pause = 5.0
        await _pause(clock, pause, wake)


async def _pause(clock: Clock, seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await clock.sleep(seconds)
        return
    waits = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(wake.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def take_alerts(intake: Intake) -> float:
    """One turn of the intake; poked by each webhook."""
    await intake.take_all()
    return 5.0


def _clears(last: Remediation) -> bool:
    """Whether the end of its alerts is news. What began without any is not over because none fires."""
    return last.state not in OVER and bool(last.alerts)


async def _tell_nobody(r: Remediation) -> Sequence[OutboxMessage]:
    return ()


class Housekeeping:
    """Closes episodes that are quiet, forgets what is old, and measures what waits.

    `tell_cleared` makes the messages that an incident is over, from its last remediation, which did not end it.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        tell_cleared: Callable[[Remediation], Awaitable[Sequence[OutboxMessage]]] = _tell_nobody,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._tell_cleared = tell_cleared
        self._purged: datetime | None = None
        self._outbox_channels: set[str] = set()
        """That had something to send since the start; what is empty again reads 0."""
        self._started = clock.now()

    async def turn(self) -> float:
        """Raises: JournalUnavailable."""
        now = self._clock.now()
        await self._close_episodes(now)
        if found := await self._journal.look_again(now):
            log.info("looked_at_anew", episodes=sorted(found), why="nobody has them any more")
        waiting = await self._journal.undecided(1, now)
        since = waiting[0].undecided_since if waiting else None
        self._metrics.undecided.set((now - since).total_seconds() if since else 0)
        await self._measure_outbox(now)
        if self._purged is None or now - self._purged >= RETENTION_EVERY:
            self._purged = now
            await self._close_unsent(now)
            removed = await self._journal.purge(now)
            if any(removed.values()):
                log.info("retention", **{k: v for k, v in removed.items() if v})
        return UPKEEP_EVERY.total_seconds()

    async def _measure_outbox(self, now: datetime) -> None:
        """Raises: JournalUnavailable."""
        waiting = {letters.channel: letters for letters in await self._journal.letters(now)}
        self._outbox_channels |= waiting.keys()
        for channel in self._outbox_channels:
            letters = waiting.get(channel, Letters(channel=channel))
            age = now - letters.oldest_at if letters.oldest_at else timedelta(0)
            self._metrics.outbox_pending.labels(channel).set(letters.pending)
            self._metrics.outbox_oldest.labels(channel).set(age.total_seconds())

    async def _close_episodes(self, now: datetime) -> None:
        """Whoever was left with an incident hears that its alerts are gone. Raises: JournalUnavailable."""
        quiet = await self._journal.quiet_episodes(now, EPISODE_QUIET)
        if not quiet:
            return
        messages = {
            episode: await self._tell_cleared(last) if last is not None and _clears(last) else ()
            for episode, last in quiet.items()
        }
        if closed := await self._journal.close_episodes(now, EPISODE_QUIET, messages):
            log.info("episodes_closed", count=closed)

    async def _close_unsent(self, now: datetime) -> None:
        """Raises: JournalUnavailable."""
        if now - self._started < RESENDS_WITHIN:
            return
        if closed := await self._journal.close_unsent(now, NOT_RESENT_AFTER):
            log.info("alerts_not_resent", count=closed)
