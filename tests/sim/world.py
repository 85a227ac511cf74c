"""One schedule: processes, store, cluster, Prometheus, Alertmanager, Slack, people, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import traceback
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from remediator.adapters.simulated import NoFaults, SimulatedCluster
from remediator.guardrails.policy import Policy
from remediator.objects import ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import Project
from remediator.remediation.journal import Committed
from remediator.remediation.state import Remediation
from tests.sim.alertmanager import Alertmanager, Silences
from tests.sim.callees import VIAS, Callee
from tests.sim.faults import ApiFaults
from tests.sim.forge import Forge, application
from tests.sim.invariants import Checks
from tests.sim.people import People, ref
from tests.sim.playbooks import EFFECTS, HOLDING, NAMESPACE, SYSTEM, loaded, workload
from tests.sim.process import Clock, Outside, Process, copy_context_of_world
from tests.sim.prometheus import Prometheus
from tests.sim.scenario import SPELLS, Jump, Scenario, Spell
from tests.sim.slack import Pager, Slack
from tests.sim.store import Commit, Store
from tests.sim.surroundings import Surroundings
from tests.support.simloop import SimLoop
from tests.support.world import deployment

LONGEST_S = 4.5 * 3600
SETTLED_AT = 30.0


class World:
    def __init__(self, loop: SimLoop, scenario: Scenario) -> None:
        self.loop, self.scenario = loop, scenario
        self.rng = random.Random(f"world {scenario.seed}")
        self._context = copy_context_of_world()
        self.trace: list[tuple[float, Any]] = []
        self.calm = False
        self.checks = Checks(self)
        self.store = Store(self.rng, lambda: loop.now)
        self.store.on_commit = self._committed
        self.cluster = SimulatedCluster(
            "c1",
            Clock(loop),
            schedule=lambda delay, call: loop.call_later(delay, call, context=self._context),
            seed=scenario.seed,
            latency=self._latency,
            sleep=self._sleep,
        )
        self.prometheus = Prometheus(lambda: loop.now, self._latency, self._sleep)
        self.slack = Slack(self.rng, self._travel, self.checks.happened)
        self.silences = Silences(scenario.silences or [], lambda: loop.now, self._travel)
        self.alertmanager, self.people, self.surroundings = Alertmanager(self), People(self), Surroundings(self)
        self.policy = Policy.model_validate(
            {"mode_ceiling": Mode.AUTO, "defaults": scenario.limits, **scenario.policy},
        )
        self.project = scenario.project["name"] if scenario.project else ""
        counter = itertools.count(1)
        self.forge = Forge(**self._of_callees())
        self.forge.merges_after = scenario.merges_after
        self.callees = [*(Callee(via, **self._of_callees()) for via in VIAS), self.forge]
        self._outside = Outside(
            store=self.store,
            cluster=self.cluster,
            queries=self.prometheus,
            silences=self.silences if scenario.silences is not None else None,
            chat=self.slack if scenario.chat is not None else None,
            pager=Pager(self._travel),
            callees=self.callees,
            catalog=Catalog(loaded(name, self.project) for name in scenario.playbooks),
            projects=(Project.model_validate(scenario.project),) if scenario.project else (),
            policy=self.policy,
            ids=lambda: f"r-{next(counter)}",
            on_send=self.checks.sent,
            on_call=self.checks.calls,
            on_decision=self.checks.decided,
            on_verdicts=self.checks.coverage.judged,
        )
        self._starts = itertools.count(1)
        self.processes: list[Process | None] = [None] * scenario.replicas
        self.everybody: list[Process] = []
        self.carried_out: Any = None
        self._note_what_is_ours()
        self.failures: list[str] = []
        self._touched: dict[str, int] = {}
        self._happening = 0
        self._moments: list[tuple[str, asyncio.Future[None]]] = []

    def _of_callees(self) -> dict[str, Any]:
        return {
            "rng": self.rng,
            "travel": self._travel,
            "at": self.at,
            "happened": self.checks.happened,
            "on_done": self.checks.landings.called,
        }

    # Running

    async def run(self) -> None:
        s = self.scenario
        self.say(f"themes: {', '.join(s.themes)}")
        for name, kind in s.deployments.items():
            self.cluster.apply(*workload(name, kind))
            self.prometheus.errors[name] = 9.0
        if any(name in EFFECTS for name in s.playbooks):
            self.surroundings.make()
        if any(name in HOLDING for name in s.playbooks):
            self.cluster.apply(application())
        if "elsewhere" in s.playbooks:
            self.cluster.apply(deployment("api", namespace=SYSTEM))
        self.cluster._world.store.listeners.append(self.checks.landings.changed)
        self.cluster._world.store.listeners.append(self._react)
        await asyncio.sleep(SETTLED_AT)
        self._go_wrong()
        for index in range(s.replicas):
            self._start(index)
        for incident in s.incidents:
            self.happens(self.alertmanager.send(incident))
        for pause in s.pauses:
            self.happens(self.people.pause(pause))
        for edit in s.edits:
            self._later(edit.at, lambda edit=edit: self.people.edit(edit), after=edit.after)
        for jump in s.jumps:
            self._later(jump.at, lambda jump=jump: self._jump(jump))
        while not (  # noqa: ASYNC110 (virtual time)
            self.loop.now >= s.calm_at or self.checks.violations or self._all_over()
        ):
            await asyncio.sleep(2.0)
        self._calm_down()
        while not (self.checks.violations or self.loop.now > LONGEST_S):
            if not self._all_over():
                await asyncio.sleep(2.0 if self.loop.now < s.calm_at + 60.0 else 10.0)
                continue
            await asyncio.sleep(s.late_s + 5.0)  # whatever was still under way has landed
            if self._all_over():  # also what came in the meantime: an alert told again, the end of a storm
                break
        self.checks.at_the_end()

    def say(self, text: Any) -> None:
        """A text, or a function that makes it if anybody wants to read it."""
        self.trace.append((self.loop.now, text))

    def told(self) -> tuple[str, ...]:
        return tuple(f"{at:9.3f} {text() if callable(text) else text}" for at, text in self.trace)

    def failed(self, event: dict[str, object]) -> None:
        """The product logged an error that it did not expect."""
        text = "".join(traceback.format_exception(sys.exception()))
        self.failures.append(f"{event}: {text}")
        self.say(f"FAILED {self.failures[-1]}")

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.loop.create_task(coroutine, context=self._context)

    def happens(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Something of the world's that must be over before the schedule is."""
        self._happening += 1
        self.spawn(coroutine).add_done_callback(self._happened)

    def _happened(self, task: asyncio.Task[Any]) -> None:
        self._happening -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.problems.append(f"the world failed: {error!r}")

    def at(self, seconds: float, call: Any) -> None:
        """`seconds` from now."""
        self.loop.call_later(seconds, call, context=self._context)

    def _later(self, at: float, call: Any, *, after: str = "") -> None:
        """The same, but before the schedule may end."""

        async def happen() -> None:
            await self.moment(at, after)
            if not self.calm:
                call()

        self.happens(happen())

    async def moment(self, at: float, after: str) -> None:
        """Until that time, and then until a commit of the name `after`, or into that state, unless there is none."""
        await asyncio.sleep(at)
        if after:
            waiting = self.loop.create_future()
            self._moments.append((after, waiting))
            self.at(max(self.scenario.calm_at - self.loop.now, 0.0), lambda: _release(waiting))
            await waiting

    def _latency(self) -> float:
        chance = self.rng.random()
        if chance < self.scenario.slow_api:
            return self.rng.uniform(0.1, 3.0)
        return 0.01 * chance if chance < 0.3 else 0.0

    async def _sleep(self, seconds: float) -> None:
        """Most ways take no time, but others may run meanwhile."""
        if seconds:
            await asyncio.sleep(seconds)
        elif self.rng.random() < 0.5:
            await asyncio.sleep(0)

    async def _travel(self) -> None:
        await self._sleep(self._latency())

    # What goes wrong

    def _go_wrong(self) -> None:
        s = self.scenario
        self.store.fault_rate, self.store.latency_s = s.store, s.store_latency_s
        self.slack.fault_rate = s.chat or 0.0
        for callee in self.callees:
            callee.rate, callee.late_s = s.calls, s.late_s or callee.late_s
        self._api_faults = ApiFaults(
            self.rng,
            self.checks.happened,
            writes=s.api_writes,
            reads=s.api_reads,
            late_s=s.late_s,
            stale_s=s.stale_s,
            favourite=s.api_favourite,
        )
        if s.api_writes or s.api_reads or any(spell.on == "api" for spell in s.spells):
            self.cluster.faults = self._api_faults
        for spell in s.spells:
            self._later(spell.at, lambda spell=spell: self._bewitch(spell), after=spell.after)

    def _bewitch(self, spell: Spell) -> None:
        self.say(f"{spell.on}: {spell.mode} for {spell.lasts:g} s")
        self.checks.happened(f"{spell.on} {spell.mode}")
        self._set_mode(spell.on, spell.mode)
        self.at(spell.lasts, lambda: self._set_mode(spell.on, "up"))

    def _set_mode(self, on: str, mode: str) -> None:
        match on:
            case "store":
                self.store.mode = mode
            case "api":
                self._api_faults.mode = mode
            case "prometheus":
                self.prometheus.mode = mode
            case "alertmanager":
                self.silences.mode = mode
            case "slack":
                self.slack.mode = mode
            case _:
                self.prometheus.holds[on] = mode != "up"

    def _jump(self, jump: Jump) -> None:
        process = self.processes[jump.replica]
        if process is not None:
            self.say(f"{process.name}: its clock jumps by {jump.ahead:g} s")
            self.checks.happened("a clock jumped")
            process.clock.ahead += timedelta(seconds=jump.ahead)

    def _calm_down(self) -> None:
        self.say("--- calm")
        self.calm = True
        self.cluster.faults = NoFaults()
        self.scenario.slow_api = 0.0
        self.store.fault_rate = self.store.latency_s = self.slack.fault_rate = 0.0
        for on in SPELLS:
            self._set_mode(on, "up")
        self.silences.over = True
        for callee in self.callees:
            callee.rate = 0.0
        if self.scenario.healed_at_last:
            self.prometheus.firing.clear()
            self.prometheus.errors = {}
        for name in self.scenario.deployments:
            self.people.unpause(name)
        for process in self.processes:
            if process is not None:
                process.gate.suffer([])
                process.clock.ahead = timedelta(0)

    def _all_over(self) -> bool:
        if self._happening:
            return False
        (open_,) = self.store.rows("select count(*) from remediations where ended_at is null")[0]
        (undecided,) = self.store.rows("select count(*) from alerts where undecided_at is not null")[0]
        return not (open_ or undecided or self._unsent() or self._to_be_put_back())

    def _to_be_put_back(self) -> bool:
        if not self.scenario.for_a_time:
            return False
        waiting = "select 1 from {} where settled_at is null limit 1"
        return any(self.store.rows(waiting.format(table)) for table in ("reverts", "holds"))

    def _unsent(self) -> bool:
        if self.scenario.chat is None:
            return False
        return bool(self.store.rows("select 1 from outbox where state = 'pending' limit 1"))

    # Processes

    def _start(self, index: int) -> None:
        process = Process(
            f"p{index}.{next(self._starts)}",
            self.loop,
            self.spawn,
            self._outside,
            alone=self.scenario.replicas == 1,
            sends=True,
            idle=lambda: 20.0 if not self.calm else 60.0,
            reverts=self.scenario.for_a_time,
        )
        process.gate.happened = self.checks.happened
        process.gate.suffer([] if self.calm else self.scenario.troubles[index])
        process.gate.on_kill = lambda lasts: self._kill(index, process, lasts)
        self.processes[index] = process
        self.everybody.append(process)
        self.say(f"{process.name} starts")
        process.start()

    def _kill(self, index: int, process: Process, lasts: float) -> None:
        if self.processes[index] is not process:
            return
        self.say(f"{process.name} is killed")
        self.processes[index] = None
        process.kill()
        self.at(lasts, lambda: self._start(index))

    def somebody(self) -> Process | None:
        """A process that answers."""
        alive = [p for p in self.processes if p is not None and p.ready and not self.loop.is_frozen(p.name)]
        return self.rng.choice(alive) if alive else None

    async def ask(self, process: Process, coroutine: Coroutine[Any, Any, Any]) -> bool:
        """Whether it said yes; it may die or freeze over it, and it may have done it all the same."""
        task = process.do(coroutine)
        done, _ = await asyncio.wait({task}, timeout=10.0)
        if not done:
            task.add_done_callback(_forget)
            return False
        return not task.cancelled() and task.exception() is None

    # What happens to the workloads

    def ref(self, name: str) -> ObjectRef:
        return ref(name)

    def _note_what_is_ours(self) -> None:
        """While the API server carries a request of ours out, `carried_out` is that request."""
        real = self.cluster._carry_out

        def carry_out(request: Any, dry_run: bool, *, late: bool = False) -> Any:
            self.carried_out = None if dry_run else request
            try:
                return real(request, dry_run, late=late)
            finally:
                self.carried_out = None

        self.cluster._carry_out = carry_out  # type: ignore[method-assign]

    def _react(self, change: Any) -> None:
        """Our first write to a workload heals it, or does nothing, or makes it worse."""
        obj = change.after
        if self.people.editing or obj is None or obj["kind"] != "Deployment" or change.before is None:
            return
        if change.before["metadata"].get("generation") == obj["metadata"]["generation"]:
            return
        name = obj["metadata"]["name"]
        if name not in self.scenario.cures or obj["metadata"]["namespace"] != NAMESPACE:
            return
        self._cure(name)

    def touched(self, r: Remediation) -> None:
        """What we did elsewhere about a workload does something to it as well."""
        ((fingerprint,),) = self.store.rows("select fingerprint from alerts where id = ?", r.alerts[0][2:])
        self._cure(self.alertmanager.about[fingerprint])

    def _cure(self, name: str) -> None:
        turn = self._touched.get(name, 0)
        self._touched[name] = turn + 1
        outcome = self.scenario.cures[name][turn % 6]
        self.at(self.rng.uniform(0.5, 8.0), lambda: self._heal(name, outcome))

    def _heal(self, name: str, outcome: str) -> None:
        self.say(f"{name}: {outcome}")
        if outcome == "heals":
            self.prometheus.errors[name] = 0.0
            for key, labels in list(self.prometheus.firing.items()):
                if labels["deployment"] == name:
                    del self.prometheus.firing[key]
        elif outcome == "worse":
            self.prometheus.errors[name] = 30.0

    # Commits

    def _committed(self, commit: Commit) -> None:
        r = commit.result.remediation if isinstance(commit.result, Committed) else None
        who = commit.by or "-"
        if r is not None and r.reason != self.checks.reasons.get(r.id):
            self.checks.reasons[r.id] = r.reason
            self.say(lambda: f"{who} {r.id} {r.state.value} v{r.version} e{r.epoch} {r.playbook}: {r.reason[:150]}")
        elif r is None and commit.name not in ("claim", "renew", "accept"):
            self.say(lambda: f"{who} {commit.name}: {str(commit.result)[:150]}")
        self.checks.committed(commit)
        if r is not None:
            self.people.see(r)
        state = r.state.value if r is not None else ""
        for after, waiting in self._moments:
            if after in (commit.name, state):
                _release(waiting)


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _forget(task: asyncio.Task[Any]) -> None:
    """An answer that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
