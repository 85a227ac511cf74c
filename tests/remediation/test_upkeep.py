"""What happens between alerts: what is no longer sent closes, and waiting alerts are measured."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.metrics import Metrics
from remediator.upkeep import Housekeeping
from tests.support.world import World, deployment, restart_playbook

HOUR = 3600.0


async def cured() -> tuple[World, Housekeeping]:
    """An alert was cured; no resolved message ever comes, and the check was not `alert_resolved`."""
    world = World(restart_playbook())
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    await world.run_until("succeeded")
    return world, Housekeeping(world.journal, world.clock, Metrics())


async def turns(world: World, keeping: Housekeeping, hours: float) -> None:
    """A turn every half hour."""
    end = world.clock.now() + timedelta(hours=hours)
    while world.clock.now() < end:
        await keeping.turn()
        world.cluster.advance(HOUR / 2)
    await keeping.turn()


async def test_next_week_the_same_alert_is_news() -> None:
    """Without resolved messages its episode still closes, and it counts as firing no longer."""
    world, keeping = await cured()
    await turns(world, keeping, 23)
    assert await world.journal.firing_roots("c1")
    await turns(world, keeping, 4)
    assert await world.journal.firing_roots("c1") == {}
    first = await world.newest()
    episode = await world.journal.episode(first.episode)
    assert episode is not None
    assert episode.closed_at is not None
    await world.alert()
    second = await world.run_until("succeeded")
    assert (second.id != first.id, second.episode != first.episode) == (True, True)


async def test_what_is_sent_again_stays_open() -> None:
    world, keeping = await cured()
    for _ in range(8):
        await turns(world, keeping, 4)
        await world.alert(started_ago=40 * HOUR)
    assert await world.journal.firing_roots("c1")
    assert len(await world.all()) == 1


async def test_after_a_long_standstill_resends_get_their_time() -> None:
    """Nobody could hear Alertmanager over the weekend: what it re-sends within 4 hours has not been silent."""
    world, _ = await cured()
    world.cluster.advance(60 * HOUR)
    keeping = Housekeeping(world.journal, world.clock, Metrics())
    await turns(world, keeping, 4)
    await world.alert(started_ago=70 * HOUR)
    await turns(world, keeping, 4)
    assert await world.journal.firing_roots("c1")
    assert len(await world.all()) == 1


async def test_an_old_alert_that_is_looked_at_again_has_not_waited_since_it_began() -> None:
    world = World()
    world.cluster.apply(deployment())
    await world.alert()
    await world.turn()
    world.cluster.advance(9 * HOUR)
    await world.alert(started_ago=9 * HOUR)
    world.cluster.advance(7)
    metrics = Metrics()
    await Housekeeping(world.journal, world.clock, metrics).turn()
    assert metrics.undecided._value.get() == pytest.approx(7)
