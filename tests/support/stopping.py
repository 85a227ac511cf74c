"""`python -m tests.support.stopping serve ...`: the real service, which waits at a named point of its first effect.

STOP_AT names the point, STOP_FILE a path: `<path>.reached` appears when it is there, and it goes on when `<path>.go`
exists. Everything else of the service runs on, so that a test can do things in just that moment. The product has no
hooks for this: its journal and cluster adapters are wrapped here.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from remediator import app
from remediator.config import Config
from remediator.connecting import Outside
from remediator.connecting import connect as real_connect
from remediator.objects import ObjectRef

POINTS = ("before_look", "before_row", "click_stored", "click_decided")
"""`click_stored`: a click was answered and nothing came of it yet. `click_decided`: its decision is on record, that it
was dealt with is not."""
AT = os.environ.get("STOP_AT", "")
FILE = os.environ.get("STOP_FILE", "")


async def stop_here(point: str) -> None:
    if point != AT:
        return
    Path(FILE + ".reached").touch()  # noqa: ASYNC240 (a moment)
    while not Path(FILE + ".go").exists():  # noqa: ASYNC110, ASYNC240 (another process makes it)
        await asyncio.sleep(0.01)


class StoppingJournal:
    """Waits before the attempt row, and knows when a reservation has been made; the rest is the real journal."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.reserved = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def commit(self, *args: Any, **options: Any) -> Any:
        result = await self._real.commit(*args, **options)
        self.reserved = self.reserved or options.get("reserve") is not None
        return result

    async def record_attempt(self, *args: Any) -> Any:
        await stop_here("before_row")
        return await self._real.record_attempt(*args)

    async def incoming(self, *args: Any) -> Any:
        rows = await self._real.incoming(*args)
        if rows:
            await stop_here("click_stored")
        return rows

    async def dealt_with(self, *args: Any) -> None:
        await stop_here("click_decided")
        await self._real.dealt_with(*args)


class StoppingCluster:
    """Waits before the first read after a reservation: the last look."""

    def __init__(self, real: Any, journal: StoppingJournal) -> None:
        self._real = real
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def get(self, ref: ObjectRef) -> Any:
        if self._journal.reserved:
            await stop_here("before_look")
        return await self._real.get(ref)


async def connect(config: Config, stack: AsyncExitStack) -> Outside:
    outside = await real_connect(config, stack)
    journal = StoppingJournal(outside.journal)
    outside.journal = journal  # type: ignore[assignment]
    outside.clusters = {name: StoppingCluster(c, journal) for name, c in outside.clusters.items()}
    return outside


app.connect = connect  # type: ignore[attr-defined]

if __name__ == "__main__":
    from remediator.__main__ import main

    assert AT in POINTS, f"STOP_AT must be one of {POINTS}"
    main()
