"""25: the promises about rate, windows, pauses and approvals, when clocks jump, when they change by an hour for the
season, and when a process stands still."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.remediation.runner import LEASE
from remediator.remediation.state import State
from tests.invariants.given import At, approve, nothing_is_written, on_a_machine, rows_of, scale_to
from tests.support.world import World, deployment, restart_playbook

JUMPS = (timedelta(hours=1), -timedelta(hours=1), timedelta(minutes=2))


def _ids(jump: timedelta) -> str:
    return f"{jump.total_seconds() / 60:+.0f} min"


@pytest.mark.parametrize("jump", JUMPS, ids=_ids)
async def test_25_a_jump_of_the_clock_makes_no_tokens(jump: timedelta) -> None:
    """8: while the clock is not believed nothing begins; when it is right again every window of true time holds."""
    playbook = restart_playbook(guardrails={"rate_limit": {"namespace": 2}})
    world, machine = on_a_machine(playbook)
    for name in ("a", "b", "c", "d", "e"):
        world.cluster.apply(deployment(name))
    world.cluster.advance(60)
    world.cluster.audit.clear()
    for turn, name in enumerate(("a", "b", "c", "d", "e")):
        if turn == 2:
            machine.ahead = jump
        if turn == 4:
            machine.ahead = timedelta(0)
        await world.alert(deployment=name)
        before = len(world.cluster.audit)
        for _ in range(15):
            world.cluster.advance(40)
            await world.turn()
        if turn in (2, 3):
            assert len(world.cluster.audit) == before
    done = [entry.at for entry in world.cluster.audit]
    assert len(done) >= 2
    for end in done:
        assert sum(end - timedelta(hours=1) < at <= end for at in done) <= 2


@pytest.mark.parametrize("jump", JUMPS, ids=_ids)
async def test_25_a_jump_of_the_clock_lifts_no_pause(jump: timedelta) -> None:
    """13: one without an end stays whatever the clock says; nothing starts on a clock that is wrong, and where the
    store is asked with a wrong time, the guardrails do not let it come to that.
    """
    world, machine = on_a_machine(scale_to(5))
    await world.journal.pause("everything", "bob", "", None, world.clock.now())
    await world.alert()
    await world.turn()
    machine.ahead = jump
    with nothing_is_written(world):
        for _ in range(100):
            world.cluster.advance(20)
            await world.turn()
    assert await rows_of(world) == []


@pytest.mark.parametrize("jump", JUMPS, ids=_ids)
async def test_25_a_pause_with_an_end_lasts_until_that_time(jump: timedelta) -> None:
    """13: a clock that jumps ahead past the end of a pause does not let work begin before its true end."""
    world, machine = on_a_machine(scale_to(5))
    await _believed(world)
    end = world.clock.now() + timedelta(minutes=10)
    await world.journal.pause("everything", "bob", "", end, world.clock.now())
    await world.alert()
    await world.turn()
    machine.ahead = jump
    for _ in range(27):
        world.cluster.advance(20)
        await world.turn()
    assert machine.true.now() < end
    assert world.writes() == []


async def _believed(world: World) -> None:
    """The process has compared its clock once."""
    await world.alert("Unknown")
    await world.turn()


@pytest.mark.parametrize("jump", JUMPS, ids=_ids)
async def test_25_a_jump_of_the_clock_makes_no_approval_valid(jump: timedelta) -> None:
    """14: a yes that came too late does not count later, whichever way the clock moves; an expiry really is one."""
    world, machine = on_a_machine(scale_to(5, mode="approve", approval={"expires": "5m"}))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    world.cluster.advance(320)
    await world.turn()
    assert (await world.newest()).state is State.ESCALATED
    machine.ahead = jump
    assert not await approve(world, r)
    for _ in range(30):
        world.cluster.advance(20)
        await world.turn()
    assert world.writes() == []

    # Given in time, then the clock jumps: nothing begins on a clock that is not believed.
    world, machine = on_a_machine(scale_to(5, mode="approve", approval={"expires": "5m"}))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    machine.ahead = jump
    await approve(world, r)
    with nothing_is_written(world):
        for _ in range(30):
            world.cluster.advance(20)
            await world.turn()


@pytest.mark.parametrize("stood", [0.9, 1.1, 9.0, 11.0, 3600.0])
@pytest.mark.parametrize("point", ["reserve", "record_attempt"])
async def test_25_a_process_that_stood_still(point: str, stood: float) -> None:
    """13: what was decided before a freeze is not sent after it, unless it was less than a second; with a reservation
    in its hands it looks again first.

    SIGSTOP on real processes: `tests/crash`; frozen at any await: `tests/sim`.
    """
    frozen = At(point, "after", lambda: world.cluster.advance(stood))
    world, machine = on_a_machine(scale_to(5), store_faults=frozen)
    await world.alert()
    r = await world.run_until("succeeded", "held", "escalated", within_s=stood + 120)
    assert (frozen.struck, r.state, world.replicas()) == (True, State.SUCCEEDED, 5)
    rows = await rows_of(world)
    (entry,) = world.cluster.audit
    assert entry.at - rows[-1].at <= timedelta(seconds=1)
    assert r.plan is not None
    assert rows[-1].at - r.plan.made_at <= timedelta(minutes=1)
    if point == "record_attempt":
        assert rows[0].outcome == ("done" if stood < 1 else "not_sent")
    assert machine.ahead == timedelta(0)


async def test_25_a_process_that_stood_still_sees_the_pause() -> None:
    """13: a pause that somebody else stored while it was frozen counts."""

    async def meanwhile() -> None:
        other = world.another(scale_to(5))
        await other.journal.pause("everything", "bob", "", None, other.clock.now())
        world.journal._writer._connection = other.journal._writer._connection  # type: ignore[attr-defined]
        world.cluster.advance(LEASE.total_seconds() * 3)

    world, _ = on_a_machine(scale_to(5))
    real = world.journal.record_attempt

    async def late(*args: Any) -> Any:
        await meanwhile()
        return await real(*args)

    world.journal.record_attempt = late  # type: ignore[method-assign, assignment]
    await world.alert()
    await world.turn()
    assert world.writes() == []
    assert await rows_of(world) == []
