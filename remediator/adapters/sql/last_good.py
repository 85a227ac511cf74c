"""The `LastGood` port of the playbook folder, which scans in a thread, on the journal, which lives in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from remediator.ports import Clock
from remediator.remediation.journal import Journal

T = TypeVar("T")

TIMEOUT_S = 10.0


class JournalLastGood:
    """Call it from any thread but the event loop's own. Raises: JournalUnavailable, TimeoutError."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._journal = journal
        self._loop = loop
        self._clock = clock

    def load(self) -> Mapping[str, str]:
        return self._wait(self._journal.last_good())

    def save(self, name: str, text: str, content_hash: str) -> None:
        self._wait(self._journal.save_good(name, text, content_hash, self._clock.now()))

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(TIMEOUT_S)
