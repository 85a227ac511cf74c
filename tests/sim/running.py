"""Runs one schedule by its seed."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from tests.sim.scenario import Scenario, draw
from tests.sim.world import World
from tests.support import simloop


@dataclass(frozen=True, slots=True)
class Result:
    seed: int
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    sometimes: Counter[str]


def run_schedule(seed: int, scenario: Scenario | None = None) -> Result:
    worlds: list[World] = []

    async def main(loop: simloop.SimLoop) -> None:
        world = World(loop, scenario or draw(seed))
        worlds.append(world)
        await world.run()

    before = structlog.get_config()

    def heard(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        if event.get("event") in ("work_failed", "loop_failed") and event.get("exc_info"):
            worlds[0].failed(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[heard], cache_logger_on_first_use=False)
    try:
        with warnings.catch_warnings():
            # A killed process leaves coroutines behind that never began.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            simloop.run(main, seed)
    finally:
        structlog.configure(**before)
    world = worlds[0]
    world.store.database.dispose()
    return Result(seed, tuple(world.checks.violations), tuple(world.trace), world.checks.sometimes)
