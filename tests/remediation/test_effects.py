"""Effects other than a patch of a workload: what is created, removed, sent to a subresource, and called; once each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.base import Params
from remediator.actions.change import (
    GENERATED_ID,
    GENERATED_TIME,
    Call,
    Change,
    Create,
    Effect,
    FieldChange,
    Patch,
    Remove,
)
from remediator.actions.paths import value_at
from remediator.actions.view import Ask, Get, ListOf, Query, View, Wanted
from remediator.adapters.simulated import (
    FailRead,
    LandLater,
    LoseReply,
    LoseRequest,
    Reject,
    Script,
    SimulatedCaller,
    SimulatedQueries,
    VirtualClock,
)
from remediator.adapters.simulated.faults import WriteFault
from remediator.errors import CannotSee, Refused, Unavailable
from remediator.objects import Object, ObjectRef, dig, labels_of, uid_of
from remediator.ports import MADE_BY, MARKER, WriteRequest
from remediator.remediation.events import Approved
from remediator.remediation.state import State, StepOutcome
from tests.support.world import World, deployment, restart_playbook

BACKUP, CERTIFICATE = "Backup.velero.io", "Certificate.cert-manager.io"
MADE = ObjectRef(BACKUP, "shop", f"before-{GENERATED_ID}")
TLS = ObjectRef(CERTIFICATE, "shop", "tls")
ISSUING = ("status", "conditions", "[type=Issuing]")


class Act:
    """An action that proposes what a test gives it."""

    name = "act"
    kinds = ("Deployment",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = Params

    def __init__(self, *effects: Effect, wanted: Mapping[str, Wanted] | None = None) -> None:
        self.effects = effects
        self.wanted = wanted or {}
        self.seen: list[View] = []

    def resolve(self, params: Params, view: View) -> Params:
        return params

    def wants(self, params: Params, view: View) -> Mapping[str, Wanted]:
        return self.wanted

    def plan(self, params: Params, view: View) -> Change:
        self.seen.append(view)
        bound = [_about(effect, view) for effect in self.effects]
        return Change(effects=tuple(bound), summary="act")


def _about(effect: Effect, view: View) -> Effect:
    """A call is about the target, whose uid a test cannot know."""
    if isinstance(effect, Call):
        return Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via=effect.via,
            place=effect.place,
            request=effect.request,
            says=effect.says,
            repeatable=effect.repeatable,
            inverse=effect.inverse,
        )
    return effect


def make(**changes: Any) -> Create:
    return Create(ref=MADE, body={"spec": {"ttl": "720h", "note": f"at {GENERATED_TIME}"}}, **changes)


def call(**changes: Any) -> Call:
    request = {"do": "analyze", "run": f"run-{GENERATED_ID}"}
    given = {"via": "sql", "place": "orders", "request": request, "says": "analyze orders", **changes}
    return Call(ref=ObjectRef("Deployment", "shop", "api"), uid="", **given)


def world_of(act: Act, *, caller: SimulatedCaller | None = None, **changes: Any) -> World:
    clock = changes.pop("clock", None) or VirtualClock()
    queries = changes.pop("queries", SimulatedQueries(clock))
    world = World(
        restart_playbook(steps=[{"action": "act"}], **changes),
        actions={"act": act},
        callers={"sql": caller} if caller else {},
        clock=clock,
        queries=queries,
    )
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def faults(world: World, *planned: Any, verb: str = "") -> None:
    world.cluster.faults = script = Script()
    for fault in planned:
        script.write(fault, verb=verb)


def backups(world: World) -> list[Object]:
    return list(world.cluster.all(BACKUP))


def certificate(world: World) -> Object:
    world.cluster.apply(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": "tls", "namespace": "shop"},
            "spec": {"secretName": "tls"},
        }
    )
    world.cluster.set_status(TLS, conditions=[{"type": "Ready", "status": "False"}])
    found = world.cluster.peek(TLS)
    assert found is not None
    return found


# --- create ----------------------------------------------------------------------------------------------------------


async def test_what_is_created_says_who_made_it_and_has_a_name_of_its_own() -> None:
    world = world_of(Act(make()))
    await world.alert()
    r = await world.run_until("succeeded")
    (made,) = backups(world)
    assert made["metadata"]["name"].startswith("before-")
    assert "generated" not in str(made)
    assert labels_of(made)[MADE_BY] == r.id
    assert dig(made, "metadata", "annotations", MARKER) == r.done[0].effect_id
    assert r.done[0].made == ObjectRef(BACKUP, "shop", made["metadata"]["name"])
    assert r.done[0].inverse is None


@pytest.mark.parametrize("fault", [LoseReply(), LoseRequest(), LandLater(5.0), LandLater(50.0)])
async def test_a_create_without_an_answer_makes_one_object(fault: Any) -> None:
    world = world_of(Act(make()))
    faults(world, fault, verb="create")
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    await world.run_for(120)
    assert r.state is State.SUCCEEDED, r.reason
    assert len(backups(world)) == 1
    assert [e.verb for e in world.cluster.audit if e.before is None] == ["create"]


async def test_a_name_that_somebody_else_has_is_left_alone() -> None:
    world = world_of(Act(Create(ref=ObjectRef(BACKUP, "shop", "nightly"), body={"spec": {}})))
    backup(world, "nightly")
    await world.alert()
    r = await world.run_until("denied", "escalated")
    assert "exists already" in r.reason
    assert world.writes() == []


async def test_two_steps_of_one_remediation_make_two_objects() -> None:
    act = Act(make())
    world = World(restart_playbook(steps=[{"action": "act"}, {"action": "act"}]), actions={"act": act})
    world.cluster.apply(deployment())
    world.settle()
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert len({x["metadata"]["name"] for x in backups(world)}) == 2


async def test_what_was_created_is_started_by_its_own_patch() -> None:
    job = ObjectRef("Job", "shop", f"dump-{GENERATED_ID}")
    container = {"name": "dump", "image": "shop/dump:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    create = Create(ref=job, body={"spec": {"suspend": True, "backoffLimit": 0, "template": template}})
    start = Patch(
        ref=job, uid="", changes=(FieldChange(("spec", "suspend"), True, False),), made_here=True, undoable=False
    )
    world = world_of(Act(create, start))
    faults(world, LoseReply(), LoseReply())
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    (made,) = world.cluster.all("Job")
    assert made["spec"]["suspend"] is False
    assert [e.verb for e in world.cluster.audit] == ["create", "patch"]


async def test_a_patch_of_what_we_made_is_not_sent_to_what_somebody_else_made() -> None:
    """Ours was deleted between create and start, and another has its name."""
    job = ObjectRef("Job", "shop", "dump")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "dump", "image": "shop/dump:1"}]}}
    start = Patch(ref=job, uid="", changes=(FieldChange(("spec", "suspend"), True, False),), made_here=True)
    world = world_of(Act(start))
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "dump", "namespace": "shop"}}
    world.cluster.apply({**body, "spec": {"suspend": True, "template": template}})
    await world.alert()
    r = await world.run_until("escalated", "denied", "succeeded")
    assert "was not made by this remediation" in r.reason
    assert world.writes() == []


# --- remove ----------------------------------------------------------------------------------------------------------


def backup(world: World, name: str = "old", phase: str = "Complete") -> Object:
    meta = {"name": name, "namespace": "shop"}
    world.cluster.apply({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": meta, "spec": {"phase": phase}})
    found = world.cluster.peek(ObjectRef(BACKUP, "shop", name))
    assert found is not None
    return found


def removing(world: World, phase: str = "Complete") -> Remove:
    found = backup(world, phase=phase)
    return Remove(ref=ObjectRef(BACKUP, "shop", "old"), uid=uid_of(found), holds=((("spec", "phase"), "Complete"),))


@pytest.mark.parametrize("fault", [None, LoseReply(), LoseRequest(), LandLater(5.0)])
async def test_what_is_removed_is_gone_once(fault: Any) -> None:
    act = Act()
    world = world_of(act)
    act.effects = (removing(world),)
    if fault is not None:
        faults(world, fault, verb="delete")
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert backups(world) == []
    assert [e.verb for e in world.cluster.audit] == ["delete"]


async def test_what_changed_since_the_plan_is_not_removed() -> None:
    act = Act()
    world = world_of(act)
    act.effects = (removing(world, phase="Failed"),)
    await world.alert()
    r = await world.run_until("cancelled", "succeeded")
    assert "the plan saw Complete" in r.reason
    assert len(backups(world)) == 1


# --- a subresource ---------------------------------------------------------------------------------------------------


def issue(world: World) -> Patch:
    wanted = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": GENERATED_TIME}
    change = FieldChange(ISSUING, None, wanted)
    return Patch(ref=TLS, uid=uid_of(certificate(world)), changes=(change,), undoable=False, subresource="status")


@pytest.mark.parametrize("fault", [None, LoseReply(), LoseRequest()])
async def test_a_condition_is_added_to_the_status(fault: Any) -> None:
    act = Act(wanted={"certificate": Get(TLS)})
    world = world_of(act)
    act.effects = (issue(world),)
    if fault is not None:
        faults(world, fault, verb="patch")
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    found = world.cluster.peek(TLS)
    assert value_at(found, (*ISSUING, "reason")) == "ManuallyTriggered"
    assert len(dig(found, "status", "conditions")) == 2
    assert MARKER not in (dig(found, "metadata", "annotations") or {})
    assert [e.verb for e in world.cluster.audit] == ["patch"]


async def test_a_status_that_moved_without_our_write_is_left_to_a_person() -> None:
    """The operator wrote it meanwhile: nobody can tell whether ours was among it."""
    act = Act(wanted={"certificate": Get(TLS)})
    world = world_of(act)
    act.effects = (issue(world),)

    class Meanwhile(Script):
        def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
            if dry_run or request.ref != TLS:
                return None
            world.cluster.set_status(TLS, conditions=[{"type": "Ready", "status": "True"}])
            return LoseRequest()

    world.cluster.faults = Meanwhile()
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.ESCALATED
    assert world.writes() == []


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_a_call_is_made_once_with_the_key_of_its_effect() -> None:
    caller = SimulatedCaller(answer=lambda place, request: {"says": "12 pages"})
    world = world_of(Act(call()), caller=caller)
    await world.alert()
    r = await world.run_until("succeeded")
    ((place, request, key),) = caller.done
    assert (place, key) == ("orders", r.done[0].effect_id)
    assert request["run"].startswith("run-")
    assert "generated" not in request["run"]
    assert r.done[0].said == "12 pages"
    assert world.writes() == []


@pytest.mark.parametrize(
    ("fault", "tells", "repeatable", "state", "times"),
    [
        pytest.param(LoseReply(), False, False, State.ESCALATED, 1, id="reply lost: a person"),
        pytest.param(LoseRequest(), False, False, State.ESCALATED, 0, id="request lost: a person"),
        pytest.param(LoseReply(), True, False, State.SUCCEEDED, 1, id="reply lost, the other side tells"),
        pytest.param(LoseRequest(), True, False, State.SUCCEEDED, 1, id="request lost, the other side tells"),
        pytest.param(LoseRequest(), False, True, State.SUCCEEDED, 1, id="request lost, twice is as good as once"),
        pytest.param(LoseReply(), False, True, State.SUCCEEDED, 2, id="reply lost, twice is as good as once"),
        pytest.param(Reject(Refused("no")), False, True, State.ESCALATED, 0, id="refused"),
        pytest.param(Reject(Unavailable("busy")), False, False, State.SUCCEEDED, 1, id="nothing was sent"),
    ],
)
async def test_a_call_without_an_answer(fault: Any, tells: bool, repeatable: bool, state: State, times: int) -> None:
    caller = SimulatedCaller(tells=tells)
    caller.faults = [fault]
    world = world_of(Act(call(repeatable=repeatable)), caller=caller)
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "failed")
    assert r.state is state, r.reason
    assert len(caller.done) == times


async def test_nothing_is_called_that_is_not_configured() -> None:
    world = world_of(Act(call()))
    await world.alert()
    r = await world.run_until("denied")
    assert "outside.databases" in r.reason


async def test_a_call_is_not_made_while_its_object_is_paused_or_protected() -> None:
    caller = SimulatedCaller()
    for annotation in ("remediator.dev/pause", "remediator.dev/protect"):
        world = world_of(Act(call()), caller=caller)
        world.cluster.edit(ObjectRef("Deployment", "shop", "api"), {"metadata": {"annotations": {annotation: "true"}}})
        await world.alert()
        await world.run_for(30)
        assert caller.done == []


# --- wanting to know -------------------------------------------------------------------------------------------------


async def test_an_action_sees_what_it_wanted_to_know() -> None:
    caller = SimulatedCaller(answer=lambda place, request: [{"pid": 7}])
    act = Act(
        make(),
        wanted={
            "absent": Get(TLS),
            "pods": ListOf(kind="Pod", namespace="shop"),
            "lag": Query("lag"),
            "backends": Ask("sql", "orders", {"report": "locks"}),
        },
    )
    queries = SimulatedQueries(VirtualClock())
    queries.set("lag", ())
    world = world_of(act, caller=caller, queries=queries)
    await world.alert()
    await world.run_until("succeeded")
    found = act.seen[0].found
    assert found["absent"] is None
    assert len(found["pods"]) == 3
    assert found["lag"] == ()
    assert found["backends"] == [{"pid": 7}]


@pytest.mark.parametrize(
    "wanted", [Get(TLS), ListOf(kind="Node"), Query("lag"), Ask("sql", "orders", {}), Ask("helm", "x", {})]
)
async def test_an_action_is_not_asked_about_half_of_what_it_wants(wanted: Wanted) -> None:
    caller = SimulatedCaller()
    caller.blind = [FailRead(CannotSee("simulated"))] * 1000
    act = Act(make(), wanted={"it": wanted})
    world = world_of(act, caller=caller, queries=None)
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("simulated")), kind=CERTIFICATE, times=1000)
    script.read(FailRead(CannotSee("simulated")), kind="Node", times=1000)
    await world.alert()
    r = await world.run_until("held")
    assert "CANNOT SEE" in r.reason
    assert act.seen == []


# --- undo ------------------------------------------------------------------------------------------------------------


async def test_what_was_created_and_called_is_taken_back_when_it_made_things_worse() -> None:
    clock = VirtualClock()
    queries = SimulatedQueries(clock)
    queries.set("errors", 0.0)
    worse = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
    proven = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": [worse]}
    caller = SimulatedCaller()
    act = Act(make(undoable=True), call(inverse={"do": "back"}))
    world = world_of(act, caller=caller, verify=proven, queries=queries, clock=clock)
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("escalated", "inconclusive")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert backups(world) == []
    assert [request["do"] for _, request, _ in caller.done] == ["analyze", "back"]


async def test_a_removal_without_an_answer_can_never_land_once_a_person_has_it() -> None:
    """Given up: the object is moved on, so that the request bound to the old version finds another one."""
    act = Act()
    world = world_of(act)
    act.effects = (removing(world),)

    class Deaf(Script):
        def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
            return LandLater(400.0) if request.verb == "delete" and not dry_run else None

    world.cluster.faults = Deaf()
    await world.alert()
    r = await world.run_until("escalated", "succeeded")
    await world.run_for(900)
    assert r.state is State.ESCALATED, r.reason
    assert len(backups(world)) == 1


async def test_a_later_step_that_creates_is_the_same_after_a_restart() -> None:
    """What was agreed to is read from the store again, where every tuple has become a list."""
    body = {"spec": {"hooks": ({"name": "a"},), "include": ("shop",)}}
    act = Act(Create(ref=MADE, body=body))
    world = World(restart_playbook(steps=[{"action": "act"}, {"wait": "5s"}, {"action": "act"}]), actions={"act": act})
    world.cluster.apply(deployment())
    world.settle()
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied", "inconclusive")
    assert r.state is State.SUCCEEDED, r.reason


@pytest.mark.parametrize("repeatable", [False, True])
async def test_what_was_acknowledged_is_not_done_again_when_the_process_died_before_it_was_heard(
    repeatable: bool,
) -> None:
    """The outcome is on record, the transition is not; meanwhile somebody has removed what was made."""
    caller = SimulatedCaller()
    for effect in (make(), call(repeatable=repeatable)):
        world = world_of(Act(effect), caller=caller)
        await world.alert()
        r = await world.run_until("succeeded")
        for made in backups(world):
            world.cluster.delete(ObjectRef(BACKUP, "shop", made["metadata"]["name"]))
        unheard = replace(r, state=State.UNCERTAIN, done=())
        found = await world.core.effector.probe(unheard)
        assert found.answer == "happened"
        assert (found.made is not None) == isinstance(effect, Create)


async def test_what_was_agreed_to_keeps_its_moment_while_it_waits_for_a_person() -> None:
    """`older_than` is a moment once it was planned: a yes minutes later still fits what people saw."""
    step = {"action": "delete_finished_jobs", "with": {"older_than": "24h", "max": 5}}
    target = {"kind": "Namespace", "name": "shop"}
    world = World(restart_playbook(steps=[step], target=target, mode="approve", verify={"timeout": "1m"}))
    world.cluster.apply(deployment())
    world.settle()
    job = ObjectRef("Job", "shop", "old")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "shop/x:1"}]}}
    meta = {"name": "old", "namespace": "shop"}
    world.cluster.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"suspend": True, "template": template}}
    )
    ended = (world.clock.now() - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": ended}
    world.cluster.set_status(job, conditions=[complete], completionTime=ended)
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.run_for(120)
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_for(30)
    r = await world.newest()
    assert r.state is not State.CANCELLED, r.reason
    assert world.writes() == [("delete", "Job shop/old")]
