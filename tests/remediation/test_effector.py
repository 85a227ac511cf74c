"""The attempt protocol, clause by clause: what a look proves, what goes again, and what nobody may send."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, FieldChange, Patch
from remediator.adapters.simulated import FailRead, LandLater, LoseReply, LoseRequest, NoFaults, Reject, Script
from remediator.errors import CannotSee, Conflict
from remediator.guardrails.answers import asks
from remediator.guardrails.pause import PAUSE_ANNOTATION
from remediator.guardrails.protect import PROTECT_ANNOTATION
from remediator.objects import Object, ObjectRef
from remediator.ports import ABANDONED, MARKER, WriteRequest
from remediator.remediation.journal import Attempt
from remediator.remediation.pausing import pause_scopes
from remediator.remediation.proofs import judge_gone, judge_patch
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.invariants.given import At, crash, guards_are, hurt, measured, with_guard
from tests.support.building import API as OBJECT
from tests.support.building import NOW, patch, planned_step, remediation
from tests.support.building import plan as made_plan
from tests.support.world import World, deployment, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
WORSE = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
PROVEN = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": [WORSE]}
STEPS: dict[str, dict[str, Any]] = {
    "scale": {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}},
    "evict": {"action": "evict_pod"},
}


def ready(*steps: dict[str, Any], **changes: Any) -> World:
    options = {name: changes.pop(name) for name in ("store_faults", "queries", "clock", "database") if name in changes}
    world = World(restart_playbook(steps=list(steps or (STEPS["scale"],)), **changes), **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def failing(world: World, *faults: Any) -> None:
    world.cluster.faults = script = Script()
    for fault in faults:
        script.write(fault)


# --- what a look proves ----------------------------------------------------------------------------------------------

EFFECT = patch(3, 5)
ID = "r-1/0.0"


def attempt(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": "1",
        "remediation_id": "r-1",
        "effect_id": ID,
        "number": 1,
        "epoch": 1,
        "uid": "u1",
        "resource_version": "41",
        "generation": 7,
        "request": WriteRequest("patch", OBJECT, "application/merge-patch+json", b"{}"),
        "at": NOW,
        "outcome": "uncertain",
        "detail": "",
        **changes,
    }
    return Attempt(**values)


def looked(
    *,
    uid: str = "u1",
    version: str = "41",
    generation: int | None = 7,
    marker: str = "",
    replicas: int = 3,
    **more: Any,
) -> Object:
    meta: dict[str, Any] = {"name": "api", "namespace": "shop", "uid": uid, "resourceVersion": version, **more}
    if generation is not None:
        meta["generation"] = generation
    if marker:
        meta["annotations"] = {MARKER: marker}
    return {"kind": "Deployment", "metadata": meta, "spec": {"replicas": replicas}}


def managed(*writes: tuple[str, datetime | None]) -> list[dict[str, Any]]:
    """(subresource, time) of each writer."""
    entries = []
    for subresource, at in writes:
        entry: dict[str, Any] = {"manager": "x", **({"subresource": subresource} if subresource else {})}
        if at is not None:
            entry["time"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        entries.append(entry)
    return entries


AFTER, BEFORE = NOW + timedelta(seconds=5), NOW - timedelta(seconds=5)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(None, "never", id="it is gone"),
        pytest.param(looked(uid="u2"), "never", id="another object by that name"),
        pytest.param(looked(uid="u2", marker=ID), "never", id="another one that carries our marker"),
        pytest.param(looked(version="42", marker=ID, generation=8, replicas=5), "happened", id="our marker"),
        pytest.param(looked(marker=ID), "happened", id="our marker, before anything else is asked"),
        pytest.param(looked(marker="r-1/0.1"), "again", id="a marker of another effect, and untouched"),
        pytest.param(looked(), "again", id="untouched"),
        pytest.param(looked(version="42"), "never", id="only its status moved"),
        pytest.param(looked(version="42", marker="r-0/0.0", generation=8), "person", id="somebody else's effect"),
        pytest.param(looked(version="42", generation=8), "person", id="its spec moved"),
        pytest.param(looked(version="42", generation=6), "person", id="a generation that went back"),
        pytest.param(looked(version="42", generation=None), "person", id="no generation and no word on who wrote"),
        pytest.param(
            looked(version="42", generation=None, managedFields=managed(("", BEFORE))), "never", id="written before"
        ),
        pytest.param(
            looked(version="42", generation=None, managedFields=managed(("", AFTER))), "person", id="written since"
        ),
        pytest.param(
            looked(version="42", generation=None, managedFields=managed(("", None))), "person", id="written some time"
        ),
        pytest.param(
            looked(version="42", generation=None, managedFields=managed(("", BEFORE), ("status", AFTER))),
            "never",
            id="only its status was written since",
        ),
    ],
)
def test_what_a_look_says_of_a_patch(found: Object | None, expected: str) -> None:
    last = attempt(generation=7 if found is None or "generation" in found["metadata"] else None)
    assert judge_patch(ID, EFFECT, last, found).answer == expected


def test_writes_are_dated_in_whole_seconds() -> None:
    """One in the second of the attempt may be later than it."""
    at = NOW + timedelta(milliseconds=700)
    found = looked(version="42", generation=None, managedFields=managed(("", NOW)))
    assert judge_patch(ID, EFFECT, attempt(at=at, generation=None), found).answer == "person"


def test_without_an_attempt_only_the_marker_can_tell() -> None:
    assert judge_patch(ID, EFFECT, None, looked()).answer == "never"
    assert judge_patch(ID, EFFECT, None, looked(marker=ID)).answer == "happened"


def test_what_is_found_by_its_marker_is_undone_only_while_it_is_ours() -> None:
    ours = judge_patch(ID, EFFECT, attempt(), looked(marker=ID, replicas=5))
    assert isinstance(ours.inverse, Patch)
    assert ours.inverse.changes == (FieldChange(("spec", "replicas"), 5, 3),)
    assert judge_patch(ID, EFFECT, attempt(), looked(marker=ID, replicas=8)).inverse is None
    dated = Patch(ref=OBJECT, uid="u1", changes=(FieldChange(("spec", "note"), None, GENERATED_TIME),))
    assert judge_patch(ID, dated, attempt(), looked(marker=ID)).answer == "happened"


@pytest.mark.parametrize(
    ("verb", "found", "expected"),
    [
        pytest.param("evict", None, "happened", id="gone"),
        pytest.param("evict", looked(uid="u2"), "happened", id="another one by that name"),
        pytest.param("evict", looked(deletionTimestamp="2026-03-01T03:00:00Z"), "happened", id="going"),
        pytest.param("evict", looked(), "again", id="there"),
        pytest.param("evict", looked(version="42"), "again", id="there, with another status"),
        pytest.param("delete", looked(), "again", id="delete: untouched"),
        pytest.param("delete", looked(version="42"), "never", id="delete: moved on"),
        pytest.param("delete", looked(version="42", deletionTimestamp="x"), "happened", id="delete: going"),
    ],
)
def test_what_a_look_says_of_a_pod(verb: Any, found: Object | None, expected: str) -> None:
    last = attempt(request=WriteRequest(verb, ObjectRef("Pod", "shop", "api-1"), "application/json", b"{}"))
    assert judge_gone(ID, last, found, "gone", taken=True).answer == expected


# --- what goes again -------------------------------------------------------------------------------------------------


async def lost(world: World) -> Remediation:
    """Its request is lost: the look has said that it may go again, and it waits a second."""
    failing(world, LoseRequest())
    await world.alert()
    await world.turn()
    r = await world.newest()
    assert r.resend, r.reason
    return r


async def test_nothing_goes_again_without_a_look() -> None:
    """An unanswered row, and nobody has looked: whoever comes after a crash finds it so."""
    world = ready()
    r = await lost(world)
    before = await world.journal.attempts(r.id)
    acted = await world.core.effector.act(replace(r, resend=False), _no_objection)
    assert acted.answer == "uncertain"
    assert await world.journal.attempts(r.id) == before


async def _no_objection(*_: Any) -> None:
    return None


@pytest.mark.parametrize("annotation", [PAUSE_ANNOTATION, PROTECT_ANNOTATION])
@pytest.mark.parametrize("where", ["object", "namespace"])
async def test_what_is_to_be_left_alone_by_annotation_is_not_sent_again(where: str, annotation: str) -> None:
    world = ready(STEPS["evict"])
    failing(world, LoseRequest())
    pod = world.cluster.all("Pod", "shop")[0]["metadata"]["name"]
    await world.alert(pod=pod)
    await world.turn()
    r = await world.newest()
    ref = ObjectRef("Pod", "shop", pod) if where == "object" else ObjectRef("Namespace", "", "shop")
    world.cluster.edit(ref, {"metadata": {"annotations": {annotation: "mine"}}})
    await world.run_for(60)
    assert world.writes() == []
    assert len(await world.journal.attempts(r.id)) == 1


async def test_what_cannot_be_looked_at_is_not_sent_again() -> None:
    world = ready()
    r = await lost(world)
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("no answer")), kind="Deployment", times=1000)
    world.cluster.advance(2)
    assert (await world.core.effector.act(r, _no_objection)).answer == "cannot_see"
    assert len(await world.journal.attempts(r.id)) == 1


async def test_a_window_that_closes_refuses_a_resend_and_never_an_undo() -> None:
    world = ready()
    r = await lost(world)
    world.core.effector._closes_at = lambda r, now: now
    assert (await world.core.effector.act(r, _no_objection)).answer == "uncertain"
    assert len(await world.journal.attempts(r.id)) == 1

    clock, found = measured(9.0)
    world = ready(queries=found, clock=clock, verify=PROVEN)
    await world.alert()
    await world.run_until("verifying")
    await world.run_for(3)
    world.core.effector._closes_at = lambda r, now: now
    hurt(world)
    await world.run_until("undoing")
    hurt(world, None)
    r = await world.run_until("escalated")
    assert (r.outcome, world.replicas()) == (StepOutcome.UNDONE, 3), r.reason


async def test_a_conflict_of_the_second_says_nothing_about_the_first() -> None:
    """The first one, whose answer got lost, may still land."""
    world = ready()
    r = await lost(world)
    failing(world, Reject(Conflict("409")))
    world.cluster.advance(2)
    assert (await world.core.effector.act(r, _no_objection)).answer == "uncertain"
    outcomes = [row.outcome for row in await world.journal.attempts(r.id)]
    assert outcomes == ["uncertain", "conflict"]
    assert await world.core.effector.unanswered(r)
    probed = await world.core.effector.probe(r)
    assert probed.answer == "again"


# --- the last look ---------------------------------------------------------------------------------------------------


async def test_an_effect_whose_marker_is_there_already_is_not_sent() -> None:
    """Its outcome was never written down, and the row is proven settled: the object itself says so."""
    world = ready(store_faults=At("reserve", "after", lambda: world.cluster.edit(API, _marked("r-1/0.0"))))
    await world.alert()
    await world.run_for(5)
    assert world.writes() == []
    assert world.replicas() == 3


def _marked(marker: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {MARKER: marker}}}


async def test_a_pause_annotation_right_before_the_effect_stops_it() -> None:
    patch = {"metadata": {"annotations": {PAUSE_ANNOTATION: "mine"}}}
    world = ready(store_faults=At("reserve", "after", lambda: world.cluster.edit(API, patch)))
    await world.alert()
    await world.run_for(10)
    assert world.writes() == []
    assert "mine" in (await world.newest()).reason


async def test_a_later_effect_that_needs_a_yes_by_now_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pod was taken; then something comes up that a person has to agree to."""
    world = ready({"action": "evict_pod", "with": {"select": "all", "max": 2}}, guardrails={"min_available": 1})
    real = world.cluster.write

    async def write(request: WriteRequest, *, dry_run: bool = False) -> Object:
        answer = await real(request, dry_run=dry_run)
        guards_are(monkeypatch, with_guard("overload", lambda facts: asks("overload", facts, "it got busy")))
        return answer

    world.cluster.write = write  # type: ignore[method-assign]
    await world.alert()
    await world.run_for(30)
    assert len(world.writes()) == 1
    assert "It got busy" in (await world.newest()).reason


async def test_an_undo_that_finds_everything_as_it_was_does_nothing() -> None:
    clock, found = measured(9.0)
    world = ready(queries=found, clock=clock, verify=PROVEN)
    await world.alert()
    await world.run_until("verifying")
    await world.run_for(3)
    hurt(world)
    await world.run_for(2)
    world.cluster.edit(API, {"spec": {"replicas": 3}})
    r = await world.run_until("undoing", "escalated", "inconclusive")
    hurt(world, None)
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert len(world.writes()) == 1


async def test_two_effects_are_undone_newest_first() -> None:
    """Each undo expects what the effect after it has left: in any other order it would be refused."""
    clock, found = measured(9.0)
    steps = [STEPS["scale"], {"action": "scale", "with": {"to": 6, "min": 1, "max": 9}}]
    world = ready(*steps, queries=found, clock=clock, verify=PROVEN)
    await world.alert()
    await world.run_until("verifying")
    await world.run_for(3)
    hurt(world)
    await world.run_until("undoing")
    hurt(world, None)
    r = await world.run_until("escalated")
    assert (r.outcome, world.replicas()) == (StepOutcome.UNDONE, 3), r.reason
    assert len(world.writes()) == 4


# --- what is written down --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "outcomes"),
    [
        pytest.param((), ["done"], id="an answer"),
        pytest.param((LoseReply(),), ["happened"], id="the reply was lost"),
        pytest.param((LoseRequest(), LoseReply()), ["never", "happened"], id="of two that were sent one happened"),
    ],
)
async def test_every_row_has_its_outcome_in_the_end(faults: tuple[Any, ...], outcomes: list[str]) -> None:
    world = ready()
    failing(world, *faults)
    await world.alert()
    r = await world.run_until("succeeded")
    assert [row.outcome for row in await world.journal.attempts(r.id)] == outcomes


# --- giving up -------------------------------------------------------------------------------------------------------


class NoneLands(NoFaults):
    """Every effect lands only after a quarter of an hour."""

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> LandLater | None:
        if ABANDONED.encode() in request.body:
            return None
        return None if dry_run else LandLater(900.0)


async def test_giving_up_looks_once_more() -> None:
    """It lands between the last probe and the word that would have moved the object on: then it has happened."""
    world = ready()
    world.cluster.faults = NoneLands()
    await world.alert()
    r = await world.run_until("uncertain", "acting", "verifying")
    (row, *_) = await world.journal.attempts(r.id)
    real, looks = world.cluster.get, 0

    async def get(ref: ObjectRef) -> Object:
        nonlocal looks
        looks += ref == API
        if ref == API and looks == 2:  # the probe has looked once, giving up looks now
            world.cluster._land(row.request, False)
        return await real(ref)

    world.cluster.get = get  # type: ignore[method-assign]
    found = await world.core.effector.give_up(r)
    assert found.answer == "happened"
    assert not any(ABANDONED.encode() in entry.body for entry in world.cluster.audit)


async def test_at_the_deadline_what_was_not_answered_is_looked_for() -> None:
    """Killed between the request and its outcome, and away for longer than it may take: nothing is given back and
    planned anew before it is known what became of that request."""
    world = ready(store_faults=At("record_outcome", "before", crash))
    await world.alert()
    await world.turn()
    assert len(world.writes()) == 1
    world.cluster.advance(90)
    after = world.another(restart_playbook(steps=[STEPS["scale"]]))
    await after.journal.takeover("test-2")
    r = await after.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert after.decisions[0].remediation.state is State.UNCERTAIN
    assert not any(decision.refund or decision.reserve for decision in after.decisions)


# --- which pauses cover ----------------------------------------------------------------------------------------------


def test_a_pause_of_anything_that_is_touched_covers() -> None:
    """Episode, playbook, the named object, its root, every target, every object written, and their namespaces."""
    other = ObjectRef("HorizontalPodAutoscaler", "infra", "api")
    pod = ObjectRef("Pod", "shop", "api-1")
    plan = made_plan(planned_step(patch(3, 5), patch(3, 5, ref=other)), targets=(OBJECT, ObjectRef("Job", "jobs", "j")))
    scopes = set(pause_scopes(remediation(State.RESERVED, plan=plan, target=pod)))
    assert scopes == {
        "everything",
        "episode:e-1",
        "playbook:scale-api",
        *("namespace:c1/shop", "namespace:c1/infra", "namespace:c1/jobs"),
        *(f"target:c1/{ref.key}" for ref in (OBJECT, other, pod, ObjectRef("Job", "jobs", "j"))),
    }


async def test_a_pause_of_the_very_pod_that_was_chosen_refuses_the_row() -> None:
    """No plan knows which one it will be."""
    world = ready(STEPS["evict"])
    real = world.journal.record_attempt

    async def record_attempt(attempt: Any, now: datetime) -> Any:
        await world.journal.pause(f"target:c1/{attempt.request.ref.key}", "ann", "mine", None, now)
        return await real(attempt, now)

    world.journal.record_attempt = record_attempt  # type: ignore[method-assign]
    await world.alert(pod=world.cluster.all("Pod", "shop")[0]["metadata"]["name"])
    await world.run_for(5)
    assert world.writes() == []
    assert all([not await world.journal.attempts(r.id) for r in await world.all()])


# --- sampling --------------------------------------------------------------------------------------------------------


async def test_samples_are_asked_for_since_the_effect() -> None:
    """A range that reaches back before the effect is no measurement of what it has done."""
    clock, found = measured(0.0)
    found.set("rate", 0.0)
    check = {"promql": {"query": "sum(rate(x[5m]))", "success": "< 1"}}
    world = ready(queries=found, clock=clock, verify={**PROVEN, "timeout": "10m", "checks": [check]})
    await world.alert()
    r = await world.run_until("verifying")
    await world.run_for(240, step=5)
    assert (await world.newest()).state is State.VERIFYING
    r = await world.run_until("succeeded")
    assert r.acted_at is not None
    assert r.ended_at is not None
    assert r.ended_at - r.acted_at >= timedelta(minutes=5)
