"""Runs one schedule by its seed."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog

from tests.sim.menu import draw
from tests.sim.scenario import Scenario
from tests.sim.world import World
from tests.support import simloop


@dataclass(frozen=True)
class Result:
    seed: int
    violations: tuple[str, ...]
    sometimes: Counter[str]
    reached: frozenset[str]
    """What was reached, see `coverage`."""
    _told: Callable[[], tuple[str, ...]]

    @cached_property
    def trace(self) -> tuple[str, ...]:
        return self._told()


def replay(seed: int) -> str:
    """What to type to see it again."""
    return f"python -m tests.sim {seed} --trace"


def run_schedule(seed: int, scenario: Scenario | None = None) -> Result:
    worlds: list[World] = []

    async def main(loop: simloop.SimLoop) -> None:
        world = World(loop, scenario or draw(seed))
        worlds.append(world)
        await world.run()

    before = structlog.get_config()

    def heard(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        if event.get("event") in ("work_failed", "loop_failed", "message_broken") and event.get("exc_info"):
            worlds[0].failed(dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[heard],
        wrapper_class=structlog.make_filtering_bound_logger("ERROR"),
        cache_logger_on_first_use=False,
    )
    try:
        with warnings.catch_warnings():
            # A killed process leaves coroutines behind that never began.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            simloop.run(main, seed)
    finally:
        structlog.configure(**before)
    world = worlds[0]

    checks = world.checks
    return Result(seed, tuple(checks.violations), checks.sometimes, frozenset(checks.coverage.reached), world.told)
