"""What a plan is refused for, what it locks, and when a later step is not what was agreed to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from remediator.actions.change import Change, FieldChange, Patch
from remediator.actions.view import View
from remediator.actions.workloads.rollout_restart import RolloutRestart, RolloutRestartParams
from remediator.adapters.simulated import FailRead, Reject, Script
from remediator.errors import CannotSee, EffectError, Forbidden, Refused, TargetGone, Unavailable, Uncertain
from remediator.guardrails.answers import asks
from remediator.objects import ObjectRef
from remediator.remediation.planner import _difference, _locks
from remediator.remediation.state import State
from tests.invariants.given import guards_are, with_guard
from tests.support.building import API as OBJECT
from tests.support.building import patch, plan, planned_step, remediation
from tests.support.world import World, deployment, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
UP = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
MORE = {"action": "scale", "with": {"to": 6, "min": 1, "max": 9}}
AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
        "minReplicas": 3,
        "maxReplicas": 8,
    },
}


def ready(*steps: dict[str, Any], **changes: Any) -> World:
    actions = changes.pop("actions", None)
    world = World(restart_playbook(steps=list(steps or (UP,)), **changes), actions=actions)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


# --- the rehearsal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state"),
    [
        pytest.param(Refused("422 Invalid: no"), State.DENIED, id="refused"),
        pytest.param(Refused("403 Forbidden", forbidden=True), State.DENIED, id="not allowed"),
        pytest.param(TargetGone("404 NotFound"), State.DENIED, id="gone"),
        pytest.param(Unavailable("429 Too Many Requests"), State.HELD, id="busy"),
        pytest.param(Uncertain("500 InternalError"), State.HELD, id="no answer"),
    ],
)
async def test_what_cannot_be_rehearsed_is_not_done(error: EffectError, state: State) -> None:
    """Each step is rehearsed in its turn."""
    world = ready()
    world.cluster.faults = script = Script()
    script.write(Reject(error), dry_run=True, times=1000)
    await world.alert()
    r = await world.run_until("denied", "held", "succeeded")
    assert r.state is state, r.reason
    assert world.writes() == []

    world = ready(UP, {"wait": "10s"}, MORE)
    await world.alert()
    await world.run_until("waiting")
    world.cluster.faults = script = Script()
    script.write(Reject(error), dry_run=True, times=1000)
    await world.run_for(60)
    r = await world.newest()
    assert r.state is (State.ESCALATED if state is State.DENIED else State.WAITING), r.reason
    assert len(world.writes()) == 1


# --- later steps -----------------------------------------------------------------------------------------------------


async def test_a_step_that_needs_a_yes_by_now_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ready(UP, {"wait": "10s"}, MORE)
    await world.alert()
    await world.run_until("waiting")
    guards_are(monkeypatch, with_guard("overload", lambda facts: asks("overload", facts, "it got busy")))
    await world.run_for(20)
    r = await world.newest()
    assert (r.state, r.waiting_for) == (State.WAITING, "ask")
    assert "it got busy" in r.reason
    assert len(world.writes()) == 1


async def test_a_step_that_would_write_something_else_by_now_is_asked_about() -> None:
    """An autoscaler came in between: its bound would be changed, which nobody agreed to and nothing locks."""
    world = ready({"action": "rollout_restart"}, {"wait": "20s"}, UP)
    await world.alert()
    await world.run_until("waiting")
    world.cluster.apply(AUTOSCALER)
    await world.run_for(40)
    r = await world.newest()
    assert (r.state, r.waiting_for) == (State.WAITING, "ask")
    assert "HorizontalPodAutoscaler" in r.reason


OTHER = ObjectRef("HorizontalPodAutoscaler", "shop", "api")


def one(before: object, after: object, *, path: tuple[str, ...] = ("spec", "replicas"), ref: ObjectRef = OBJECT) -> Any:
    return Patch(ref=ref, uid="u1", changes=(FieldChange(path, before, after),))


@pytest.mark.parametrize(
    ("approved", "found", "said"),
    [
        pytest.param((one(5, 6),), (one(5, 6),), "", id="as approved"),
        pytest.param((), (one(5, 6),), "", id="planned only now"),
        pytest.param((one(3, 6),), (one(5, 6),), "", id="before differs by our own first step"),
        pytest.param((one(3, 6),), (one(4, 6),), "is 4 now", id="before differs by somebody else"),
        pytest.param((one(5, 6),), (one(5, 7),), "would become 7", id="another value"),
        pytest.param((one(5, 6),), (one(5, 6, path=("spec", "x")),), "other fields", id="another field"),
        pytest.param((one(5, 6),), (one(5, 6), one(1, 2, path=("spec", "x"))), "other fields", id="one more field"),
        pytest.param((one(5, 6),), (), "other fields", id="nothing any more"),
        pytest.param((one(5, 6),), (one(5, 6, ref=OTHER),), "not locked", id="another object"),
        pytest.param((), (one(5, 6, ref=OTHER),), "not locked", id="another object, planned only now"),
    ],
)
def test_how_a_later_step_departs_from_what_was_approved(
    approved: tuple[Any, ...], found: tuple[Any, ...], said: str
) -> None:
    def step(effects: tuple[Any, ...]) -> Any:
        return planned_step(*effects) if effects else planned_step().__class__(action="scale", summary="")

    r = remediation(State.WAITING, step=1, plan=plan(planned_step(patch(3, 5)), step(approved)))
    difference = _difference(r, step(approved), step(found))
    assert said in difference
    assert bool(said) == bool(difference)


# --- locks and targets -----------------------------------------------------------------------------------------------


async def test_the_named_object_its_root_and_whatever_is_written_are_locked() -> None:
    world = ready(UP, mode="approve")
    world.cluster.apply(AUTOSCALER)
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert r.plan is not None
    assert r.plan.locks == ("c1/Deployment/shop/api", "c1/HorizontalPodAutoscaler/shop/api")

    made_by = ObjectRef("Shop", "shop", "main")
    proposal = SimpleNamespace(
        view=SimpleNamespace(ref=API, root=made_by), change=Change(effects=(one(3, 5, ref=OTHER),), summary="")
    )
    keys = (API.key, OTHER.key, made_by.key)
    assert _locks("c1", [proposal]) == tuple(f"c1/{key}" for key in sorted(keys))  # type: ignore[list-item]


async def test_no_more_targets_than_the_playbook_says() -> None:
    content = restart_playbook(
        targets={"kind": "Deployment", "namespace": "shop", "selector": "tier=web", "max": 1},
        guardrails={"max_targets": 5},
    )
    del content["target"]
    world = World(content)
    for name in ("api", "web"):
        obj = deployment(name)
        obj["metadata"]["labels"] = {"tier": "web"}
        world.cluster.apply(obj)
    world.cluster.advance(60)
    await world.alert()
    r = await world.run_until("denied", "held", "succeeded")
    assert r.state is State.DENIED
    assert "2 targets match, the playbook allows 1" in r.reason


class Careless(RolloutRestart):
    """An action that needs the pods and does not look whether they could be read."""

    name = "careless"
    needs = frozenset({"pods"})

    def plan(self, params: Any, view: View) -> Any:
        return super().plan(RolloutRestartParams(), view)


@pytest.mark.parametrize("error", [CannotSee("no answer"), Forbidden("403")])
async def test_an_action_is_not_asked_about_what_it_needs_and_nobody_can_read(error: Any) -> None:
    world = ready({"action": "careless"}, actions={"careless": Careless()})
    world.cluster.faults = script = Script()
    script.read(FailRead(error), kind="Pod", times=1000)
    await world.alert()
    r = await world.run_until("held", "denied", "succeeded")
    assert r.state is State.HELD
    assert "CANNOT SEE" in r.reason
    assert world.writes() == []


async def test_an_action_acts_on_its_own_kinds() -> None:
    world = ready(UP)
    content = deployment("agent")
    content["kind"] = "DaemonSet"
    del content["spec"]["replicas"]
    world.cluster.apply(content)
    await world.alert(daemonset="agent")
    r = await world.run_until("denied", "held", "succeeded")
    assert r.state is State.DENIED
    assert "Scale cannot act on a DaemonSet" in r.reason


async def test_a_plan_is_as_old_as_the_first_thing_that_was_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise what took half a minute to read would be sent without another look."""
    world = ready()
    get = world.cluster.get

    async def slow(ref: ObjectRef) -> Any:
        found = await get(ref)
        world.clock.advance(3.0)
        return found

    await world.alert()
    await world.core.intake.take_all()
    (r,) = await world.all()
    chosen: Any = await world.core.runner._chooser.choose(r)
    r = replace(r, spec=chosen.spec, target=chosen.target, root=chosen.root, mode="auto")
    monkeypatch.setattr(world.cluster, "get", slow)
    before = world.clock.now()
    made = await world.core.planner.plan(r)
    assert made.plan is not None
    assert made.plan.made_at == before
