"""Where a target stands (failure domain) and whom it belongs to (fleet), read from the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.errors import CannotSee, Forbidden
from remediator.objects import ObjectRef
from remediator.playbooks.binding import BoundSelector
from remediator.remediation.domain_reading import BARE_FOR, DomainReader
from remediator.remediation.fleet_reading import read_fleet
from tests.actions.make import deployment, view
from tests.checks.fakes import FakeCluster
from tests.support.world import deployment as world_deployment

ZONE = "topology.kubernetes.io/zone"


def node(name: str, zone: str = "") -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name, "labels": {ZONE: zone} if zone else {}}}


def pods(*nodes: str) -> tuple[dict[str, Any], ...]:
    return tuple({"kind": "Pod", "metadata": {"name": f"p{i}"}, "spec": {"nodeName": n}} for i, n in enumerate(nodes))


async def domains(cluster: FakeCluster, *nodes: str) -> frozenset[str] | None:
    return await DomainReader({"prod": cluster}).domains("prod", ZONE, view(deployment(), pods=pods(*nodes)))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(("n1", "n1"), {"a"}, id="one zone"),
        pytest.param(("n1", "n2"), set(), id="spread by design"),
        pytest.param(("n1", "n3"), {"a"}, id="a node without the label does not count"),
        pytest.param(("n3",), None, id="no node has the label"),
        pytest.param((), set(), id="runs nowhere"),
        pytest.param(("gone",), None, id="a node that is gone"),
    ],
)
async def test_the_zone_of_a_workload(nodes: tuple[str, ...], expected: set[str] | None) -> None:
    cluster = FakeCluster([node("n1", "a"), node("n2", "b"), node("n3")])
    assert await domains(cluster, *nodes) == (None if expected is None else frozenset(expected))


async def test_nodes_that_we_may_not_read_have_no_zone_and_nodes_that_do_not_answer_are_unknown() -> None:
    assert await domains(FakeCluster(broken={"Node": Forbidden("nodes is forbidden")}), "n1") is None
    with pytest.raises(CannotSee):
        await domains(FakeCluster(broken={"Node": CannotSee("timeout")}), "n1")


async def test_nodes_are_read_once_and_again_for_a_new_one() -> None:
    cluster = FakeCluster([node("n1", "a")])
    reader = DomainReader({"prod": cluster})
    for _ in range(3):
        await reader.domains("prod", ZONE, view(deployment(), pods=pods("n1")))
    assert len(cluster.reads) == 1
    cluster.objects.append(node("n2", "b"))
    assert await reader.domains("prod", ZONE, view(deployment(), pods=pods("n2"))) == frozenset("b")


async def test_that_a_node_has_no_zone_is_soon_forgotten() -> None:
    """A node registers before its zone is known."""
    cluster = FakeCluster([node("n1")])
    reader = DomainReader({"prod": cluster})
    looked = view(deployment(), pods=pods("n1"))
    assert await reader.domains("prod", ZONE, looked) is None
    cluster.objects[:] = [node("n1", "a")]
    assert await reader.domains("prod", ZONE, looked) is None
    assert len(cluster.reads) == 1
    later = replace(looked, read_at=looked.read_at + BARE_FOR)
    assert await reader.domains("prod", ZONE, later) == frozenset("a")


async def test_a_fleet_knows_who_is_healthy_and_why_not() -> None:
    clock = VirtualClock()
    cluster = SimulatedCluster("c1", clock)
    for name in ("a", "b", "c"):
        obj = world_deployment(name)
        obj["metadata"]["labels"] = {"tier": "web"}
        cluster.apply(obj)
    cluster.advance(120.0)
    cluster.set_status(ObjectRef("Deployment", "shop", "b"), availableReplicas=1)
    firing = {"Deployment/shop/c": frozenset({"HighErrorRate"})}
    fleet = await read_fleet(cluster, BoundSelector("Deployment", "shop", "tier=web"), firing, None)
    assert [(m.key, m.healthy) for m in fleet.members] == [
        ("Deployment/shop/a", True),
        ("Deployment/shop/b", False),
        ("Deployment/shop/c", False),
    ]
    assert [m.why for m in fleet.members][1:] == ["1 of 3 available", "HighErrorRate"]
    assert fleet.total == 3


async def test_the_total_is_frozen_when_the_remediation_began() -> None:
    cluster = SimulatedCluster("c1", VirtualClock())
    selector = BoundSelector("Deployment", "shop", "tier=web")
    assert (await read_fleet(cluster, selector, {}, 5)).total == 5, "losing members does not lower the bar"


async def test_a_kind_whose_health_we_cannot_tell_is_not_healthy() -> None:
    config = {"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop", "labels": {}}}
    cluster = FakeCluster([config])
    fleet = await read_fleet(cluster, BoundSelector("ConfigMap", "shop", ""), {}, None)
    assert [(m.healthy, m.why) for m in fleet.members] == [(False, "the health of a ConfigMap is not known")]
