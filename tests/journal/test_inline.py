"""The writer without threads: the same answers, faults on demand, crashes that drop what is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import JournalUnavailable
from remediator.remediation.journal import StaleRemediation
from remediator.remediation.state import State
from tests.journal.given import alert, begun, moved, opened, to
from tests.support.building import NOW


class Faults:
    """What happens next, once."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.before: Exception | asyncio.Event | None = None
        self.after: Exception | asyncio.Event | None = None
        self.reading: Exception | None = None

    async def before_commit(self, name: str) -> None:
        self.names.append(name)
        await self._happen("before")

    async def after_commit(self, name: str) -> None:
        await self._happen("after")

    async def before_read(self, name: str) -> None:
        await self._happen("reading")

    async def _happen(self, when: str) -> None:
        fault = getattr(self, when)
        setattr(self, when, None)
        if isinstance(fault, asyncio.Event):
            await fault.wait()
        elif fault is not None:
            raise fault


@pytest.fixture
async def database() -> AsyncIterator[SqliteMemory]:
    database = SqliteMemory()
    yield database
    database.dispose()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def faulty(database: SqliteMemory, faults: Faults) -> SqlJournal:
    return SqlJournal.in_memory(database, faults=faults)


async def test_a_fault_before_the_commit_stores_nothing(faulty: SqlJournal, faults: Faults) -> None:
    faults.before = JournalUnavailable("down")
    with pytest.raises(JournalUnavailable, match="down"):
        await faulty.accept([alert()], NOW)
    assert await faulty.undecided(9) == ()
    await faulty.accept([alert()], NOW)
    assert faults.names == ["accept", "accept"]


async def test_a_fault_after_the_commit_stores_and_does_not_say(faulty: SqlJournal, faults: Faults) -> None:
    faults.after = JournalUnavailable("unknown")
    with pytest.raises(JournalUnavailable, match="unknown"):
        await faulty.open(begun(), NOW)
    assert await faulty.get("r-1") is not None


async def test_a_fault_when_reading(faulty: SqlJournal, faults: Faults) -> None:
    faults.reading = JournalUnavailable("down")
    with pytest.raises(JournalUnavailable):
        await faulty.get("r-1")
    assert await faulty.get("r-1") is None


async def test_a_slow_commit_lets_nobody_into_its_transaction(faulty: SqlJournal, faults: Faults) -> None:
    slow = faults.before = asyncio.Event()
    first = asyncio.create_task(faulty.accept([alert("A")], NOW))
    await asyncio.sleep(0)
    second = asyncio.create_task(faulty.accept([alert("B")], NOW))
    reading = asyncio.create_task(faulty.undecided(9))
    done, _ = await asyncio.wait([first, second, reading], timeout=0.02)
    assert not done
    slow.set()
    assert (await first).new == (await second).new == 1
    assert len(await reading) == 2, "served in the order of the calls"


async def test_a_crash_drops_the_open_transaction(database: SqliteMemory, faulty: SqlJournal, faults: Faults) -> None:
    await faulty.accept([alert("A")], NOW)
    faults.before = asyncio.Event()  # never set
    dying = asyncio.create_task(faulty.accept([alert("B")], NOW))
    await asyncio.sleep(0)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    reborn = SqlJournal.in_memory(database)
    assert [r.alert.name for r in await reborn.undecided(9)] == ["A"]


async def test_a_crash_without_a_goodbye_does_too(database: SqliteMemory, faulty: SqlJournal, faults: Faults) -> None:
    """A simulation may simply stop running the old tasks."""
    hanging = faults.before = asyncio.Event()
    abandoned = asyncio.create_task(faulty.accept([alert("B")], NOW))
    await asyncio.sleep(0)
    reborn = SqlJournal.in_memory(database)
    assert await reborn.undecided(9) == ()
    assert (await reborn.accept([alert("B")], NOW)).new == 1
    assert len(await reborn.undecided(9)) == 1
    hanging.set()
    (zombie,) = await asyncio.gather(abandoned, return_exceptions=True)
    assert isinstance(zombie, JournalUnavailable), "the old process is not told that it committed"
    assert len(await reborn.undecided(9)) == 1
    with pytest.raises(JournalUnavailable):
        await faulty.ping()


async def test_what_the_work_raises_rolls_it_back(faulty: SqlJournal) -> None:
    r = await opened(faulty)
    await moved(faulty, to(r, State.HELD))
    with pytest.raises(StaleRemediation):
        await moved(faulty, to(r, State.PLANNED))
    assert len(await faulty.history(r.id)) == 2


async def test_a_journal_without_its_own_database_starts_empty() -> None:
    for _ in range(2):
        journal = SqlJournal.in_memory()
        assert (await journal.accept([alert()], NOW)).new == 1
        await journal.close()
