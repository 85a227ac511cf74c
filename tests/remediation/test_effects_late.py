"""What happens between a plan and its effect, and between a lost answer and the next look, to other effects than
patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from remediator.actions.change import Create, Effect, Remove
from remediator.actions.view import Get, ListOf, Query
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
from remediator.errors import CannotSee, Conflict, Refused
from remediator.objects import ObjectRef, annotations_of
from remediator.ports import ABANDONED, MADE_BY, MARKER
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.remediation.test_effects import BACKUP, Act, backups, call, faults, make, removing, world_of
from tests.support.world import World, deployment, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
SHOP = ObjectRef("Namespace", "", "shop")
OLD = ObjectRef(BACKUP, "shop", "old")
NIGHTLY = ObjectRef(BACKUP, "shop", "nightly")
PROTECT = {"metadata": {"annotations": {"remediator.dev/protect": "true"}}}
PAUSE = {"metadata": {"annotations": {"remediator.dev/pause": "mine"}}}
WORSE = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
PROVEN = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": [WORSE]}


def before_the_last_look(world: World, work: Callable[[], Any]) -> None:
    """Something happens once, between the plan and the last look."""
    real, left = world.core.effector._look, [work]

    async def look(*asked: Any) -> Any:
        if left:
            left.pop()()
        return await real(*asked)

    world.core.effector._look = look  # type: ignore[method-assign,assignment]


def named(**changes: Any) -> Create:
    return Create(ref=NIGHTLY, body={"spec": {"ttl": "1h"}}, **changes)


def put_there(world: World, **meta: Any) -> None:
    full = {"name": "nightly", "namespace": "shop", **meta}
    world.cluster.apply({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": full, "spec": {}})


async def ended(world: World) -> Remediation:
    await world.alert()
    return await world.run_until("succeeded", "escalated", "denied", "cancelled", "failed", "undone", "undo_failed")


# --- between the plan and the last look ------------------------------------------------------------------------------


@pytest.mark.parametrize(("edit", "why"), [(PROTECT, "protected by annotation"), (PAUSE, "paused")])
async def test_what_is_to_be_removed_is_left_alone_once_its_owner_says_so(edit: dict[str, Any], why: str) -> None:
    act = Act()
    world = world_of(act)
    act.effects = (removing(world),)
    before_the_last_look(world, lambda: world.cluster.edit(OLD, edit))
    await world.alert()
    await world.run_for(20)
    assert why in (await world.newest()).reason
    assert len(backups(world)) == 1


@pytest.mark.parametrize(("edit", "why"), [(PROTECT, "protected by annotation"), (PAUSE, "paused")])
async def test_nobody_is_called_about_an_object_once_its_owner_says_so(edit: dict[str, Any], why: str) -> None:
    caller = SimulatedCaller()
    world = world_of(Act(call()), caller=caller)
    before_the_last_look(world, lambda: world.cluster.edit(API, edit))
    await world.alert()
    await world.run_for(20)
    assert any(why in str(getattr(decision.event, "detail", "")) for decision in world.decisions)
    assert caller.done == []


async def test_nobody_is_called_again_about_an_object_that_its_owner_protects_meanwhile() -> None:
    """A call carries no version that would stop it. The first may still be heard: a person has to look."""
    caller = SimulatedCaller()
    caller.faults = [LoseRequest()]
    world = world_of(Act(call(repeatable=True)), caller=caller)
    await world.alert()
    await world.turn()
    assert (await world.newest()).resend
    world.cluster.edit(API, PROTECT)
    r = await ended(world)
    assert r.state is State.ESCALATED, r.reason
    assert len(await world.journal.attempts(r.id)) == 1
    assert caller.done == []


async def test_nothing_is_made_again_in_a_namespace_that_is_paused_meanwhile() -> None:
    """What is to be made is not there; where it is to be made is."""
    world = world_of(Act(named()))
    faults(world, LoseRequest())
    await world.alert()
    await world.turn()
    assert (await world.newest()).resend
    world.cluster.edit(SHOP, PAUSE)
    r = await ended(world)
    assert r.state is State.ESCALATED, r.reason
    assert len(await world.journal.attempts(r.id)) == 1
    assert world.writes() == []


async def test_what_is_gone_already_needs_no_removal() -> None:
    act = Act()
    world = world_of(act)
    act.effects = (removing(world),)
    before_the_last_look(world, lambda: world.cluster.delete(OLD))
    r = await ended(world)
    assert r.state is not State.ESCALATED, r.reason
    assert world.writes() == []
    assert await world.journal.attempts(r.id) == ()


async def test_a_name_that_somebody_takes_in_the_last_moment_is_left_alone() -> None:
    world = world_of(Act(named()))
    before_the_last_look(world, lambda: put_there(world))
    r = await ended(world)
    assert "exists already, and this is not what made it" in r.reason
    assert await world.journal.attempts(r.id) == ()


async def test_what_carries_our_marker_already_is_what_we_made() -> None:
    """The row of an earlier request is lost: nothing is sent again."""
    world = world_of(Act(named()))
    marks = {"annotations": {MARKER: "r-1/0.0"}, "labels": {MADE_BY: "r-1"}}
    before_the_last_look(world, lambda: put_there(world, **marks))
    r = await ended(world)
    assert r.state is State.SUCCEEDED, r.reason
    assert r.done[0].made == NIGHTLY
    assert await world.journal.attempts(r.id) == ()


# --- rehearsals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "guardrail"), [(Refused("no such field"), "dry_run"), (Conflict("409 AlreadyExists"), "target")]
)
async def test_what_cannot_be_created_is_denied_by_its_rehearsal(error: Any, guardrail: str) -> None:
    world = world_of(Act(make()))
    world.cluster.faults = script = Script()
    script.write(Reject(error), dry_run=True, times=9)
    r = await ended(world)
    assert (r.state, r.verdicts[-1].guardrail if r.verdicts else "") == (State.DENIED, guardrail), r.reason
    assert backups(world) == []


async def test_what_cannot_be_removed_is_denied_by_its_rehearsal() -> None:
    act = Act(wanted={"old": Get(OLD)})
    world = world_of(act)
    act.effects = (removing(world),)
    world.cluster.faults = script = Script()
    script.write(Reject(Refused("403")), dry_run=True, times=9)
    assert (await ended(world)).state is State.DENIED
    assert len(backups(world)) == 1


async def test_what_the_other_side_would_not_do_is_not_asked_for() -> None:
    class Unwilling(SimulatedCaller):
        async def rehearse(self, place: str, request: Any) -> str:
            raise Refused("no right to that table")

    caller = Unwilling()
    world = world_of(Act(call()), caller=caller)
    r = await ended(world)
    assert (r.state, "no right to that table" in r.reason) == (State.DENIED, True)
    assert caller.done == []


async def test_a_call_that_cannot_be_rehearsed_waits() -> None:
    caller = SimulatedCaller()
    caller.blind = [FailRead(CannotSee("simulated"))] * 1000
    world = world_of(Act(call()), caller=caller)
    await world.alert()
    assert "CANNOT SEE" in (await world.run_until("held")).reason
    assert caller.done == []


# --- after an answer that never came ---------------------------------------------------------------------------------


def worse_world(*effects: Effect, caller: SimulatedCaller | None = None) -> tuple[World, SimulatedQueries]:
    clock = VirtualClock()
    queries = SimulatedQueries(clock)
    queries.set("errors", 0.0)
    return world_of(Act(*effects), verify=PROVEN, queries=queries, clock=clock, caller=caller), queries


async def test_a_create_that_may_still_land_is_not_taken_back() -> None:
    """It would be there again, after the undo."""
    world, queries = worse_world(make(undoable=True))
    faults(world, LandLater(40.0), verb="create")
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("undone", "escalated", "undo_failed")
    await world.run_for(90)
    assert r.outcome is not StepOutcome.UNDONE
    assert [entry.verb for entry in world.cluster.audit] == ["create"]


async def test_of_two_creates_without_an_answer_one_may_still_land() -> None:
    world, queries = worse_world(make(undoable=True))
    faults(world, LandLater(40.0), LoseReply(), verb="create")
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("undone", "escalated", "undo_failed")
    await world.run_for(90)
    assert r.outcome is not StepOutcome.UNDONE
    assert [entry.verb for entry in world.cluster.audit] == ["create"]


async def test_a_create_whose_only_answer_is_lost_is_taken_back() -> None:
    world, queries = worse_world(make(undoable=True))
    faults(world, LoseReply(), verb="create")
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("undone", "escalated", "undo_failed")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert backups(world) == []


async def test_what_was_there_and_is_gone_again_is_not_made_again() -> None:
    """The first request landed late, the second found its name taken, and then somebody removed what was made."""
    world = world_of(Act(make()))
    faults(world, LoseRequest(), verb="create")
    real, sent = world.core.effector._send, []

    async def send(r: Any, attempt: Any) -> Any:
        sent.append(attempt)
        if len(sent) == 2:
            world.cluster._carry_out(attempt.request, False, late=True)
        acted = await real(r, attempt)
        if len(sent) == 2:
            world.cluster.delete(attempt.request.ref)
        return acted

    world.core.effector._send = send  # type: ignore[method-assign]
    r = await ended(world)
    assert "somebody may have removed" in r.reason
    assert r.state is State.ESCALATED
    assert [entry.verb for entry in world.cluster.audit] == ["create"]


async def test_a_removal_without_any_answer_is_given_up_safely() -> None:
    act = Act()
    world = world_of(act)
    act.effects = (removing(world),)
    faults(world, *[LoseRequest()] * 500, verb="delete")
    r = await ended(world)
    assert (r.state, "given up" in r.reason) == (State.ESCALATED, True), r.reason
    assert ABANDONED in annotations_of(backups(world)[0])


async def test_a_call_is_not_made_again_while_nobody_can_say_what_became_of_it() -> None:
    caller = SimulatedCaller(tells=True)
    caller.faults = [LoseReply()]
    world = world_of(Act(call()), caller=caller)
    before_the_last_look(world, lambda: caller.blind.extend([FailRead(CannotSee("simulated"))] * 3))
    r = await ended(world)
    assert caller.blind == []
    assert r.state is State.SUCCEEDED, r.reason
    assert len(caller.done) == 1


async def test_a_call_taken_back_without_an_answer_is_not_taken_back_twice() -> None:
    caller = SimulatedCaller(tells=True)
    world, queries = worse_world(call(inverse={"do": "back"}), caller=caller)
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    caller.faults = [LoseReply()]
    r = await world.run_until("undone", "escalated", "undo_failed")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert [request["do"] for _, request, _ in caller.done] == ["analyze", "back"]
    assert len({key for _, _, key in caller.done}) == 2


async def test_a_call_that_was_found_out_about_is_taken_back_as_well() -> None:
    caller = SimulatedCaller(tells=True)
    caller.faults = [LoseReply()]
    world, queries = worse_world(call(inverse={"do": "back"}), caller=caller)
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert [request["do"] for _, request, _ in caller.done] == ["analyze", "back"]


# --- a later step ----------------------------------------------------------------------------------------------------


class Fickle(Act):
    """Proposes one thing for its second step at first, and another one in its turn."""

    def __init__(self, *changes: Callable[[Effect], Effect], first: Effect) -> None:
        super().__init__(first)
        self._first, self._changes = first, changes

    def plan(self, params: Any, view: Any) -> Any:
        change = super().plan(params, view)
        if len(self.seen) > 2:
            return replace(change, effects=tuple(c(e) for c, e in zip(self._changes, change.effects, strict=True)))
        return change


@pytest.mark.parametrize(
    ("effect", "change", "same"),
    [
        pytest.param(make(), lambda e: e, True, id="the same"),
        pytest.param(make(), lambda e: replace(e, body={"spec": {"ttl": "1h"}}), False, id="another body"),
        pytest.param(Remove(ref=OLD, uid="u1"), lambda e: replace(e, uid="u2"), False, id="another removal"),
        pytest.param(call(), lambda e: replace(e, request={"do": "drop"}), False, id="another request"),
        pytest.param(call(), lambda e: replace(e, place="stock"), False, id="another place"),
    ],
)
async def test_a_later_step_does_what_was_planned_or_nothing(effect: Any, change: Any, same: bool) -> None:
    act, caller = Fickle(change, first=effect), SimulatedCaller()
    world = World(
        restart_playbook(steps=[{"action": "act"}, {"action": "act"}]), actions={"act": act}, callers={"sql": caller}
    )
    world.cluster.apply(deployment())
    world.settle()
    await world.alert()
    r = await world.run_until("succeeded", "inconclusive", "cancelled", "escalated")
    assert (r.state is State.SUCCEEDED) == same, r.reason
    if not same:
        assert "something else would be done than was planned" in r.reason
        assert len(caller.done) + len(backups(world)) <= 1


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [ListOf(kind="Node"), Query("lag")])
async def test_a_failure_without_words_is_a_failure(wanted: Any) -> None:
    act = Act(make(), wanted={"it": wanted})

    class Mute(SimulatedQueries):
        async def instant(self, query: str) -> Any:
            raise CannotSee("")

    clock = VirtualClock()
    world = world_of(act, clock=clock, queries=Mute(clock))
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("")), kind="Node", times=1000)
    await world.alert()
    assert "CANNOT SEE" in (await world.run_until("held")).reason
    assert act.seen == []
