"""The writer thread: grouping, the priority lane, savepoints, bounds, and what callers hear when the store fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import OperationalError

from remediator.adapters.sql import writer as writer_module
from remediator.adapters.sql.engine import SqliteFile
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.schema import playbooks
from remediator.adapters.sql.writer import ThreadWriter
from remediator.errors import JournalUnavailable
from remediator.remediation.journal import Accepted, Attempt, AttemptRefused
from tests.journal.given import alert, attempt, opened, reserved
from tests.support.building import NOW


class Gate:
    """Hooks that note each transaction and, while shut, hold the writer before its commit."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.fail_before: Exception | None = None
        self.fail_after: Exception | None = None

    def before_commit(self, names: Sequence[str]) -> None:
        self.waiting.set()
        assert self.open.wait(10)
        self.transactions.append(list(names))
        error, self.fail_before = self.fail_before, None
        if error:
            raise error

    def after_commit(self, names: Sequence[str]) -> None:
        error, self.fail_after = self.fail_after, None
        if error:
            raise error


class Store:
    """A writer over a file whose group function stores each delivery as a row; `bad` deliveries break."""

    def __init__(self, path: Path) -> None:
        self.gate = Gate()
        self.database = SqliteFile(path)
        self.writer = ThreadWriter(self.database, self._group, hooks=self.gate)

    def _group(self, connection: Connection, deliveries: Sequence[Any]) -> list[Any]:
        for name in deliveries:
            put(name)(connection)
            if name.startswith("bad"):
                raise ValueError(name)
        return [f"took {name}" for name in deliveries]

    async def names(self) -> list[str]:
        return await self.writer.read(lambda c: list(c.scalars(select(playbooks.c.name).order_by(playbooks.c.name))))

    async def behind_a_shut_gate(self) -> asyncio.Task[Any]:
        """One transaction in the writer, held before its commit, so that what comes now waits together."""
        self.gate.open.clear()
        self.gate.waiting.clear()
        first = asyncio.create_task(self.writer.control("first", put("first")))
        await asyncio.to_thread(self.gate.waiting.wait, 10)
        return first


def put(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(playbooks).values(name=name, text="", hash="", saved_at=0))
        return name

    return work


def breaks(name: str, error: Exception) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        put(name)(connection)
        raise error

    return work


@pytest.fixture
async def store(path: Path):
    store = Store(path)
    yield store
    store.gate.open.set()
    await store.writer.close()
    store.database.close()


async def _start(*calls: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_whoever_waits_together_shares_one_transaction(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(*(store.writer.grouped(f"d{n}", 1) for n in range(5)), store.writer.control("c", put("c")))
    store.gate.open.set()
    assert await first == "first"
    assert await asyncio.gather(*tasks) == [*(f"took d{n}" for n in range(5)), "c"]
    assert store.gate.transactions == [["first"], ["c", "accept"]]


async def test_control_goes_first_even_if_it_came_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause does not stand in line behind a flood of alerts."""
    monkeypatch.setattr(writer_module, "GROUP_AT_ONCE", 2)
    first = await store.behind_a_shut_gate()
    tasks = await _start(*(store.writer.grouped(f"d{n}", 1) for n in range(6)), store.writer.control("pause", put("p")))
    store.gate.open.set()
    await asyncio.gather(first, *tasks)
    assert store.gate.transactions == [["first"], ["pause", "accept"], ["accept"], ["accept"]]


async def test_within_a_transaction_too(store: Store) -> None:
    first = await store.behind_a_shut_gate()

    def look(connection: Connection) -> list[str]:
        return list(connection.scalars(select(playbooks.c.name).order_by(playbooks.c.name)))

    delivery, seen = await _start(store.writer.grouped("d", 1), store.writer.control("look", look))
    store.gate.open.set()
    await asyncio.gather(first, delivery)
    assert await seen == ["first"]


async def test_nobody_hears_before_the_commit(store: Store) -> None:
    store.gate.open.clear()
    tasks = await _start(store.writer.control("c", put("c")), store.writer.grouped("d", 1))
    done, _ = await asyncio.wait(tasks, timeout=0.1)
    assert not done
    assert await store.names() == [], "a reader sees only what is committed"
    store.gate.open.set()
    await asyncio.gather(*tasks)
    assert await store.names() == ["c", "d"]


async def test_a_read_sees_what_was_handed_out(store: Store) -> None:
    for n in range(20):
        await store.writer.control("c", put(f"{n:02}"))
        assert len(await store.names()) == n + 1


# One fails, the others do not -----------------------------------------------------------------------------------------


async def test_a_failure_is_its_own_callers_alone(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(
        store.writer.control("a", put("a")),
        store.writer.control("b", breaks("b", ValueError("mine"))),
        store.writer.control("c", put("c")),
        store.writer.grouped("d", 1),
    )
    store.gate.open.set()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == "a"
    assert isinstance(results[1], ValueError)
    assert results[2:] == ["c", "took d"]
    assert await store.names() == ["a", "c", "d", "first"]
    assert len(store.gate.transactions) == 2


async def test_a_rule_of_the_database_is_a_failure_like_any(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(
        store.writer.control("a", put("same")), store.writer.control("b", put("same")), store.writer.grouped("d", 1)
    )
    store.gate.open.set()
    await first
    a, b, d = await asyncio.gather(*tasks, return_exceptions=True)
    assert (a, d) == ("same", "took d")
    assert isinstance(b, JournalUnavailable)
    assert "UNIQUE" in str(b)
    assert "INSERT" not in str(b), "no statement in a message"


async def test_a_bad_delivery_is_its_own_senders_trouble(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(*(store.writer.grouped(name, 1) for name in ("d1", "bad", "d2")))
    store.gate.open.set()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == ("took d1", "took d2")
    assert isinstance(results[1], ValueError)
    assert await store.names() == ["d1", "d2", "first"]


async def test_a_caller_who_left_before_his_turn_is_not_served(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    gone, there = await _start(store.writer.control("gone", put("gone")), store.writer.control("there", put("there")))
    gone.cancel()
    store.gate.open.set()
    await asyncio.gather(first, there)
    assert await store.names() == ["first", "there"]


async def test_a_caller_who_leaves_later_disturbs_nobody(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    first.cancel()
    store.gate.open.set()
    assert await store.writer.control("c", put("c")) == "c"


# The store fails ------------------------------------------------------------------------------------------------------


async def test_a_failure_before_the_commit_stores_nothing_for_anybody(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(store.writer.control("a", put("a")), store.writer.grouped("d", 1))
    store.gate.fail_before = None
    store.gate.open.set()
    await first
    await asyncio.gather(*tasks)
    store.gate.fail_before = JournalUnavailable("disk full")
    with pytest.raises(JournalUnavailable, match="disk full"):
        await store.writer.control("b", put("b"))
    assert await store.names() == ["a", "d", "first"]
    assert await store.writer.control("b", put("b")) == "b"


async def test_whoever_failed_by_himself_hears_his_own_error(store: Store) -> None:
    store.gate.fail_before = JournalUnavailable("disk full")
    with pytest.raises(ValueError, match="mine"):
        await store.writer.control("b", breaks("b", ValueError("mine")))


async def test_after_an_unclear_commit_the_caller_has_to_look(store: Store) -> None:
    store.gate.fail_after = JournalUnavailable("whether it was stored is unknown")
    with pytest.raises(JournalUnavailable, match="unknown"):
        await store.writer.control("a", put("a"))
    assert await store.names() == ["a"]


async def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    """A real SQLITE_FULL, which rolls the whole transaction back by itself."""
    store = Store(path)

    def fill(connection: Connection) -> str:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.execute(insert(playbooks).values(name="big", text="x" * 10_000_000, hash="", saved_at=0))
        return "stored"

    first = await store.behind_a_shut_gate()
    tasks = await _start(
        store.writer.control("a", put("a")), store.writer.control("big", fill), store.writer.grouped("d", 1)
    )
    store.gate.open.set()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(r, JournalUnavailable) and "full" in str(r) for r in results)
    stored = await store.names()
    for name, result in zip(("a", "big", "d"), results, strict=True):
        assert (name in stored) is not isinstance(result, JournalUnavailable), "told exactly what happened"
    assert await store.writer.control("after", put("after")) == "after"
    await store.writer.close()
    store.database.close()


async def test_a_read_only_store_refuses_and_recovers(store: Store) -> None:
    def read_only(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=ON")

    await store.writer.control("x", read_only)
    with pytest.raises(JournalUnavailable, match="readonly"):
        await store.writer.control("a", put("a"))

    def writable(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=OFF")

    await store.writer.control("x", writable)
    assert await store.writer.control("a", put("a")) == "a"


async def test_a_locked_file_refuses_and_recovers(store: Store, path: Path) -> None:
    """A backup tool that holds the file for too long."""

    def impatient(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")

    await store.writer.control("x", impatient)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailable, match="nothing was stored: OperationalError: database is locked"):
        await store.writer.control("a", put("a"))
    other.execute("ROLLBACK")
    other.close()
    assert await store.writer.control("a", put("a")) == "a"


async def test_a_failed_commit_says_that_nobody_knows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def do_commit(self, dbapi_connection: Any) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    await store.writer.control("a", put("a"))
    dialect = store.database._writing.dialect
    monkeypatch.setattr(dialect, "do_commit", Broken().do_commit)
    tasks = await _start(store.writer.control("b", put("b")), store.writer.grouped("d", 1))
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, JournalUnavailable)
        assert "whether it was stored is unknown" in str(result)
        assert not isinstance(result, OperationalError)
    monkeypatch.undo()
    assert await store.writer.control("c", put("c")) == "c"
    assert await store.names() == ["a", "c"]


async def test_a_broken_reader_recovers(store: Store) -> None:
    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT * FROM nothing_of_that_name")

    with pytest.raises(JournalUnavailable, match="cannot read"):
        await store.writer.read(broken)
    assert await store.names() == []


async def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(JournalUnavailable, match="readonly"):
        await store.writer.read(put("a"))


# Bounds ---------------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.writer, "_grouped_limit", 3)
    monkeypatch.setattr(writer_module, "CONTROL_LIMIT", 1)
    first = await store.behind_a_shut_gate()
    tasks = await _start(store.writer.grouped("d1", 2), store.writer.grouped("d2", 2))
    with pytest.raises(JournalUnavailable, match="queue is full"):
        await store.writer.grouped("d3", 1)
    tasks += await _start(store.writer.control("c", put("c")))  # a lane of its own
    with pytest.raises(JournalUnavailable, match="queue is full"):
        await store.writer.control("c2", put("c2"))
    store.gate.open.set()
    await asyncio.gather(first, *tasks)
    assert await store.writer.grouped("d4", 1) == "took d4"


async def test_closing_writes_what_waits_and_takes_no_more(store: Store) -> None:
    first = await store.behind_a_shut_gate()
    tasks = await _start(store.writer.control("a", put("a")), store.writer.grouped("d", 1))
    closing = asyncio.create_task(store.writer.close())
    await asyncio.sleep(0)
    for call in (store.writer.control("b", put("b")), store.writer.grouped("e", 1), store.writer.read(put("f"))):
        with pytest.raises(JournalUnavailable, match="closed"):
            await call
    store.gate.open.set()
    await asyncio.gather(first, *tasks, closing)


# On the journal itself ------------------------------------------------------------------------------------------------


async def test_a_flood_of_alerts_and_control_writes_together(path: Path) -> None:
    """Every caller gets the answer that belongs to it, and nothing is lost or doubled."""
    journal = SqlJournal.open_file(path)

    async def sender(number: int) -> Accepted:
        total = Accepted()
        for n in range(20):
            got = await journal.accept([alert(f"own-{number}-{n}"), alert(f"shared-{n}")], NOW)
            total = Accepted(new=total.new + got.new, known=total.known + got.known)
        return total

    async def worker(number: int) -> int:
        r = await reserved(journal, await opened(journal, number))
        for n in range(5):
            row = await journal.record_attempt(attempt(r, effect_id=f"{r.id}/{n}"), NOW)
            await journal.record_outcome(row.id, "done", "", NOW)  # type: ignore[union-attr]
        return r.epoch

    senders, workers = await asyncio.gather(
        asyncio.gather(*(sender(n) for n in range(10))), asyncio.gather(*(worker(n) for n in range(1, 9)))
    )
    assert sum(got.new for got in senders) == 10 * 20 + 20
    assert sum(got.known for got in senders) == 9 * 20
    assert len(set(workers)) == 8
    assert len(await journal.undecided(9999)) == 220
    for n in range(1, 9):
        rows = await journal.attempts(f"r-{n}")
        assert [row.outcome for row in rows] == ["done"] * 5
    await journal.close()


async def test_a_pause_and_an_attempt_at_once_are_put_in_order(path: Path) -> None:
    """Whichever commits first: never a row after a pause that covers it."""
    journal = SqlJournal.open_file(path)
    r = await reserved(journal, await opened(journal))
    for n in range(30):
        before, pause, after = await asyncio.gather(
            journal.record_attempt(attempt(r, effect_id=f"e{n}.1"), NOW),
            journal.pause("everything", "ann", "", None, NOW),
            journal.record_attempt(attempt(r, effect_id=f"e{n}.2"), NOW),
        )
        assert isinstance(before, Attempt)
        assert isinstance(after, AttemptRefused)
        await journal.resume(pause.id, "ann", NOW)
    await journal.close()


async def test_a_delivery_that_cannot_be_stored_harms_nobody_else(path: Path) -> None:
    """A lone surrogate is text to Python and nothing to SQLite."""
    journal = SqlJournal.open_file(path)
    good, bad = await asyncio.gather(
        journal.accept([alert("Good")], NOW),
        journal.accept([alert("Bad", source="\ud800")], NOW),
        return_exceptions=True,
    )
    assert good == Accepted(new=1)
    assert isinstance(bad, UnicodeEncodeError)
    await journal.close()
