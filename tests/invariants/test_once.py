"""What was agreed to is what is sent, once, to an object that still is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import LandLater, LoseReply, LoseRequest, Reject, Script
from remediator.adapters.simulated.faults import WriteFault
from remediator.errors import Conflict, Unavailable
from remediator.objects import ObjectRef, annotations_of, uid_of, version_of
from remediator.ports import MARKER, WriteRequest
from remediator.remediation.runner import LEASE
from remediator.remediation.state import State, StepOutcome
from tests.invariants.given import (
    API,
    WORSE,
    At,
    OnWrite,
    Shared,
    approve,
    checked,
    crash,
    hurt,
    measured,
    nothing_is_written,
    ready,
    rows_of,
    scale_to,
)
from tests.support.world import World, restart_playbook

IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop/api:2"}]}}}}


def written(world: World) -> list[Any]:
    """Bodies of what was carried out."""
    return [json.loads(entry.body) for entry in world.cluster.audit]


# --- 4 ---------------------------------------------------------------------------------------------------------------


async def test_04_evaluated_is_approved_is_sent() -> None:
    """One digest from the guardrails over the rehearsal and the yes to the request.

    Under real status noise: `tests/e2e/test_promises.py`.
    """
    world = ready(scale_to(5, mode="approve"))
    seen: list[tuple[bool, Any]] = []
    world.cluster.faults = OnWrite(lambda request, dry_run: seen.append((dry_run, json.loads(request.body))))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert r.plan is not None
    proposed = r.plan
    assert (r.digest, seen[0][0]) == (proposed.digest, True)
    for n in range(5):
        world.cluster.set_status(API, conditions=[{"type": "Noise", "status": str(n)}])
    assert not await approve(world, r, digest="0" * 64)
    assert await approve(world, r)
    after = await world.run_until("succeeded")
    assert after.plan is not None
    assert after.plan.digest == after.digest == proposed.digest

    (sent,) = [body for dry_run, body in seen if not dry_run]
    (change,) = proposed.steps[0].effects[0].changes  # type: ignore[union-attr]
    assert (change.path, sent["spec"]) == (("spec", "replicas"), {"replicas": change.after})
    for dry_run, body in seen:
        body["metadata"].pop("resourceVersion")
        assert body == {**sent, "metadata": {k: v for k, v in sent["metadata"].items() if k != "resourceVersion"}}, (
            dry_run
        )
    assert [row.request.body for row in await rows_of(world)] == [entry.body for entry in world.cluster.audit]

    # Another content means another digest, and the yes is void.
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert await approve(world, r)
    world.cluster.edit(API, {"spec": {"replicas": 4}})
    r = await world.run_until("cancelled", "succeeded", "escalated")
    assert (r.state, world.writes()) == (State.CANCELLED, [])


# --- 5 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["scale", "rollout_restart", "rollback", "evict_pod"])
async def test_05_every_effect_is_bound_to_what_was_looked_at(action: str) -> None:
    """The uid of the plan, the resourceVersion of the last look, an epoch, and a plan younger than plan_age: also after
    the process stood still with a reservation in its hands.
    """
    steps = {
        "scale": scale_to(5)["steps"],
        "rollout_restart": [{"action": "rollout_restart"}],
        "rollback": [{"action": "rollback", "with": {"to": "previous"}}],
        "evict_pod": [{"action": "evict_pod", "with": {"select": "all", "max": 1}}],
    }[action]
    mode = "approve" if action == "rollback" else "auto"
    stopped = At("reserve", "after", lambda: world.cluster.advance(100))
    world = ready(restart_playbook(steps=steps, mode=mode), store_faults=stopped)
    if action == "rollback":
        world.cluster.edit(API, IMAGE)
        world.settle()
        world.cluster.advance(60)
    looked: list[tuple[str, str]] = []

    def note(request: WriteRequest, dry_run: bool) -> None:
        found = world.cluster.peek(request.ref)
        if not dry_run and found is not None:
            looked.append((uid_of(found), version_of(found)))

    world.cluster.faults = OnWrite(note)
    await world.alert()
    if mode == "approve":
        await approve(world, await world.run_until("awaiting_approval"))
    r = await world.run_until("succeeded", "escalated", "inconclusive", within_s=200)
    assert (r.state, stopped.struck) == (State.SUCCEEDED, True), r.reason
    assert r.plan is not None
    (row,), ((uid, version),) = await rows_of(world), looked
    assert (row.uid, row.resource_version) == (uid, version)
    assert 0 < row.epoch == r.epoch
    assert timedelta(0) <= row.at - r.plan.made_at <= timedelta(minutes=1)
    (body,) = written(world)
    if action == "evict_pod":
        assert body["deleteOptions"]["preconditions"] == {"uid": uid}
    elif action == "rollback":
        assert body[:2] == [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/metadata/uid", "value": uid},
        ]
    else:
        assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == (uid, version)


# --- 6 ---------------------------------------------------------------------------------------------------------------

TROUBLES: dict[str, tuple[WriteFault, ...]] = {
    "the reply is lost": (LoseReply(),),
    "the request is lost": (LoseRequest(),),
    "twice": (LoseRequest(), LoseReply()),
    "it lands a moment later": (LandLater(0.5),),
    "it lands much later": (LandLater(45.0),),
    "each lands later": (LandLater(3.0), LandLater(6.0), LandLater(9.0)),
    "conflicts": (Reject(Conflict("409")), Reject(Conflict("409")), LandLater(2.0)),
    "overload": (Reject(Unavailable("429", retry_after_s=1.0)), LoseReply()),
}
CRASHES = [
    (name, when)
    for name in ("open", "commit", "reserve", "record_attempt", "record_outcome")
    for when in ("before", "after")
]


def effects(world: World) -> list[str]:
    """The marks of what was carried out."""
    return [body["metadata"]["annotations"][MARKER] for body in written(world)]


async def _many_posts(world: World) -> None:
    for _ in range(3):
        await world.alert()
    await world.alert(pod=world.cluster.all("Pod", "shop")[0]["metadata"]["name"])


EVICTION = restart_playbook(steps=[{"action": "evict_pod", "with": {"select": "all", "max": 1}}])
"""Bound to nothing but a uid: sent again without a look it would take another pod."""


@pytest.mark.parametrize("action", ["scale", "evict"])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_06_at_most_one_effect(trouble: str, action: str) -> None:
    """For each step of an episode, whatever the network does with its requests, and however often the alert is sent.

    By the audit log of a real API server, under `kill -9`: `tests/crash/test_kill_minus_nine.py`.
    """
    world = ready(scale_to(5) if action == "scale" else EVICTION)
    script = Script()
    for fault in TROUBLES[trouble]:
        script.write(fault)
    world.cluster.faults = script
    await _many_posts(world)
    await world.run_for(90)
    r = await world.newest()
    assert (r.state, len(await world.all())) == (State.SUCCEEDED, 1), r.reason
    await _many_posts(world)
    await world.run_for(30)
    assert len(set(world.writes())) == 1  # the same pod twice is one: the API server has been asked for it already
    if action == "scale":
        assert effects(world) == [f"{r.id}/0.0"]


@pytest.mark.parametrize(("name", "when"), CRASHES)
@pytest.mark.parametrize(
    ("successor", "action"), [("restarted", "scale"), ("restarted", "evict"), ("replica", "evict")]
)
async def test_06_at_most_one_effect_under_crashes(name: str, when: str, successor: str, action: str) -> None:
    """Killed before or after any commit, and carried on by its successor, or by a replica once the lease is over.

    At every await, with faults besides: `tests/sim`.
    """
    playbook = scale_to(5) if action == "scale" else EVICTION
    world = ready(playbook, store_faults=At(name, when, crash))
    await _many_posts(world)
    try:
        for _ in range(15):
            await world.turn()
            world.cluster.advance(1.0)
    except BaseException as exc:  # the intake runs in the test itself
        assert "Cancelled" in type(exc).__name__  # noqa: PT017
    after = world.another(playbook)
    if successor == "restarted":
        await after.journal.takeover("test-2")
    else:
        world.cluster.advance(LEASE.total_seconds())
    r = await after.run_until("succeeded", "escalated")
    assert (r.state, len(after.writes())) == (State.SUCCEEDED, 1)
    if action == "scale":
        assert effects(after) == [f"{r.id}/0.0"]


async def test_06_at_most_one_effect_by_two_replicas() -> None:
    """Both work on one store, and the first is fenced in the middle of its effect."""
    fenced: list[World] = []

    async def elsewhere() -> None:
        other = fenced[0].another(scale_to(5))
        other.cluster.advance(LEASE.total_seconds() + 1)
        fenced.append(other)
        await other.turn()

    world = ready(scale_to(5), database=Shared())
    fenced.append(world)
    real = world.journal.record_attempt

    async def late(*args: Any) -> Any:
        if len(fenced) == 1:
            await elsewhere()
        return await real(*args)

    world.journal.record_attempt = late  # type: ignore[method-assign, assignment]
    await world.alert()
    for _ in range(40):
        for process in fenced:
            await process.turn()
        world.cluster.advance(1.0)
    r = await world.newest()
    assert (r.state, len(fenced)) == (State.SUCCEEDED, 2)
    assert effects(world) == [f"{r.id}/0.0"]
    assert {row.epoch for row in await rows_of(world)} == {r.epoch}


# --- 13 --------------------------------------------------------------------------------------------------------------

SCOPES = ("everything", "playbook:scale-to-5", "namespace:c1/shop", "target:c1/Deployment/shop/api", "episode:e-1")


def _before_the_row(world: World, do: Callable[[], Any]) -> None:
    """Something happens after the last look, right before the attempt row."""
    real = world.journal.record_attempt

    async def later(*args: Any) -> Any:
        await do()
        return await real(*args)

    world.journal.record_attempt = later  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("scope", SCOPES)
async def test_13_no_attempt_row_commits_after_a_pause(scope: str) -> None:
    """The pause comes between the last look and the row: the store puts them in order.

    With threads and real processes: `tests/journal/test_writer.py`, `tests/e2e`.
    """
    world = ready(scale_to(5))

    async def paused() -> None:
        if not await world.journal.pauses(world.clock.now()):
            await world.journal.pause(scope, "bob", "deploy", None, world.clock.now())

    _before_the_row(world, paused)
    await world.alert()
    await world.run_for(40)
    assert await rows_of(world) == []
    assert world.writes() == []
    assert ("aken by bob" if scope.startswith("episode") else "paused by bob") in (await world.newest()).reason
    (pause,) = await world.journal.pauses(world.clock.now())
    world.journal.record_attempt = type(world.journal).record_attempt.__get__(world.journal)  # type: ignore[method-assign]
    await world.journal.resume(pause.id, "bob", world.clock.now())
    assert (await world.run_until("succeeded")).state is State.SUCCEEDED


async def test_13_no_request_leaves_later_than_a_second_after_its_row() -> None:
    """A slow store, or a process that stood still in between: nothing is sent on an old row."""
    slow = At("record_attempt", "after", lambda: world.clock.advance(1.5))
    world = ready(scale_to(5), store_faults=slow)
    await world.alert()
    r = await world.run_until("succeeded")
    first, second = await world.journal.attempts(r.id)
    assert (first.outcome, second.outcome) == ("not_sent", "done")
    (entry,) = world.cluster.audit
    assert entry.at - second.at <= timedelta(seconds=1)


# --- 16 --------------------------------------------------------------------------------------------------------------


async def _worse(*, faults: tuple[WriteFault, ...] = (), meddle: Any = None, **changes: Any) -> World:
    """A scale-up that does harm; `meddle` is somebody's edit before the undo."""
    clock, found = measured(9.0)
    world = ready(checked(scale_to(5, **changes), WORSE), queries=found, clock=clock)
    await world.alert()
    await world.run_until("verifying")
    script = Script()
    for fault in faults:
        script.write(fault)
    world.cluster.faults = script
    if meddle is not None:
        world.cluster.edit(API, meddle)
        await world.run_for(3)
    hurt(world)
    await world.run_until("undoing", "escalated", "inconclusive")
    hurt(world, None)
    await world.run_until("escalated", "inconclusive")
    return world


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_16_undone_once_to_what_was_better(trouble: str) -> None:
    """Only what is measurably worse, only to the recorded state from before, once, and nothing that somebody changed
    since.
    """
    world = await _worse(faults=TROUBLES[trouble])
    r = await world.newest()
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert r.plan is not None
    assert r.plan.before is not None
    assert (r.plan.before.available, world.replicas()) == (3, 3)
    assert effects(world) == [f"{r.id}/0.0", f"{r.id}/undo.0"]
    await world.run_for(120, step=10)
    assert len(effects(world)) == 2


async def test_16_no_undo_without_proof_that_it_was_better() -> None:
    """Bad as before, worse with an effect that somebody has changed since, worse where the playbook says never."""
    clock, found = measured(9.0)
    as_bad = ready(checked(scale_to(5), WORSE), queries=found, clock=clock)
    await as_bad.alert()
    await as_bad.run_until("escalated")
    changed = await _worse(meddle={"spec": {"replicas": 8}})
    never = await _worse(undo={"after": "never"})
    for world, replicas, outcome in (
        (as_bad, 5, StepOutcome.FAILED),
        (changed, 8, StepOutcome.UNDO_FAILED),
        (never, 5, StepOutcome.FAILED),
    ):
        r = await world.newest()
        assert (r.outcome, world.replicas()) == (outcome, replicas), r.reason
        assert effects(world) == [f"{r.id}/0.0"]


# --- 19 --------------------------------------------------------------------------------------------------------------


async def test_19_people_win() -> None:
    """A touched field that somebody changed after planning is left alone; another change of the spec means that plan
    and guards are made again, and only an unchanged digest goes on.
    """
    for playbook in (scale_to(5), scale_to(5, mode="approve")):
        edited = At("reserve", "after", lambda: world.cluster.edit(API, {"spec": {"replicas": 7}}))  # noqa: B023
        world = ready(playbook, store_faults=edited)
        await world.alert()
        r = await world.run_until("awaiting_approval", "cancelled", "escalated", "succeeded")
        if r.state is State.AWAITING_APPROVAL:
            await approve(world, r)
            r = await world.run_until("cancelled", "escalated", "succeeded")
        assert (r.state, world.replicas(), world.writes()) == (State.CANCELLED, 7, []), r.reason
        assert "left alone" in r.reason

    # A release between the proposal and the yes: its rollout holds, then the same change goes on.
    world = ready(scale_to(5, mode="approve", approval={"expires": "15m", "start_within": "10m"}))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    world.cluster.edit(API, IMAGE)
    with nothing_is_written(world):
        assert await approve(world, r)
        waiting = await world.newest()
        await world.turn()
        assert "rollout" in (await world.newest()).reason
        assert waiting.digest == r.digest
    after = await world.run_until("succeeded", "cancelled", "escalated")
    assert (after.state, after.digest, world.image()) == (State.SUCCEEDED, r.digest, "shop/api:2")

    # Somebody deletes it and makes another one of that name: that is not what was planned.
    replaced = At("reserve", "after", lambda: _replace(world))
    world = ready(scale_to(5), store_faults=replaced)
    await world.alert()
    r = await world.run_until("cancelled", "escalated", "succeeded")
    assert (world.writes(), r.state is State.SUCCEEDED) == ([], False)
    assert MARKER not in annotations_of(world.peek())


def _replace(world: World) -> None:
    from tests.support.world import deployment

    world.cluster.delete(ObjectRef("Deployment", "shop", "api"))
    world.cluster.apply(deployment())
