"""The one store of a schedule: real SQL, called inline, with faults around each commit and a log of what was committed.

It outlives the processes that use it. Its log has the true order and the true time of all commits.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from remediator.adapters.sql import alerts as alerts_sql
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.inline import InlineWriter
from remediator.errors import JournalUnavailable


@dataclass(frozen=True, slots=True)
class Commit:
    seq: int
    at: float
    by: str
    name: str
    result: Any


class Store(InlineWriter):
    """Also its own `Faults`."""

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self.database = SqliteMemory()
        super().__init__(self.database, alerts_sql.accept, faults=self)
        self._rng, self._now = rng, now
        self._result: Any = None
        self._by = ""
        self.fault_rate = 0.0
        self.log: list[Commit] = []
        self.on_commit: Callable[[Commit], None] = lambda commit: None
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.raw = driver

    async def by(self, who: str, name: str, work: Any) -> Any:
        """One transaction of one process."""

        def kept(connection: Any) -> Any:
            self._by, self._result = who, work(connection)
            return self._result

        return await self.control(name, kept)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """For the checks, outside of every transaction."""
        return self.raw.execute(query, values).fetchall()

    async def before_commit(self, name: str) -> None:
        if self._rng.random() >= self.fault_rate:
            return
        match self._rng.choice(("slow", "slow", "fails")):
            case "slow":
                result, by = self._result, self._by
                await asyncio.sleep(self._rng.choice((0.05, 0.4, 1.5)))
                self._result, self._by = result, by
            case _:
                raise JournalUnavailable("simulated: not stored")

    async def after_commit(self, name: str) -> None:
        commit = Commit(len(self.log), self._now(), self._by, name, self._result)
        self.log.append(commit)
        self.on_commit(commit)
        if self._rng.random() >= self.fault_rate:
            return
        if self._rng.random() < 0.5:
            await asyncio.sleep(self._rng.choice((0.05, 0.4, 1.5)))
        else:
            raise JournalUnavailable("simulated: nobody knows whether it is stored")

    async def before_read(self, name: str) -> None:
        if self._rng.random() < self.fault_rate / 4:
            raise JournalUnavailable("simulated: no answer")
