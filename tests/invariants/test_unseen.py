"""Nothing is done about nothing, and nothing for lack of knowledge."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, Reject, Script, VirtualClock
from remediator.errors import CannotSee, InvalidPlaybook, JournalUnavailable, Unavailable
from remediator.guardrails import order
from remediator.guardrails.answers import denies
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Answer, Verdict, gravest
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.ports import ChatError, MessageRef, Sample, Silence
from remediator.remediation.state import State, StepOutcome
from tests.guardrails.make import facts
from tests.invariants.given import (
    WORSE,
    Broken,
    approve,
    checked,
    guards_are,
    hurt,
    measured,
    nothing_is_written,
    ready,
    rows_of,
    scale_to,
    with_guard,
)
from tests.support.world import World, deployment, load, restart_playbook

# --- 1 ---------------------------------------------------------------------------------------------------------------


def _several(selector: str) -> dict[str, Any]:
    content = restart_playbook(targets={"kind": "Deployment", "namespace": "shop", "selector": selector, "max": 5})
    del content["target"]
    return content


async def test_01_empty_is_nothing() -> None:
    """An empty target, selector or unresolved template: nothing happens."""
    with pytest.raises(InvalidPlaybook):
        load(_several(""))
    missing = {"kind": "Deployment", "namespace": "shop", "name": '${labels["none"]}'}
    nothing = {"kind": "Deployment", "namespace": "shop", "name": '${labels["empty"]}'}
    for playbook, labels in (
        (_several("app=nobody"), {"deployment": "api"}),
        (restart_playbook(target=missing), {"deployment": "api"}),
        (restart_playbook(target=nothing), {"deployment": "api", "empty": ""}),
        (restart_playbook(), {"team": "nobody"}),
        (restart_playbook(), {"deployment": ""}),
        (restart_playbook(), {"deployment": "gone"}),
    ):
        world = ready(playbook)
        await world.deliver(world.make_alert("Stuck", **labels))  # type: ignore[arg-type]
        r = await world.run_until("denied", "held", "succeeded", "escalated")
        assert r.state is State.DENIED, (labels, r.state, r.reason)
        assert world.writes() == []
    # And should planning ever come out empty: the guardrails have no target to let through.
    assert gravest(order.evaluate(replace(facts(), targets=()))) is Answer.DENY


# --- 2 ---------------------------------------------------------------------------------------------------------------


class Unanswered:
    """An Alertmanager that does not say what is silenced."""

    async def active(self) -> tuple[Silence, ...]:
        raise CannotSee("no answer")

    async def close(self) -> None:
        return


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "Namespace", "PodDisruptionBudget", "silences", "clock"])
async def test_02_unknown_is_not_unhealthy(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that errs causes no effect while it lasts; NaN, empty or stale answers are neither good nor bad.

    `tests/sim` does the same to every read at once, with stale lists.
    """
    world = ready(restart_playbook(), silences=Unanswered() if kind == "silences" else None)
    if kind == "Namespace":
        world.cluster.add_namespace("shop")
    if kind == "PodDisruptionBudget":  # asked for where healthy copies are taken
        world = World(restart_playbook(guardrails={"min_available": 1}))
        recreate = deployment()
        recreate["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
        world.cluster.apply(recreate)
        world.settle()
        world.cluster.advance(60)
    if kind == "clock":

        async def no_answer() -> datetime:
            raise CannotSee("no answer")

        monkeypatch.setattr(world.cluster, "server_time", no_answer)
    else:
        script = Script()
        script.read(FailRead(CannotSee("no answer")), kind=kind, times=100_000)
        world.cluster.faults = script
    with nothing_is_written(world):
        await world.alert()
        await world.run_for(60, step=20)
        r = await world.newest()
        assert r.state is State.HELD, r.reason
        assert "CANNOT SEE" in r.reason
        await world.run_for(900, step=60)
        assert (await world.newest()).outcome is StepOutcome.HELD_TOO_LONG


@pytest.mark.parametrize("value", [math.nan, {}, "error", "partly"])
async def test_02_unknown_is_not_unhealthy_when_measuring(value: Any) -> None:
    """What was changed is not taken back for lack of a number, and not called good either."""
    clock, found = measured(9.0)
    world = ready(checked(scale_to(5), WORSE), queries=found, clock=clock)
    await world.alert()
    await world.run_until("verifying")
    if value == "error":
        found.down = True
    elif value == "partly":  # now and then a bad value, never twice in a row
        found.set("errors", lambda at: 9.0 if int(at.timestamp()) % 10 < 5 else math.nan)
    else:
        found.set("errors", value)
    hurt(world)  # it would be worse, if anybody could see the rest
    with nothing_is_written(world):
        r = await world.run_until("inconclusive", "undoing", "escalated", "succeeded")
        assert r.state is State.INCONCLUSIVE, r.reason
        await world.run_for(3700, step=60)
        assert (await world.newest()).outcome is StepOutcome.INCONCLUSIVE
    assert world.replicas() == 5


# --- 3 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [guard.name for guard in order.ORDER])
async def test_03_a_denied_plan_never_acts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever guardrail denies, before or after an approval; a re-send changes nothing."""

    def no(seen: Facts) -> Verdict:
        return denies(name, "no")

    for mode, when in (("auto", "first"), ("approve", "first"), ("approve", "after the yes"), ("auto", "step two")):
        with monkeypatch.context() as patched:
            steps: dict[str, Any] = {}
            if when == "step two":
                steps["steps"] = [{"wait": "10s"}, {"action": "rollout_restart"}]
            world = ready(restart_playbook(mode=mode, **steps))
            await world.alert()
            if when == "first":
                guards_are(patched, with_guard(name, no))
                r = await world.run_until("denied", "succeeded", "escalated", "awaiting_approval")
                assert r.state is State.DENIED, (mode, r.state, r.reason)
            elif when == "step two":
                await world.run_until("waiting")
                guards_are(patched, with_guard(name, no))
                r = await world.run_until("escalated", "succeeded")
                assert r.state is State.ESCALATED
            else:
                r = await world.run_until("awaiting_approval")
                guards_are(patched, with_guard(name, no))
                await approve(world, r)
                r = await world.run_until("cancelled", "succeeded", "escalated")
                assert r.state is State.CANCELLED, r.reason
            await world.alert(started_ago=120)
            await world.run_for(30, step=10)
            assert world.writes() == []
            assert await rows_of(world) == []


# --- 15 --------------------------------------------------------------------------------------------------------------

MOMENTS = ("accepted", "approved", "worse")


async def _until(world: World, moment: str) -> None:
    """`accepted`: an alert is in the journal. `approved`: a person has just said yes. `worse`: the effect is done, has
    done harm, and the undo is about to be decided."""
    await world.alert()
    if moment == "accepted":
        return
    await approve(world, await world.run_until("awaiting_approval"))
    if moment == "worse":
        await world.run_until("verifying")
        await world.run_for(2)
        hurt(world)
        await world.run_for(6)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("lost", ["store", "api", "prometheus", "slack", "nothing"])
async def test_15_losing_a_dependency_causes_no_effect(lost: str, moment: str) -> None:
    """Store, API server, Prometheus or Slack are away for 20 minutes from any moment on: nothing is done because of it,
    and above all nothing is undone for lack of good numbers.

    On real processes, a full disk and a read-only store: `tests/journal/test_writer.py`, `tests/crash`.
    """
    clock, found = measured(9.0)
    store = Broken()
    world = ready(checked(scale_to(5, mode="approve"), WORSE), queries=found, clock=clock, store_faults=store)
    await _until(world, moment)
    before = len(world.cluster.audit)
    if lost == "store":
        store.down = True
    elif lost == "api":
        world.cluster.faults = script = Script()
        script.read(FailRead(CannotSee("no answer")), times=1_000_000)
        script.write(Reject(Unavailable("connection refused")), times=1_000_000)
    elif lost == "prometheus":
        found.down = True
    outbox = Outbox(world.journal, {"slack": SlackCarrier(Silent())} if lost == "slack" else {})  # type: ignore[arg-type]
    for _ in range(60):
        world.cluster.advance(20)
        try:
            await world.turn()
            await outbox.run_once(world.clock.now())
        except JournalUnavailable:
            assert lost == "store"
    done = [bool(re.search(rb"/undo", entry.body)) for entry in world.cluster.audit[before:]]
    baseline = {"accepted": [], "approved": [False], "worse": [True]}[moment]
    expected = {
        "store": [],
        "api": [],
        # What a person has approved is done without Prometheus, too; nothing is taken back without it.
        "prometheus": [x for x in baseline if x is False],
        "slack": baseline,
        "nothing": baseline,
    }
    assert done == expected[lost]


class Silent:
    """A chat that never answers."""

    async def post(self, *args: Any, **options: Any) -> MessageRef:
        raise ChatError("no route to host", retry_after_s=1.0)

    update = post


# --- 17 --------------------------------------------------------------------------------------------------------------


class Frozen:
    """A Prometheus whose scrapes have stopped: it goes on answering with a good value of the past."""

    def __init__(self, clock: VirtualClock) -> None:
        self.at = clock.now()

    async def instant(self, query: str) -> tuple[Sample, ...]:
        return (Sample({}, 0.0, self.at),)

    async def range(self, query: str, **options: Any) -> Any:
        raise CannotSee("no ranges")

    async def rules(self, alertname: str) -> Any:
        raise CannotSee("no rules")

    async def close(self) -> None:
        return


async def test_17_success_needs_fresh_evidence() -> None:
    """Only samples that are younger than the effect, several in a row, each on newer data."""
    clock = VirtualClock()
    world = World(checked(scale_to(5), WORSE), clock=clock)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    world = world.another(checked(scale_to(5), WORSE), queries=Frozen(clock), holder="test-1")
    await world.alert()
    r = await world.run_until("succeeded", "inconclusive", "undoing")
    assert r.state is State.INCONCLUSIVE, r.reason

    # A good value that came before the effect, or only once, is no proof; the same one twice is no second proof.
    clock, found = measured(0.0)
    world = ready(checked(scale_to(5), WORSE), queries=found, clock=clock)
    await world.alert()
    r = await world.run_until("succeeded")
    good = [s for s in r.samples if all(c.answer == "good" for c in s.checks)]
    assert r.acted_at is not None
    assert r.spec is not None
    assert len(good) >= r.spec.verify.successes
    for sample in good:
        for check in sample.checks:
            assert check.taken_at > r.acted_at
    assert len({c.taken_at for s in good for c in s.checks}) == len(good)


# --- 22 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [guard.name for guard in order.ORDER])
async def test_22_a_guardrail_that_fails_denies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guardrails are total: an exception in one is a no, and the others are asked all the same."""

    def broken(seen: Facts) -> Verdict:
        raise ZeroDivisionError("a defect")

    guards_are(monkeypatch, with_guard(name, broken))
    world = ready()
    await world.alert()
    r = await world.run_until("denied", "succeeded", "held")
    assert r.state is State.DENIED
    assert "ZeroDivisionError" in r.reason
    assert {v.guardrail for v in r.verdicts} >= {guard.name for guard in order.ORDER}
    assert world.writes() == []
