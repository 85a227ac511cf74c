"""The whole core on a simulated cluster, real SQL and a virtual clock, moved by hand: no threads, no waiting.

One `World` is one service process. `restarted()` is the next process on the same store and cluster.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import yaml

from remediator.actions.registry import load_actions
from remediator.adapters.simulated import SimulatedCluster, SimulatedQueries, VirtualClock
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.guardrails.policy import Policy
from remediator.objects import Object, ObjectRef, annotations_of, dig
from remediator.people.incidents import IncidentNotes
from remediator.people.routes import Routes
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import LoadedPlaybook, Mode
from remediator.playbooks.projects import Project
from remediator.ports import Caller, ChangeRecords, Queries, Reachable, Silences
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.draft import Decision
from remediator.remediation.fact_reading import KnownCalendars
from remediator.remediation.state import Remediation

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ROUTES = Routes.model_validate({"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "shop"}})


def load(content: Mapping[str, Any], actions: Mapping[str, Any] | None = None) -> LoadedPlaybook:
    """A playbook through the real loader; `actions` are known beside the installed ones."""
    checks = {name: kind.args for name, kind in CHECKS.items()}
    return load_playbook(
        yaml.safe_dump(dict(content)), "test.yaml", actions={**load_actions(), **(actions or {})}, checks=checks
    )


def restart_playbook(**changes: Any) -> dict[str, Any]:
    return {
        "name": "restart-api",
        "match": {"alerts": ['alertname="Stuck"']},
        "target": "from_alert",
        "mode": "auto",
        "gather": "0s",
        "steps": [{"action": "rollout_restart"}],
        "verify": {
            "settle": "5s",
            "interval": "5s",
            "successes": 2,
            "failures": 2,
            "timeout": "2m",
            "checks": [{"rollout": {}}],
        },
        **changes,
    }


def deployment(
    name: str = "api", *, namespace: str = "shop", image: str = "shop/api:1", replicas: int = 3, **annotations: str
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }


class World:
    """Handles for one process: `alert`, `run_for`, and what came of it."""

    def __init__(
        self,
        *playbooks: Mapping[str, Any],
        cluster: SimulatedCluster | None = None,
        clock: VirtualClock | None = None,
        database: SqliteMemory | None = None,
        queries: Queries | None = None,
        silences: Silences | None = None,
        policy: Policy | None = None,
        holder: str = "test-1",
        ids: Callable[[], str] | None = None,
        store_faults: Any = None,
        actions: Mapping[str, Any] | None = None,
        journal: SqlJournal | None = None,
        reach: Mapping[str, Reachable] | None = None,
        changes: ChangeRecords | None = None,
        projects: tuple[Project, ...] = (),
        calendars: KnownCalendars | None = None,
        notes: IncidentNotes | None = None,
        settings: Mapping[str, Any] | None = None,
        callers: Mapping[str, Caller] | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.cluster = cluster or SimulatedCluster("c1", self.clock)
        self.database = database or SqliteMemory()
        self.journal = journal or SqlJournal.in_memory(self.database, faults=store_faults)
        self.queries = queries
        self.silences = silences
        self.reach = reach or {}
        self.calendars = calendars or KnownCalendars()
        self.policy = policy or Policy(mode_ceiling=Mode.AUTO)
        self.catalog = Catalog(load(p, actions) for p in playbooks)
        self.decisions: list[Decision] = []
        counter = itertools.count(1)
        self.ids = ids or (lambda: f"r-{next(counter)}")
        self.core: Core = assemble(
            Ports(
                clusters={"c1": self.cluster},
                journal=self.journal,
                clock=self.clock,
                queries=queries,
                silences=silences,
                reach=reach or {},
                changes=changes,
                callers={"c1": callers or {}},
            ),
            Settings(
                **{"routes": ROUTES, "notes": notes, **(settings or {})},
                policy=self.policy,
                projects=projects,
                calendars=lambda: self.calendars,
            ),
            lambda: self.catalog,
            holder=holder,
            ids=self.ids,
            on_decision=self.decisions.append,
            actions={**load_actions(), **(actions or {})},
        )

    async def alert(
        self, name: str = "Stuck", *, resolved: bool = False, started_ago: float = 60.0, **labels: str
    ) -> Alert:
        """One delivery of one alert. Labels default to Deployment shop/api."""
        alert = self.make_alert(name, resolved=resolved, started_ago=started_ago, **labels)
        await self.deliver(alert)
        return alert

    def make_alert(
        self, name: str = "Stuck", *, resolved: bool = False, started_ago: float = 60.0, **labels: str
    ) -> Alert:
        full = {"alertname": name, "severity": "warning", "namespace": "shop", **(labels or {"deployment": "api"})}
        now = self.clock.now()
        return Alert(
            fingerprint=fingerprint(full),
            status="resolved" if resolved else "firing",
            labels=full,
            starts_at=now - timedelta(seconds=started_ago),
            ends_at=now if resolved else None,
            cluster="c1",
        )

    async def deliver(self, *alerts: Alert) -> None:
        await self.journal.accept(alerts, self.clock.now())

    async def turn(self) -> None:
        """Take alerts in, and do everything that is due now."""
        await self.core.intake.take_all()
        await self.core.runner.tick()
        await self.core.runner.drain()

    async def run_for(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass in steps, working at each."""
        end = self.clock.now() + timedelta(seconds=seconds)
        await self.turn()
        while self.clock.now() < end:
            self.cluster.advance(step)
            await self.turn()

    async def run_until(self, *states: str, within_s: float = 1200.0) -> Remediation:
        """Until the newest remediation is in one of these states. Raises: AssertionError."""
        end = self.clock.now() + timedelta(seconds=within_s)
        await self.turn()
        while True:
            found = await self.journal.recent(1)
            if found and found[0].state.value in states:
                return found[0]
            assert self.clock.now() < end, f"still {[(r.state, r.reason) for r in found]}"
            self.cluster.advance(1.0)
            await self.turn()

    async def newest(self) -> Remediation:
        (found,) = await self.journal.recent(1)
        return found

    async def all(self) -> tuple[Remediation, ...]:
        """Oldest first."""
        return tuple(reversed(await self.journal.recent(1000)))

    def settle(self, name: str = "api", namespace: str = "shop", within_s: float = 300) -> None:
        """Until a Deployment is rolled out."""
        self.cluster.run_until(
            lambda: self.available(name, namespace) == self.replicas(name, namespace), within_s=within_s
        )

    def peek(self, name: str = "api", namespace: str = "shop") -> Object:
        found = self.cluster.peek(ObjectRef("Deployment", namespace, name))
        assert found is not None
        return found

    def available(self, name: str = "api", namespace: str = "shop") -> int:
        return int(dig(self.peek(name, namespace), "status", "availableReplicas", default=0))

    def replicas(self, name: str = "api", namespace: str = "shop") -> int:
        return int(dig(self.peek(name, namespace), "spec", "replicas", default=0))

    def image(self, name: str = "api", namespace: str = "shop") -> str:
        return str(self.peek(name, namespace)["spec"]["template"]["spec"]["containers"][0]["image"])

    def restarted_at(self, name: str = "api", namespace: str = "shop") -> str:
        template = dig(self.peek(name, namespace), "spec", "template")
        return annotations_of(template).get(RESTARTED_AT, "")

    def writes(self) -> list[tuple[str, str]]:
        """Our writes as the API server saw them: (verb, object)."""
        return [(entry.verb, str(entry.ref)) for entry in self.cluster.audit]

    def another(self, *playbooks: Mapping[str, Any], holder: str = "test-2", **changes: Any) -> World:
        """Another process on the same store and cluster."""
        return World(
            *playbooks,
            cluster=self.cluster,
            clock=self.clock,
            database=self.database,
            queries=changes.pop("queries", self.queries),
            silences=changes.pop("silences", self.silences),
            policy=changes.pop("policy", self.policy),
            reach=changes.pop("reach", self.reach),
            calendars=changes.pop("calendars", self.calendars),
            holder=holder,
            ids=self.ids,
            **changes,
        )


def queries(clock: VirtualClock, values: Mapping[str, Any] | None = None) -> SimulatedQueries:
    found = SimulatedQueries(clock)
    for text, value in (values or {}).items():
        found.set(text, value)
    return found
