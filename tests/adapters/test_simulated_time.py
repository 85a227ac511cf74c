"""Time: by hand, on an event loop, and never by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedCluster, Timing, VirtualClock
from remediator.adapters.simulated.agenda import Agenda
from remediator.objects import ObjectRef
from tests.adapters.test_simulated_store import deployment, service

WEB = ObjectRef("Deployment", "shop", "web")


def rolled_out(cluster: SimulatedCluster) -> bool:
    found = cluster.peek(WEB)
    assert found is not None
    status = found.get("status", {})
    wanted = found["spec"]["replicas"]
    return status.get("observedGeneration") == found["metadata"]["generation"] and all(
        status.get(f, 0) == wanted for f in ("updatedReplicas", "replicas", "availableReplicas")
    )


def test_things_happen_in_order_and_at_their_own_time() -> None:
    clock = VirtualClock()
    agenda, start = Agenda(clock), clock.now()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, (agenda.now() - start).total_seconds()))

    def chain() -> None:
        note("chain")()
        agenda.after(1.0, note("link"))

    agenda.after(3.0, note("late"))
    agenda.after(1.0, chain)
    agenda.after(1.0, note("second at the same time"))
    clock.advance(10)
    agenda.catch_up()
    assert seen == [("chain", 1.0), ("second at the same time", 1.0), ("link", 2.0), ("late", 3.0)]
    assert agenda.now() == clock.now()


def test_looking_from_inside_does_not_start_over() -> None:
    clock = VirtualClock()
    agenda = Agenda(clock)
    seen: list[int] = []

    def look() -> None:
        agenda.catch_up()
        seen.append(1)

    agenda.after(1.0, look)
    agenda.after(1.0, lambda: seen.append(2))
    clock.advance(1)
    agenda.catch_up()
    assert seen == [1, 2]


def test_what_fails_does_not_stop_the_rest() -> None:
    clock = VirtualClock()
    agenda = Agenda(clock)
    seen: list[int] = []

    def broken() -> None:
        raise RuntimeError

    agenda.after(1.0, broken)
    agenda.after(2.0, lambda: seen.append(1))
    clock.advance(5)
    with pytest.raises(RuntimeError):
        agenda.catch_up()
    agenda.catch_up()
    assert seen == [1]


def test_a_scheduler_is_asked_only_for_the_next_due_time() -> None:
    clock = VirtualClock()
    asked: list[float] = []
    wakes: list[Callable[[], None]] = []

    def schedule(delay_s: float, callback: Callable[[], None]) -> None:
        asked.append(delay_s)
        wakes.append(callback)

    agenda = Agenda(clock, schedule)
    agenda.after(5.0, lambda: None)
    agenda.after(7.0, lambda: None)
    assert asked == [5.0]
    agenda.after(2.0, lambda: None)
    assert asked == [5.0, 2.0]
    clock.advance(2)
    wakes[1]()
    assert asked == [5.0, 2.0, 3.0]


def test_an_idle_cluster_has_nothing_on_its_agenda() -> None:
    cluster = SimulatedCluster("c", VirtualClock())
    cluster.apply(deployment())
    cluster.advance(60)
    assert rolled_out(cluster)
    cluster.advance(600)  # the progress deadline was noted when the rollout began, and comes to nothing
    assert cluster._agenda.next_due() is None


def test_run_until_takes_as_long_as_it_takes() -> None:
    cluster = SimulatedCluster("c", VirtualClock(), timing=Timing(start_s=7.0))
    cluster.apply(deployment())
    assert 7.0 < cluster.run_until(lambda: rolled_out(cluster)) < 8.0
    with pytest.raises(TimeoutError):
        cluster.run_until(lambda: False, within_s=5)


def test_a_clock_that_moves_by_itself_cannot_be_advanced() -> None:
    class Wall:
        def now(self) -> datetime:
            return VirtualClock().now()

    cluster = SimulatedCluster("c", Wall())
    with pytest.raises(TypeError):
        cluster.advance(1)
    with pytest.raises(TypeError):
        cluster.run_until(lambda: True)


async def test_a_cluster_catches_up_with_a_clock_that_others_move() -> None:
    clock = VirtualClock()
    one, two = SimulatedCluster("one", clock), SimulatedCluster("two", clock)
    for cluster in (one, two):
        cluster.apply(deployment())
    one.advance(30)
    assert rolled_out(two)
    assert (await two.get(WEB))["status"]["readyReplicas"] == 3


async def test_in_real_time_it_moves_by_itself() -> None:
    loop = asyncio.get_running_loop()
    start, base = VirtualClock().now(), loop.time()

    class Wall:
        def now(self) -> datetime:
            return start + timedelta(seconds=loop.time() - base)

    quick = Timing(react_s=0.001, schedule_s=0.001, start_s=0.005, stop_s=0.005)
    cluster = SimulatedCluster("c", Wall(), schedule=loop.call_later, timing=quick)
    cluster.apply(deployment())
    seen = 0
    async with asyncio.timeout(5):
        async for event in cluster.watch("Pod", "shop", resource_version="1000"):
            conditions = event.object["status"].get("conditions", ())
            seen += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            if seen == 3:
                break
    assert seen == 3


async def test_a_watcher_waits_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SimulatedCluster("c", VirtualClock())
    looks = 0
    since = cluster._world.store.since

    def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return since(*arguments)

    monkeypatch.setattr(cluster._world.store, "since", counted)
    version = (await cluster.list("Service")).resource_version
    changes = cluster.watch("Service", resource_version=version)
    waiting = asyncio.ensure_future(anext(changes))
    for _ in range(20):
        await asyncio.sleep(0)
    assert looks == 1
    cluster.apply(service())
    assert (await waiting).type == "ADDED"


async def test_sleepers_wake_when_time_has_come() -> None:
    clock = VirtualClock()
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("b", 2.0), ("a", 1.0), ("c", 9.0))]
    await asyncio.sleep(0)
    tasks[2].cancel()
    clock.advance(5)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert woken == ["a", "b"]
    assert clock.boot() == 5.0
    clock.advance(10)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
