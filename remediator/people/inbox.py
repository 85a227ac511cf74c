"""Deals with what the inbox holds: every row once it is due, one handler per source, nobody behind one that hangs.

At least once: a row is done when the store says so, and a crash between the handler's work and that record brings it
again. Handlers are written for that; what they do to a remediation counts once however often it is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import get_args

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.inbox_rows import InboxSource, InboxStore, Incoming
from remediator.ports import Clock

log = structlog.get_logger(__name__)

INBOX_STALLED = "inbox_stalled"
INBOX_PUT_OFF = "inbox_put_off"
INBOX_BROKEN = "inbox_broken"
INBOX_GIVEN_UP = "inbox_given_up"

AT_ONCE = 32
"""Of each source."""
TIMEOUT_S = 30.0
"""For one row: a person waits for it."""
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(hours=24)
RESULT_LIMIT = 300
POLL_S = 1.0

Handler = Callable[[Incoming], Awaitable[str]]
"""Does what a row says and returns one line for the record. Raises: Later, JournalUnavailable."""


class Later(Exception):
    """It cannot be dealt with yet. `after_s` None = by the usual back-off."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Inbox:
    """The worker, one per process; `handlers` by source. Rows of a source without a handler wait a day for one."""

    def __init__(self, store: InboxStore, handlers: Mapping[InboxSource, Handler], clock: Clock) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._wake = asyncio.Event()
        self._busy: dict[int, InboxSource] = {}

    def poke(self) -> None:
        """Something was stored: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                try:
                    for item in await self._due():
                        group.create_task(self._deal_and_wake(item))
                except Exception as exc:  # the store is down, or a defect: the next look may find it mended
                    log.warning(INBOX_STALLED, error=repr(exc))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._wake.wait()

    async def run_once(self) -> int:
        """Deal with what is due now; how many rows that were. Raises: JournalUnavailable."""
        items = await self._due()
        await asyncio.gather(*map(self._deal, items))
        return len(items)

    async def _due(self) -> list[Incoming]:
        """Oldest first, of each source as many as there is room for: a pager that hangs keeps no click waiting.

        Raises: JournalUnavailable.
        """
        room = Counter(dict.fromkeys(get_args(InboxSource), AT_ONCE))
        room.subtract(self._busy.values())
        full = [source for source, left in room.items() if left <= 0]
        found = []
        for row in await self._store.incoming(self._clock.now(), AT_ONCE, tuple(self._busy), full):
            if room[row.source] > 0:
                room[row.source] -= 1
                self._busy[row.id] = row.source
                found.append(row)
        return found

    async def _deal_and_wake(self, item: Incoming) -> None:
        await self._deal(item)
        self._wake.set()  # there is room for another one

    async def _deal(self, item: Incoming) -> None:
        """Never raises: a row that is not recorded as dealt with comes again."""
        try:
            try:
                handler = self._handlers.get(item.source)
                if handler is None:
                    raise Later(f"{item.source} is not configured")
                async with asyncio.timeout(TIMEOUT_S):
                    result = await handler(item)
            except Later as exc:
                await self._put_off(item, str(exc), exc.after_s)
            except JournalUnavailable as exc:
                await self._put_off(item, str(exc), None)
            except Exception as exc:  # a defect in one row must not keep the others from being dealt with
                log.error(INBOX_BROKEN, **_facts(item), exc_info=exc)
                await self._put_off(item, type(exc).__name__, None)
            else:
                await self._store.dealt_with(item.id, result[:RESULT_LIMIT], self._clock.now())
        except JournalUnavailable as exc:
            log.warning(INBOX_STALLED, **_facts(item), error=str(exc))
        finally:
            self._busy.pop(item.id, None)

    async def _put_off(self, item: Incoming, why: str, after_s: float | None) -> None:
        """Raises: JournalUnavailable."""
        now = self._clock.now()
        if item.received_at is not None and now - item.received_at >= GIVE_UP_AFTER:
            log.error(INBOX_GIVEN_UP, **_facts(item), error=why)
            await self._store.dealt_with(item.id, f"given up: {why}"[:RESULT_LIMIT], now)
            return
        wait = _backoff(item.tries) if after_s is None else timedelta(seconds=after_s)
        log.info(INBOX_PUT_OFF, **_facts(item), error=why, until=str(now + wait))
        await self._store.put_off(item.id, why[:RESULT_LIMIT], _at(now, wait), now)


def _at(now: datetime, wait: timedelta) -> datetime:
    return now + min(max(wait, timedelta(0)), timedelta(hours=1))


def _backoff(tries: int) -> timedelta:
    """Doubled with each try, up to the longest."""
    factor: int = 2 ** min(tries, 20)
    return min(LONGEST_RETRY, FIRST_RETRY * factor)


def _facts(item: Incoming) -> dict[str, object]:
    return {"row": item.id, "source": item.source, "tries": item.tries}
