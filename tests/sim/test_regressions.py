"""What the schedules found, one test each, without chance."""

from __future__ import annotations

from datetime import timedelta

from remediator.adapters.simulated import LandLater, Reject, Script, VirtualClock
from remediator.errors import Refused
from remediator.objects import ObjectRef
from remediator.remediation.events import Approved, Rejected
from remediator.remediation.state import State, StepOutcome
from tests.support.world import World, deployment, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")


def ready(*playbooks, **options) -> World:
    world = World(*playbooks, **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def scale(**changes):
    return restart_playbook(steps=[{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}], **changes)


async def test_a_refusal_of_the_second_request_says_nothing_about_the_first() -> None:
    """Seed 1063: the first request was still under way when the second got a 403, and landed after the hand-over."""
    script = Script()
    script.write(LandLater(1.3))
    script.write(Reject(Refused("403 Forbidden", forbidden=True)))
    world = ready(scale())
    world.cluster.faults = script
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert (r.state, world.replicas()) == (State.SUCCEEDED, 5)
    assert len(r.done) == 1


async def test_an_expired_proposal_takes_no_yes_although_nobody_has_closed_it_yet() -> None:
    """Seed 1103: the service was down when it expired, and the yes came before the runner."""
    world = ready(scale(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert r.deadline is not None
    world.clock.advance_to(r.deadline)
    decision = await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    assert decision is not None
    assert decision.ignored
    await world.run_until("escalated")
    assert world.writes() == []


async def test_a_veto_in_the_middle_is_told_once() -> None:
    """Seeds 33 and 68: it was told as a veto and as an escalation."""
    steps = [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}, {"ask": "Go on?"}]
    world = ready(restart_playbook(steps=steps))
    await world.alert()
    r = await world.run_until("waiting")
    await world.core.runner.apply_from_person(r.id, Rejected(who="ann"))
    r = await world.newest()
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.STOPPED)
    assert [n for n in r.told if n in ("escalated", "ended_by_person")] == ["escalated"]


async def test_an_inconclusive_attempt_counts_at_once() -> None:
    """Seed 209: its lock is free, and a second alert's attempt slipped in before the first had ended."""
    playbook = restart_playbook(guardrails={"cooldown": {"success": "2m", "failure": "2m"}})
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1"}}]
    clock = VirtualClock()
    world = ready(playbook, queries=queries(clock), clock=clock)
    await world.alert()
    await world.run_until("inconclusive")
    await world.alert(deployment="api", severity="critical")
    await world.run_for(300, step=5)
    assert len(world.writes()) == 1
    assert (await world.newest()).state is State.DENIED


class JumpingClock(VirtualClock):
    """The wall clock jumps, boot time does not."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


async def test_nothing_begins_while_the_wall_clock_disagrees() -> None:
    """Seed 273: after a jump of an hour every rate limit looked unused."""
    clock = JumpingClock()
    world = ready(scale(), clock=clock)
    right = VirtualClock.now
    world.cluster.server_time = lambda: _async(right(clock).replace(microsecond=0))  # type: ignore[method-assign]
    world.cluster._agenda._clock = type("Right", (), {"now": lambda self: right(clock)})()
    clock.ahead = timedelta(hours=1)
    await world.alert()
    r = await world.run_until("held")
    assert "ur clock says" in r.reason
    await world.run_for(120, step=5)
    assert world.writes() == []


async def _async(value):
    return value


async def test_a_replica_does_not_ask_again_and_again_for_what_another_one_works_on() -> None:
    """Seed 17: the idle replica asked the store 200 times a second while the other one worked."""
    world = ready(restart_playbook())
    await world.alert()
    await world.core.intake.take_all()
    now = world.clock.now()
    lease = timedelta(seconds=10)
    (taken,) = await world.journal.claim("other", now, lease, 10)
    assert await world.journal.next_due((), "me") == now + lease
    assert await world.journal.next_due((), "other") == taken.due
