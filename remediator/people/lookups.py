"""Questions to outside systems about people, each answer remembered for a little while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from remediator.errors import ReadError
from remediator.ports import ChatError, Clock

LOOKUP_TIMEOUT_S = 10.0


class LookupFailed(Exception):
    """One lookup failed; the message says which and why."""


@dataclass(slots=True)
class _Entry:
    """`asked_at` in boot time; None = not answered yet. `failed` is the last failure, for whoever waited meanwhile."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked_at: float | None = None
    failed: LookupFailed | None = None
    answer: Any = None


class Memory:
    """Answers by what was asked, for a while of the boot clock, which no change of the time moves."""

    def __init__(self, clock: Clock, lasts: timedelta) -> None:
        self._clock = clock
        self._lasts = lasts.total_seconds()
        self._entries: dict[tuple[str, str], _Entry] = {}

    async def get(self, what: tuple[str, str], ask: Callable[[], Awaitable[Any]]) -> Any:
        """Asked once, whoever wants to know at the same time: a failure is theirs as well, but not remembered. Raises:
        LookupFailed."""
        entry = self._entries.setdefault(what, _Entry())
        before = entry.failed
        async with entry.lock:
            if entry.failed is not None and entry.failed is not before:
                raise LookupFailed(str(entry.failed))
            # As old as the question: what changes while it is answered may not be in the answer.
            asked_at = self._clock.boot()
            if not self._fresh(entry, asked_at):
                try:
                    entry.answer = await _within_time(" ".join(what), ask)
                except LookupFailed as exc:
                    entry.failed = exc
                    raise
                entry.asked_at = asked_at
                self._forget(asked_at)
            return entry.answer

    def _fresh(self, entry: _Entry, now: float) -> bool:
        return entry.asked_at is not None and now - entry.asked_at < self._lasts

    def _forget(self, now: float) -> None:
        old = [what for what, e in self._entries.items() if not e.lock.locked() and not self._fresh(e, now)]
        for what in old:
            del self._entries[what]


async def _within_time(what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Raises: LookupFailed."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            return await ask()
    except TimeoutError:
        raise LookupFailed(f"{what}: no answer within {LOOKUP_TIMEOUT_S:g} s") from None
    except (ReadError, ChatError) as exc:
        raise LookupFailed(f"{what}: {exc}") from exc
