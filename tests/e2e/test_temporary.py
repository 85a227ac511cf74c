"""Must-show: a temporary scale is taken back once its alert has been quiet. The real core on the real API server, with
a clock that is moved on, because nobody waits five minutes; effects are counted in the API server's audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.simulated import VirtualClock
from remediator.remediation.checks import registry
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.samples import CheckSample
from remediator.remediation.state import Remediation, State
from tests.support.controlplane import ControlPlane
from tests.support.scenes import effects_of, ready
from tests.support.world import World, queries, restart_playbook

TURN_S, REST_S = 2.0, 0.05
"""What a turn takes on our clock, and in truth: the controllers over there need the latter."""


def temporary() -> dict[str, Any]:
    up = {"action": "scale", "with": {"by": 2, "min": 1, "max": 9}, "revert": {"after_quiet": "5m"}}
    return restart_playbook(name="scale-api", steps=[up])


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    found = await KubernetesCluster.connect("c1", kubeconfig=control_plane.kubeconfig)
    yield found
    await found.close()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prometheus would say of the alert."""

    async def sample(args: Any, context: CheckContext) -> CheckSample:
        return CheckSample(check="alert_resolved", answer="good", detail="told", taken_at=context.now)

    kind = replace(registry.CHECKS["alert_resolved"], sample=sample)
    monkeypatch.setitem(registry.CHECKS, "alert_resolved", kind)


class Scene:
    """Deployment `api` with three copies, and a world around the real cluster."""

    def __init__(self, control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster) -> None:
        self._plane, self._namespace = control_plane, namespace
        self.clock = VirtualClock(datetime.now(UTC))
        self.world = World(
            temporary(),
            cluster=cluster,  # type: ignore[arg-type]  # anything with the port
            clock=self.clock,
            queries=queries(self.clock),
        )
        ready(control_plane, namespace)
        self._since = control_plane.audit_offset()

    async def until(self, *states: State) -> Remediation:
        for _ in range(400):
            newest = await self.world.journal.recent(1)
            if newest and newest[0].state in states:
                return newest[0]
            await self.turn()
        raise AssertionError(f"still {[(r.state, r.reason) for r in await self.world.all()]}")

    async def turn(self) -> None:
        await self.world.turn()
        await asyncio.sleep(REST_S)
        self.clock.advance(TURN_S)

    async def minutes(self, count: int) -> None:
        """Nobody has anything to do but the reverter, which looks once a minute."""
        for _ in range(count):
            await self.world.core.reverter.turn()
            self.clock.advance(60)

    async def scaled(self) -> Remediation:
        """3 -> 5 is done and proven."""
        await self.world.alert(namespace=self._namespace, deployment="api")
        done = await self.until(State.SUCCEEDED, State.ESCALATED, State.DENIED)
        assert (done.state, self.replicas()) == (State.SUCCEEDED, 5), done.reason
        return done

    def replicas(self) -> int:
        return int(self._plane.client.get("deployments", "api", self._namespace)["spec"]["replicas"])

    def sent(self) -> list[int]:
        """Numbers of copies that we have asked the API server for."""
        found = effects_of(self._plane, self._namespace, self._since)
        assert all((e.verb, e.resource, e.code) == ("patch", "deployments", 200) for e in found), found
        return [int(e.response_object["spec"]["replicas"]) for e in found if e.response_object]


async def test_a_temporary_scale_is_taken_back_after_quiet_once(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster, quiet: None
) -> None:
    scene = Scene(control_plane, namespace, cluster)
    done = await scene.scaled()
    await scene.minutes(5)
    assert scene.replicas() == 5, "not before five minutes are over"
    await scene.minutes(2)
    back = await scene.until(State.SUCCEEDED, State.ESCALATED, State.DENIED)
    assert (back.state, back.reverts, scene.replicas()) == (State.SUCCEEDED, done.id, 3), back.reason
    await scene.minutes(20)
    assert len(await scene.world.all()) == 2
    assert scene.sent() == [5, 3]


async def test_copies_that_a_person_changed_meanwhile_are_left(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster, quiet: None
) -> None:
    scene = Scene(control_plane, namespace, cluster)
    done = await scene.scaled()
    control_plane.client.patch("deployments", "api", {"spec": {"replicas": 4}}, namespace)
    await scene.minutes(8)
    left = await scene.until(State.DENIED, State.SUCCEEDED, State.ESCALATED)
    assert (left.state, left.reverts, scene.replicas()) == (State.DENIED, done.id, 4), left.reason
    assert "somebody changed it since" in left.reason
    assert scene.sent() == [5]
