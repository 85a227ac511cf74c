"""The service with everything outside of it simulated: its real loops, on one loop whose time jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from remediator.actions.base import Action
from remediator.adapters.simulated import Script, SimulatedCluster
from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.source import Source
from remediator.alerts.webhook import parse_webhook
from remediator.asking import Asking
from remediator.metrics import Metrics
from remediator.objects import KINDS, WORKLOADS, Object, ObjectRef, ref_of
from remediator.people.approvers import Approvers
from remediator.people.beside import NOTHING_BESIDE
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.pagerduty_change import ChangeCarrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.directory import Directory
from remediator.people.outbox import Outbox
from remediator.people.routes import Routes
from remediator.playbook_tests.acting import Outside, Prepared
from remediator.playbook_tests.alertmanager import Alertmanager
from remediator.playbook_tests.filling import Filler
from remediator.playbook_tests.outside import PreparedCaller
from remediator.playbook_tests.people_there import CHANNEL, SERVICE, Listeners, Reach
from remediator.playbook_tests.prometheus import Prometheus
from remediator.playbook_tests.record import Called, Judged, Move, Record, changes, full_name
from remediator.playbook_tests.times import ANCHORS, Moment
from remediator.playbook_tests.web import VIA, Web
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.projects import Project
from remediator.ports import Verb
from remediator.remediation.altered import altered
from remediator.remediation.assembly import Ports, Settings, assemble
from remediator.remediation.draft import Decision
from remediator.remediation.due_times import next_due
from remediator.remediation.events import Acted, Chosen, NoneChosen, PlanMade, ReserveRefused, StepPlanned
from remediator.remediation.observer import Observer
from remediator.remediation.pausing import playbook_scope
from remediator.remediation.state import Remediation, State
from remediator.upkeep import Housekeeping, for_ever

SOURCE = "test"
ROUTES = Routes.model_validate({"slack": {"default_channel": CHANNEL}, "pagerduty": {"default_service": SERVICE}})
LEASE = timedelta(minutes=30)
"""Nobody else is there who could take over; a longer lease is renewed less often."""
POLL_S = 30.0
"""Whatever has news is poked; the rest may wait."""
FIRST_LOOK = timedelta(minutes=2)
"""When the observer first sees the cluster: everything has begun by then."""
SOON = timedelta(minutes=15)
"""A schedule that is due so soon is still part of the story."""


class LoopClock:
    """The `Clock` port on the time of the loop. `begin` is at its second 0."""

    def __init__(self, begin: datetime) -> None:
        self.begin = begin
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self._loop.time())

    def boot(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stage:
    """Second 0 of the story is `before` after the loop's own; `now_s` counts from there."""

    def __init__(
        self,
        *,
        record: Record,
        start: datetime,
        before: timedelta,
        cluster_name: str,
        nodes: int,
        catalog: Catalog,
        settings: Mapping[str, Any],
        projects: tuple[Project, ...],
        people: Directory,
        actions: Mapping[str, Action[Any]],
        outside: Outside,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.record = record
        self._before_s = before.total_seconds()
        self.clock = LoopClock(start - before)
        self.faults = Script()
        self.cluster = SimulatedCluster(
            cluster_name, self.clock, schedule=loop.call_later, faults=self.faults, node_count=nodes
        )
        self.prometheus = Prometheus(self.clock.now, self._unanswered)
        self.alertmanager = Alertmanager(self.clock.now)
        self.listeners = Listeners(record, self.now_s)
        self.journal = SqlJournal.in_memory()
        self._anchors = {name: loop.create_future() for name in ANCHORS}
        """When each was reached, in seconds."""
        self._alerts = asyncio.Event()
        self._unknown: set[str] = set()
        self.on_call: Callable[[str, str, Mapping[str, Any]], None] = lambda via, place, request: None
        """(via, place, request): something outside of the cluster was told to do something."""
        pagers = {SERVICE: self.listeners}
        self._outbox = Outbox(
            self.journal,
            {
                "slack": SlackCarrier(self.listeners),
                "pagerduty": PagerDutyCarrier(pagers),
                "pagerduty_change": ChangeCarrier(pagers),
            },
        )
        callers = {via: self._caller(via, places) for via, places in outside.items()}
        numbers = itertools.count(1)
        self.core = assemble(
            Ports(
                clusters={cluster_name: self.cluster},
                journal=self.journal,
                clock=self.clock,
                queries=self.prometheus,
                silences=self.alertmanager,
                callers={cluster_name: callers},
                http=Web(callers[VIA]) if VIA in callers else None,
                reach={"Slack": Reach(self.listeners, "chat"), "PagerDuty": Reach(self.listeners, "pager")},
            ),
            Settings(routes=ROUTES, projects=projects, beside=NOTHING_BESIDE, lease=LEASE, **settings),
            lambda: catalog,
            holder="test",
            ids=lambda: f"r-{next(numbers)}",
            on_decision=self._decided,
            on_told=self._outbox.poke,
            actions=actions,
        )
        self._metrics = Metrics()
        self.people = Asking(
            journal=self.journal,
            runner=self.core.runner,
            clock=self.clock,
            metrics=self._metrics,
            approvers=Approvers(people, self.clock),
            clusters=(cluster_name,),
            known_playbooks=lambda: frozenset(playbook_scope(p.playbook.name) for p in catalog),
            tell=self._refresh,
            starter=self.core.starter,
        )
        self._catalog = catalog

    def now_s(self) -> float:
        return self.clock.boot() - self._before_s

    def filler(self, about: Object | None = None) -> Filler:
        """Fills in what is only known now."""
        return Filler(self.clock.now(), self.cluster.peek, about)

    def _caller(self, via: str, places: Mapping[str, Sequence[Prepared]]) -> PreparedCaller:
        return PreparedCaller(
            via,
            places,
            now=self.now_s,
            time_of=self.time_of,
            fill=lambda value: self.filler().fill(value),
            unprepared=self._unprepared,
            carried_out=self._called,
        )

    # Running

    async def history(self) -> Observer:
        """The time before the story: the cluster runs, and is seen when it has begun and again at the end."""
        observer = Observer(self.cluster, self.journal, self.clock)
        first = min(FIRST_LOOK.total_seconds(), self._before_s)
        for span in (first, self._before_s - first):
            await asyncio.sleep(span)
            for kind in WORKLOADS:
                for obj in (await self.cluster.list(kind)).items:
                    await observer.see(obj)
        return observer

    async def service(self, observer: Observer) -> list[Coroutine[Any, Any, Any]]:
        """The loops that `serve` has as well, ready to run."""
        await self.journal.takeover("test")
        keeping = Housekeeping(self.journal, self.clock, self._metrics, self.core.teller.cleared)
        return [
            self.core.runner.run(),
            for_ever("intake", self._take_alerts, self.clock, self._alerts),
            for_ever("housekeeping", keeping.turn, self.clock),
            self._outbox.run(self.clock, poll_s=POLL_S),
            observer.run(),
            for_ever("schedules", self.core.scheduler.turn, self.clock),
            for_ever("reverts", self.core.reverter.turn, self.clock),
        ]

    async def _refresh(self, r: Remediation) -> None:
        await self.core.teller.refresh(r)
        self._outbox.poke()

    async def _take_alerts(self) -> float:
        await self.core.intake.take_all()
        return POLL_S

    async def busy(self) -> str:
        """What is not over yet; empty when nothing is."""
        if await self.journal.next_due() is not None:
            unfinished = [r for r in self.record.last.values() if not r.ended]
            return ", ".join(f"{r.playbook or r.id} is {r.state.value}" for r in unfinished) or "alerts are gathered"
        if await self.journal.undecided(1):
            return "an alert is undecided"
        if due := self._due_soon():
            return due
        waiting = await self.journal.waiting_reverts(10)
        if any(one.quiet_since or one.looked_at is None for one in waiting):
            return "a temporary change is about to be taken back"
        return "messages wait to be sent" if await self.journal.outbox_pending() else ""

    def _due_soon(self) -> str:
        """A story that stops a moment before a schedule comes would tell nothing about it."""
        now = self.clock.now()
        for playbook in (loaded.playbook for loaded in self._catalog):
            due = next_due(playbook.schedule, now) if playbook.schedule else None
            if due is not None and due - now <= SOON:
                return f"{playbook.name} is due at {due:%H:%M} UTC"
        return ""

    async def close(self) -> None:
        """What is only known at the end: what became of each alert, what was changed, how the cluster looks."""
        for alert in reversed(await self.journal.recent_alerts(100)):
            self.record.line(self.now_s(), "alert", f"{alert.alert.name}: {alert.verdict or 'undecided'}")
        sent: dict[tuple[Verb, ObjectRef, bytes], str] = {}
        for id_ in self.record.last:
            for attempt in await self.journal.attempts(id_):
                sent[attempt.request.verb, attempt.request.ref, attempt.request.body] = attempt.effect_id
        found = changes(
            self.cluster.audit, self.record.last.values(), self.seconds, sent=sent, called=self.record.called
        )
        self.record.changes += sorted(found, key=lambda change: change.at)
        for change in self.record.changes:
            self.record.line(change.at, "effect", str(change))
        self.record.timeline.sort(key=lambda line: line.at)
        self.record.ended_at = self.now_s()
        for kind in KINDS:
            for obj in self.cluster.all(kind):
                ref = ref_of(obj)
                self.record.objects |= {str(ref): obj, full_name(ref): obj}

    def seconds(self, at: datetime) -> float:
        """A time in the story."""
        return (at - self.clock.begin).total_seconds() - self._before_s

    # What comes in

    async def deliver(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], began: datetime, over: bool
    ) -> None:
        """One webhook of Alertmanager with one alert."""
        alert = {
            "status": "resolved" if over else "firing",
            "labels": dict(labels),
            "annotations": dict(annotations),
            "startsAt": _stamp(began),
            "endsAt": _stamp(self.clock.now()) if over else "0001-01-01T00:00:00Z",
        }
        source = Source(name=SOURCE, cluster=self.cluster.name)
        webhook = parse_webhook(orjson.dumps({"version": "4", "alerts": [alert]}), source=source)
        await self.journal.accept(webhook.alerts, self.clock.now())
        self._alerts.set()

    async def until(self, moment: Moment) -> None:
        """Until it has come, for ever if its anchor never does."""
        if moment.anchor:
            await asyncio.shield(self._anchors[moment.anchor])
            await asyncio.sleep(moment.after.total_seconds())
        else:
            await asyncio.sleep(max(moment.after.total_seconds() - self.now_s(), 0.0))

    def time_of(self, moment: Moment) -> float | None:
        """When it is, in seconds; None while nobody knows."""
        if not moment.anchor:
            return moment.after.total_seconds()
        reached = self._anchors[moment.anchor]
        return reached.result() + moment.after.total_seconds() if reached.done() else None

    def reach(self, anchor: str) -> None:
        """Moments that are counted from it begin."""
        if not self._anchors[anchor].done():
            self._anchors[anchor].set_result(self.now_s())

    # What the service says

    def _unanswered(self, query: str) -> None:
        if query not in self._unknown:
            self._unknown.add(query)
            self.record.line(self.now_s(), "prometheus", f"was asked what this test says nothing about: {query}")

    def _unprepared(self, verb: str, what: str) -> None:
        self.record.line(self.now_s(), "outside", f"{verb} of what this test says nothing about: {what}")
        if verb == "send":
            self.record.trouble(f"{what} was sent, and this test says nothing about it: add it under `outside`")

    def _called(self, via: str, place: str, request: Mapping[str, Any], key: str) -> None:
        now = self.now_s()
        self.record.called.append(Called(at=now, via=via, place=place, request=dict(request), key=key))
        self.on_call(via, place, request)

    def _decided(self, decision: Decision) -> None:
        if decision.notices:
            self._outbox.poke()
        before, after, now = decision.before, decision.remediation, self.now_s()
        if after.id not in self.record.last and before.spec is not None and not before.parent:
            self.record.choices.append((now, before.playbook))  # it began with it: a person or its schedule said so
        self.record.last[after.id] = after
        match decision.event:
            case Chosen() as chosen:
                self.record.choices.append((now, chosen.spec.name))
                self.record.passed_over += chosen.not_chosen
            case NoneChosen() as none:
                self.record.passed_over.append(none.reason)
            case PlanMade() | StepPlanned() | ReserveRefused() as judged:
                verdicts = judged.verdicts
                self.record.judged.append(Judged(at=now, playbook=after.playbook, verdicts=verdicts))
            case Acted() as acted if acted.answer != "done":
                self.record.line(now, "service", f"{after.id} {acted.answer}: {acted.detail}")
            case _:
                pass
        for done in altered(decision):
            self.reach("undo" if done.undo else "effect")
        if before.state is after.state and _kind(before.reason) == _kind(after.reason):
            return  # one more sample of the same
        if before.state is not after.state:
            self.record.moves.append(_move(now, before, after))
        outcome = f" ({after.outcome.value})" if after.outcome else ""
        said = f"{after.playbook or after.id}: {after.state.value}{outcome}: {after.reason}"
        self.record.line(now, "service", said)
        if after.state is State.AWAITING_APPROVAL or after.waiting_for == "ask":
            self.reach("asked")


def _move(at: float, before: Remediation, after: Remediation) -> Move:
    return Move(
        at=at,
        id=after.id,
        playbook=after.playbook,
        before=before.state.value,
        state=after.state.value,
        outcome=after.outcome.value,
        reason=after.reason,
        ended=after.ended,
    )


def _kind(reason: str) -> str:
    return reason.partition(":")[0]


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
