"""Everything the guardrails look at, gathered before and frozen: they do no I/O and read no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from remediator.actions.change import Change
from remediator.actions.view import View
from remediator.objects import ObjectRef
from remediator.playbooks.model import Mode, Playbook
from remediator.ports import Silence


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
    direction: Literal["", "up", "down"] = ""
    tokens_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A remediation was opened for this root target (`CLUSTER/Kind/ns/name`) at that moment."""

    target_key: str
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
    ladders: int = 0
    """Ladders this episode has already finished."""
    between_rungs: bool = False
    """A child of a ladder: cooldown and the target's in_flight do not apply."""
    approved: bool = False
    """A person has approved this digest: ASK verdicts are met."""
    protected_namespaces: frozenset[str] = frozenset({"kube-system"})
    unknown_marker: str = ""
    """Set when the target's marker names an effect that the journal does not know."""
    zone: str = "UTC"
    """IANA zone in which explanations give times."""
    unknown: Mapping[str, str] = field(default_factory=dict)
