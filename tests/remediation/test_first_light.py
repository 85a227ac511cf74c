"""The main job on the simulated cluster: an alert repairs a Deployment, once, and people are told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import (
    FailRead,
    LandLater,
    LoseReply,
    LoseRequest,
    NoFaults,
    Reject,
    Script,
    VirtualClock,
)
from remediator.errors import CannotSee, Conflict, Refused, Unavailable
from remediator.objects import ObjectRef, annotations_of
from remediator.playbooks.catalog import Catalog
from remediator.ports import ABANDONED, MARKER
from remediator.remediation.events import Acted, Approved, Rejected
from remediator.remediation.journal import StaleRemediation
from remediator.remediation.state import State, StepOutcome
from tests.support.world import World, deployment, load, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")


def ready(*playbooks, script: Script | None = None, replicas: int = 3, image: str = "shop/api:1", **options) -> World:
    world = World(*(playbooks or (restart_playbook(),)), **options)
    world.cluster.apply(deployment(replicas=replicas, image=image))
    world.settle()
    world.cluster.advance(60)
    if script is not None:
        world.cluster.faults = script
    return world


def scale_playbook(**changes):
    return restart_playbook(
        name="scale-api", steps=[{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}], **changes
    )


def path(world: World) -> list[str]:
    """The states in order, repetitions left out."""
    states: list[str] = []
    for decision in world.decisions:
        state = decision.remediation.state.value
        if not states or states[-1] != state:
            states.append(state)
    return states


async def test_an_alert_restarts_its_deployment_once_and_proves_it() -> None:
    world = ready()
    await world.alert()
    r = await world.run_until("succeeded")
    assert world.restarted_at()
    assert world.writes() == [("patch", "Deployment shop/api")]
    assert r.outcome is StepOutcome.NONE
    assert path(world) == ["planned", "reserved", "verifying", "succeeded"]
    assert annotations_of(world.peek())[MARKER] == f"{r.id}/0.0"


async def test_a_second_delivery_starts_nothing() -> None:
    """Re-sends, at once and after repeat_interval, are the same alert."""
    world = ready()
    await world.alert(started_ago=60)
    await asyncio.gather(world.alert(started_ago=60), world.alert(started_ago=60))
    await world.run_until("succeeded")
    world.cluster.advance(4 * 3600)
    await world.alert(started_ago=4 * 3600 + 120)
    await world.run_for(30)
    assert len(await world.all()) == 1
    assert len(world.writes()) == 1


async def test_ten_pods_of_one_deployment_are_one_restart() -> None:
    world = ready(restart_playbook(gather="20s"), replicas=10)
    pods = world.cluster.all("Pod", "shop")
    assert len(pods) == 10
    await world.deliver(*(world.make_alert(pod=p["metadata"]["name"]) for p in pods[:5]))
    await world.run_for(5)
    await world.deliver(*(world.make_alert(pod=p["metadata"]["name"]) for p in pods[5:]))
    r = await world.run_until("succeeded")
    assert len(r.alerts) == 10
    assert len(await world.all()) == 1
    assert world.writes() == [("patch", "Deployment shop/api")]


async def test_an_alert_that_comes_late_joins() -> None:
    world = ready()
    pods = [p["metadata"]["name"] for p in world.cluster.all("Pod", "shop")]
    await world.alert(pod=pods[0])
    await world.run_until("verifying")
    await world.alert(deployment="api", severity="critical")
    r = await world.run_until("succeeded")
    assert (len(r.alerts), r.severity) == (2, "critical")
    assert len(world.writes()) == 1


async def test_an_alert_without_playbook_has_a_verdict() -> None:
    world = ready()
    await world.alert("SomethingElse")
    await world.turn()
    (record,) = await world.journal.recent_alerts(10)
    assert record.verdict.startswith("no_playbook")


async def test_over_before_anybody_looked_and_back_again() -> None:
    world = ready()
    await world.alert()
    await world.alert(resolved=True)
    await world.turn()
    (record,) = await world.journal.recent_alerts(10)
    assert record.verdict.startswith("resolved")
    world.cluster.advance(120)
    await world.alert(started_ago=0)
    await world.run_until("succeeded")
    assert len(world.writes()) == 1


async def test_a_playbook_that_is_loaded_later_sees_the_next_resend() -> None:
    world = ready(restart_playbook(match={"alerts": ['alertname="Other"']}))
    await world.alert()
    await world.turn()
    world.catalog = Catalog([load(restart_playbook())])
    world.cluster.advance(4 * 3600)
    await world.alert(started_ago=4 * 3600 + 60)
    await world.run_until("succeeded", "denied", "held")


async def test_a_cure_that_does_not_last_is_not_passed_over() -> None:
    """It resolved and fires again within ten minutes: the same alert, and somebody has to hear of it."""
    world = ready()
    await world.alert()
    await world.run_until("succeeded")
    world.cluster.advance(30)
    await world.alert(resolved=True)
    world.cluster.advance(60)
    await world.alert(started_ago=10)
    await world.run_until("held", "denied", "escalated", within_s=60)
    assert len(await world.all()) == 2
    assert len(world.writes()) == 1


async def test_many_who_take_alerts_in_at_once_take_each_alert_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop and everything that is gathering ask for it at the same moment."""
    world = ready(restart_playbook(gather="20s"))
    looks = 0
    aim = world.core.aiming.aim

    async def slowly(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return await aim(*args)

    monkeypatch.setattr(world.core.aiming, "aim", slowly)
    names = [p["metadata"]["name"] for p in world.cluster.all("Pod", "shop")]
    await world.deliver(*(world.make_alert(pod=name) for name in names))
    await asyncio.gather(*(world.core.intake.take_all() for _ in range(9)))
    (r,) = await world.all()
    assert (len(r.alerts), looks) == (len(names), len(names))


# --- the attempt protocol --------------------------------------------------------------------------------------------


async def test_a_lost_reply_is_found_by_the_marker() -> None:
    script = Script()
    script.write(LoseReply())
    world = ready(script=script)
    await world.alert()
    await world.run_until("succeeded")
    assert world.writes() == [("patch", "Deployment shop/api")]
    assert "uncertain" in path(world)


async def test_a_lost_request_is_sent_again_with_the_same_bytes() -> None:
    script = Script()
    script.write(LoseRequest())
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("succeeded")
    first, second = await world.journal.attempts(r.id)
    assert first.request == second.request
    assert len(world.writes()) == 1


async def test_a_write_that_lands_late_lands_once() -> None:
    """It lands after the probe said "not yet": the second sending meets a moved resourceVersion."""
    script = Script()
    script.write(LandLater(0.5))
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    await world.run_for(120)
    assert r.state is State.SUCCEEDED
    assert world.writes() == [("patch", "Deployment shop/api")]


class EffectsLandLater(NoFaults):
    """Every effect is lost and lands ten minutes later; only the write that gives up gets through."""

    def on_write(self, request, *, dry_run):
        return None if dry_run or ABANDONED.encode() in request.body else LandLater(600)


async def test_a_write_that_lands_after_a_person_was_asked_does_nothing() -> None:
    """Giving up moves the resourceVersion first, so what is still under way can never land."""
    world = ready()
    world.cluster.faults = EffectsLandLater()
    await world.alert()
    r = await world.run_until("escalated", within_s=600)
    await world.run_for(1300, step=10)
    assert r.outcome is StepOutcome.UNCERTAIN
    attempts = await world.journal.attempts(r.id)
    assert 5 < len(attempts) < 30
    assert not world.restarted_at()


async def test_status_noise_between_look_and_write_is_a_new_attempt() -> None:
    script = Script()
    script.write(Reject(Conflict("409: the object has been modified")), times=3)
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("succeeded")
    outcomes = [a.outcome for a in await world.journal.attempts(r.id)]
    assert outcomes == ["conflict", "conflict", "conflict", "done"]
    assert len(world.writes()) == 1


async def test_endless_conflicts_end_with_a_person() -> None:
    script = Script()
    script.write(Reject(Conflict("409")), times=100_000)
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.HELD_TOO_LONG
    assert not world.restarted_at()


async def test_a_refused_write_goes_to_a_person_and_gives_its_tokens_back() -> None:
    script = Script()
    script.write(Reject(Refused("403 Forbidden", forbidden=True)))
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.REFUSED
    (run,) = await world.journal.runs(world.clock.now(), timedelta(hours=1))
    assert run.tokens_back


async def test_an_overloaded_api_server_is_waited_for() -> None:
    script = Script()
    script.write(Reject(Unavailable("429", retry_after_s=3)), times=2)
    world = ready(script=script)
    await world.alert()
    await world.run_until("succeeded")
    assert len(world.writes()) == 1


async def test_what_cannot_be_read_is_held_then_goes_on() -> None:
    script = Script()
    script.read(FailRead(CannotSee("timeout")), kind="Deployment", times=8)
    world = ready(script=script)
    await world.alert()
    r = await world.run_until("held", "succeeded")
    assert r.state is State.HELD
    assert "CANNOT SEE" in r.reason
    await world.run_until("succeeded")
    assert len(world.writes()) == 1


async def test_people_win_between_plan_and_effect() -> None:
    """Somebody scaled meanwhile: their value stays, and people hear that nothing was done."""
    world = ready(scale_playbook(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    world.cluster.edit(API, {"spec": {"replicas": 7}})
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    r = await world.run_until("cancelled")
    assert world.replicas() == 7
    assert "differs" in r.reason


async def test_status_noise_does_not_void_an_approval() -> None:
    world = ready(scale_playbook(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    for n in range(50):
        world.cluster.set_status(API, conditions=[{"type": "Noise", "status": str(n)}])
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_until("succeeded")
    assert world.replicas() == 5
    assert len(world.writes()) == 1


async def test_a_veto_is_final() -> None:
    world = ready(scale_playbook(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.core.runner.apply_from_person(r.id, Rejected(who="ann", why="not now"))
    await world.run_for(60)
    late = await world.core.runner.apply_from_person(r.id, Approved(who="bob", digest=r.digest))
    assert late is not None
    assert late.ignored
    await world.alert(started_ago=200)
    await world.run_for(600, step=10)
    assert world.writes() == []
    assert (await world.newest()).reason == "rejected by ann: not now"


async def test_nobody_approves_and_a_person_is_paged_once() -> None:
    world = ready(scale_playbook(mode="approve"))
    await world.alert()
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.EXPIRED
    assert world.writes() == []


async def test_a_pause_stops_what_was_approved_in_the_second_before() -> None:
    world = ready(scale_playbook(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    pause = await world.journal.pause("namespace:c1/shop", "bob", "deploy", None, world.clock.now())
    await world.run_for(60)
    r = await world.newest()
    assert r.state is State.APPROVED
    assert "pause" in r.reason
    assert world.writes() == []
    await world.journal.resume(pause.id, "bob", world.clock.now())
    await world.run_until("succeeded")


async def test_a_pause_annotation_on_the_object_holds() -> None:
    world = ready()
    world.cluster.edit(API, {"metadata": {"annotations": {"remediator.dev/pause": "hands off"}}})
    await world.alert()
    r = await world.run_until("held")
    assert "hands off" in r.reason
    assert world.writes() == []


@pytest.mark.parametrize("mode", ["observe", "suggest"])
async def test_weaker_modes_never_write(mode: str) -> None:
    world = ready(restart_playbook(mode=mode))
    await world.alert()
    r = await world.run_until("observed", "suggested")
    assert r.plan is not None
    assert world.writes() == []


async def test_read_only_access_is_enough_to_suggest() -> None:
    world = ready(restart_playbook(mode="suggest"))
    world.cluster.forbid("patch", "*")
    await world.alert()
    r = await world.run_until("suggested")
    assert r.plan is not None
    assert any("no permission" in note for note in r.plan.steps[0].notes)


# --- verdicts --------------------------------------------------------------------------------------------------------


def hurt(world: World, unready: str | None) -> None:
    for pod in world.cluster.all("Pod", "shop"):
        ref = ObjectRef("Pod", "shop", pod["metadata"]["name"])
        world.cluster.edit(ref, {"metadata": {"annotations": {"test.remediator.dev/unready": unready}}})


async def test_a_cure_that_makes_it_worse_is_undone() -> None:
    """Errors stay, and copies that were available are lost: back to what was, and verified."""
    playbook = scale_playbook()
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    clock = VirtualClock()
    world = ready(playbook, queries=queries(clock, {"errors": 9.0}), clock=clock)
    await world.alert()
    await world.run_until("verifying")
    hurt(world, "true")
    r = await world.run_until("undoing", "escalated", "inconclusive")
    assert r.state is State.UNDOING
    assert "worse: available copies" in r.reason
    hurt(world, None)
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.UNDONE
    assert world.replicas() == 3
    assert len(world.writes()) == 2


async def test_an_undo_leaves_alone_what_somebody_changed() -> None:
    playbook = scale_playbook()
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    clock = VirtualClock()
    world = ready(playbook, queries=queries(clock, {"errors": 9.0}), clock=clock)
    await world.alert()
    await world.run_until("verifying")
    world.cluster.edit(API, {"spec": {"replicas": 8}})
    await world.run_for(3)
    hurt(world, "true")
    r = await world.run_until("escalated")
    assert r.outcome is StepOutcome.UNDO_FAILED
    assert world.replicas() == 8


async def test_a_failure_without_harm_is_left_and_escalated() -> None:
    """It was broken before and is broken after: nothing to go back to."""
    world = World(restart_playbook())
    world.cluster.apply(deployment(image="shop/api:bad"))
    world.cluster.advance(700)
    await world.alert()
    r = await world.run_until("escalated", "inconclusive")
    assert r.outcome in (StepOutcome.FAILED, StepOutcome.INCONCLUSIVE)
    assert len(world.writes()) == 1


async def test_prometheus_down_is_inconclusive_never_an_undo() -> None:
    playbook = scale_playbook()
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1"}}]
    world = ready(playbook, queries=None)
    await world.alert()
    r = await world.run_until("inconclusive")
    assert r.outcome is StepOutcome.INCONCLUSIVE
    assert world.replicas() == 5


# --- several steps and rungs -----------------------------------------------------------------------------------------


async def test_steps_run_in_order_each_planned_in_its_turn() -> None:
    steps = [
        {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "verify": {"rollout": {}}},
        {"wait": "10s"},
        {"action": "scale", "with": {"to": 6, "min": 1, "max": 9}},
    ]
    world = ready(restart_playbook(name="two", steps=steps))
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert world.replicas() == 6
    assert len(r.done) == 2


async def test_a_question_in_the_middle_waits_for_a_person() -> None:
    steps = [
        {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}},
        {"ask": "Is the cache warm?"},
        {"action": "rollout_restart"},
    ]
    world = ready(restart_playbook(name="ask", steps=steps))
    await world.alert()
    r = await world.run_until("waiting")
    await world.run_for(30)
    assert not world.restarted_at()
    r = await world.newest()
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_until("succeeded")
    assert world.restarted_at()


async def test_the_next_rung_takes_over_the_lock() -> None:
    first = restart_playbook(escalate=[{"playbook": "scale-api"}])
    first["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    second = scale_playbook(match={"alerts": ['alertname="Never"']})
    clock = VirtualClock()
    found = queries(clock)
    world = ready(first, second, queries=found, clock=clock)
    found.set("errors", 9.0)
    await world.alert()
    r = await world.run_until("succeeded")
    assert [x.playbook for x in await world.all()] == ["restart-api", "scale-api"]
    parent = (await world.all())[0]
    assert (parent.outcome, r.parent) == (StepOutcome.FAILED, parent.id)
    assert world.replicas() == 5


async def test_a_restart_of_the_process_goes_on_where_it_was() -> None:
    world = ready(restart_playbook())
    await world.alert()
    await world.run_until("verifying")
    after = world.another(restart_playbook())
    await after.journal.takeover("test-2")
    r = await after.run_until("succeeded")
    assert len(after.writes()) == 1
    assert r.epoch > 0


async def test_a_storm_of_one_delivery_is_held_before_any_is_decided() -> None:
    """Nine services at once have one cause; not even the first of them is restarted."""
    world = World(restart_playbook())
    names = [f"svc-{n}" for n in range(9)]
    for name in names:
        world.cluster.apply(deployment(name))
    world.cluster.advance(60)
    await world.deliver(*(world.make_alert(deployment=name) for name in names))
    await world.run_for(60)
    found = await world.all()
    assert len(found) == 9
    assert {r.state for r in found} == {State.HELD}
    assert all("storm" in r.reason for r in found)
    assert world.writes() == []


async def test_a_first_question_is_asked_before_anything_is_done() -> None:
    """A step that is no action must not be skipped because it has no effect."""
    world = ready(restart_playbook(steps=[{"ask": "Is the cache warm?"}, {"action": "rollout_restart"}]))
    await world.alert()
    r = await world.run_until("waiting")
    await world.run_for(30)
    assert world.writes() == []
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_until("succeeded")
    assert len(world.writes()) == 1


async def test_a_templated_target_does_not_name_what_is_protected() -> None:
    """Only an object that the playbook spells out itself is named; a label must not lead into kube-system."""
    target = {"kind": "Deployment", "namespace": "${labels.namespace}", "name": "${labels.deployment}"}
    world = World(restart_playbook(target=target))
    world.cluster.apply(deployment("dns", namespace="kube-system"))
    world.cluster.advance(60)
    await world.alert(namespace="kube-system", deployment="dns")
    r = await world.run_until("denied", "succeeded")
    assert r.state is State.DENIED
    assert "protect" in r.reason


async def test_a_budget_that_never_allows_ends_with_a_person() -> None:
    script = Script()
    script.write(Reject(Unavailable("429: budget", disruption_budget=True)), verb="evict", kind="Pod", times=100_000)
    world = ready(restart_playbook(steps=[{"action": "evict_pod"}]), script=script)
    pod = world.cluster.all("Pod", "shop")[0]["metadata"]["name"]
    await world.alert(pod=pod)
    r = await world.run_until("escalated", within_s=3600)
    assert r.outcome is StepOutcome.STOPPED
    assert await world.journal.unfinished("c1", API) == ()


async def test_a_later_step_that_differs_is_asked_about_again() -> None:
    """Somebody scaled between the steps: what the second step would do now is another thing, and people decide."""
    steps = [
        {"action": "rollout_restart"},
        {"wait": "30s"},
        {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}},
    ]
    world = ready(restart_playbook(name="two", steps=steps))
    await world.alert()
    await world.run_until("waiting")
    world.cluster.edit(API, {"spec": {"replicas": 4}})
    await world.run_for(60)
    r = await world.newest()
    assert (r.state, r.waiting_for) == (State.WAITING, "ask")
    assert "4" in r.reason
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_until("succeeded")
    assert world.replicas() == 5


async def test_an_undo_never_takes_the_last_healthy_copy() -> None:
    playbook = scale_playbook()
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    clock = VirtualClock()
    found = queries(clock, {"errors": 2.0})
    world = World(playbook, queries=found, clock=clock)
    world.cluster.apply(deployment(replicas=1))
    world.settle()
    world.cluster.edit(API, {"spec": {"replicas": 0}})
    world.cluster.advance(60)
    await world.alert()
    r = await world.run_until("verifying", "denied", "held")
    assert r.state is State.VERIFYING, r.reason
    found.set("errors", 9.0)
    r = await world.run_until("escalated")
    assert world.replicas() == 5
    assert r.outcome is StepOutcome.UNDO_FAILED
    assert "healthy" in r.reason


async def test_a_pause_annotation_on_the_pod_stops_a_resend() -> None:
    """An eviction is bound to a uid only, so a lost one could be sent again: not when somebody said hands off."""
    script = Script()
    script.write(LoseRequest(), verb="evict", kind="Pod", times=1)
    world = ready(restart_playbook(steps=[{"action": "evict_pod"}]), script=script)
    pod = world.cluster.all("Pod", "shop")[0]["metadata"]["name"]
    await world.alert(pod=pod)
    await world.turn()
    ref = ObjectRef("Pod", "shop", pod)
    world.cluster.edit(ref, {"metadata": {"annotations": {"remediator.dev/pause": "hands off"}}})
    await world.run_for(60)
    assert world.cluster.peek(ref) is not None
    r = await world.run_until("escalated", within_s=1800)
    assert world.cluster.peek(ref) is not None
    assert not r.done


async def test_a_rollback_that_makes_it_worse_goes_forward_again() -> None:
    playbook = restart_playbook(name="back", steps=[{"action": "rollback", "with": {"to": "previous"}}], mode="approve")
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    clock = VirtualClock()
    world = ready(playbook, queries=queries(clock, {"errors": 9.0}), clock=clock)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop/api:2"}]}}}}
    world.cluster.edit(API, image)
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await world.run_until("verifying")
    await world.run_for(3)
    hurt(world, "true")
    r = await world.run_until("undoing", "escalated", "inconclusive")
    assert r.state is State.UNDOING, r.reason
    hurt(world, None)
    r = await world.run_until("escalated")
    assert (r.outcome, world.image()) == (StepOutcome.UNDONE, "shop/api:2")


async def test_an_autoscaler_that_owns_the_replicas_gets_another_bound() -> None:
    """A manual scale would be undone at the autoscaler's next sync."""
    world = World(scale_playbook())
    world.cluster.apply(
        deployment(),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
                "minReplicas": 3,
                "maxReplicas": 8,
            },
        },
    )
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied", "inconclusive")
    assert r.state is State.SUCCEEDED, r.reason
    assert world.writes() == [("patch", "HorizontalPodAutoscaler shop/api")]
    await world.run_for(20)  # the autoscaler's own sync
    assert world.replicas() == 5


async def test_what_is_not_ours_any_more_is_dropped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row has not moved, its holder has: the same event would be refused again and again, for ever."""
    world = World(restart_playbook(mode="approve"))
    world.cluster.apply(deployment())
    world.settle()
    await world.alert()
    r = await world.run_until("awaiting_approval")
    asked: list[object] = []

    async def refused(*args: object, **options: object) -> None:
        asked.append(args)
        assert len(asked) < 5, "it goes round and round"
        raise StaleRemediation("held by another process")

    monkeypatch.setattr(world.journal, "commit", refused)
    with pytest.raises(StaleRemediation):
        await world.core.runner.apply(r, Acted(effect_id=r.effect_id, answer="busy"))
    assert len(asked) == 1
