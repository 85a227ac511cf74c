"""Everything the guardrails look at, gathered before and frozen: they do no I/O and read no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remediator.actions.change import Change, Direction
from remediator.actions.view import View
from remediator.guardrails.calendars import Calendar
from remediator.objects import ObjectRef
from remediator.playbooks.limits import Blocker
from remediator.playbooks.model import Mode, Playbook
from remediator.playbooks.projects import Project
from remediator.playbooks.windows_model import Windows
from remediator.ports import ChangeRecord, Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLimits:
    """The numbers in force for this playbook here: policy default, the playbook's own, never above the ceiling."""

    mode: Mode = Mode.OBSERVE
    mode_ceiling: Mode = Mode.APPROVE
    max_targets: int = 1
    max_alert_age: timedelta = timedelta(hours=1)
    in_flight_target: int = 1
    in_flight_playbook: int = 1
    in_flight_cluster: int = 3
    in_flight_everywhere: int = 10
    cooldown_success: timedelta = timedelta(minutes=15)
    cooldown_failure: timedelta = timedelta(hours=1)
    rate_target: int = 2
    rate_playbook: int = 5
    rate_namespace: int = 10
    rate_cluster: int = 20
    rate_window: timedelta = timedelta(hours=1)
    min_available: str | int = "60%"
    min_available_floor: str | int = 1
    """The operator's ceiling: never fewer copies than this, whatever the playbook says."""
    max_attempts: int = 1
    plan_age: timedelta = timedelta(seconds=60)
    min_healthy: str | int = "51%"
    min_healthy_floor: str | int = 1
    """The operator's ceiling, as with `min_available_floor`."""
    failure_domain_label: str = "topology.kubernetes.io/zone"
    failure_domain_max: int = 1
    breaker_failures: int = 3
    breaker_open: timedelta = timedelta(hours=4)
    auto: tuple[str, ...] = ("any",)
    """What may run by itself in `auto`: `any`, or `reversible` and names of actions."""
    environment: str = ""
    """The environment whose numbers these are; empty = none is configured for it."""
    windows: tuple[Windows, ...] = ()
    """Every set of windows in force: the playbook's and the operator's. An instant is open when all of them are."""
    blockers: tuple[Blocker, ...] = ()
    """The playbook's and the operator's; they add up."""
    overload: str = ""
    """PromQL of the environment: while it holds, capacity is not reduced without an approval. Empty = none."""

    @property
    def history(self) -> timedelta:
        """How far back `Facts.runs` must reach for every limit to see what it counts."""
        return max(self.rate_window, self.cooldown_success, self.cooldown_failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFact:
    """One alert of this remediation, as the journal knows it."""

    fingerprint: str
    labels: Mapping[str, str]
    starts_at: datetime
    first_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """`scope`: `everything`, `playbook:NAME`, `namespace:CLUSTER/NS`, `target:CLUSTER/Kind/ns/name`."""

    id: str
    scope: str
    who: str
    why: str
    until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A remediation that reserved something: running, or ended within the longest window that any limit looks at.

    `target_key` is `CLUSTER/Kind/ns/name` of the root. `tokens_back` = refunded after a definite no-effect.
    """

    remediation_id: str
    episode_id: str
    playbook: str
    cluster: str
    namespace: str
    target_key: str
    reserved_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    direction: Direction = ""
    tokens_back: bool = False
    domains: frozenset[str] = frozenset()
    """Failure domains (zones) that it touches; empty = none, or spread by design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A remediation was opened for this root target (`CLUSTER/Kind/ns/name`) at that moment."""

    target_key: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one remediation of this playbook ended, where it says something about the playbook: it had an effect.

    `good` = it succeeded; otherwise `outcome` says how it failed (`failed`, `undone`, `undo_failed`, `inconclusive`).
    """

    remediation_id: str
    cluster: str
    target_key: str
    ended_at: datetime
    good: bool
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerFact:
    """One condition that forbids acting, as it was answered. `name` is how people read it: `severity="critical"`.

    `blocks`: what of it fires or holds, one short text each; empty = nothing. `problem`: why nobody knows.
    """

    name: str
    blocks: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """The answer to the environment's overload query. `says`: what it returned, for people; empty = not overloaded."""

    query: str
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to reach people. `problem` empty = it answers."""

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One object of a fleet of which few may be changed at a time. `why` says what is wrong with an unhealthy one."""

    key: str
    healthy: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All of them. `total` was frozen when the remediation began, so that losing members does not lower the bar."""

    members: tuple[Member, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """How many of a storm's targets stand on the target itself (a node, a zone, a release)."""

    what: str
    members: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A storm as it is on record, at most one open per cluster. Arrivals open it; who keeps it closes it.

    `peak_at` = when there were too many last, `targets` = how many there were at most within one window. `members` are
    ids of the remediations that it held, oldest first. `service` and `channels` are whom it was told to; `shown` is a
    digest of what was said last. `version` counts its writes; 0 = not stored yet.
    """

    id: str
    cluster: str
    opened_at: datetime
    peak_at: datetime
    targets: int
    limit: int
    members: tuple[str, ...] = ()
    service: str = ""
    channels: tuple[str, ...] = ()
    shown: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Where a fact was read, and when."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """One target with the change planned for it."""

    ref: ObjectRef
    root: ObjectRef
    uid: str
    view: View
    change: Change
    named: bool = False
    """Whether the playbook names this very object, which is what `protect` asks for."""
    step: int = 0
    """The step of the playbook; targets of one step are changed at the same time."""
    domains: frozenset[str] | None = frozenset()
    """Failure domains (values of the label) that it stands in; empty = spread over several by design. None = no node
    of it carries the label, or we may not read nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One moment's facts. `unknown` maps a fact's name (a field name below) to why it could not be read.

    `targets` has one entry for each action step and target, so the same object may be there twice.
    """

    now: datetime
    remediation_id: str
    episode_id: str
    cluster: str
    playbook: Playbook
    limits: EffectiveLimits
    alerts: tuple[AlertFact, ...]
    targets: tuple[TargetFacts, ...]
    action: str
    action_disruptive: bool = True
    planned_at: datetime | None = None
    pauses: tuple[Pause, ...] = ()
    silences: tuple[Silence, ...] | None = None
    """None = no Alertmanager configured (not applicable, said). Unreadable = in `unknown`."""
    runs: tuple[Run, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    """Of the cluster, within the time that `storm` looks back."""
    known_workloads: int = 0
    """Workloads of the cluster that the observer has seen."""
    storm: Storm | None = None
    """The open one of this cluster."""
    parent: Parent | None = None
    """Set while a storm lasts, when the target may be what its members have in common."""
    outcomes: tuple[Outcome, ...] = ()
    """Of this playbook in all clusters, newest first, as far back as the circuit breaker looks."""
    project: Project | None = None
    """The project that the playbook belongs to; None = no projects are configured."""
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    """Freeze calendars by name, those that the windows in force name."""
    started: bool = False
    """An effect of this remediation has been sent: it is under way."""
    blockers: tuple[BlockerFact, ...] = ()
    """The playbook's and the operator's."""
    overload: Overload | None = None
    """None = no query is configured for this environment."""
    channels: tuple[Channel, ...] = ()
    """The chat and the pager that are configured."""
    change_record: ChangeRecord | None = None
    """The change whose number was given with the approval; None = none was given."""
    fleet: Fleet | None = None
    """None = neither `targets` nor `fleet` was asked for."""
    ladders: int = 0
    """Ladders this episode has already finished."""
    reverts: str = ""
    """The remediation whose temporary effects this one takes back; empty = it does something new."""
    releases: bool = False
    """It only ends a hold of drift correction, which was agreed to together with the hold."""
    between_rungs: bool = False
    """A child of a ladder: cooldown and the target's in_flight do not apply."""
    approved: bool = False
    """A person has approved this digest: ASK verdicts are met."""
    protected_namespaces: frozenset[str] = frozenset({"kube-system"})
    environments: frozenset[str] = frozenset()
    """Those that the targets lie in, which must be the one whose policy holds; "" = none."""
    unknown_marker: str = ""
    """Set when the target's marker names an effect that the journal does not know."""
    zone: str = "UTC"
    """IANA zone in which explanations give times."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """Fact's name -> where and when it was read, for the record."""
