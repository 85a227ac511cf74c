"""Facts for tests: one Deployment, one playbook, everything quiet; say only what differs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from remediator.actions.change import GENERATED_TIME, Change, Evict, Failover, FieldChange, Patch, PodRule
from remediator.actions.view import View
from remediator.actions.workloads.rollback import TEMPLATE_PATH
from remediator.actions.workloads.rollout_restart import RESTART_PATH
from remediator.guardrails.facts import AlertFact, EffectiveLimits, Facts, Fleet, Member, Outcome, Run, TargetFacts
from remediator.objects import Object, ref_of, uid_of
from remediator.playbooks.model import Mode, Playbook
from tests.actions.make import NOW, NS, deployment, template, view

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY = "prod/Deployment/shop/api"


def playbook(name: str = "restart-api", **content: Any) -> Playbook:
    return Playbook.model_validate(
        {
            "name": name,
            "match": {"alerts": ['alertname="X"']},
            "target": "from_alert",
            "steps": [{"action": "rollout_restart"}],
            **content,
        }
    )


def a_patch(obj: Object, *changes: FieldChange, replace: bool = False) -> Patch:
    return Patch(ref=ref_of(obj), uid=uid_of(obj), changes=changes, replace=replace)


def restart(obj: Object, takes: int = 0) -> Change:
    return Change(
        effects=(a_patch(obj, FieldChange(RESTART_PATH, None, GENERATED_TIME)),), takes=takes, summary="restart"
    )


def rollback(obj: Object, takes: int = 0) -> Change:
    patch = a_patch(obj, FieldChange(TEMPLATE_PATH, template(), template("shop/api:0")), replace=True)
    return Change(effects=(patch,), takes=takes, summary="rollback")


def scale(obj: Object, before: int, after: int, takes: int = 0) -> Change:
    return Change(
        effects=(a_patch(obj, FieldChange(("spec", "replicas"), before, after)),),
        takes=takes,
        summary=f"replicas {before} -> {after}",
        direction="up" if after > before else "down",
        reduces_capacity=after < before,
    )


def evict(takes: int = 1) -> Change:
    rule = PodRule(namespace=NS, select="oldest", owner_uids=("u",))
    return Change(effects=(Evict(pod=rule),), takes=takes, summary="evict pod")


def failover(**changes: Any) -> Failover:
    """What may be promoted: stopped for two vantage points, no lag worth mentioning, failing for long enough."""
    return Failover(
        **{
            "old_primary": {"operator": "stopped", "probe": "unreachable"},
            "candidate": "db-2",
            "lag_s": 0.5,
            "max_lag_s": 5.0,
            "failing_since": NOW - 3 * MINUTE,
            "debounce": MINUTE,
            **changes,
        }
    )


def promote(**changes: Any) -> Change:
    return Change(effects=(evict().effects), summary="promote db-2", failover=failover(**changes))


def target(
    obj: Object | None = None,
    change: Change | None = None,
    *,
    named: bool = False,
    step: int = 0,
    domains: frozenset[str] | None = frozenset(),
    **parts: Any,
) -> TargetFacts:
    obj = deployment() if obj is None else obj
    seen: View = view(obj, **parts)
    return TargetFacts(
        ref=seen.ref,
        root=seen.root,
        uid=uid_of(obj),
        view=seen,
        change=restart(obj) if change is None else change,
        named=named,
        step=step,
        domains=domains,
    )


def alert(age: timedelta = 5 * MINUTE, seen: timedelta = 4 * MINUTE, **labels: str) -> AlertFact:
    """An alert that has been firing for `age` and was first seen `seen` ago."""
    return AlertFact(
        fingerprint="0123456789abcdef",
        labels={"alertname": "X", "namespace": NS, **labels},
        starts_at=NOW - age,
        first_seen=NOW - seen,
    )


def run(
    remediation_id: str = "r-other",
    *,
    reserved: timedelta = 30 * MINUTE,
    ended: timedelta | None = 20 * MINUTE,
    outcome: str = "succeeded",
    **extra: Any,
) -> Run:
    """Another remediation of the same target, reserved and ended so long ago; `ended` None = running."""
    fields: dict[str, Any] = {
        "episode_id": f"e-{remediation_id}",
        "playbook": "restart-api",
        "cluster": "prod",
        "namespace": NS,
        "target_key": KEY,
        **extra,
    }
    return Run(
        remediation_id=remediation_id,
        reserved_at=NOW - reserved,
        ended_at=None if ended is None else NOW - ended,
        outcome="" if ended is None else outcome,
        **fields,
    )


def outcome(remediation_id: str = "r-a", *, ago: timedelta = MINUTE, how: str = "failed", **extra: Any) -> Outcome:
    """A remediation of the playbook that ended so long ago; `how` succeeded = a good one."""
    fields: dict[str, Any] = {"cluster": "prod", "target_key": KEY, **extra}
    return Outcome(remediation_id=remediation_id, ended_at=NOW - ago, good=how == "succeeded", outcome=how, **fields)


def fleet(healthy: int, *sick: str, total: int | None = None) -> Fleet:
    """`sick` = what is wrong with each of the others."""
    members = [Member(key=f"Deployment/shop/ok-{n}", healthy=True) for n in range(healthy)]
    members += [Member(key=f"Deployment/shop/sick-{n}", healthy=False, why=why) for n, why in enumerate(sick)]
    return Fleet(members=tuple(members), total=len(members) if total is None else total)


def facts(*targets: TargetFacts, now: datetime = NOW, **changes: Any) -> Facts:
    limits = changes.pop("limits", None) or EffectiveLimits(mode=Mode.AUTO, mode_ceiling=Mode.AUTO)
    return Facts(
        **{
            "now": now,
            "remediation_id": "r-1",
            "episode_id": "e-1",
            "cluster": "prod",
            "playbook": playbook(),
            "limits": limits,
            "alerts": (alert(),),
            "targets": targets or (target(),),
            "action": "rollout_restart",
            "planned_at": now,
            "silences": (),
            **changes,
        }
    )
