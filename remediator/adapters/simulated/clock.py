"""Time that only moves when told to."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

START = datetime(2025, 6, 2, 10, 0, tzinfo=UTC)
"""A Monday, in business hours: most guardrails have something to say about weekends and nights."""


class Now(Protocol):
    """The one thing a simulated cluster asks of a clock."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...


class VirtualClock:
    """The `Clock` port on virtual time: `advance` moves it and wakes whoever sleeps until then."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def boot(self) -> float:
        return (self._now - self._start).total_seconds()

    def advance(self, seconds: float) -> None:
        """Move time on. Raises: ValueError for a negative step; clock jumps are the business of other clocks."""
        if seconds < 0:
            raise ValueError(f"time cannot go back by {-seconds} s")
        self.advance_to(self._now + timedelta(seconds=seconds))

    def advance_to(self, at: datetime) -> None:
        """Move time to `at`, if that is later."""
        self._now = max(self._now, at)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), future))
        await future
