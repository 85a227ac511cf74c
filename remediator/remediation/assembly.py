"""Puts the core together from its ports. The service, the demo and the simulation tests all start here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from remediator.actions.base import Action
from remediator.actions.registry import load_actions
from remediator.alerts.labels import LabelRules
from remediator.gitops.owner import ARGOCD_NAMESPACE
from remediator.guardrails.policy import Policy
from remediator.people.approval_settings import BreakGlass
from remediator.people.beside import Beside
from remediator.people.escalation import Escalation
from remediator.people.incidents import IncidentNotes
from remediator.people.quiet_hours import QuietHours
from remediator.people.reach import Reach
from remediator.people.routes import Routes
from remediator.people.severity import Severities
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.projects import Project
from remediator.ports import Callers, ChangeRecords, Clock, Cluster, Queries, Reachable, Silences
from remediator.remediation.aim import Aiming
from remediator.remediation.break_glass import Glass, objection
from remediator.remediation.checks.base import HttpProbe, MetricLabels
from remediator.remediation.chooser import Chooser
from remediator.remediation.clock_watch import ClockWatch
from remediator.remediation.company import Company
from remediator.remediation.condition_reading import ConditionReader
from remediator.remediation.draft import Decision
from remediator.remediation.effector import Effector
from remediator.remediation.fact_reading import FactReader, KnownCalendars, no_calendars
from remediator.remediation.intake import Intake
from remediator.remediation.journal import Journal
from remediator.remediation.ladders import Ladders
from remediator.remediation.picturing import Pictures
from remediator.remediation.planner import Planner
from remediator.remediation.proposing import Proposer
from remediator.remediation.releasing import Releaser
from remediator.remediation.reverting import Reverter
from remediator.remediation.runner import LEASE, Runner
from remediator.remediation.schedules import Scheduler
from remediator.remediation.scopes import Scopes
from remediator.remediation.starting import Starter
from remediator.remediation.storm_reading import StormReader
from remediator.remediation.storms import Storms
from remediator.remediation.telling import Teller
from remediator.remediation.verifier import Verifier


def new_id() -> str:
    """`r-` and ten hex digits: short enough to type on a phone, too many to meet twice."""
    return f"r-{secrets.token_hex(5)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside. None = not configured; what needs it then says so."""

    clusters: Mapping[str, Cluster]
    journal: Journal
    clock: Clock
    queries: Queries | None = None
    silences: Silences | None = None
    changes: ChangeRecords | None = None
    http: HttpProbe | None = None
    callers: Callers = field(default_factory=dict)
    """What actions may talk to besides the Kubernetes API."""
    reach: Mapping[str, Reachable] = field(default_factory=dict)
    """Ways to people, by the name that they know it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator set."""

    policy: Policy = field(default_factory=Policy)
    routes: Routes = field(default_factory=Routes)
    severities: Severities = field(default_factory=Severities)
    quiet_hours: QuietHours | None = None
    escalation: Escalation | None = None
    """None = no ladders: who is called next is the pager's own matter."""
    label_rules: LabelRules = field(default_factory=LabelRules)
    metric_labels: MetricLabels = field(default_factory=MetricLabels)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    projects: tuple[Project, ...] = ()
    calendars: Callable[[], KnownCalendars] = no_calendars
    instance: str = ""
    console: str = ""
    beside: Beside = field(default_factory=Beside)
    """Kubernetes Events and Grafana."""
    interactive: bool = False
    """Whether clicks in chat reach us."""
    notes: IncidentNotes | None = None
    """What is written on the pager's incidents."""
    lease: timedelta = LEASE
    break_glass: BreakGlass | None = None
    argocd_namespace: str = ARGOCD_NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The assembled core."""

    ports: Ports
    settings: Settings
    runner: Runner
    intake: Intake
    starter: Starter
    scheduler: Scheduler
    reverter: Reverter
    planner: Planner
    chooser: Chooser
    verifier: Verifier
    effector: Effector
    teller: Teller
    pictures: Pictures
    aiming: Aiming
    actions: Mapping[str, Action[Any]]
    glass: Glass | None = None
    """None = nobody may break it."""
    ladders: Ladders | None = None


def assemble(
    ports: Ports,
    settings: Settings,
    catalog: Callable[[], Catalog],
    *,
    holder: str,
    ids: Callable[[], str] = new_id,
    on_decision: Callable[[Decision], None] = lambda decision: None,
    on_frozen: Callable[[float], None] = lambda gap_s: None,
    on_told: Callable[[], None] = lambda: None,
    actions: Mapping[str, Action[Any]] | None = None,
) -> Core:
    """`holder` is unique per process start; `on_frozen` is called after a gap longer than the lease and must not return
    into business: another process may have taken over.
    """
    found = load_actions() if actions is None else actions
    scopes = Scopes(settings.params)
    aiming = Aiming(ports.clusters, settings.label_rules, scopes, settings.projects, found)
    verifier = Verifier(
        clusters=ports.clusters,
        journal=ports.journal,
        queries=ports.queries,
        http=ports.http,
        scopes=scopes,
        labels=settings.metric_labels,
        clock=ports.clock,
        callers=ports.callers,
    )
    clock_watch = ClockWatch(ports.clusters, ports.clock)
    facts = FactReader(
        journal=ports.journal,
        clusters=ports.clusters,
        silences=ports.silences,
        policy=settings.policy,
        clock_watch=clock_watch,
        conditions=ConditionReader(ports.queries),
        scopes=scopes,
        projects=settings.projects,
        reach=Reach(ports.reach, ports.clock).channels,
        calendars=settings.calendars,
        changes=ports.changes,
    )
    chooser = Chooser(
        catalog=catalog,
        clusters=ports.clusters,
        journal=ports.journal,
        aiming=aiming,
        scopes=scopes,
        policy=settings.policy,
        clock=ports.clock,
        new_id=ids,
        projects=settings.projects,
        actions=found,
    )
    planner = Planner(
        clusters=ports.clusters,
        journal=ports.journal,
        proposer=Proposer(
            clusters=ports.clusters,
            journal=ports.journal,
            actions=found,
            scopes=scopes,
            clock=ports.clock,
            queries=ports.queries,
            callers=ports.callers,
            argocd_namespace=settings.argocd_namespace,
        ),
        facts=facts,
        verifier=verifier,
        scopes=scopes,
        clock=ports.clock,
        callers=ports.callers,
    )
    effector = Effector(ports.clusters, ports.journal, ports.clock, facts.closes_at, ports.callers)
    glass = None
    if settings.break_glass is not None:

        def lasting(name: str) -> bool | None:
            return bool(getattr(found[name], "changes_data", False)) if name in found else None

        protected = settings.policy.protected_namespaces
        glass = Glass(
            settings=settings.break_glass,
            objection=lambda r: objection(r, protected=protected, changes_data=lasting),
        )
    teller = Teller(
        journal=ports.journal,
        routes=settings.routes,
        clock=ports.clock,
        instance=settings.instance,
        console=settings.console,
        channels={project.name: project.channels for project in settings.projects},
        beside=settings.beside,
        interactive=settings.interactive,
        notes=settings.notes,
        glass=glass,
        company=Company(
            journal=ports.journal,
            routes=settings.routes,
            severities=settings.severities,
            quiet=settings.quiet_hours,
            climbs=settings.escalation is not None,
        ),
    )
    ladders = None
    if settings.escalation is not None:
        ladders = Ladders(
            journal=ports.journal,
            clock=ports.clock,
            settings=settings.escalation,
            routes=settings.routes,
            stories=teller.stories,
            new_id=ids,
            on_told=on_told,
        )
    runner = Runner(
        holder=holder,
        journal=ports.journal,
        chooser=chooser,
        planner=planner,
        limits=facts.limits,
        effector=effector,
        verifier=verifier,
        tell=teller,
        show=teller.evidence,
        storms=Storms(
            journal=ports.journal,
            reader=StormReader(ports.journal, ports.clusters),
            clusters=tuple(ports.clusters),
            clock=ports.clock,
            clock_watch=clock_watch,
            stories=teller.stories,
            routes=settings.routes,
            new_id=ids,
            instance=settings.instance,
            console=settings.console,
            on_told=on_told,
        ),
        clock=ports.clock,
        on_decision=on_decision,
        on_frozen=on_frozen,
        lease=settings.lease,
    )
    intake = Intake(
        journal=ports.journal,
        catalog=catalog,
        aiming=aiming,
        clock=ports.clock,
        new_id=ids,
        poke=runner.poke,
        tell=teller,
    )
    runner.take_alerts = intake.take_all
    starter = Starter(
        journal=ports.journal, catalog=catalog, chooser=chooser, clock=ports.clock, new_id=ids, poke=runner.poke
    )
    scheduler = Scheduler(journal=ports.journal, catalog=catalog, starter=starter, clock=ports.clock, poke=runner.poke)
    reverter = Reverter(
        journal=ports.journal,
        chooser=chooser,
        verifier=verifier,
        releaser=Releaser(
            journal=ports.journal,
            clusters=ports.clusters,
            callers=ports.callers,
            chooser=chooser,
            tell=teller.beside,
            clock=ports.clock,
            poke=runner.poke,
        ),
        tell=teller.beside,
        clock=ports.clock,
        poke=runner.poke,
    )
    return Core(
        ports=ports,
        settings=settings,
        runner=runner,
        intake=intake,
        starter=starter,
        scheduler=scheduler,
        reverter=reverter,
        planner=planner,
        chooser=chooser,
        verifier=verifier,
        effector=effector,
        teller=teller,
        pictures=Pictures(
            journal=ports.journal,
            verifier=verifier,
            teller=teller,
            routes=settings.routes,
            clock=ports.clock,
            quiet=settings.quiet_hours,
            on_told=on_told,
        ),
        aiming=aiming,
        actions=found,
        glass=glass,
        ladders=ladders,
    )
