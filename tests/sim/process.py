"""One service process of a schedule: the real core with its real loops, behind a gate through which every call to the
outside goes. At the gate it can be killed (kill -9: nothing of it has any effect any more) or frozen (SIGSTOP).

Calls that are under way live on outside: a request of a dead process may still arrive, its transaction is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated.clock import START
from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import JournalUnavailable
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Verdict
from remediator.people.carrier import Carrier
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.projects import Project
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.draft import Decision
from remediator.remediation.state import Remediation
from remediator.upkeep import for_ever
from tests.sim.acting import ACTIONS
from tests.sim.alertmanager import Silences
from tests.sim.callees import Callee
from tests.sim.scenario import Trouble
from tests.sim.slack import Pager, Slack
from tests.sim.store import Store
from tests.support.simloop import PROCESS, SimLoop
from tests.support.world import ROUTES


class Clock:
    """The wall clock of one machine can jump; boot time and sleeping do not."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.now) + self.ahead

    def boot(self) -> float:
        return self._loop.now

    def sleep(self, seconds: float) -> Any:
        """A bare future: most sleeps are one of several things that are waited for, and need no task of their own."""
        done = self._loop.create_future()
        self._loop.call_later(seconds, _wake, done)
        return done


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


class Gate:
    """Where calls leave a process. Troubles come one at a time, in their order: at a named call, or at any await."""

    def __init__(
        self, name: str, loop: SimLoop, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    ) -> None:
        self.name = name
        self._loop = loop
        self._spawn = spawn
        self._count = 0
        self.dead = False
        self._troubles: list[Trouble] = []
        self.on_kill: Callable[[float], None] = lambda lasts: None
        self.happened: Callable[[str], None] = lambda what: None
        self.frozen_at: list[tuple[float, float]] = []

    def suffer(self, troubles: list[Trouble]) -> None:
        """From now on these; what has struck is taken out of the list."""
        self._troubles = troubles
        self._loop.strike(self.name, 0, None)
        self._prepare()

    def _prepare(self) -> None:
        self._count = 0
        if self._troubles and self._troubles[0].call == "await":
            self._loop.strike(self.name, self._troubles[0].number, lambda: self._do(self._take()))

    def _take(self) -> Trouble:
        found = self._troubles.pop(0)
        self._prepare()
        return found

    async def through(self, name: str, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """A call that dies with its process: nobody outside would notice the difference."""
        if self._troubles and self._troubles[0].call == name:
            result = await self._troubled(call)
        elif self.dead:
            raise asyncio.CancelledError
        else:
            result = await call()
        if self.dead:
            raise asyncio.CancelledError
        return result

    async def outside(self, name: str, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """A call that lives on outside: what a dead process has sent may still arrive."""

        async def wait() -> Any:
            task = self._spawn(call())
            task.add_done_callback(_heard)
            return await asyncio.shield(task)

        return await self.through(name, wait)

    async def _troubled(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        self._count += 1
        trouble = self._take() if self._count >= self._troubles[0].number else None
        await self._strike(trouble, "before")
        if self.dead:
            raise asyncio.CancelledError
        if trouble is not None and trouble.when == "during":
            self._loop.call_soon(self._do, trouble, context=copy_context_of_world())
        result = await call()
        await self._strike(trouble, "after")
        return result

    async def _strike(self, trouble: Trouble | None, when: str) -> None:
        if trouble is not None and trouble.when == when:
            self._do(trouble)
            await asyncio.sleep(0)

    def _do(self, trouble: Trouble) -> None:
        if self.dead:
            return
        self.happened(f"a {trouble.kind} {trouble.when} {trouble.call}" if trouble.call != "await" else trouble.kind)
        if trouble.kind == "kill":
            self.on_kill(trouble.lasts)
        elif not self._loop.is_frozen(self.name):
            self.frozen_at.append((self._loop.now, self._loop.now + trouble.lasts))
            self._loop.freeze(self.name)
            self._loop.call_later(trouble.lasts, self._loop.thaw, self.name, context=copy_context_of_world())

    def cut(self) -> None:
        self.dead = True
        self._troubles = []
        self._loop.strike(self.name, 0, None)


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
        return await self._gate.through(name, lambda: self._store.control(self._gate.name, name, work))

    async def grouped(self, delivery: Any, size: int) -> Any:
        return await self._gate.through("accept", lambda: self._store.grouped(self._gate.name, delivery))

    async def read(self, work: Any) -> Any:
        return await self._gate.through("read", lambda: self._store.read(work))

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

        return await self._gate.outside("write", sent)

    async def server_time(self) -> Any:
        return await self._gate.through("get", self._real.server_time)

    async def logs(self, *args: Any, **options: Any) -> Any:
        return await self._gate.through("logs", lambda: self._real.logs(*args, **options))


class GatedCaller:
    """Somebody outside as this process reaches them. `on_call` hears of each request as it leaves."""

    def __init__(self, gate: Gate, real: Callee, on_call: Callable[..., None]) -> None:
        self._gate, self._real, self._on_call = gate, real, on_call

    async def ask(self, place: str, request: Any) -> Any:
        return await self._gate.through("ask", lambda: self._real.ask(place, request))

    async def rehearse(self, place: str, request: Any) -> Any:
        return await self._gate.through("rehearse", lambda: self._real.rehearse(place, request))

    async def send(self, place: str, request: Any, *, key: str) -> Any:
        def sent() -> Coroutine[Any, Any, Any]:
            self._on_call(self._gate.name, self._real.via, place, request, key)
            return self._real.send(place, request, key=key)

        return await self._gate.outside("call", sent)

    async def find(self, place: str, request: Any, *, key: str) -> Any:
        return await self._gate.through("find", lambda: self._real.find(place, request, key=key))

    async def close(self) -> None:
        return


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


class GatedSilences:
    def __init__(self, gate: Gate, real: Silences) -> None:
        self._gate, self._real = gate, real

    async def active(self) -> Any:
        return await self._gate.through("silences", self._real.active)

    async def close(self) -> None:
        return


class GatedChat:
    """Slack as this process reaches it: what was posted stays posted."""

    def __init__(self, gate: Gate, real: Slack) -> None:
        self._gate, self._real = gate, real

    async def post(self, *args: Any, **options: Any) -> Any:
        return await self._gate.outside("chat", lambda: self._real.post(*args, **options))

    async def update(self, *args: Any) -> None:
        await self._gate.outside("chat", lambda: self._real.update(*args))

    async def probe(self) -> None:
        await self._gate.through("chat", self._real.probe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What all processes of a schedule share."""

    store: Store
    cluster: Any
    queries: Any
    silences: Silences | None
    chat: Slack | None
    pager: Pager
    callees: Sequence[Callee]
    catalog: Catalog
    projects: tuple[Project, ...]
    policy: Policy
    ids: Callable[[], str]
    on_send: Callable[[str, Any], None]
    on_call: Callable[..., None]
    on_decision: Callable[[Decision], None]
    on_verdicts: Callable[[Sequence[Verdict]], None]


class Process:
    """`start` runs it until `kill`. `sends`: it is the one that sends the messages. `reverts`: it puts back what was
    only done for a time, which other schedules have nothing of."""

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        outside: Outside,
        *,
        alone: bool,
        sends: bool,
        idle: Callable[[], float],
        reverts: bool = False,
    ) -> None:
        self.name = name
        self.clock = Clock(loop)
        self.gate = gate = Gate(name, loop, spawn)
        self._loop, self._alone, self._idle, self._reverts = loop, alone, idle, reverts
        self.journal = SqlJournal(outside.store.database, GatedWriter(gate, outside.store))
        self._context = copy_context()
        self._context.run(PROCESS.set, name)
        self.ready = False
        self.alerts = asyncio.Event()
        chat = GatedChat(gate, outside.chat) if outside.chat is not None else None
        self._outbox: Outbox | None = None
        if chat is not None and sends:
            carriers: dict[str, Carrier] = {
                "slack": SlackCarrier(chat),
                "pagerduty": PagerDutyCarrier({"shop": outside.pager}),
            }
            self._outbox = Outbox(self.journal, carriers)
        self.core: Core = assemble(
            Ports(
                clusters={"c1": GatedCluster(gate, outside.cluster, outside.on_send)},  # type: ignore[dict-item]  # no watch
                journal=self.journal,
                clock=self.clock,
                queries=GatedQueries(gate, outside.queries),
                silences=GatedSilences(gate, outside.silences) if outside.silences is not None else None,
                callers={"c1": {callee.via: GatedCaller(gate, callee, outside.on_call) for callee in outside.callees}},
                reach={"Slack": chat} if chat is not None else {},
            ),
            Settings(policy=outside.policy, routes=ROUTES, projects=outside.projects),
            lambda: outside.catalog,
            holder=name,
            ids=outside.ids,
            on_told=self._told,
            on_decision=self._decided(outside.on_decision),
            on_frozen=lambda gap: gate.on_kill(1.0),
            actions=ACTIONS,
        )
        self._hear(outside.on_verdicts)

    def _hear(self, judged: Callable[[Sequence[Verdict]], None]) -> None:
        """Of the guardrails' answers at the last look, which no event carries."""
        real = self.core.planner.guard

        async def guard(r: Remediation) -> tuple[Verdict, ...]:
            verdicts = await real(r)
            judged(verdicts)
            return verdicts

        self.core.planner.guard = guard  # type: ignore[method-assign]

    def _decided(self, told: Callable[[Decision], None]) -> Callable[[Decision], None]:
        def decided(decision: Decision) -> None:
            told(decision)
            if self._outbox is not None and decision.notices:
                self._outbox.poke()

        return decided

    def _told(self) -> None:
        """A storm has something to say, as the service wires it."""
        if self._outbox is not None:
            self._outbox.poke()

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
        if self._reverts:
            self.do(for_ever("reverts", self.core.reverter.turn, self.clock))
        if self._outbox is not None:
            self.do(self._outbox.run(self.clock, poll_s=15.0))

    async def _until_done(self, call: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await call()
                return
            except JournalUnavailable:
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
