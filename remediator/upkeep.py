"""The loops beside the runner: take alerts in, reload playbooks, watch workloads, send messages, forget what is old.

Each loop outlives every error of its work; a loop that ended would be a silent stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from remediator.errors import RemediatorError
from remediator.metrics import Metrics
from remediator.ports import Clock
from remediator.remediation.intake import Intake
from remediator.remediation.journal import Journal

log = structlog.get_logger()

RETENTION_EVERY = timedelta(hours=1)
EPISODE_QUIET = timedelta(hours=1)
UPKEEP_EVERY = timedelta(seconds=30)


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


class Housekeeping:
    """Closes episodes that are quiet, forgets what is old, and measures what waits."""

    def __init__(self, journal: Journal, clock: Clock, metrics: Metrics) -> None:
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._purged: datetime | None = None

    async def turn(self) -> float:
        """Raises: JournalUnavailable."""
        now = self._clock.now()
        closed = await self._journal.close_episodes(now, EPISODE_QUIET)
        if closed:
            log.info("episodes_closed", count=closed)
        waiting = await self._journal.undecided(1, now)
        self._metrics.undecided.set((now - waiting[0].first_seen).total_seconds() if waiting else 0)
        self._metrics.outbox_pending.set(await self._journal.outbox_pending())
        if self._purged is None or now - self._purged >= RETENTION_EVERY:
            self._purged = now
            removed = await self._journal.purge(now)
            if any(removed.values()):
                log.info("retention", **{k: v for k, v in removed.items() if v})
        return UPKEEP_EVERY.total_seconds()
