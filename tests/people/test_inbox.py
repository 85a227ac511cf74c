"""What was said to us is dealt with: once if all goes well, again after trouble, and never behind one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import JournalUnavailable
from remediator.people.inbox import AT_ONCE, GIVE_UP_AFTER, Inbox, Later
from remediator.people.inbox_rows import InboxStore, Incoming


@pytest.fixture
async def store() -> AsyncIterator[SqlJournal]:
    database = SqliteMemory()
    journal = SqlJournal.in_memory(database)
    yield journal
    await journal.close()
    database.dispose()


class Handling:
    """A handler that remembers, and raises what it is told to."""

    def __init__(self, *raises: BaseException) -> None:
        self.seen: list[Incoming] = []
        self.raises = list(raises)

    async def __call__(self, item: Incoming) -> str:
        self.seen.append(item)
        if self.raises:
            raise self.raises.pop(0)
        return "done"

    @property
    def keys(self) -> list[str]:
        return [item.key for item in self.seen]


def click(key: str = "k1", **body: object) -> Incoming:
    return Incoming(source="slack", key=key, body=body)


def is_a_store(journal: SqlJournal) -> InboxStore:
    """mypy holds SqlJournal to the Protocol here."""
    return journal


async def test_each_row_is_dealt_with_once_oldest_first(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling()
    for key in ("b", "a"):
        assert await store.take_in(click(key, n=1), clock.now())
    inbox = Inbox(store, {"slack": handling}, clock)
    assert await inbox.run_once() == 2
    assert handling.keys == ["b", "a"]
    assert handling.seen[0].body == {"n": 1}
    assert handling.seen[0].received_at == clock.now()
    assert await inbox.run_once() == 0


async def test_said_twice_is_stored_once_also_after_it_was_dealt_with(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling()
    assert await store.take_in(click(), clock.now())
    assert not await store.take_in(click(), clock.now())
    await Inbox(store, {"slack": handling}, clock).run_once()
    assert not await store.take_in(click(), clock.now())
    assert await store.take_in(Incoming(source="pagerduty", key="k1", body={}), clock.now())


@pytest.mark.parametrize("trouble", [Later("not yet"), JournalUnavailable("down"), ValueError("a defect")])
async def test_what_cannot_be_dealt_with_comes_again_with_back_off(store: SqlJournal, trouble: Exception) -> None:
    clock, handling = VirtualClock(), Handling(trouble, trouble)
    await store.take_in(click(), clock.now())
    inbox = Inbox(store, {"slack": handling}, clock)
    ran = []
    for _ in range(5):
        ran.append(await inbox.run_once())
        clock.advance(1)
    assert ran == [1, 1, 0, 1, 0], "after 1 s, then after 2 s, then it is done"
    assert [item.tries for item in handling.seen] == [0, 1, 2]


async def test_a_handler_may_say_when(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling(Later("busy", after_s=30))
    await store.take_in(click(), clock.now())
    inbox = Inbox(store, {"slack": handling}, clock)
    await inbox.run_once()
    clock.advance(29)
    assert await inbox.run_once() == 0
    clock.advance(1)
    assert await inbox.run_once() == 1


async def test_it_is_given_up_after_a_day(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling(*[Later("never")] * 9)
    await store.take_in(click(), clock.now())
    inbox = Inbox(store, {"slack": handling}, clock)
    await inbox.run_once()
    clock.advance(GIVE_UP_AFTER.total_seconds())
    assert await inbox.run_once() == 1
    clock.advance(3600)
    assert await inbox.run_once() == 0


async def test_one_broken_row_keeps_no_other_from_being_dealt_with(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling(ValueError("a defect"))
    for key in ("bad", "good"):
        await store.take_in(click(key), clock.now())
    await Inbox(store, {"slack": handling}, clock).run_once()
    assert [item.key for item in await store.incoming(clock.now() + timedelta(hours=1), 9)] == ["bad"]


async def test_a_row_without_a_handler_waits_for_one(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling()
    await store.take_in(Incoming(source="pagerduty", key="p", body={}), clock.now())
    await store.take_in(click(), clock.now())
    await Inbox(store, {"slack": handling}, clock).run_once()
    assert handling.keys == ["k1"]
    clock.advance(1)
    await Inbox(store, {"pagerduty": handling}, clock).run_once()
    assert handling.keys == ["k1", "p"]


async def test_nobody_waits_behind_a_row_that_hangs(store: SqlJournal) -> None:
    clock, dealt, free = VirtualClock(), asyncio.Event(), asyncio.Event()

    async def handle(item: Incoming) -> str:
        if item.key == "hangs":
            await free.wait()
        dealt.set()
        return "done"

    inbox = Inbox(store, {"slack": handle}, clock)
    await store.take_in(click("hangs"), clock.now())
    task = asyncio.create_task(inbox.run())
    await store.take_in(click("next"), clock.now())
    inbox.poke()
    async with asyncio.timeout(5):
        await dealt.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_click_that_waits_is_not_forgotten_and_one_that_is_done_goes_after_a_week(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling()
    await store.take_in(click("done", secret="https://hooks"), clock.now())
    await Inbox(store, {"slack": handling}, clock).run_once()
    await store.take_in(click("waits"), clock.now())
    assert (await store.purge(clock.now() + timedelta(days=7)))["inbox"] == 0
    assert (await store.purge(clock.now() + timedelta(days=8)))["inbox"] == 1
    assert [item.key for item in await store.incoming(clock.now(), 9)] == ["waits"]


async def test_what_came_before_the_clock_was_set_back_does_not_wait_for_that_hour(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling(Later("not yet"))
    before = clock.now() + timedelta(hours=1)
    for key in ("fresh", "put off"):
        await store.take_in(click(key), before)
    row = (await store.incoming(before, 9))[1]
    await store.put_off(row.id, "not yet", before + timedelta(seconds=30), before)
    inbox = Inbox(store, {"slack": handling}, clock)
    assert [await inbox.run_once() for _ in range(2)] == [2, 0], "put off as anything else, without a busy loop"
    clock.advance(2)
    assert [await inbox.run_once() for _ in range(2)] == [1, 0]


async def test_a_source_that_hangs_keeps_no_other_waiting(store: SqlJournal) -> None:
    clock, handling = VirtualClock(), Handling()
    full, stuck, under_way = asyncio.Event(), asyncio.Event(), itertools.count(1)

    async def hangs(item: Incoming) -> str:
        if next(under_way) == AT_ONCE:
            full.set()
        await stuck.wait()
        return "at last"

    for number in range(AT_ONCE + 5):
        await store.take_in(Incoming(source="pagerduty", key=f"event-{number}", body={}), clock.now())
    inbox = Inbox(store, {"pagerduty": hangs, "slack": handling}, clock)
    waiting = asyncio.create_task(inbox.run_once())
    await full.wait()
    await store.take_in(click(), clock.now())
    assert await inbox.run_once() == 1
    stuck.set()
    assert await waiting == AT_ONCE
    assert await inbox.run_once() == 5
