"""Which pods evidence is about: also the instances of a PostgreSQL cluster, which no workload controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from remediator.objects import Object, ObjectRef
from remediator.remediation.checks.base import CheckTarget
from remediator.remediation.collectors.base import target_pods
from tests.checks.fakes import FakeCluster, context

CLUSTER: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"namespace": "shop", "name": "db", "uid": "uid-db"},
    "spec": {"instances": 2},
}
DB = ObjectRef("Cluster.postgresql.cnpg.io", "shop", "db")


def instance(name: str, owner: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": "2025-06-01T10:00:00Z",
            "labels": {"cnpg.io/cluster": "db"},
            "ownerReferences": [{"kind": "Cluster", "name": "db", "uid": owner, "controller": True}],
        },
        "status": {"phase": "Running"},
    }


class OneCluster(FakeCluster):
    """Its database cluster is found under the kind that we know it by."""

    async def get(self, ref: ObjectRef) -> Object:
        return CLUSTER if ref == DB else await super().get(ref)


async def test_a_cluster_has_the_pods_that_it_controls() -> None:
    """A pod with its label that belongs to an older cluster of that name is another's."""
    cluster = OneCluster([instance("db-1", "uid-db"), instance("db-2", "uid-of-yesterday")])
    found = await target_pods(replace(context(cluster=cluster), targets=(CheckTarget(DB),)))
    assert [pod["metadata"]["name"] for pod in found] == ["db-1"]
