"""What one schedule consists of, as data: playbooks, workloads, alerts, people, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Incident:
    """One alert about one workload."""

    at: float
    alertname: str
    deployment: str
    severity: str
    resend: float
    duplicate: bool
    gone_after: float | None
    """When it resolves by itself, seconds after its begin."""
    again_after: float | None
    age: float = 0.0
    """How long it had been firing before anybody told us."""


@dataclass(slots=True)
class Trouble:
    """A process is killed or frozen at its n-th call of a kind from now on, or at its n-th await of any kind. `lasts`:
    until it is started again, or thaws."""

    kind: str
    call: str
    number: int
    when: str
    lasts: float


@dataclass(slots=True)
class Spell:
    """Something outside is in a state for a while: `SPELLS` has the states of each. `after` as for pauses."""

    on: str
    mode: str
    at: float
    lasts: float
    after: str = ""


SPELLS = {
    "store": ("slow", "read_only", "down"),
    "api": ("down", "hangs", "mute", "conflicts", "forbids"),
    "prometheus": ("down", "empty", "nan", "stale"),
    "alertmanager": ("down", "unreadable"),
    "slack": ("down", "limited", "refuses"),
    "blocker": ("fires",),
    "overload": ("holds",),
}


@dataclass(slots=True)
class Pause:
    """`after`: right after the first commit since `at` of this name, or of a remediation in this state; empty = at
    once."""

    at: float
    scope: str
    lasts: float
    after: str = ""


@dataclass(slots=True)
class Silence:
    """Of all alerts of a workload."""

    at: float
    deployment: str
    lasts: float


@dataclass(slots=True)
class Edit:
    """Somebody works on an object by hand; `after` as for pauses."""

    at: float
    what: str
    deployment: str
    after: str = ""


@dataclass(slots=True)
class Jump:
    """The wall clock of a replica jumps."""

    at: float
    replica: int
    ahead: float


@dataclass(slots=True)
class Scenario:
    """Times are seconds from the beginning; before 30 s only the cluster is there."""

    seed: int
    large: bool = False
    themes: tuple[str, ...] = ()
    calm_at: float = 300.0
    """From then on nothing goes wrong any more, and everything must end."""
    replicas: int = 1
    deployments: dict[str, str] = field(default_factory=lambda: {"api": "plain"})
    """Name -> what is special about it, see `playbooks.WORKLOADS`."""
    playbooks: tuple[str, ...] = ()
    incidents: list[Incident] = field(default_factory=list)
    troubles: list[list[Trouble]] = field(default_factory=list)
    """By replica, one after the other."""
    api_writes: float = 0.0
    api_reads: float = 0.0
    api_favourite: str = ""
    """The kind of fault that most of them are; empty = all alike."""
    late_s: float = 0.0
    stale_s: float = 0.0
    slow_api: float = 0.0
    store: float = 0.0
    """Share of calls that go wrong by themselves."""
    store_latency_s: float = 0.0
    calls: float = 0.0
    """Share of requests to somebody else than the API server that go wrong."""
    chat: float | None = None
    """Share of calls to Slack that go wrong; None = nobody sends anything."""
    spells: list[Spell] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    silences: list[Silence] | None = None
    """None = no Alertmanager is configured to be asked."""
    edits: list[Edit] = field(default_factory=list)
    jumps: list[Jump] = field(default_factory=list)
    cures: dict[str, list[str]] = field(default_factory=dict)
    """What our writes to a workload do to it, one after the other."""
    policy: dict[str, Any] = field(default_factory=dict)
    project: dict[str, Any] | None = None
    """The one that all playbooks belong to; None = there are no projects."""
    limits: dict[str, Any] = field(default_factory=dict)
    people: float = 0.7
    """How likely a proposal is approved."""
    answers_after: float | None = None
    """How long a person takes, seconds; None = it differs."""
    healed_at_last: bool = True
    merges_after: float | None = None
    """How long after it was opened people merge a pull request, seconds; None = never."""
    for_a_time: bool = False
    """Some effects are put back once it is quiet, and the schedule lasts until they are."""
