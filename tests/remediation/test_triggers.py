"""What people start: the same planning, guards, approvals, verification and record, without an alert."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, Script, SimulatedQueries, VirtualClock
from remediator.errors import CannotSee
from remediator.guardrails.facts import Pause
from remediator.metrics import Metrics
from remediator.objects import ObjectRef, ref_of
from remediator.remediation import verifier
from remediator.remediation.aim import Start
from remediator.remediation.events import Approved
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.starting import CannotSeeYet, CannotStart, NoSuchPlaybook, StartedOtherwise, Wish
from remediator.remediation.state import Remediation, State, dump
from remediator.remediation.state import load as load_state
from remediator.upkeep import Housekeeping
from tests.remediation.test_first_light import path
from tests.support.building import playbook, remediation
from tests.support.world import World, deployment, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
NAMED = {"kind": "Deployment", "namespace": "shop", "name": "api"}


def by_hand(**changes: Any) -> dict[str, Any]:
    """A playbook that only people start."""
    content = restart_playbook(manual=True, target=NAMED, **changes)
    del content["match"]
    return content


def ready(*playbooks: dict[str, Any], **options: Any) -> World:
    world = World(*(playbooks or (by_hand(),)), **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


async def asked(world: World, playbook: str = "restart-api", *, key: str = "", **start: Any) -> Remediation:
    wish = Wish(playbook=playbook, who="alice", start=Start(**start), why="it leaks", key=key)
    return await world.core.starter.by_person(wish)


async def said(world: World, channel: str = "slack") -> list[str]:
    """Everything stored to be sent there, as text."""
    rows = await world.journal.due(channel, world.clock.now() + timedelta(days=30), 1000)
    return [json.dumps(row.payload, ensure_ascii=False) for row in rows]


async def test_a_person_restarts_a_deployment_once_and_it_is_proven() -> None:
    world = ready()
    opened = await asked(world)
    stored = await world.journal.get(opened.id)
    assert stored is not None
    assert (stored.state, stored.alerts, stored.requester) == (State.PLANNED, (), "alice")
    assert stored.cause == "alice asked for it: it leaks"
    done = await world.run_until("succeeded")
    assert done.id == opened.id
    assert path(world) == ["reserved", "verifying", "succeeded"]
    assert [verb for verb, _ in world.writes()] == ["patch"]
    first = (await world.journal.history(done.id))[0]
    assert (first.type, first.reason) == ("opened", "alice asked for it: it leaks")
    assert first.data["requester"] == "alice"


def from_alerts(when: str, target: Any = "from_alert") -> dict[str, Any]:
    """A playbook of an alert that people may start as well."""
    match = {"alerts": ['alertname="ApiDown"'], "when": when}
    return restart_playbook(manual=True, target=target, match=match)


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("target.desired >= 2", id="it holds"),
        pytest.param('alert.age > duration("2m")', id="about an alert, of which there is none"),
        pytest.param('labels.team == "web" && target.desired > 90', id="about both"),
    ],
)
async def test_a_condition_that_needs_no_alert_lets_people_start_it(when: str) -> None:
    world = ready(from_alerts(when))
    await asked(world, target=API)
    assert (await world.run_until("succeeded")).requester == "alice"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        pytest.param("target.desired > 90", "its condition does not hold: target.desired > 90", id="it does not hold"),
        pytest.param("target.object.spec.nothing > 1", "its condition could not be evaluated", id="nobody knows"),
    ],
)
async def test_a_condition_over_the_target_holds_for_people_too(when: str, said: str) -> None:
    world = ready(from_alerts(when))
    with pytest.raises(CannotStart, match=said):
        await asked(world, target=API)
    assert await world.all() == ()


async def test_a_target_that_the_condition_needs_and_nobody_can_read_starts_nothing() -> None:
    world = ready(from_alerts("target.desired >= 2", NAMED))
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("timed out")), verb="get", times=9)
    with pytest.raises(CannotSeeYet):
        await asked(world)
    assert await world.all() == ()


async def test_without_checks_the_rollout_proves_it_and_no_alert_is_waited_for() -> None:
    playbook = by_hand(verify={"settle": "5s", "interval": "5s", "successes": 2, "timeout": "2m"})
    world = ready(playbook)
    await asked(world)
    done = await world.run_until("succeeded", "inconclusive")
    assert done.state is State.SUCCEEDED
    assert {check.check for check in done.samples[-1].checks} == {"rollout"}
    assert not done.alerts_quiet


async def test_whoever_asked_is_no_second_pair_of_eyes() -> None:
    world = ready(by_hand(mode="approve"))
    opened = await asked(world)
    proposed = await world.run_until("awaiting_approval")
    assert "alice asked for it: it leaks" in "".join(await said(world))
    mine = Approved(who="alice", digest=proposed.digest)
    refused = await world.core.runner.apply_from_person(opened.id, mine)
    assert refused is not None
    assert refused.ignored
    yes = await world.core.runner.apply_from_person(opened.id, Approved(who="bob", digest=proposed.digest))
    assert yes is not None
    assert (await world.run_until("succeeded")).id == opened.id


async def test_a_pause_and_a_guard_hold_it_like_any_other() -> None:
    world = ready()
    pause = await world.journal.pause("everything", "eve", "no", None, world.clock.now())
    assert isinstance(pause, Pause)
    await asked(world)
    held = await world.run_until("held")
    assert "pause" in held.reason
    assert world.writes() == []


async def test_a_parameter_counts_over_all_others_and_belongs_to_the_digest() -> None:
    playbook = by_hand(
        params={"copies": {"type": "integer", "default": 4, "min": 1, "max": 6}},
        steps=[{"action": "scale", "with": {"to": "${params.copies}", "min": 1, "max": 9}}],
        mode="approve",
    )
    digests = set()
    for given in ({}, {"copies": "5"}, {"copies": "6"}):
        world = ready(playbook)
        await asked(world, params=given)
        proposed = await world.run_until("awaiting_approval")
        assert proposed.plan is not None
        assert f"-> {given.get('copies', 4)}" in proposed.plan.steps[0].summary
        digests.add(proposed.digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("params", "said"),
    [
        pytest.param({"copies": "7"}, "parameter copies: 7 is above its max 6", id="above"),
        pytest.param({"copies": "many"}, "parameter copies: expected a whole number, got 'many'", id="no number"),
        pytest.param({"copys": "5"}, 'there is no parameter copys. Did you mean "copies"?', id="misspelt"),
    ],
)
async def test_a_parameter_that_it_does_not_take_starts_nothing(params: dict[str, str], said: str) -> None:
    world = ready(by_hand(params={"copies": {"type": "integer", "default": 4, "max": 6}}))
    with pytest.raises(CannotStart) as error:
        await asked(world, params=params)
    assert str(error.value) == said
    assert await world.all() == ()


async def test_only_what_says_manual_is_for_people() -> None:
    world = ready(restart_playbook())
    with pytest.raises(CannotStart, match="restart-api is not for people to start"):
        await asked(world)
    with pytest.raises(NoSuchPlaybook, match="no playbook is called 'restart-apo'"):
        await asked(world, "restart-apo")
    assert await world.all() == ()


async def test_what_takes_its_target_from_alerts_has_to_be_told_one() -> None:
    world = ready(restart_playbook(manual=True))
    with pytest.raises(CannotStart, match="takes its target from an alert; name one: --target Kind/namespace/name"):
        await asked(world)
    with pytest.raises(CannotStart, match="Deployment shop/nope does not exist in cluster c1"):
        await asked(world, target=ObjectRef("Deployment", "shop", "nope"))
    with pytest.raises(CannotStart, match="unknown kind 'Deploymnt'"):
        await asked(world, target=ObjectRef("Deploymnt", "shop", "api"))
    pod = ref_of(world.cluster.all("Pod", "shop")[0])
    opened = await asked(world, target=pod)
    assert (opened.target, opened.root, opened.alert_pod) == (API, API, pod.name)
    assert opened.because.startswith(f"{pod} was named, of ReplicaSet")
    assert (await world.run_until("succeeded")).id == opened.id


async def test_its_own_target_is_not_another_one() -> None:
    world = ready()
    with pytest.raises(CannotStart, match="names its own target; leave --target out"):
        await asked(world, target=API)


async def test_what_cannot_be_read_starts_nothing() -> None:
    world = ready(restart_playbook(manual=True))
    world.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("timed out")), kind="Deployment", times=8)
    with pytest.raises(CannotSeeYet, match="timed out"):
        await asked(world, target=API)
    assert await world.all() == ()


async def test_a_condition_about_alerts_has_no_say() -> None:
    match = {"alerts": ['alertname="Stuck"'], "when": 'alert.age > duration("2m")'}
    world = ready(restart_playbook(manual=True, match=match))
    await asked(world, target=API)
    assert (await world.run_until("succeeded")).playbook == "restart-api"


async def test_asking_twice_with_a_key_is_asking_once() -> None:
    world = ready()
    first, second = await asked(world, key="k1"), await asked(world, key="k1")
    assert first.id == second.id
    assert (await asked(world, key="k2")).id != first.id
    assert len(await world.all()) == 2


async def test_a_key_stands_for_what_it_was_given_for() -> None:
    world = ready(by_hand(), by_hand(name="again"))
    await asked(world, key="k1")
    with pytest.raises(StartedOtherwise, match="another key"):
        await asked(world, "again", key="k1")


async def test_an_alert_of_the_same_object_does_not_turn_it_into_something_else() -> None:
    world = ready(by_hand(), restart_playbook(name="other", priority=5))
    opened = await asked(world)
    await world.alert()
    await world.run_for(120)
    kept = await world.journal.get(opened.id)
    assert kept is not None
    assert (kept.playbook, kept.alerts) == ("restart-api", ())
    assert {r.playbook for r in await world.all()} == {"restart-api", "other"}


async def test_alerts_may_join_it_and_do_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_is_quiet(checks: Any, context: Any, **options: Any) -> SampleSet:
        good = CheckSample(check="alert_resolved", answer="good", detail="gone", taken_at=context.now)
        return SampleSet(taken_at=context.now, checks=(good,))

    clock = VirtualClock()
    world = ready(restart_playbook(manual=True, mode="approve"), clock=clock, queries=SimulatedQueries(clock))
    monkeypatch.setattr(verifier, "sample_all", all_is_quiet)
    opened = await asked(world, target=API)
    await world.run_until("awaiting_approval")
    alert = await world.alert()
    await world.run_for(30)
    joined = await world.journal.get(opened.id)
    assert joined is not None
    assert len(joined.alerts) == 1
    await world.deliver(replace(alert, status="resolved", ends_at=world.clock.now()))
    await world.run_for(1200, step=10)
    assert (await world.newest()).id == opened.id
    assert (await world.newest()).state is State.ESCALATED, "nobody has approved in time; it was not over before"


async def test_whoever_asked_cannot_approve_the_next_rung_either() -> None:
    first = by_hand(name="first", escalate=[{"playbook": "second"}])
    first["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    clock = VirtualClock()
    world = ready(first, by_hand(name="second", mode="approve"), clock=clock, queries=queries(clock, {"errors": 9.0}))
    await asked(world, "first")
    rung = await world.run_until("awaiting_approval", within_s=300)
    assert (rung.playbook, rung.requester, rung.cause) == ("second", "alice", "alice asked for it: it leaks")
    refused = await world.core.runner.apply_from_person(rung.id, Approved(who="alice", digest=rung.digest))
    assert refused is not None
    assert refused.ignored


async def test_what_people_start_is_no_sign_of_a_storm() -> None:
    names = [f"api-{number}" for number in range(8)]
    playbooks = [by_hand(name=name, mode="observe") | {"target": {**NAMED, "name": name}} for name in names]
    world = ready(*playbooks)
    for name in names:
        world.cluster.apply(deployment(name))
        await asked(world, name)
    since = world.clock.now().replace(year=2000)
    assert await world.journal.arrivals("c1", since) == ()


async def test_without_alerts_nothing_is_told_to_have_cleared() -> None:
    """That no alert fires says nothing about what a person has started and what went wrong."""
    world = ready(by_hand(mode="approve", approval={"expires": "1m"}))
    opened = await asked(world)
    ended = await world.run_until("escalated")
    before = len(await said(world, "pagerduty"))
    assert before
    world.cluster.advance(timedelta(hours=2).total_seconds())
    await Housekeeping(world.journal, world.clock, Metrics(), world.core.teller.cleared).turn()
    episode = await world.journal.episode(ended.episode)
    assert episode is not None
    assert episode.closed_at is not None
    assert len(await said(world, "pagerduty")) == before, "the page is not resolved"
    assert opened.id == ended.id


async def test_it_survives_a_restart_between_answer_and_work() -> None:
    world = ready()
    opened = await asked(world)
    after = world.another(by_hand())
    done = await after.run_until("succeeded")
    assert done.id == opened.id


def test_what_is_stored_is_read_back() -> None:
    spec = playbook(params={"x": {"type": "string"}}).model_copy(update={"given": {"x": "1"}})
    r = remediation(spec=spec, cause="alice asked for it", alerts=())
    assert load_state(dump(r)) == r
