"""What the simulated cluster will do later, in the order of time.

The agenda never moves time itself. Whoever looks at the cluster first lets everything happen that is due by the clock
(`catch_up`), each thing at its own time. Where nobody looks, an injected `schedule` (`loop.call_later` will do) wakes
the agenda at its next due time, so an idle cluster costs nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from remediator.adapters.simulated.clock import Now

Schedule = Callable[[float, Callable[[], None]], object]
"""Call this back in so many seconds: the signature of `asyncio.AbstractEventLoop.call_later`."""

SMALLEST_DELAY_S = 1e-6
"""Datetimes count microseconds: waking earlier than that would find the same time on the clock."""


class Agenda:
    """Timers on somebody else's clock."""

    def __init__(self, clock: Now, schedule: Schedule | None = None) -> None:
        self._clock = clock
        self._schedule = schedule
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._at: datetime | None = None
        self._armed: datetime | None = None

    def now(self) -> datetime:
        """The time of what is happening: its due time while something due runs, else the clock's."""
        return self._at if self._at is not None else self._clock.now()

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Do this `delay_s` from now. Things due at the same time happen in the order in which they were added."""
        heapq.heappush(self._due, (self.now() + timedelta(seconds=delay_s), next(self._order), callback))
        self._arm()

    def next_due(self) -> datetime | None:
        return self._due[0][0] if self._due else None

    def catch_up(self) -> None:
        """Do all that is due by now. Called from inside a callback it does nothing: that callback's round goes on."""
        if self._at is not None:
            return
        limit = self._clock.now()
        try:
            while self._due and self._due[0][0] <= limit:
                self._at, _, callback = heapq.heappop(self._due)
                callback()
        finally:
            self._at = None
        self._arm()

    def _arm(self) -> None:
        """See that we are woken at the next due time. At most one wake-up is under way for any due time."""
        if self._schedule is None or not self._due or self._at is not None:
            return
        due = self._due[0][0]
        if self._armed is not None and self._armed <= due:
            return
        self._armed = due
        delay_s = max((due - self._clock.now()).total_seconds(), SMALLEST_DELAY_S)
        self._schedule(delay_s, self._wake)

    def _wake(self) -> None:
        self._armed = None
        self.catch_up()
