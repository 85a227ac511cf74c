"""A rollback on its way through the service: planned, sent once, and taken forward again when it made things worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from remediator.actions.releases.helm import HelmRollback, HelmUpgrade
from remediator.adapters.simulated import SimulatedCaller, SimulatedQueries, VirtualClock
from remediator.adapters.simulated.faults import LoseReply
from remediator.remediation.state import State, StepOutcome
from tests.actions.releases.make_releases import release
from tests.support.world import World, deployment, restart_playbook

WORSE = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
PROVEN = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": [WORSE]}


class Helm(SimulatedCaller):
    """A release whose revisions count up with what is sent."""

    def __init__(self, status: str = "deployed") -> None:
        super().__init__(tells=True, answer=self._told)
        self.revision, self.status = 7, status

    def _told(self, place: str, request: Mapping[str, Any]) -> Any:
        if "do" in request:
            self.revision += 1
            return {"says": f"revision {self.revision}"}
        to = {"revision": 6, "status": "superseded", "chart": "cmp-1.1.0", "description": ""}
        shas = {"chart": "cmp", "chart_sha": "c", "values_sha": "v"}
        return release(revision=self.revision, status=self.status, to=to, **shas)


def world_of(helm: Helm, action: Any, **params: Any) -> tuple[World, SimulatedQueries]:
    clock = VirtualClock()
    queries = SimulatedQueries(clock)
    queries.set("errors", 0.0)
    step = {"action": action.name, "with": {"release": "cmp", **params}}
    world = World(
        restart_playbook(steps=[step], verify=PROVEN),
        actions={action.name: action},
        callers={"helm": helm},
        clock=clock,
        queries=queries,
    )
    made = deployment()
    made["metadata"].setdefault("annotations", {})["meta.helm.sh/release-name"] = "cmp"
    world.cluster.apply(made)
    world.settle()
    world.cluster.advance(60)
    return world, queries


@pytest.mark.parametrize("lost", [False, True])
async def test_one_rollback(lost: bool) -> None:
    helm = Helm("failed")
    helm.faults = [LoseReply()] if lost else []
    world, _ = world_of(helm, HelmRollback(), revision="previous")
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert [request for _, request, _ in helm.done] == [{"do": "rollback", "from": 7, "revision": 6}]
    assert world.writes() == []


async def test_forward_again_when_it_made_things_worse() -> None:
    helm = Helm()
    world, queries = world_of(helm, HelmRollback(), revision="previous")
    await world.alert()
    await world.run_until("verifying")
    queries.set("errors", 50.0)
    r = await world.run_until("escalated", "inconclusive")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert [request for _, request, _ in helm.done] == [
        {"do": "rollback", "from": 7, "revision": 6},
        {"do": "rollback", "from": 8, "revision": 7},
    ]


async def test_an_upgrade_waits_for_a_person() -> None:
    helm = Helm()
    world, _ = world_of(helm, HelmUpgrade(), version="1.3.0")
    await world.alert()
    r = await world.run_until("awaiting_approval", "succeeded", "denied", "escalated")
    assert r.state is State.AWAITING_APPROVAL, r.reason
    assert helm.done == []
