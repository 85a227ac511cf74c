"""A yes is somebody's, for this, now, once; and people hear of every end that is no success, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import LandLater, NoFaults, Reject, Script
from remediator.errors import Refused, Unavailable
from remediator.guardrails import order
from remediator.ports import ABANDONED, WriteRequest
from remediator.remediation.events import Rejected, Snoozed
from remediator.remediation.state import State, StepOutcome
from remediator.service import NotAllowed, NotNow
from tests.http.harness import World as HttpWorld
from tests.http.harness import as_, bearer
from tests.invariants.given import (
    API,
    WORSE,
    approve,
    checked,
    guards_are,
    handed_over,
    hurt,
    measured,
    ready,
    rows_of,
    scale_to,
    with_guard,
)
from tests.people.approvals.test_deciding import GLASS, desk
from tests.support.accounts import slack, token
from tests.support.world import World, restart_playbook

# --- 14 --------------------------------------------------------------------------------------------------------------


async def proposed(**changes: Any) -> tuple[World, Any]:
    world = ready(scale_to(5, mode="approve", **changes))
    await world.alert()
    return world, await world.run_until("awaiting_approval")


async def acted(world: World) -> bool:
    """Whether anything was sent within ten minutes."""
    await world.run_for(60, step=5)
    await world.run_for(540, step=60)
    return bool(world.writes() or await rows_of(world))


async def test_14_an_approval_is_somebodys_for_this_now_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quorum, requester excluded, unexpired, bound to the digest, used once, veto final, guards run again."""
    world, r = await proposed(approval={"quorum": 2, "expires": "20m"})
    assert await approve(world, r, "ann")
    assert await approve(world, r, "ann")  # the same person twice is one
    assert not await acted(world)
    assert await approve(world, r, "bob")
    assert await acted(world)

    world, r = await proposed()
    assert not await approve(world, r, digest="another")
    assert not await acted(world)

    world, r = await proposed()
    assert r.approval_expires is not None
    world.clock.advance_to(r.approval_expires)
    assert not await approve(world, r)
    assert not await acted(world)

    # Given in time, but not used in time.
    world, r = await proposed(approval={"expires": "15m", "start_within": "30s"})
    pause = await world.journal.pause("everything", "bob", "wait", None, world.clock.now())
    assert await approve(world, r)
    await world.run_for(1200, step=30)
    await world.journal.resume(pause.id, "bob", world.clock.now())
    assert not await acted(world)

    world, r = await proposed(approval={"quorum": 2})
    await approve(world, r, "ann")
    await world.core.runner.apply_from_person(r.id, Rejected(who="cyd"))
    assert not await approve(world, r, "bob")
    assert not await acted(world)

    # A veto counts as long as nothing was sent.
    world, r = await proposed()
    await approve(world, r)
    await world.core.runner.apply_from_person(r.id, Rejected(who="cyd"))
    assert not await acted(world)

    # Guards run again, on what is the case then.
    world, r = await proposed()
    with monkeypatch.context() as patched:
        asked: list[Any] = []
        (mode,) = [guard for guard in order.ORDER if guard.name == "mode"]

        def noted(facts: Any) -> Any:
            asked.append(facts)
            return mode.check(facts)

        guards_are(patched, with_guard("mode", noted))
        await approve(world, r)
        assert not asked
        assert await acted(world)
        assert any(facts.approved for facts in asked)

    # Used once: a second incident asks anew.
    world, r = await proposed(guardrails={"max_attempts": 3, "cooldown": {"success": "2m", "failure": "2m"}})
    await approve(world, r)
    await world.run_until("succeeded")
    await world.alert(resolved=True)
    world.cluster.edit(API, {"spec": {"replicas": 3}})
    await world.run_for(1200, step=100)
    await world.alert(started_ago=0)
    again = await world.run_until("awaiting_approval", "succeeded")
    assert (again.state, again.digest == r.digest, again.consents) == (State.AWAITING_APPROVAL, True, ())
    assert len(world.writes()) == 1


async def test_14_a_snooze_extends_the_question_not_an_old_yes() -> None:
    """After a snooze the same digest is asked for again, and only a yes from then on counts with its own expiry."""
    world, r = await proposed(approval={"quorum": 2, "expires": "5m"})
    until = world.clock.now() + timedelta(minutes=30)
    await world.core.runner.apply_from_person(r.id, Snoozed(who="ann", until=until))
    await world.run_for(1750, step=50)
    assert (await world.newest()).state is State.SNOOZED
    r = await world.run_until("awaiting_approval")
    assert r.approval_expires is not None
    assert r.approval_expires > until
    assert not await acted(world)


async def test_14_only_who_may() -> None:
    """At the door: a viewer's or operator's token, none at all, and whoever asked for it. Slack: see its own tests."""
    world = HttpWorld()
    r = await world.proposed(requester="the-approver")
    async with world.serving() as client:
        path = f"/api/v1/remediations/{r.id}/approve"
        for headers, status in ((as_("viewer"), 403), (as_("operator"), 403), (bearer("nobody"), 401), ({}, 401)):
            async with await client.post(path, headers=headers, json={}) as answer:
                assert answer.status == status
    with pytest.raises(NotAllowed):
        await world.service.approve(r.id, token("the-approver"))
    after = await world.journal.get(r.id)
    assert after is not None
    assert after.consents == ()
    await world.journal.pause("everything", "bob", "", None, world.clock.now())
    with pytest.raises(NotNow):
        await world.service.approve(r.id, token("ann"))


async def test_14_a_person_is_one_and_what_cannot_be_read_lets_nobody_in() -> None:
    """Two accounts of one person are one yes, whoever asked for it is excluded with both, and a schedule that cannot be
    read proves nothing. More: tests/people/approvals."""
    at = await desk(approval={"quorum": 2, "approvers": ["oncall:pagerduty/PSCHED1", "person:bob"]})
    await at.service.approve("r-1", slack("U0ANN"))
    await at.service.approve("r-1", token("ann"))
    assert (await at.r()).state is State.AWAITING_APPROVAL
    at.house.pagerduty.down = "PagerDuty answered 500"
    at.world.clock.time += timedelta(seconds=61)
    with pytest.raises(NotAllowed, match="PagerDuty answered 500"):
        await at.service.approve("r-1", slack("U0CYD"))
    await at.service.approve("r-1", slack("U0BOB"))
    assert (await at.r()).state is State.APPROVED

    at = await desk(requester="ann")
    for account in (slack("U0ANN"), token("ann")):
        with pytest.raises(NotAllowed, match="ann asked for"):
            await at.service.approve("r-1", account)


async def test_14_nobody_alone_but_with_a_reason_and_never_for_what_lasts() -> None:
    at = await desk(approval={"quorum": 2}, glass=GLASS)
    await at.service.approve("r-1", slack("U0ANN"), break_glass="checkout is down and nobody answers")
    assert [c.break_glass for c in (await at.r()).consents] == ["checkout is down and nobody answers"]
    never: tuple[dict[str, Any], ...] = (
        {"steps": [{"action": "drop_table"}]},
        {"protected": ["shop"]},
        {"glass": None},
    )
    for changes in never:
        at = await desk(**{"approval": {"quorum": 2}, "glass": GLASS, **changes})
        with pytest.raises(NotAllowed):
            await at.service.approve("r-1", slack("U0ANN"), break_glass="checkout is down and nobody answers")
        assert (await at.r()).consents == ()


# --- 18 --------------------------------------------------------------------------------------------------------------


class AllLate(NoFaults):
    def on_write(self, request: WriteRequest, *, dry_run: bool) -> LandLater | None:
        return None if dry_run or ABANDONED.encode() in request.body else LandLater(900)


def _refusing(world: World) -> None:
    world.cluster.faults = script = Script()
    script.write(Reject(Refused("403", forbidden=True)), times=1000)


def _budget(world: World) -> None:
    world.cluster.faults = script = Script()
    script.write(Reject(Unavailable("429", disruption_budget=True)), verb="evict", kind="Pod", times=100_000)


def _late(world: World) -> None:
    world.cluster.faults = AllLate()


def _annotated(world: World) -> None:
    world.cluster.edit(API, {"metadata": {"annotations": {"remediator.dev/pause": "mine"}}})


EVICT = [{"action": "evict_pod", "with": {"select": "all", "max": 1}}]
ENDS: dict[str, tuple[dict[str, Any], Callable[[World], None] | None, str]] = {
    "denied": (restart_playbook(target={"kind": "Deployment", "namespace": "shop", "name": "gone"}), None, ""),
    "suggested": (restart_playbook(mode="suggest"), None, ""),
    "held_too_long": (restart_playbook(), _annotated, ""),
    "expired": (scale_to(5, mode="approve"), None, ""),
    "refused": (restart_playbook(), _refusing, ""),
    "stopped": (restart_playbook(steps=EVICT), _budget, ""),
    "uncertain": (restart_playbook(), _late, ""),
    "failed": (checked(scale_to(5), WORSE), None, ""),
    "undone": (checked(scale_to(5), WORSE), None, "worse"),
    "inconclusive": (checked(scale_to(5), {"promql": {"query": "nobody answers", "success": "< 1"}}), None, ""),
    "succeeded": (restart_playbook(), None, ""),
    "observed": (restart_playbook(mode="observe"), None, ""),
}


@pytest.mark.parametrize("end", ENDS)
async def test_18_every_end_comes_and_reaches_a_person_once(end: str) -> None:
    """Within two hours, and every one that is no success calls a person exactly once; a success calls nobody."""
    playbook, prepare, turn = ENDS[end]
    clock, found = measured(9.0)
    world = ready(playbook, queries=found, clock=clock)
    if prepare is not None:
        prepare(world)
    await world.alert()
    if turn == "worse":
        await world.run_until("verifying")
        await world.run_for(3)
        hurt(world)
        await world.run_until("undoing", "escalated")
        hurt(world, None)
    await world.run_for(600, step=10)
    await world.run_for(7200, step=120)
    r = await world.newest()
    assert r.ended
    assert end in (r.outcome.value, r.state.value), (r.state, r.reason)
    calls = await handed_over(world, r)
    assert len(calls) == (0 if end in ("succeeded", "observed") else 1), calls
    later = world.clock.now() + timedelta(days=1)
    pages = [m for m in await world.journal.due("pagerduty", later, 1000) if m.payload["event_action"] == "trigger"]
    assert bool(pages) <= bool(calls)
    assert bool(await world.journal.due("slack", later, 1000)) == (end != "observed")


async def test_18_each_rung_is_handed_over_once() -> None:
    """The first to the second rung, without waking anybody; the second to a person."""
    first = checked(restart_playbook(escalate=[{"playbook": "scale-to-5"}]), WORSE)
    second = checked(scale_to(5, match={"alerts": ['alertname="Never"']}), WORSE)
    clock, found = measured(9.0)
    world = ready(first, second, queries=found, clock=clock)
    await world.alert()
    await world.run_for(120, step=2)
    r1, r2 = await world.all()
    assert (r1.outcome, r2.outcome, r2.parent) == (StepOutcome.FAILED, StepOutcome.FAILED, r1.id)
    assert await handed_over(world, r1) == ["next_rung"]
    assert await handed_over(world, r2) == ["escalated"]
