"""The one store of a schedule: real SQL on in-memory SQLite, called inline, and a log of what was committed.

It outlives the processes that use it. Its log has the true order and the true time of all commits. What goes wrong with
a call goes wrong around its transaction: before it (nothing is stored), or after it (it is stored, and nobody knows). A
process that dies while it waits here finds the same: its transaction is dropped, or done.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, MetaData, Table, delete, update
from sqlalchemy.exc import SQLAlchemyError

from remediator.adapters.sql import alerts as alerts_sql
from remediator.adapters.sql.engine import SqliteMemory, unavailable
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import counters, metadata
from remediator.errors import JournalUnavailable

DELAYS_S = (0.05, 0.4, 1.5)


@dataclass(frozen=True, slots=True)
class Commit:
    seq: int
    at: float
    by: str
    name: str
    result: Any


@cache
def _database() -> tuple[SqliteMemory, Connection]:
    """One for all schedules of this process, which run one after the other: SQLite prepares each statement once."""
    database = SqliteMemory()
    return database, database.connect_writer()


def _empty() -> tuple[SqliteMemory, Connection]:
    """As new: no rows, and counting from the beginning."""
    database, connection = _database()
    connection.rollback()  # of a schedule that was broken off
    with connection.begin():
        for statement in _WIPE:
            statement.execute(connection)
    return database, connection


_WIPE = (
    *(Prepared(delete(table)) for table in metadata.sorted_tables if table is not counters),
    Prepared(update(counters).values(value=0)),
    Prepared(delete(Table("sqlite_sequence", MetaData()))),
)


class Store:
    """`fault_rate`: the share of calls that go wrong by themselves. `mode`: up, slow, read_only, down. `latency_s`: the
    longest time that a call takes when all is well."""

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self.database, self._connection = _empty()
        self._rng, self._now = rng, now
        self.fault_rate = 0.0
        self.latency_s = 0.0
        self.mode = "up"
        self.log: list[Commit] = []
        self.on_commit: Callable[[Commit], None] = lambda commit: None
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.raw = driver

    def rows(self, query: str, *values: Any) -> list[Any]:
        """For the checks, outside of every transaction."""
        return self.raw.execute(query, values).fetchall()

    def look(self, work: Callable[[Any], Any]) -> Any:
        """A read by the checks, with the product's own SQL."""
        try:
            return work(self._connection)
        finally:
            if self._connection.in_transaction():
                self._connection.rollback()

    # For processes

    async def control(self, by: str, name: str, work: Callable[[Any], Any]) -> Any:
        """One transaction of one process. Raises: JournalUnavailable."""
        fault = self._fault()
        await self._takes(fault == "slow")
        if self.mode in ("down", "read_only") or fault == "fails":
            raise JournalUnavailable(f"simulated: not stored ({self.mode})")
        try:
            # Left in any other way than through the end it rolls back.
            with self._connection.begin():
                result = work(self._connection)
        except SQLAlchemyError as exc:
            raise unavailable(exc, "not stored") from exc
        commit = Commit(len(self.log), self._now(), by, name, result)
        self.log.append(commit)
        self.on_commit(commit)
        await self._takes(fault == "late")
        if fault == "lost":
            raise JournalUnavailable("simulated: nobody knows whether it is stored")
        return result

    async def grouped(self, by: str, delivery: Any) -> Any:
        (accepted,) = await self.control(by, "accept", lambda c: alerts_sql.accept(c, [delivery]))
        return accepted

    async def read(self, work: Callable[[Any], Any]) -> Any:
        """Raises: JournalUnavailable."""
        await self._takes(self.fault_rate > 0.0 and self._rng.random() < self.fault_rate / 4)
        if self.mode == "down" or (self.fault_rate and self._rng.random() < self.fault_rate / 4):
            raise JournalUnavailable("simulated: no answer")
        try:
            # Nothing runs beside it, so it is consistent without a transaction of its own.
            found = self.look(work)
        except SQLAlchemyError as exc:
            raise unavailable(exc, "cannot read") from exc
        await self._takes(False)
        return found

    def _fault(self) -> str:
        if not self.fault_rate or self._rng.random() >= self.fault_rate:
            return ""
        return self._rng.choice(("slow", "slow", "fails", "late", "lost"))

    async def _takes(self, long: bool) -> None:
        """On its way there or back: others run meanwhile."""
        if long or self.mode == "slow":
            await asyncio.sleep(self._rng.choice(DELAYS_S))
        elif self.latency_s:
            await asyncio.sleep(self._rng.random() * self.latency_s)
        elif self._rng.random() < 0.5:
            await asyncio.sleep(0)
