"""Time jumps to whatever is due next, in its order, and never while somebody still has something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from remediator.playbook_tests.times import clock_text, parse_moment
from remediator.playbook_tests.virtual_loop import Standstill, VirtualLoop


def play(story: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


def test_a_day_takes_no_time() -> None:
    async def story() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert play(story()) == 86_400


def test_what_is_due_happens_in_its_order_at_its_time() -> None:
    async def story() -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def at(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append((asyncio.get_running_loop().time(), name))

        await asyncio.gather(at(30.0, "c"), at(0.5, "a"), at(7.25, "b"))
        return seen

    assert play(story()) == [(0.5, "a"), (7.25, "b"), (30.0, "c")]


def test_timeouts_are_in_the_same_time() -> None:
    async def story() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert play(story()) == 5


def test_where_nothing_can_come_any_more_it_is_said() -> None:
    loop = VirtualLoop()
    task = loop.create_task(asyncio.Event().wait())
    with pytest.raises(Standstill):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


@pytest.mark.parametrize(
    ("written", "shown"),
    [("90s", "1m30s"), (7, "7s"), ("effect", "effect + 0s"), ("asked + 2m", "asked + 2m"), ("undo+1h", "undo + 1h")],
)
def test_moments(written: str | int, shown: str) -> None:
    assert str(parse_moment(written)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (59.9, "59s"), (125, "2m05s"), (3620, "1h00m20s"), (-5, "-5s")]
)
def test_times_for_people(seconds: float, shown: str) -> None:
    assert clock_text(seconds) == shown
