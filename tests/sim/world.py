"""One schedule: processes, store, cluster, Prometheus, Alertmanager, people, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import traceback
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from remediator.actions.render import marker_of
from remediator.adapters.simulated import NoFaults, RandomFaults, SimulatedCluster
from remediator.adapters.simulated.status import StatusError
from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.guardrails.policy import Policy
from remediator.objects import ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.model import Limits, Mode
from remediator.ports import MARKER
from remediator.remediation.events import Approved, Rejected, Snoozed
from remediator.remediation.journal import Committed
from remediator.remediation.state import Remediation, State
from tests.sim.invariants import Checks
from tests.sim.process import Clock, Process, copy_context_of_world
from tests.sim.prometheus import Prometheus
from tests.sim.scenario import CALM_AT, Incident, Scenario, loaded
from tests.sim.store import Commit, Store
from tests.support.simloop import SimLoop
from tests.support.world import deployment

NAMESPACE = "shop"
LONGEST_S = 4.5 * 3600
PAUSE_ANNOTATION = "remediator.dev/pause"


class World:
    def __init__(self, loop: SimLoop, scenario: Scenario) -> None:
        self.loop, self.scenario = loop, scenario
        self.rng = random.Random(f"world {scenario.seed}")
        self._context = copy_context_of_world()
        self.trace: list[str] = []
        self.store = Store(self.rng, lambda: loop.now)
        self.store.on_commit = self._committed
        self.cluster = SimulatedCluster(
            "c1",
            Clock(loop),
            schedule=lambda delay, call: loop.call_later(delay, call, context=self._context),
            seed=scenario.seed,
            latency=self._latency,
        )
        self.prometheus = Prometheus(lambda: loop.now, self._latency)
        self.policy = Policy(mode_ceiling=Mode.AUTO, defaults=Limits.model_validate(scenario.limits))
        self.catalog = Catalog(loaded(name) for name in scenario.playbooks)
        counter = itertools.count(1)
        self.ids = lambda: f"r-{next(counter)}"
        self._starts = itertools.count(1)
        self.processes: list[Process | None] = [None] * scenario.replicas
        self.people_edit = False
        self.carried_out: Any = None
        self._note_what_is_ours()
        self.acknowledged: set[str] = set()
        self.checks = Checks(self)
        self.everybody: list[Process] = []
        self.failures: list[str] = []
        self._touched: dict[str, int] = {}
        self._asked: set[tuple[str, int]] = set()

    # Running

    async def run(self) -> None:
        s = self.scenario
        for name in s.deployments:
            self.cluster.apply(deployment(name, namespace=NAMESPACE))
            self.prometheus.errors[name] = 9.0
        self.cluster.apply(deployment("api", namespace="kube-system"))
        self.cluster._world.store.listeners.append(self.checks.changed)
        self.cluster._world.store.listeners.append(self._react)
        await asyncio.sleep(30.0)
        self._before = {n: self.cluster.peek(self.ref(n)) for n in s.deployments}
        self.store.fault_rate = s.store
        if s.api_writes or s.api_reads:
            self.cluster.faults = RandomFaults(
                self.rng, writes=s.api_writes, reads=s.api_reads, late_s=s.late_s, stale_s=s.stale_s
            )
        for index in range(s.replicas):
            self._start(index)
        for incident in s.incidents:
            self.spawn(self._alertmanager(incident))
        for at, mode in s.prometheus:
            self._at(at, lambda mode=mode: setattr(self.prometheus, "mode", mode))
        for at, scope, until in s.pauses:
            self.spawn(self._pause(at, scope, until))
        for at, what, name in s.edits:
            self._at(at, lambda what=what, name=name: self._edit(what, name))
        for at, index, ahead in s.jumps:
            self._at(at, lambda index=index, ahead=ahead: self._jump(index, ahead))
        while self.loop.now < CALM_AT and not self.checks.violations:  # noqa: ASYNC110 (virtual time)
            await asyncio.sleep(5.0)
        self._calm()
        while not (self.checks.violations or self._all_over() or self.loop.now > LONGEST_S):  # noqa: ASYNC110
            await asyncio.sleep(10.0)
        await asyncio.sleep(70.0)  # whatever was still under way has landed
        self.checks.at_the_end()

    def say(self, text: str) -> None:
        self.trace.append(f"{self.loop.now:9.3f} {text}")

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

    def failed(self, event: dict[str, object]) -> None:
        """The product logged an error that it did not expect."""
        text = "".join(traceback.format_exception(sys.exception()))
        self.failures.append(f"{event}: {text}")
        self.say(f"FAILED {self.failures[-1]}")

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.loop.create_task(coroutine, context=self._context)

    def _at(self, at: float, call: Any) -> None:
        self.loop.call_later(at, call, context=self._context)

    def _latency(self) -> float:
        slow = self.scenario.slow_api
        if slow and self.rng.random() < slow:
            return self.rng.uniform(0.1, 3.0)
        return self.rng.uniform(0.001, 0.01)

    def _calm(self) -> None:
        self.say("--- calm")
        self.cluster.faults = NoFaults()
        self.store.fault_rate = 0.0
        self.scenario.slow_api = 0.0
        self.prometheus.mode = "up"
        if self.scenario.healed_at_last:
            self.prometheus.firing.clear()
            self.prometheus.errors = {}
        for name in self.scenario.deployments:
            self.cluster.edit(self.ref(name), {"metadata": {"annotations": {PAUSE_ANNOTATION: None}}})
        for process in self.processes:
            if process is not None:
                process.gate.troubles = []
                process.clock.ahead = timedelta(0)

    def _all_over(self) -> bool:
        (open_,) = self.store.rows("select count(*) from remediations where ended_at is null")[0]
        (undecided,) = self.store.rows("select count(*) from alerts where undecided_at is not null")[0]
        return not open_ and not undecided

    def ref(self, name: str) -> ObjectRef:
        return ObjectRef("Deployment", NAMESPACE, name)

    # Processes

    def _start(self, index: int) -> None:
        process = Process(
            f"p{index}.{next(self._starts)}",
            self.loop,
            self.spawn,
            self.store,
            self.cluster,
            self.prometheus,
            self.catalog,
            self.policy,
            self.ids,
            self.checks.sent,
            alone=self.scenario.replicas == 1,
            idle=lambda: 20.0 if self.loop.now < CALM_AT else 60.0,
        )
        process.gate.troubles = self.scenario.troubles[index] if self.loop.now < CALM_AT else []
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
        self._at(lasts, lambda: self._start(index))

    def _jump(self, index: int, ahead: float) -> None:
        process = self.processes[index]
        if process is not None:
            self.say(f"{process.name}: its clock jumps by {ahead:g} s")
            process.clock.ahead += timedelta(seconds=ahead)

    def alive(self) -> list[Process]:
        return [p for p in self.processes if p is not None and p.ready and not self.loop.is_frozen(p.name)]

    # What happens to the workloads

    def _react(self, change: Any) -> None:
        """Our first write to a workload heals it, or does nothing, or makes it worse."""
        obj = change.after
        if self.people_edit or obj is None or obj["kind"] != "Deployment" or change.before is None:
            return
        if change.before["metadata"].get("generation") == obj["metadata"]["generation"]:
            return
        name = obj["metadata"]["name"]
        if name not in self.scenario.cures:
            return
        turn = self._touched.get(name, 0)
        self._touched[name] = turn + 1
        outcome = self.scenario.cures[name][turn % 6]
        self._at(self.rng.uniform(0.5, 8.0), lambda: self._heal(name, outcome))

    def _heal(self, name: str, outcome: str) -> None:
        self.say(f"{name}: {outcome}")
        if outcome == "heals":
            self.prometheus.errors[name] = 0.0
            for key, labels in list(self.prometheus.firing.items()):
                if labels["deployment"] == name:
                    del self.prometheus.firing[key]
        elif outcome == "worse":
            self.prometheus.errors[name] = 30.0

    # Alertmanager

    async def _alertmanager(self, incident: Incident) -> None:
        await asyncio.sleep(incident.at)
        while True:
            await self._fires(incident)
            if incident.again_after is None or self.loop.now > CALM_AT:
                return
            await asyncio.sleep(incident.again_after)
            if self.loop.now > CALM_AT - 60.0:
                return

    async def _fires(self, incident: Incident) -> None:
        labels = {
            "alertname": incident.alertname,
            "severity": incident.severity,
            "namespace": NAMESPACE,
            "deployment": incident.deployment,
        }
        key = fingerprint(labels)
        started = self.loop.now
        self.prometheus.fire(key, labels)
        self.prometheus.errors[incident.deployment] = max(9.0, self.prometheus.errors.get(incident.deployment, 0.0))
        if incident.gone_after is not None:
            self._at(incident.gone_after, lambda: self.prometheus.firing.pop(key, None))
        sent = -1e9
        while self.loop.now < CALM_AT:
            if key not in self.prometheus.firing:
                await self._post(labels, started, ended=self.loop.now)
                return
            if self.loop.now - sent >= incident.resend:
                sent = self.loop.now
                if incident.duplicate:
                    self.spawn(self._post(labels, started))
                await self._post(labels, started)
            await asyncio.sleep(self.rng.uniform(5.0, 15.0))

    async def _post(self, labels: dict[str, str], started: float, ended: float | None = None) -> None:
        """Until a process has said 200, as Alertmanager does."""
        at = Clock(self.loop).now()
        alert = Alert(
            fingerprint=fingerprint(labels),
            status="firing" if ended is None else "resolved",
            labels=labels,
            starts_at=at - timedelta(seconds=self.loop.now - started),
            ends_at=None if ended is None else at,
            cluster="c1",
        )
        while True:
            alive = self.alive()
            if alive:
                process = self.rng.choice(alive)
                task = process.do(process.journal.accept((alert,), process.clock.now()))
                done, _ = await asyncio.wait({task}, timeout=10.0)
                if done and not task.cancelled() and task.exception() is None:
                    self.acknowledged.add(alert.fingerprint)
                    process.alerts.set()
                    return
                if not done:
                    task.add_done_callback(_forget)
            await asyncio.sleep(self.rng.uniform(1.0, 10.0))

    # People

    def _committed(self, commit: Commit) -> None:
        r = commit.result.remediation if isinstance(commit.result, Committed) else None
        if r is not None and r.reason != self.checks.reasons.get(r.id):
            self.checks.reasons[r.id] = r.reason
            self.say(
                f"{commit.by or '-'} {r.id} {r.state.value} v{r.version} e{r.epoch} {r.playbook}: {r.reason[:150]}"
            )
        elif r is None and commit.name not in ("claim", "renew", "accept"):
            self.say(f"{commit.by or '-'} {commit.name}: {str(commit.result)[:150]}")
        self.checks.committed(commit)
        if r is not None and (r.state is State.AWAITING_APPROVAL or r.waiting_for == "ask"):
            turn = (r.id, r.step * 100 + len(r.consents))
            if turn not in self._asked:
                self._asked.add(turn)
                self.spawn(self._answer(r))

    async def _answer(self, r: Remediation) -> None:
        """A person clicks some time later, perhaps twice, perhaps on an old message, perhaps too late."""
        await asyncio.sleep(self.rng.choice((0.5, 3.0, 30.0, 100.0, 175.0, 181.0, 200.0)))
        who = self.rng.choice(("ann", "bob", "cyd", "dan"))
        now = Clock(self.loop).now()
        event: Any = Approved(who=who, digest=r.digest)
        if self.rng.random() > self.scenario.people:
            event = self.rng.choice(
                (
                    None,
                    Rejected(who=who),
                    Snoozed(who=who, until=now + timedelta(minutes=2)),
                    Approved(who=who, digest="0" * 64),
                )
            )
        for _ in range(self.rng.choice((1, 1, 2)) if event is not None else 0):
            await self._click(r.id, event)

    async def _click(self, remediation_id: str, event: Any) -> None:
        for _ in range(5):
            alive = self.alive()
            if alive:
                process = self.rng.choice(alive)
                self.say(f"person: {type(event).__name__} {remediation_id} at {process.name}")
                task = process.do(process.core.runner.apply_from_person(remediation_id, event))
                done, _ = await asyncio.wait({task}, timeout=10.0)
                if done and not task.cancelled() and task.exception() is None:
                    return
                if not done:
                    task.add_done_callback(_forget)
            await asyncio.sleep(3.0)

    async def _pause(self, at: float, scope: str, until: float) -> None:
        await asyncio.sleep(at)
        name = self.rng.choice(self.scenario.deployments)
        text = {
            "everything": "everything",
            "playbook": f"playbook:{self.rng.choice(self.scenario.playbooks)}",
            "target": f"target:c1/{self.ref(name).key}",
            "namespace": f"namespace:c1/{NAMESPACE}",
        }[scope]
        while self.loop.now < CALM_AT:
            alive = self.alive()
            if alive:
                process = self.rng.choice(alive)
                now = process.clock.now()
                task = process.do(process.journal.pause(text, "ann", "hands off", None, now))
                await asyncio.wait({task}, timeout=10.0)
                task.add_done_callback(_forget)
                if task.done() and not task.cancelled() and task.exception() is None:
                    break
            await asyncio.sleep(1.0)
        await asyncio.sleep(max(until - self.loop.now, 0.0))
        while rows := self.store.rows("select id from pauses where scope = ? and ended_at is null", text):
            for (row,) in rows:
                for process in self.alive()[:1]:
                    task = process.do(process.journal.resume(f"p-{row}", "ann", process.clock.now()))
                    await asyncio.wait({task}, timeout=10.0)
                    task.add_done_callback(_forget)
            await asyncio.sleep(1.0)

    def _edit(self, what: str, name: str) -> None:
        """Somebody works on the object by hand."""
        ref = self.ref(name)
        now = self.cluster.peek(ref)
        assert now is not None
        self.say(f"person: {what} {name}")
        self.people_edit = True
        try:
            match what:
                case "scale":
                    self.cluster.edit(ref, {"spec": {"replicas": self.rng.choice((2, 4, 7))}})
                case "annotate":
                    self.cluster.edit(ref, {"metadata": {"annotations": {"note": str(self.loop.now)}}})
                case "image":
                    container = {"name": "app", "image": f"shop/api:{self.rng.randint(2, 9)}"}
                    self.cluster.edit(ref, {"spec": {"template": {"spec": {"containers": [container]}}}})
                case "old-marker":
                    old = [m for m in self.checks.markers.get(name, []) if m != marker_of(now)]
                    marker = self.rng.choice(old) if old else None
                    patch: dict[str, Any] = {"metadata": {"annotations": {MARKER: marker}}}
                    if self.rng.random() < 0.7:  # as `kubectl rollout undo` does
                        patch["spec"] = {"template": {"metadata": {"annotations": {"undone": str(self.loop.now)}}}}
                    self.cluster.edit(ref, patch)
                case "delete-pod":
                    pods = self.cluster.all("Pod", NAMESPACE)
                    if pods:
                        pod = self.rng.choice(pods)["metadata"]["name"]
                        self.cluster.delete(ObjectRef("Pod", NAMESPACE, pod))
                case "pause":
                    self.cluster.edit(ref, {"metadata": {"annotations": {PAUSE_ANNOTATION: "mine"}}})
                    self._at(40.0, lambda: self._unpause(name))
                case _:
                    self.cluster.set_status(ref, conditions=[{"type": "Noise", "status": str(self.loop.now)}])
        except StatusError as exc:
            self.say(f"person: {exc}")
        finally:
            self.people_edit = False

    def _unpause(self, name: str) -> None:
        self.people_edit = True
        self.cluster.edit(self.ref(name), {"metadata": {"annotations": {PAUSE_ANNOTATION: None}}})
        self.people_edit = False


def _forget(task: asyncio.Task[Any]) -> None:
    """An answer that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
