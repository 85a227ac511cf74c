"""Who works on a remediation, and what becomes of whoever lost it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from remediator.remediation.events import Acted, DeadlinePassed, Joined, TimerFired
from remediator.remediation.journal import StaleRemediation
from remediator.remediation.runner import LEASE
from remediator.remediation.state import Remediation, State
from tests.invariants.given import At, Shared, crash
from tests.support.world import World, deployment, restart_playbook

QUARTER = LEASE.total_seconds() / 4


def ready(**options: Any) -> World:
    world = World(restart_playbook(), database=Shared(), **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


async def others() -> None:
    """Let every task go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def verifying(world: World) -> Remediation:
    await world.alert()
    return await world.run_until("verifying")


async def test_a_gap_longer_than_the_lease_ends_the_process() -> None:
    world = ready()
    gaps: list[float] = []
    world.core.runner._on_frozen = gaps.append
    beat = asyncio.create_task(world.core.runner._keep_leases())
    await others()
    for _ in range(10):
        world.clock.advance(QUARTER)
        await others()
    assert gaps == []
    world.clock.advance(LEASE.total_seconds() + 1)
    await others()
    assert gaps == [LEASE.total_seconds() + 1]
    beat.cancel()


async def test_work_whose_lease_is_lost_is_stopped() -> None:
    world = ready()
    r = await verifying(world)
    world.cluster.advance(10)
    (mine,) = await world.journal.claim("test-1", world.clock.now(), LEASE, 10)
    assert mine.id == r.id
    work = asyncio.create_task(asyncio.Event().wait())
    world.core.runner._tasks[r.id] = work  # type: ignore[assignment]
    beat = asyncio.create_task(world.core.runner._keep_leases())
    await others()
    world.clock.advance(QUARTER)
    await others()
    assert not work.done(), "renewed"
    world.clock.advance(LEASE.total_seconds() + 1)
    (theirs,) = await world.journal.claim("test-2", world.clock.now(), LEASE, 10)
    assert theirs.id == r.id
    await others()
    assert work.cancelled()
    beat.cancel()


async def test_nothing_is_applied_in_another_epoch() -> None:
    """The word of a process that was fenced is evidence, whatever it says."""
    world = ready(store_faults=At("reserve", "after", crash))
    await world.alert()
    await world.turn()
    r = await world.newest()
    assert r.state is State.RESERVED
    await world.journal.takeover("test-2")
    after = await world.journal.get(r.id)
    assert after is not None
    assert after.epoch > r.epoch
    real, looks = world.journal.get, 0

    async def get(remediation_id: str) -> Remediation | None:
        nonlocal looks
        looks += 1
        assert looks < 5, "again and again"
        return await real(remediation_id)

    world.journal.get = get  # type: ignore[method-assign]
    with pytest.raises(StaleRemediation):
        await world.core.runner.apply(r, Acted(effect_id=r.effect_id, answer="done"))


async def test_nothing_is_applied_in_another_epoch_of_our_own() -> None:
    """Lost and claimed again by the same process: what its first task still says belongs to the epoch that ended."""
    world = ready(store_faults=At("reserve", "after", crash))
    await world.alert()
    await world.turn()
    r = await world.newest()
    await world.journal.takeover("test-2")
    (again,) = await world.journal.claim("test-1", world.clock.now(), LEASE, 10)
    assert again.epoch > r.epoch
    await world.core.runner.apply_from_person(r.id, Joined(alerts=()))  # it also moved meanwhile
    with pytest.raises(StaleRemediation):
        await world.core.runner.apply(r, Acted(effect_id=r.effect_id, answer="done"))


async def test_what_stays_true_is_applied_to_a_remediation_that_moved() -> None:
    """An alert joined while an effect was under way: its answer counts, but nothing that was decided by a look."""
    world = ready()
    real = world.journal.record_outcome

    async def record_outcome(*args: Any) -> None:
        await real(*args)
        (r,) = await world.all()
        await world.core.runner.apply_from_person(r.id, Joined(alerts=()))

    world.journal.record_outcome = record_outcome  # type: ignore[method-assign, assignment]
    await world.alert()
    r = await world.run_until("succeeded")
    assert len(r.done) == 1

    world = ready()
    r = await verifying(world)
    await world.core.runner.apply_from_person(r.id, Joined(alerts=()))
    world.cluster.advance(10)
    await world.journal.claim("test-1", world.clock.now(), LEASE, 10)
    with pytest.raises(StaleRemediation):
        await world.core.runner.apply(r, DeadlinePassed())


async def test_an_event_that_does_not_fit_is_kept_as_evidence_and_never_spins() -> None:
    world = ready()
    r = await verifying(world)
    world.cluster.advance(10)
    await world.journal.claim("test-1", world.clock.now(), LEASE, 10)
    after = await world.core.runner.apply(r, TimerFired())
    assert (after.state, after.due) == (State.VERIFYING, world.clock.now() + timedelta(seconds=30))
    last = (await world.journal.history(r.id))[-1]
    assert (last.type, last.reason) == ("ignored", "TimerFired does not fit verifying")
