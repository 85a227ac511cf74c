"""One service process of a schedule: the real core with its real loops, behind a gate through which every call to the
outside goes. At the gate it can be killed (kill -9: nothing of it has any effect any more) or frozen (SIGSTOP).

Calls that are under way live on outside: a request of a dead process may still arrive, its transaction is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.registry import load_actions
from remediator.adapters.simulated.clock import START
from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.policy import Policy
from remediator.playbooks.catalog import Catalog
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.upkeep import for_ever
from tests.sim.scenario import Trouble
from tests.sim.store import Store
from tests.support.simloop import PROCESS, SimLoop
from tests.support.world import ROUTES

ACTIONS = load_actions()


class Clock:
    """The wall clock of one machine can jump; boot time and sleeping do not."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.now) + self.ahead

    def boot(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Gate:
    """Where calls leave a process."""

    def __init__(
        self, name: str, loop: SimLoop, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    ) -> None:
        self.name = name
        self._loop = loop
        self._spawn = spawn
        self._transactions: set[asyncio.Task[Any]] = set()
        self._counts: dict[str, int] = {}
        self.dead = False
        self.troubles: list[Trouble] = []
        self.on_kill: Callable[[float], None] = lambda lasts: None
        self.frozen_at: list[tuple[float, float]] = []

    async def through(self, name: str, call: Callable[[], Coroutine[Any, Any, Any]], *, store: bool = False) -> Any:
        trouble = self._next(name)
        await self._strike(trouble, "before")
        if self.dead:
            raise asyncio.CancelledError
        task = self._spawn(call())
        task.add_done_callback(_heard)
        if store:
            self._transactions.add(task)
            task.add_done_callback(self._transactions.discard)
        if trouble is not None and trouble.when == "during":
            self._loop.call_soon(self._do, trouble, context=copy_context_of_world())
        result = await asyncio.shield(task)
        await self._strike(trouble, "after")
        if self.dead:
            raise asyncio.CancelledError
        return result

    def _next(self, name: str) -> Trouble | None:
        """The trouble that waits for this call, if any. One at a time, in their order."""
        if not self.troubles:
            return None
        first = self.troubles[0]
        if first.call not in ("any", name):
            return None
        self._counts[first.call] = self._counts.get(first.call, 0) + 1
        if self._counts[first.call] < first.number * (20 if first.call == "any" else 1):
            return None
        self._counts.clear()
        return self.troubles.pop(0)

    async def _strike(self, trouble: Trouble | None, when: str) -> None:
        if trouble is not None and trouble.when == when:
            self._do(trouble)
            await asyncio.sleep(0)

    def _do(self, trouble: Trouble) -> None:
        if self.dead:
            return
        if trouble.kind == "kill":
            self.on_kill(trouble.lasts)
        elif not self._loop.is_frozen(self.name):
            self.frozen_at.append((self._loop.now, self._loop.now + trouble.lasts))
            self._loop.freeze(self.name)
            self._loop.call_later(trouble.lasts, self._loop.thaw, self.name, context=copy_context_of_world())

    def cut(self) -> None:
        self.dead = True
        self.troubles = []
        for task in list(self._transactions):
            task.cancel()


def _heard(task: asyncio.Task[Any]) -> None:
    """Its caller may be gone."""
    if not task.cancelled():
        task.exception()


def copy_context_of_world() -> Any:
    context = copy_context()
    context.run(PROCESS.set, "")
    return context


class GatedWriter:
    """The store as this process reaches it."""

    def __init__(self, gate: Gate, store: Store) -> None:
        self._gate, self._store = gate, store

    async def control(self, name: str, work: Any) -> Any:
        return await self._gate.through(name, lambda: self._store.by(self._gate.name, name, work), store=True)

    async def grouped(self, delivery: Any, size: int) -> Any:
        return (await self.control("accept", lambda c: self._store._group(c, [delivery])))[0]

    async def read(self, work: Any) -> Any:
        return await self._gate.through("read", lambda: self._store.read(work), store=True)

    async def close(self) -> None:
        return


class GatedCluster:
    """The API server as this process reaches it. `on_send` hears of each request as it leaves."""

    def __init__(self, gate: Gate, real: Any, on_send: Callable[[str, Any], None]) -> None:
        self._gate, self._real, self._on_send = gate, real, on_send

    @property
    def name(self) -> str:
        return str(self._real.name)

    async def get(self, ref: Any) -> Any:
        return await self._gate.through("get", lambda: self._real.get(ref))

    async def list(self, kind: str, namespace: str = "", **options: Any) -> Any:
        return await self._gate.through("list", lambda: self._real.list(kind, namespace, **options))

    async def write(self, request: Any, *, dry_run: bool = False) -> Any:
        if dry_run:
            return await self._gate.through("rehearse", lambda: self._real.write(request, dry_run=True))

        def sent() -> Coroutine[Any, Any, Any]:
            self._on_send(self._gate.name, request)
            real: Coroutine[Any, Any, Any] = self._real.write(request)
            return real

        return await self._gate.through("write", sent)

    async def server_time(self) -> Any:
        return await self._gate.through("get", self._real.server_time)

    async def logs(self, *args: Any, **options: Any) -> Any:
        return await self._gate.through("logs", lambda: self._real.logs(*args, **options))


class GatedQueries:
    def __init__(self, gate: Gate, real: Any) -> None:
        self._gate, self._real = gate, real

    async def instant(self, query: str) -> Any:
        return await self._gate.through("query", lambda: self._real.instant(query))

    async def range(self, query: str, **options: Any) -> Any:
        return await self._gate.through("query", lambda: self._real.range(query, **options))

    async def rules(self, alertname: str) -> Any:
        return await self._gate.through("query", lambda: self._real.rules(alertname))

    async def close(self) -> None:
        return


class Process:
    """`start` runs it until `kill`."""

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        store: Store,
        cluster: Any,
        queries: Any,
        catalog: Catalog,
        policy: Policy,
        ids: Callable[[], str],
        on_send: Callable[[str, Any], None],
        *,
        alone: bool,
        idle: Callable[[], float],
    ) -> None:
        self.name = name
        self.clock = Clock(loop)
        self.gate = Gate(name, loop, spawn)
        self._loop, self._alone, self._idle = loop, alone, idle
        self.journal = SqlJournal(store.database, GatedWriter(self.gate, store))
        self._context = copy_context()
        self._context.run(PROCESS.set, name)
        self.ready = False
        self.alerts = asyncio.Event()
        self.core: Core = assemble(
            Ports(
                clusters={"c1": GatedCluster(self.gate, cluster, on_send)},  # type: ignore[dict-item]  # no watch
                journal=self.journal,
                clock=self.clock,
                queries=GatedQueries(self.gate, queries),
            ),
            Settings(policy=policy, routes=ROUTES),
            lambda: catalog,
            holder=name,
            ids=ids,
            on_frozen=lambda gap: self.gate.on_kill(1.0),
            actions=ACTIONS,
        )

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something inside this process."""
        return self._loop.create_task(coroutine, context=self._context)

    def start(self) -> None:
        self.do(self._run())

    async def _run(self) -> None:
        if self._alone:
            await self._until_done(lambda: self.journal.takeover(self.name))
        self.ready = True
        self.do(for_ever("intake", self._take_alerts, self.clock, self.alerts))
        self.do(self.core.runner.run())

    async def _until_done(self, call: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await call()
                return
            except Exception:
                await self.clock.sleep(1.0)

    async def _take_alerts(self) -> float:
        await self.core.intake.take_all()
        return self._idle()

    def kill(self) -> None:
        """Nothing that its tasks do from now on reaches the outside; cancelling them only tidies up."""
        self.gate.cut()
        self._loop.thaw(self.name)
        for task in self._loop.tasks_of(self.name):
            task.cancel()
