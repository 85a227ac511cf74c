"""`python -m tests.support.ahead serve ...`: the real service with a wall clock that is AHEAD_S seconds ahead.

A test of schedules need not wait for the minute then. Keep it well below a minute: further off, the service asks the
API server for the time and does nothing.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from remediator import app
from remediator.adapters.clock import SystemClock
from remediator.config import Config
from remediator.connecting import Outside
from remediator.connecting import connect as real_connect

AHEAD = timedelta(seconds=float(os.environ.get("AHEAD_S", "0")))


class AheadClock(SystemClock):
    """Its seconds are as long as everybody's."""

    def now(self) -> datetime:
        return super().now() + AHEAD


async def connect(config: Config, stack: AsyncExitStack) -> Outside:
    outside = await real_connect(config, stack)
    outside.clock = AheadClock()
    return outside


app.connect = connect  # type: ignore[attr-defined]

if __name__ == "__main__":
    from remediator.__main__ import main

    main()
