"""A Sentinel failover before the guardrails: one vantage point that sees the master running is enough to say no."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.failover.sentinel import SentinelFailover
from remediator.adapters.simulated import SimulatedCaller, VirtualClock
from tests.actions.failover.test_sentinel import sentinel, standing
from tests.support.world import World, deployment, restart_playbook


def world_of(found: Any) -> tuple[World, SimulatedCaller]:
    caller = SimulatedCaller(answer=lambda place, request: found)
    step = {"action": "sentinel_failover", "with": {"redis": "cache", "max_lag": "10s"}}
    world = World(
        restart_playbook(steps=[step]),
        actions={"sentinel_failover": SentinelFailover()},
        callers={"redis": caller},
        clock=VirtualClock(),
    )
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world, caller


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        pytest.param(
            standing(sentinel("a"), sentinel("b"), sentinel("c", state="running", down_for_s=None)),
            "denied",
            "say 1 of 3 vantage points (sentinel c:26379)",
            id="one sees it running",
        ),
        pytest.param(
            standing(sentinel("a", down_for_s=20.0), sentinel("b")),
            "held",
            "has failed for 20s, less than 1m",
            id="too early",
        ),
        pytest.param(standing(sentinel("a", busy="at it"), sentinel("b")), "held", "at it", id="they are at it"),
        pytest.param(standing(), "awaiting_approval", "", id="a person decides"),
    ],
)
async def test_what_the_fence_says(found: Any, state: str, reason: str) -> None:
    world, caller = world_of(found)
    await world.alert()
    r = await world.run_until("awaiting_approval", "held", "denied", "succeeded", "escalated")
    assert r.state.value == state, r.reason
    assert reason in r.reason
    assert caller.done == []
