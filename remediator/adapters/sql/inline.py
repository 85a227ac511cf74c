"""The writer without threads, for deterministic simulation: the same SQL on in-memory SQLite, run where it is called.

Faults are injected around each commit; they may sleep (a slow store), raise (nothing stored, or result unknown) or be
cancelled in the middle (a crash: the open transaction is dropped, as a real database would).
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from remediator.adapters.sql.engine import Database, unavailable
from remediator.adapters.sql.writer import Group, Work

T = TypeVar("T")


class Faults(Protocol):
    """What a simulation does to the store. `name` is the journal's method."""

    async def before_commit(self, name: str) -> None:
        """Raise JournalUnavailable: nothing is stored."""
        ...

    async def after_commit(self, name: str) -> None:
        """Raise JournalUnavailable: stored, but the caller does not know."""
        ...

    async def before_read(self, name: str) -> None:
        """Raise JournalUnavailable: no answer."""
        ...


class InlineWriter:
    """One transaction at a time, in the order of the calls. After a crash, make a new one on the same database."""

    def __init__(self, database: Database, group: Group, *, faults: Faults | None = None) -> None:
        self._database = database
        self._connection = database.connect_writer()
        self._group = group
        self._faults = faults
        # A fault that sleeps must not let another transaction into this one.
        self._turn = asyncio.Lock()

    async def control(self, name: str, work: Work[T]) -> T:
        async with self._turn:
            try:
                # Left in any other way than through the end, also by CancelledError, it rolls back.
                with self._connection.begin():
                    result = work(self._connection)
                    if self._faults:
                        await self._faults.before_commit(name)
            except SQLAlchemyError as exc:
                raise unavailable(exc, "not stored") from exc
            if self._faults:
                await self._faults.after_commit(name)
            return result

    async def grouped(self, delivery: Any, size: int) -> Any:
        return (await self.control("accept", lambda connection: self._group(connection, [delivery])))[0]

    async def read(self, work: Work[T]) -> T:
        async with self._turn:
            if self._faults:
                await self._faults.before_read("read")
            try:
                with self._connection.begin():
                    return work(self._connection)
            except SQLAlchemyError as exc:
                raise unavailable(exc, "cannot read") from exc

    async def close(self) -> None:
        return
