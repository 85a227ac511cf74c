"""What one schedule consists of, drawn from its seed: playbooks, workloads, alerts, people, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from remediator.playbooks.model import LoadedPlaybook
from tests.support.world import load, restart_playbook

ERRORS = {"promql": {"query": 'errors{d="${alert.labels.deployment}"}', "success": "< 1", "failure": "> 5"}}
ROLLOUT: dict[str, Any] = {"rollout": {}}
CALM_AT = 300.0
"""From then on nothing goes wrong any more, and everything must end."""


def _verify(*checks: dict[str, Any]) -> dict[str, Any]:
    return {
        "settle": "5s",
        "interval": "5s",
        "successes": 2,
        "failures": 2,
        "timeout": "60s",
        "checks": list(checks),
    }


def _scale(to: int) -> dict[str, Any]:
    return {"action": "scale", "with": {"to": to, "min": 1, "max": 9}}


APPROVAL = {"expires": "3m", "start_within": "1m"}
TWO_STEPS = [{**_scale(5), "verify": ROLLOUT}, {"wait": "5s"}, _scale(6)]
ASKING = [_scale(5), {"ask": "Is the cache warm?"}, {"action": "rollout_restart"}]
EVICTING = [{"action": "evict_pod", "with": {"select": "all", "max": 2}}]
NEVER = {"match": {"alerts": ['alertname="Never"']}}


def playbook(name: str, alertname: str, **changes: Any) -> dict[str, Any]:
    return restart_playbook(
        **{
            "name": name,
            "match": {"alerts": [f'alertname="{alertname}"']},
            "priority": "DCBA".find(alertname) + 1,
            "verify": _verify(ERRORS, ROLLOUT),
            "approval": APPROVAL,
            **changes,
        }
    )


PLAYBOOKS: dict[str, dict[str, Any]] = {
    "restart": playbook("restart", "A"),
    "gathering": playbook("gathering", "A", gather="10s"),
    "restart-then-scale": playbook("restart-then-scale", "A", escalate=[{"playbook": "rung-scale"}]),
    "rung-scale": playbook("rung-scale", "Never", steps=[_scale(5)], escalate=[{"playbook": "rung-restart"}]),
    "rung-restart": playbook("rung-restart", "Never", mode="approve"),
    "scale": playbook("scale", "B", steps=[_scale(5)]),
    "scale-quiet": playbook("scale-quiet", "B", steps=[_scale(4)], verify=_verify({"alert_resolved": {}})),
    "scale-approve": playbook("scale-approve", "B", steps=[_scale(5)], mode="approve"),
    "scale-quorum": playbook(
        "scale-quorum", "B", steps=[_scale(5)], mode="approve", approval={**APPROVAL, "quorum": 2}
    ),
    "two-steps": playbook("two-steps", "C", steps=TWO_STEPS),
    "two-steps-approve": playbook("two-steps-approve", "C", steps=TWO_STEPS, mode="approve"),
    "asking": playbook("asking", "C", steps=ASKING),
    "evict": playbook("evict", "C", steps=EVICTING),
    "observe": playbook("observe", "D", mode="observe"),
    "suggest": playbook("suggest", "D", mode="suggest"),
    "deny": playbook("deny", "D", target={"kind": "Deployment", "namespace": "kube-system", "name": "api"}),
}
FIRST = {
    "A": ("restart", "gathering", "restart-then-scale"),
    "B": ("scale", "scale-quiet", "scale-approve", "scale-quorum"),
    "C": ("two-steps", "two-steps-approve", "asking", "evict"),
    "D": ("observe", "suggest", "deny"),
}


@cache
def loaded(name: str) -> LoadedPlaybook:
    return load(PLAYBOOKS[name])


@dataclass(slots=True)
class Incident:
    """One alert about one workload. `cure`: what our first write to it does to it."""

    at: float
    alertname: str
    deployment: str
    severity: str
    resend: float
    duplicate: bool
    gone_after: float | None
    """When it resolves by itself, seconds after its begin."""
    again_after: float | None


@dataclass(slots=True)
class Trouble:
    """A process is killed or frozen around its n-th call of a kind. `lasts`: until it is started again, or thaws."""

    kind: str
    call: str
    number: int
    when: str
    lasts: float


@dataclass(slots=True)
class Scenario:
    seed: int
    replicas: int = 1
    deployments: tuple[str, ...] = ("api",)
    playbooks: tuple[str, ...] = ()
    incidents: list[Incident] = field(default_factory=list)
    troubles: list[list[Trouble]] = field(default_factory=list)
    """By replica, one after the other."""
    api_writes: float = 0.0
    api_reads: float = 0.0
    late_s: float = 20.0
    stale_s: float = 0.0
    slow_api: float = 0.0
    store: float = 0.0
    prometheus: list[tuple[float, str]] = field(default_factory=list)
    pauses: list[tuple[float, str, float]] = field(default_factory=list)
    edits: list[tuple[float, str, str]] = field(default_factory=list)
    jumps: list[tuple[float, int, float]] = field(default_factory=list)
    cures: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    people: float = 0.7
    """How likely a proposal is approved."""
    healed_at_last: bool = True


CALLS = (
    "any",
    "record_attempt",
    "record_attempt",
    "record_outcome",
    "write",
    "write",
    "get",
    "reserve",
    "commit",
    "commit",
    "claim",
)
EDITS = ("scale", "annotate", "image", "old-marker", "old-marker", "delete-pod", "pause", "status", "status")


def draw(seed: int) -> Scenario:
    rng = random.Random(f"scenario {seed}")
    chance = lambda p: rng.random() < p  # noqa: E731
    s = Scenario(seed=seed)
    s.replicas = 2 if chance(0.4) else 1
    s.deployments = ("api", "web", "db")[: rng.choice((1, 1, 2, 3))]
    groups = sorted(set(rng.choices("ABCD", (4, 5, 4, 1), k=rng.choice((1, 2, 3)))))
    s.playbooks = (*(rng.choice(FIRST[g]) for g in groups), "rung-scale", "rung-restart")
    for _ in range(rng.randint(1, 6)):
        s.incidents.append(
            Incident(
                at=rng.uniform(0.0, 150.0),
                alertname=rng.choice((*groups, *groups, *groups, "Unknown")),
                deployment=rng.choice(s.deployments),
                severity=rng.choice(("warning", "critical", "info")),
                resend=rng.uniform(20.0, 200.0),
                duplicate=chance(0.5),
                gone_after=rng.uniform(5.0, 300.0) if chance(0.2) else None,
                again_after=rng.uniform(30.0, 200.0) if chance(0.3) else None,
            )
        )
    for name in s.deployments:
        s.cures[name] = [rng.choice(("heals", "heals", "nothing", "worse")) for _ in range(6)]
    if chance(0.6):
        s.api_writes, s.api_reads = rng.choice((0.05, 0.2, 0.5)), rng.choice((0.0, 0.05, 0.2))
        s.late_s = rng.choice((0.5, 5.0, 60.0))
        s.stale_s = rng.choice((0.0, 0.0, 5.0))
    s.slow_api = rng.choice((0.0, 0.02, 0.1))
    s.store = rng.choice((0.0, 0.0, 0.02, 0.1))
    s.troubles = [
        [
            Trouble(
                kind=rng.choice(("kill", "kill", "freeze")),
                call=rng.choice(CALLS),
                number=rng.choice((1, 1, 2, 3, 5, 8)),
                when=rng.choice(("before", "during", "after")),
                lasts=rng.choice((0.5, 5.0, 12.0, 40.0)),
            )
            for _ in range(rng.choice((0, 1, 2, 3, 5)))
        ]
        for _ in range(s.replicas)
    ]
    for _ in range(rng.choice((0, 0, 1, 3))):
        s.prometheus.append((rng.uniform(0.0, CALM_AT), rng.choice(("down", "empty", "nan", "up", "up"))))
    for _ in range(rng.choice((0, 0, 1, 2))):
        s.pauses.append((rng.uniform(0.0, 120.0), rng.choice(("everything", "playbook", "target", "namespace")), 0.0))
        s.pauses[-1] = (*s.pauses[-1][:2], s.pauses[-1][0] + rng.choice((3.0, 30.0, 120.0)))
    for _ in range(rng.choice((0, 0, 1, 3, 6))):
        s.edits.append((rng.uniform(0.0, 200.0), rng.choice(EDITS), rng.choice(s.deployments)))
    if chance(0.2):
        s.jumps.append((rng.uniform(5.0, 200.0), rng.randrange(s.replicas), rng.choice((3600.0, -3600.0))))
    s.limits = {
        "cooldown": {"success": "2m", "failure": "2m"},
        "rate_limit": {
            "target": rng.choice((1, 2, 4)),
            "playbook": rng.choice((2, 5)),
            "namespace": rng.choice((3, 10)),
        },
        "in_flight": {"playbook": rng.choice((1, 2))},
        "max_attempts": rng.choice((1, 2, 3)),
    }
    s.people = rng.choice((0.0, 0.5, 0.9))
    s.healed_at_last = chance(0.9)
    return s
