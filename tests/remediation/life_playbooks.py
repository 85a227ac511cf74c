"""The playbooks of a remediation's life, and plans for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.change import Effect, Evict, FieldChange, Patch, PodRule
from remediator.playbooks.model import Playbook, Step
from remediator.remediation.state import Plan, PlannedStep, Remediation
from tests.support.building import API, playbook, samples
from tests.support.building import plan as made_plan

SCALE: dict[str, Any] = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
CHECKED = {**SCALE, "verify": {"rollout": {}}}
RESTART = {"action": "rollout_restart"}
EVICT = {"action": "evict_pod", "with": {"select": "all", "max": 2}}
ROLLBACK = {"action": "rollback", "with": {"to": "last_healthy"}}
WAIT = {"wait": "30s"}
GATE = {"check": {"promql": {"query": "x", "success": "< 1"}}}
ASK = {"ask": "Is the cache warm?"}
EXPIRES = timedelta(minutes=15)
RUNGS = ("rung-auto", "rung-approve")

_KINDS: Mapping[str, dict[str, Any]] = {
    "scale": {"steps": [SCALE]},
    "ladder": {"steps": [SCALE], "escalate": [{"playbook": r} for r in RUNGS]},
    "approve": {"steps": [SCALE], "mode": "approve"},
    "quorum": {"steps": [CHECKED, SCALE], "mode": "approve", "approval": {"quorum": 2, "start_within": "2m"}},
    "two steps": {"steps": [CHECKED, WAIT, SCALE]},
    "three scales": {"steps": [SCALE, SCALE, SCALE], "undo": {"steps": "failed_step"}},
    "barrier": {"steps": [SCALE, RESTART, SCALE]},
    "restart": {"steps": [RESTART]},
    "evict": {"steps": [EVICT, CHECKED]},
    "rollback": {"steps": [ROLLBACK, SCALE], "undo": {"after": "never"}},
    "gates": {"steps": [SCALE, GATE, SCALE, GATE]},
    "ask first": {"steps": [ASK, RESTART], "mode": "approve"},
    "ask first, auto": {"steps": [ASK, RESTART]},
    "asks": {"steps": [SCALE, ASK, SCALE, ASK], "mode": "approve"},
    "asks two": {"steps": [SCALE, ASK], "approval": {"quorum": 2}},
    "wait first": {"steps": [WAIT, SCALE, WAIT]},
    "observe": {"steps": [SCALE], "mode": "observe"},
    "suggest": {"steps": [SCALE], "mode": "suggest"},
    "rung-auto": {"steps": [SCALE, SCALE]},
    "rung-approve": {"steps": [RESTART], "mode": "approve"},
    "rung-observe": {"steps": [RESTART], "mode": "observe"},
}
PLAYBOOKS: Mapping[str, Playbook] = {
    name: playbook(**{"name": name.replace(" ", "-").replace(",", ""), **content}) for name, content in _KINDS.items()
}
FIRST = tuple(name for name in PLAYBOOKS if not name.startswith("rung-"))


def plan_for(spec: Playbook, variant: int, now: datetime, *, quiet: bool) -> Plan:
    """What the playbook would do now. Another `variant` is another digest: the world has changed."""
    steps = tuple(_planned(step, variant) for step in spec.steps)
    return made_plan(
        *steps,
        digest=f"{spec.name} {variant}",
        made_at=now,
        before=samples("bad", at=now, available=3),
        alerts_quiet_since=now if quiet else None,
        workload_uid="u1",
        template_hash="h1",
    )


def planned_again(r: Remediation, variant: int, now: datetime) -> Plan:
    """The same plan, with the present step planned anew in its turn."""
    assert r.plan is not None
    assert r.spec is not None
    steps = list(r.plan.steps)
    steps[r.step] = _planned(r.spec.steps[r.step], variant)
    return replace(r.plan, steps=tuple(steps), made_at=now)


def _planned(step: Step, variant: int) -> PlannedStep:
    if not step.action:
        return PlannedStep(action="", summary=step.ask or "wait")
    effects: tuple[Effect, ...]
    match step.action:
        case "rollout_restart":
            effects = (_patch(("spec", "template"), variant, undoable=False),)
        case "evict_pod":
            rule = PodRule(namespace="shop", select="oldest", owner_uids=("u1",))
            effects = (Evict(pod=rule), Evict(pod=rule))
        case "rollback":
            effects = (_patch(("spec", "template"), variant, undoable=True),)
        case _:  # two fields, one after the other, so that some steps have several effects
            effects = (_patch(("spec", "replicas"), variant), _patch(("spec", "minReadySeconds"), variant))
    return PlannedStep(action=step.action, summary=f"{step.action} {variant}", effects=effects)


def _patch(path: tuple[str, ...], variant: int, *, undoable: bool = True) -> Patch:
    return Patch(ref=API, uid="u1", changes=(FieldChange(path, 3, 5 + variant),), undoable=undoable)
