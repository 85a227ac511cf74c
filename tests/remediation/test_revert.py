"""What is only wanted while an alert lasts is put back once it has been quiet for long enough: once, and by nobody's
leave but the playbook's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.errors import InvalidPlaybook
from remediator.objects import ObjectRef
from remediator.remediation.checks import registry
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.journal import WaitingRevert
from remediator.remediation.samples import CheckSample
from remediator.remediation.state import Remediation, State
from remediator.remediation.temporary import temporary as what_is_left
from tests.remediation.test_triggers import said
from tests.support.world import World, deployment, load, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")


def temporary(**changes: Any) -> dict[str, Any]:
    up = {"action": "scale", "with": {"by": 2, "min": 1, "max": 9}, "revert": {"after_quiet": "30m"}}
    return restart_playbook(**{"name": "scale-api", "steps": [up], **changes})


@dataclass
class Prometheus:
    """What it says of the alert."""

    answer: Any = "good"


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Prometheus:
    says = Prometheus()

    async def sample(args: Any, context: CheckContext) -> CheckSample:
        return CheckSample(check="alert_resolved", answer=says.answer, detail="told", taken_at=context.now)

    kind = replace(registry.CHECKS["alert_resolved"], sample=sample)
    monkeypatch.setitem(registry.CHECKS, "alert_resolved", kind)
    return says


async def scaled(*playbooks: dict[str, Any], **options: Any) -> World:
    """3 -> 5 is done and proven."""
    clock = VirtualClock()
    world = World(*(playbooks or (temporary(),)), clock=clock, queries=queries(clock), **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    await world.run_until("succeeded")
    assert world.replicas() == 5
    return world


async def minutes(world: World, count: float) -> None:
    """Time passes, and what waits is looked at as the service does it."""
    end = world.clock.now() + timedelta(minutes=count)
    await world.core.reverter.turn()
    while world.clock.now() < end:
        world.cluster.advance(10)
        await world.turn()
        if world.clock.now().second // 10 == 0:
            await world.core.reverter.turn()


async def test_it_is_put_back_after_the_quiet_time_once(alerts: Prometheus) -> None:
    world = await scaled()
    await minutes(world, 28)
    assert (world.replicas(), len(await world.all())) == (5, 1)
    await minutes(world, 10)
    first, second = await world.all()
    assert (second.state, world.replicas()) == (State.SUCCEEDED, 3), second.reason
    assert (second.reverts, second.playbook) == (first.id, "scale-api")
    assert second.plan is not None
    assert second.plan.steps[0].summary == "replicas 5 -> 3"
    assert any(f"revert of {first.id}" in message for message in await said(world))
    await minutes(world, 120)
    assert len(await world.all()) == 2
    assert [verb for verb, _ in world.writes()] == ["patch", "patch"]


async def test_what_a_person_changed_is_left_alone(alerts: Prometheus) -> None:
    world = await scaled()
    world.cluster.edit(API, {"spec": {"replicas": 7}})
    await minutes(world, 45)
    _, second = await world.all()
    assert (second.state, world.replicas()) == (State.DENIED, 7)
    assert "spec.replicas of Deployment shop/api is 7, r-1 left it at 5: somebody changed it since" in second.reason
    assert "Left as it is: spec.replicas" in second.reason
    assert any("✋ Left as it is: " in message for message in await said(world))
    assert not any("trigger" in message for message in await said(world, "pagerduty"))
    await minutes(world, 60)
    assert len(await world.all()) == 2


@pytest.mark.parametrize("answer", ["bad", "unknown"])
async def test_an_alert_that_comes_back_or_is_not_seen_counts_anew(alerts: Prometheus, answer: str) -> None:
    world = await scaled()
    await minutes(world, 20)
    alerts.answer = answer
    await minutes(world, 2)
    alerts.answer = "good"
    await minutes(world, 27)
    assert (world.replicas(), len(await world.all())) == (5, 1)
    await minutes(world, 10)
    assert world.replicas() == 3


async def test_it_goes_on_in_the_next_process(alerts: Prometheus) -> None:
    world = await scaled()
    await minutes(world, 20)
    after = world.another(temporary())
    await minutes(after, 15)
    assert (after.replicas(), (await after.newest()).reverts) == (3, "r-1")


async def test_what_nobody_saw_was_not_quiet(alerts: Prometheus) -> None:
    world = await scaled()
    await minutes(world, 20)
    world.cluster.advance(600)
    after = world.another(temporary())
    await minutes(after, 25)
    assert after.replicas() == 5


async def test_two_steps_on_one_field_are_put_back_as_one(alerts: Prometheus) -> None:
    """3 -> 5 -> 6 is put back to 3: the second step would find 6 where the first one left 5."""
    first = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "revert": {"after_quiet": "10m"}}
    second = {**first, "with": {"to": 6, "min": 1, "max": 9}, "revert": {"after_quiet": "20m"}}
    clock = VirtualClock()
    world = World(temporary(steps=[first, {"wait": "5s"}, second]), clock=clock, queries=queries(clock))
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    await world.run_until("succeeded")
    assert world.replicas() == 6
    await minutes(world, 18)
    assert (world.replicas(), len(await world.all())) == (6, 1)
    await minutes(world, 6)
    r = await world.newest()
    assert (r.state, world.replicas()) == (State.SUCCEEDED, 3), r.reason
    assert r.plan is not None
    assert [s.summary for s in r.plan.steps] == ["replicas 6 -> 3"]


async def test_two_processes_begin_it_once(alerts: Prometheus) -> None:
    world = await scaled()
    done = await world.newest()
    left = what_is_left(done)
    assert left is not None
    now = world.clock.now()
    one, other = (world.core.chooser.take_back(done, left, now) for _ in range(2))
    assert await world.journal.settle_revert(done.id, now, revert=one) is not None
    assert await world.journal.settle_revert(done.id, now, revert=other) is None
    assert len(await world.all()) == 2
    assert await world.journal.waiting_reverts(9) == ()


async def test_it_needs_the_approval_that_the_playbook_needs(alerts: Prometheus) -> None:
    world = await scaled()
    after = world.another(temporary(mode="approve"))
    await minutes(after, 35)
    r = await after.newest()
    assert (r.state, after.replicas()) == (State.AWAITING_APPROVAL, 5)


async def test_without_the_playbook_it_is_dropped(alerts: Prometheus) -> None:
    world = await scaled()
    after = world.another(restart_playbook())
    await minutes(after, 35)
    assert (after.replicas(), len(await after.all())) == (5, 1)
    assert await after.journal.waiting_reverts(9) == ()
    last = (await said(after))[-1]
    assert "Left as it is" in last
    assert "playbook scale-api, which would put it back, is not in force any more" in last
    assert "put it back by hand" in last


async def test_after_thirty_days_it_is_given_up_and_people_hear_of_it(alerts: Prometheus) -> None:
    world = await scaled()
    alerts.answer = "bad"
    before = len(await said(world))
    world.clock.advance(30 * 86_400.0)
    await world.core.reverter.turn()
    assert len(await said(world)) == before
    world.clock.advance(3_600.0)
    for _ in range(2):
        await world.core.reverter.turn()
    assert await world.journal.waiting_reverts(9) == ()
    told = (await said(world))[before:]
    assert told
    assert all("Left as it is" in message for message in told)
    assert any("not been quiet for long enough within 30 days" in message for message in told)


async def test_one_that_cannot_be_looked_at_keeps_no_other_from_its_turn(
    alerts: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cluster is not configured any more."""
    world = await scaled()
    done = await world.newest()
    gone = replace(done, id="r-0", cluster="gone")
    rows = (WaitingRevert(remediation_id="r-0", at=world.clock.now()), *await world.journal.waiting_reverts(9))
    get = world.journal.get

    async def found(remediation_id: str) -> Remediation | None:
        return gone if remediation_id == "r-0" else await get(remediation_id)

    async def waiting(limit: int) -> tuple[WaitingRevert, ...]:
        return rows

    monkeypatch.setattr(world.journal, "get", found)
    monkeypatch.setattr(world.journal, "waiting_reverts", waiting)
    looked: list[str] = []

    async def noted(remediation_id: str, *_: Any) -> None:
        looked.append(remediation_id)

    monkeypatch.setattr(world.journal, "looked_at_revert", noted)
    await world.core.reverter.turn()
    assert looked == [done.id]


async def test_an_incident_that_is_over_is_not_opened_again(alerts: Prometheus) -> None:
    """Its revert is one of its own, and counts as no attempt of either."""
    up = {"action": "scale", "with": {"by": 2, "min": 1, "max": 9}, "revert": {"after_quiet": "30m"}}
    world = await scaled(temporary(steps=[up]))
    await world.alert(resolved=True, started_ago=100)
    await world.turn()
    done = await world.newest()
    await minutes(world, 29)
    closing = world.clock.now() + timedelta(hours=2)
    assert await world.journal.close_episodes(closing, timedelta(hours=1)) == 1
    await minutes(world, 10)
    r = await world.newest()
    assert (r.reverts, world.replicas()) == (done.id, 3)
    assert r.episode != done.episode
    episodes = [await world.journal.episode(e) for e in (done.episode, r.episode)]
    assert [e.ladders for e in episodes if e is not None] == [1, 0]


async def test_an_alert_that_fires_again_does_not_join_what_takes_its_remedy_away(alerts: Prometheus) -> None:
    world = await scaled()
    after = world.another(temporary(mode="approve"))
    await minutes(after, 31)
    revert = await after.newest()
    assert revert.state is State.AWAITING_APPROVAL
    await after.alert(resolved=True, started_ago=2000)
    await after.alert(started_ago=5)
    await after.turn()
    assert [(r.reverts, bool(r.alerts)) for r in await after.all()][-1] == ("", True)


async def test_a_step_that_does_not_say_so_stays(alerts: Prometheus) -> None:
    up = {"action": "scale", "with": {"by": 2, "min": 1, "max": 9}}
    world = await scaled(temporary(steps=[up]))
    await minutes(world, 60)
    assert (world.replicas(), len(await world.all())) == (5, 1)


async def test_a_later_change_is_put_back_first(alerts: Prometheus) -> None:
    """3 -> 5, the alert comes again, 5 -> 7: back to 5, and then to 3."""
    limits = {"max_attempts": 3, "cooldown": {"success": "2m", "failure": "2m"}, "rate_limit": {"target": 6}}
    world = await scaled(temporary(guardrails=limits))
    alerts.answer = "bad"
    await minutes(world, 20)
    await world.alert(resolved=True, started_ago=1300)
    await minutes(world, 1)
    await world.alert(started_ago=5)
    await minutes(world, 5)
    assert world.replicas() == 7, (await world.newest()).reason
    alerts.answer = "good"
    await minutes(world, 60)
    assert [r.reverts for r in await world.all()] == ["", "", "r-2", "r-1"]
    assert world.replicas() == 3, (await world.newest()).reason


@pytest.mark.parametrize("state", [State.ESCALATED, State.INCONCLUSIVE, State.SUPERSEDED])
async def test_only_what_went_well_leaves_something_behind(alerts: Prometheus, state: State) -> None:
    done = await (await scaled()).newest()
    assert what_is_left(done) is not None
    assert what_is_left(replace(done, state=state)) is None


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"action": "rollout_restart", "revert": {"after_quiet": "30m"}}, "rollout_restart has no inverse"),
        ({"action": "rollback", "revert": {"after_quiet": "30m"}}, "brings the bad release again"),
        ({"wait": "5m", "revert": {"after_quiet": "30m"}}, "belong to an action"),
        ({"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "revert": {"after_quiet": "1m"}}, "5m and 12h"),
        ({"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "revert": {"after_quiet": "2d"}}, "5m and 12h"),
    ],
)
def test_what_is_refused_at_load(step: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidPlaybook, match=complaint):
        load(temporary(steps=[step]))
