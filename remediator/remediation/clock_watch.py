"""Whether the wall clock can be believed: sliding windows, cooldowns and expiries count its seconds.

Boot time runs evenly. When the wall clock has moved against it (set by hand, by a bad NTP server, on a restored
machine), nothing begins until the API server's clock agrees with ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from remediator.errors import ReadError
from remediator.ports import Clock, Cluster

JUMP = timedelta(seconds=60)
"""The wall clock may drift so far against boot time, or against the API server's at start, before it is asked about."""

AGREE = timedelta(seconds=6)
"""Five seconds, and one because the API server's date has whole seconds."""


class ClockWatch:
    """One per process: it remembers how far wall and boot time lay apart when they were last believed."""

    def __init__(self, clusters: Mapping[str, Cluster], clock: Clock) -> None:
        self._clusters = clusters
        self._clock = clock
        self._believed: timedelta | None = None

    async def problem(self, cluster: str) -> str:
        """Why the wall clock is not believed; empty when it is."""
        if self._believed is not None and abs(self._apart() - self._believed) <= JUMP:
            return ""
        try:
            server = await self._clusters[cluster].server_time()
        except ReadError as exc:
            return f"the wall clock must be compared with the API server's, which did not answer: {exc}"
        gap = abs(server - self._clock.now())
        if gap > (JUMP if self._believed is None else AGREE):
            ours = f"{self._clock.now():%Y-%m-%d %H:%M:%S}"
            return f"our clock says {ours} UTC, the API server's {server:%Y-%m-%d %H:%M:%S}: set the one that is wrong"
        self._believed = self._apart()
        return ""

    def _apart(self) -> timedelta:
        return timedelta(seconds=self._clock.now().timestamp() - self._clock.boot())
