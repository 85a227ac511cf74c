"""The watching half of the observer: hours of virtual time, on a cluster whose watches end as a real server's do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from remediator.actions.view import Revision
from remediator.adapters.simulated import FailRead, NoFaults, SimulatedCluster
from remediator.adapters.simulated.clock import START
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import CannotSee
from remediator.objects import ObjectRef
from remediator.remediation.observer import Observer
from tests.support.simloop import SimLoop, run
from tests.support.world import deployment

API = ObjectRef("Deployment", "shop", "api")
HOUR = 3600.0


class LoopClock:
    """The loop's virtual time."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())

    def boot(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Unreachable(NoFaults):
    """No list and no watch gets through while `down`; counts the lists that do."""

    def __init__(self) -> None:
        self.down = False
        self.lists = 0

    def on_read(self, verb, ref):
        if self.down:
            return FailRead(CannotSee("no route to host"))
        self.lists += verb == "list"
        return None


class Watched:
    """A rolled-out Deployment, and an observer at work on it since `since`."""

    def __init__(self, loop: SimLoop, namespace: str) -> None:
        self.clock = LoopClock(loop)
        self.faults = Unreachable()
        self.cluster = SimulatedCluster(
            "c1", self.clock, schedule=loop.call_later, watch_s=60.0, faults=self.faults, latency=lambda: 0.01
        )
        self.cluster.apply(deployment())
        self.journal = SqlJournal.in_memory(SqliteMemory())
        self.observer = Observer(self.cluster, self.journal, self.clock, namespaces=[namespace] if namespace else ())

    async def rows(self) -> tuple[Revision, ...]:
        obj = await self.cluster.get(API)
        return await self.journal.revisions("c1", obj["metadata"]["uid"])

    async def row(self) -> Revision:
        (row,) = await self.rows()
        return row


def watch(story: Callable[[Watched], Awaitable[None]], namespace: str = "") -> None:
    async def world(loop: SimLoop) -> None:
        watched = Watched(loop, namespace)
        await asyncio.sleep(300)
        observing = asyncio.create_task(watched.observer.run())
        await asyncio.sleep(60)
        await story(watched)
        assert not observing.done()

    run(world, seed=1)


def test_watches_that_end_every_minute_are_no_gap() -> None:
    async def story(watched: Watched) -> None:
        since = (await watched.row()).available_since
        assert since is not None
        await asyncio.sleep(35 * 60)
        assert (await watched.row()).healthy
        await asyncio.sleep(4 * HOUR)
        assert (await watched.row()).available_since == since
        assert watched.faults.lists == 3, "each kind is listed once; then its watch goes on where it ended"

    watch(story)


def test_a_watch_that_cannot_go_on_where_it_ended_is_no_gap_either() -> None:
    """In a quiet namespace of a busy cluster the last version seen is soon too old for the server (410)."""

    async def story(watched: Watched) -> None:
        since = (await watched.row()).available_since
        for _ in range(4 * 60):
            watched.cluster._world.store.forget()
            await asyncio.sleep(60)
        row = await watched.row()
        assert (row.healthy, row.available_since) == (True, since)

    watch(story, namespace="shop")


def test_a_gap_begins_the_span_anew() -> None:
    async def story(watched: Watched) -> None:
        await asyncio.sleep(15 * 60)
        watched.faults.down = True
        watched.cluster.break_watches()
        await asyncio.sleep(600)
        watched.faults.down = False
        back = watched.clock.now()
        await asyncio.sleep(20 * 60)
        row = await watched.row()
        assert row.available_since is not None
        assert back <= row.available_since <= back + timedelta(seconds=10)
        assert not row.healthy
        await asyncio.sleep(11 * 60)
        assert (await watched.row()).healthy

    watch(story)


def test_an_outage_that_begins_when_a_watch_ends_is_a_gap() -> None:
    async def story(watched: Watched) -> None:
        await asyncio.sleep(15 * 60)
        watched.faults.down = True  # the watches end by themselves, and cannot go on
        await asyncio.sleep(600)
        watched.faults.down = False
        back = watched.clock.now()
        await asyncio.sleep(20 * 60)
        row = await watched.row()
        assert row.available_since is not None
        assert row.available_since >= back
        assert not row.healthy

    watch(story)


def test_what_was_deleted_in_a_gap_is_forgotten() -> None:
    async def story(watched: Watched) -> None:
        uid = (await watched.cluster.get(API))["metadata"]["uid"]
        watched.faults.down = True
        watched.cluster.break_watches(forget=True)
        await asyncio.sleep(30)
        watched.cluster.delete(API)
        watched.cluster._world.store.forget()
        await asyncio.sleep(30)
        watched.faults.down = False
        await asyncio.sleep(3 * HOUR)
        (row,) = await watched.journal.revisions("c1", uid)
        assert not row.healthy, "time passes only for what exists"

    watch(story)
