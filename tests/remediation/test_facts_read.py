"""What the guardrails look at is really read, and what cannot be read is never taken for nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, Script
from remediator.errors import CannotSee
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Answer
from remediator.objects import ObjectRef
from remediator.ports import MARKER
from remediator.remediation.state import State
from tests.support.world import World, deployment, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
FLEET = {"fleet": {"kind": "Deployment", "namespace": "shop", "selector": "tier=web"}}


def ready(content: dict[str, Any] | None = None, **options: Any) -> World:
    world = World(content or restart_playbook(), **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def path(world: World) -> list[str]:
    """The states in order, repetitions left out."""
    states: list[str] = []
    for decision in world.decisions:
        state = decision.remediation.state.value
        if not states or states[-1] != state:
            states.append(state)
    return states


async def test_an_effect_that_the_journal_does_not_know() -> None:
    world = ready()
    world.cluster.edit(API, {"metadata": {"annotations": {MARKER: "r-before/0.0"}}})
    await world.alert()
    r = await world.run_until("held", "succeeded")
    assert r.state is State.HELD
    assert "r-before/0.0" in r.reason


@pytest.mark.parametrize("scope", ["everything", "playbook:restart-api", "namespace:c1/shop"])
async def test_what_is_paused_does_not_even_reserve(scope: str) -> None:
    """The store would refuse the attempt anyway; but locks, slots and tokens are for others meanwhile."""
    world = ready()
    await world.journal.pause(scope, "ann", "hands off", None, world.clock.now())
    await world.alert()
    await world.run_for(60)
    assert path(world) == ["planned", "held"]


@pytest.mark.parametrize(
    ("kind", "verb", "content"),
    [
        pytest.param("Deployment", "list", restart_playbook(**FLEET), id="the fleet"),
        pytest.param("Node", "list", restart_playbook(), id="the zones"),
    ],
)
async def test_what_cannot_be_listed_holds(kind: str, verb: str, content: dict[str, Any]) -> None:
    world = ready(content)
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("no answer")), kind=kind, verb=verb, times=1000)
    await world.alert()
    r = await world.run_until("held", "succeeded")
    assert r.state is State.HELD
    assert "CANNOT SEE" in r.reason


async def test_the_guardrails_before_an_effect_know_how_old_the_plan_is() -> None:
    world = ready()
    await world.alert()
    r = await world.run_until("verifying")
    for age, answer in ((timedelta(seconds=50), Answer.PASS), (timedelta(seconds=70), Answer.HOLD)):
        assert r.plan is not None
        world.clock.advance_to(r.plan.made_at + age)
        (said,) = [v for v in await world.core.planner.guard(r) if v.guardrail == "plan_age"]
        assert said.answer is answer


async def test_the_store_is_given_the_limits_in_force() -> None:
    """Two that were planned side by side meet there."""
    policy = Policy.model_validate({"mode_ceiling": "auto", "defaults": {"rate_limit": {"namespace": 1}}})
    world = ready(policy=policy)
    await world.alert()
    r = await world.run_until("verifying")
    limits = world.core.runner._reservation(r).limits
    assert (limits.rate_namespace, limits.rate_playbook) == (1, 5)


async def test_all_alerts_of_a_delivery_are_counted_before_any_is_decided() -> None:
    """The first of nine is looked at while nobody has taken in the others."""
    world = World(restart_playbook())
    names = [f"svc-{n}" for n in range(9)]
    for name in names:
        world.cluster.apply(deployment(name))
    world.cluster.advance(60)
    await world.alert(deployment=names[0])
    await world.core.intake.take_all()
    await world.deliver(*(world.make_alert(deployment=name) for name in names[1:]))
    await world.core.runner.tick()
    await world.core.runner.drain()
    assert {r.state for r in await world.all() if r.playbook} == {State.HELD}
    assert world.writes() == []
