"""What the journal's tests are made of, on top of tests/support/building.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.alert import Alert
from remediator.guardrails.facts import EffectiveLimits
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from remediator.remediation.draft import Decision
from remediator.remediation.events import TimerFired
from remediator.remediation.journal import Committed, NewAttempt, ReserveRequest
from remediator.remediation.state import ENDINGS, Done, Remediation, State
from tests.support.building import API, NOW, remediation

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LEASE = timedelta(seconds=10)
ME = "me"

DONE = Done(effect_id="r-1/0.0", step=0, at=NOW, summary="replicas 3 -> 5")

MANY = EffectiveLimits(
    in_flight_target=99,
    in_flight_playbook=99,
    in_flight_cluster=99,
    in_flight_everywhere=99,
    rate_target=99,
    rate_playbook=99,
    rate_namespace=99,
    rate_cluster=99,
)


def alert(name: str = "Busy", **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "fingerprint": f"{crc32(name.encode()):016x}",
        "status": "firing",
        "labels": {"alertname": name, "namespace": "shop"},
        "annotations": {"summary": f"{name} is bad"},
        "starts_at": NOW,
        "group_key": "{}:{}",
        "cluster": "c1",
        **changes,
    }
    return Alert(**values)


def resolved(name: str = "Busy", *, ends_at: datetime | None, **changes: Any) -> Alert:
    return alert(name, status="resolved", ends_at=ends_at, **changes)


def begun(number: int = 1, **changes: Any) -> Remediation:
    """A remediation with a root of its own, planned and due."""
    root = ObjectRef("Deployment", "shop", f"svc{number}")
    given = {"id": f"r-{number}", "episode": "", "root": root, "target": root, "alerts": (), **changes}
    return remediation(given.pop("state", State.PLANNED), **given)


async def opened(journal: SqlJournal, number: int = 1, *, now: datetime = NOW, **changes: Any) -> Remediation:
    stored = await journal.open(begun(number, **changes), now)
    assert stored is not None
    return stored


async def claimed(journal: SqlJournal, number: int = 1, *, now: datetime = NOW, **changes: Any) -> Remediation:
    """Opened, and claimed by ME (with whatever else was due)."""
    stored = await opened(journal, number, now=now, **changes)
    await journal.claim(ME, now, LEASE, 100)
    return stored


def to(before: Remediation, state: State, *, event: Any = None, now: datetime = NOW, **changes: Any) -> Decision:
    """A decision as `decide` makes it, for any transition."""
    over = state in ENDINGS
    kept = {
        name: changes.pop(name) for name in ("reserve", "release", "refund", "child", "known_bad") if name in changes
    }
    values: dict[str, Any] = {"reason": f"now {state.value}", **changes}
    if over:
        values |= {"due": None, "deadline": None, "ended_at": now}
        kept.setdefault("release", "child" not in kept)
    after = replace(before, state=state, version=before.version + 1, **values)
    return Decision(before=before, remediation=after, event=event or TimerFired(), rule="test", **kept)


def request(r: Remediation, *, limits: EffectiveLimits = MANY, **changes: Any) -> ReserveRequest:
    assert r.root is not None
    values: dict[str, Any] = {
        "locks": (f"{r.cluster}/{r.root.key}",),
        "target_key": f"{r.cluster}/{r.root.key}",
        "playbook": r.playbook,
        "cluster": r.cluster,
        "namespace": r.root.namespace,
        "direction": "up",
        "limits": limits,
        **changes,
    }
    return ReserveRequest(**values)


async def reserved(journal: SqlJournal, r: Remediation, *, now: datetime = NOW, **changes: Any) -> Remediation:
    """Taken to RESERVED, with locks, slot, token and epoch. `changes` go to the request."""
    result = await journal.commit(to(r, State.RESERVED, reserve=True), now, holder="", reserve=request(r, **changes))
    assert isinstance(result, Committed), result
    return result.remediation


async def moved(journal: SqlJournal, decision: Decision, *, now: datetime = NOW, **rest: Any) -> Remediation:
    result = await journal.commit(decision, now, holder="", **rest)
    assert isinstance(result, Committed), result
    return result.remediation


async def ended(
    journal: SqlJournal, r: Remediation, state: State = State.SUCCEEDED, *, now: datetime = NOW, **changes: Any
) -> Remediation:
    return await moved(journal, to(r, state, now=now, **changes), now=now)


def attempt(r: Remediation, **changes: Any) -> NewAttempt:
    values: dict[str, Any] = {
        "remediation_id": r.id,
        "effect_id": r.effect_id,
        "epoch": r.epoch,
        "uid": "u1",
        "resource_version": "41",
        "generation": 7,
        "request": WriteRequest("patch", API, "application/merge-patch+json", b'{"spec":{"replicas":5}}'),
        "pause_scopes": ("playbook:scale-api", "namespace:c1/shop", "target:c1/Deployment/shop/api"),
        **changes,
    }
    return NewAttempt(**values)
