"""`crash_report`, `rollout_history`, `config_refs`, `pending_reason`: what the target's own objects tell."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.errors import CannotSee, Forbidden
from remediator.objects import ObjectRef
from remediator.ports import Sample
from remediator.remediation.collectors.history import changes, refs_of
from tests.checks.fakes import NOW, UID, FakeCluster, FakeQueries, context, deployment, pod, replicaset
from tests.checks.simulated import Sim, manifest
from tests.remediation.collectors.looking import SECRET, collect, container
from tests.support.world import deployment as shop_api

API = ObjectRef("Deployment", "shop", "api")

KILLED = {
    "reason": "OOMKilled",
    "exitCode": 137,
    "startedAt": "2025-06-01T09:50:00Z",
    "finishedAt": "2025-06-01T09:58:00Z",
}


# --- crash_report


async def test_how_a_container_ended() -> None:
    bad = pod("api-7d9f-bbbbb", ready=False, restarts=7, waiting="CrashLoopBackOff", terminated=KILLED)
    bad["spec"]["containers"][0]["resources"] = {"limits": {"memory": "256Mi"}}
    log = f"starting\npassword={SECRET}\nOutOfMemoryError"
    here = FakeCluster(
        [deployment(), replicaset(), bad, pod("api-7d9f-ccccc")], log_texts={("api-7d9f-bbbbb", "app", True): log}
    )
    found = await collect(context(cluster=here), "crash_report")
    assert found.text.splitlines() == [
        "--- api-7d9f-bbbbb / app: OOMKilled (exit code 137, SIGKILL) 2m ago, after 8m, 7 restarts, "
        "now waiting: CrashLoopBackOff",
        "memory limit 256Mi",
        "starting",
        "password=[redacted]",
        "OutOfMemoryError",
    ]
    assert found.summary == "1 container crashed: OOMKilled (exit code 137, SIGKILL)"
    assert found.private
    assert found.data["oom_killed"] == 1


async def test_a_previous_log_that_is_gone_is_said() -> None:
    bad = pod("api-7d9f-bbbbb", ready=False, restarts=1, terminated={"reason": "Error", "exitCode": 1})
    here = FakeCluster([deployment(), replicaset(), bad])
    found = await collect(context(cluster=here), "crash_report")
    assert "previous log: no log of api-7d9f-bbbbb/app" in found.text
    assert "? ago" in found.text


async def test_nothing_has_crashed() -> None:
    found = await collect(context(), "crash_report")
    assert (found.summary, found.text, found.error) == ("no crashes", "no container has ended before", "")


async def test_a_container_that_ended_well_has_not_crashed() -> None:
    done = pod("api-7d9f-bbbbb", terminated=None)
    done["status"]["containerStatuses"][0]["state"] = {"terminated": {"reason": "Completed", "exitCode": 0}}
    here = FakeCluster([deployment(), replicaset(), done])
    assert (await collect(context(cluster=here), "crash_report")).summary == "no crashes"


async def test_restarts_of_a_day() -> None:
    queries = FakeQueries().on("increase", (Sample({}, 6.97, NOW),))
    found = await collect(context(queries=queries), "restarts")
    assert (found.summary, found.data["last_day"]) == ("0 restarts in 3 pods, 7 in the last day", 7)
    assert 'pod=~"api-' in queries.asked[0]
    blind = await collect(context(queries=FakeQueries().on("increase", CannotSee("503"))), "restarts")
    assert blind.summary == "0 restarts in 3 pods"
    assert "503" in blind.error


# --- rollout_history


async def test_revisions_of_a_statefulset() -> None:
    sim = Sim()
    obj = {**shop_api(), "kind": "StatefulSet"}
    obj["spec"] |= {"serviceName": "api"}
    sim.put(obj)
    sim.pass_time(600)
    ref = ObjectRef("StatefulSet", "shop", "api")
    sim.cluster.edit(ref, {"spec": {"template": {"spec": {"containers": [container(image="shop/api:2")]}}}})
    sim.pass_time(1)
    found = await collect(sim.context(ref), "rollout_history", limit=1)
    assert found.text.splitlines() == [
        "StatefulSet shop/api: 2 revisions",
        "  revision 2, 1s ago: shop/api:2; changed: image of app",
    ]


async def test_revisions_with_what_changed_and_no_values() -> None:
    sim = Sim()
    first = shop_api()
    first["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": SECRET}]
    sim.put(first)
    sim.pass_time(3600)
    second = shop_api(image="shop/api:2")
    second["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": f"{SECRET}2"}]
    sim.put(second)
    sim.pass_time(600)
    found = await collect(sim.context(API), "rollout_history")
    assert found.text.splitlines() == [
        "Deployment shop/api: 2 revisions",
        "  revision 2, 10m ago: shop/api:2; changed: env DB_PASSWORD of app, image of app",
        "  revision 1, 70m ago: shop/api:1",
    ]
    assert found.summary == "revision 2 10m old"


async def test_no_revisions_without_rights() -> None:
    sim = Sim()
    sim.put(shop_api())
    sim.cluster.forbid("list", "ReplicaSet")
    found = await collect(sim.context(API), "rollout_history")
    assert found.summary == "not available"
    assert "we may not list replicasets" in found.error
    assert "no Deployment" in (await collect(sim.context(sim.put(manifest("Service", "x"))), "rollout_history")).error


def template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [container()], **spec}}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(template(), [], id="nothing"),
        pytest.param(template(containers=[container(image="shop/api:2")]), ["image of app"], id="image"),
        pytest.param(
            template(containers=[container(env=[{"name": "A", "value": SECRET}])]), ["env A of app"], id="variable"
        ),
        pytest.param(
            template(containers=[container(envFrom=[{"secretRef": {"name": "db"}}])]), ["Secret db"], id="reference"
        ),
        pytest.param(
            template(containers=[container(resources={"limits": {"cpu": 1}})]), ["resources of app"], id="resources"
        ),
        pytest.param(template(serviceAccountName="x"), ["serviceAccountName"], id="account"),
    ],
)
def test_changes(after: dict[str, Any], expected: list[str]) -> None:
    assert changes(template(), after) == expected


# --- config_refs


def configured() -> dict[str, Any]:
    obj = shop_api()
    spec = obj["spec"]["template"]["spec"]
    spec["containers"][0] |= {
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "api", "key": "a"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "gone"}}, {"configMapRef": {"name": "maybe", "optional": True}}],
    }
    spec["volumes"] = [
        {"name": "tls", "secret": {"secretName": "api-tls"}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "api"}}, {"secret": {"name": "more"}}]}},
    ]
    spec["imagePullSecrets"] = [{"name": "pull"}]
    return obj


def test_every_reference() -> None:
    found = [str(ref) for ref in refs_of(configured()["spec"]["template"])]
    assert found == [
        *("ConfigMap api", "ConfigMap gone", "ConfigMap maybe"),
        *("Secret api-tls", "Secret db", "Secret more", "Secret pull"),
    ]


async def test_configuration_by_name_and_age_never_by_value() -> None:
    sim = Sim()
    sim.put(manifest("ConfigMap", "api", data={"a": SECRET, "b": SECRET}))
    sim.pass_time(7200)
    sim.put(configured())
    found = await collect(sim.context(API), "config_refs")
    assert found.text.splitlines()[:3] == [
        "ConfigMap api: 2 keys, last changed 2h ago by kubectl-client-side-apply",
        "ConfigMap gone: missing: its pods cannot start",
        "ConfigMap maybe: missing, and optional",
    ]
    assert "Secret db: named only, Secrets are never read" in found.text
    assert found.summary == "7 references, 1 missing, 4 Secrets not read"
    assert not any("secret" in str(entry).lower() for entry in sim.cluster.audit)


async def test_without_rights_to_configuration() -> None:
    here = FakeCluster([deployment() | {"spec": configured()["spec"]}], broken={"ConfigMap": Forbidden("403")})
    found = await collect(context(cluster=here), "config_refs")
    assert "we may not get configmaps" in found.error
    assert "missing" not in found.text


# --- pending_reason


def held(name: str = "api-7d9f-bbbbb", claim: str = "") -> dict[str, Any]:
    waiting = pod(name, ready=False, phase="Pending")
    waiting["status"] = {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu.",
            }
        ],
    }
    if claim:
        waiting["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return waiting


async def test_why_a_pod_waits() -> None:
    claim = manifest("PersistentVolumeClaim", "data", spec={"storageClassName": "fast"}, status={"phase": "Pending"})
    quota = manifest(
        "ResourceQuota", "compute", status={"hard": {"pods": "10", "cpu": "4"}, "used": {"pods": "10", "cpu": "1500m"}}
    )
    here = FakeCluster([deployment(), replicaset(), held(claim="data"), held("api-7d9f-ccccc", "none"), claim, quota])
    found = await collect(context(cluster=here), "pending_reason")
    assert found.text.splitlines() == [
        "shop/api-7d9f-bbbbb: pending for 2m, Unschedulable",
        "  the scheduler: 0/3 nodes are available: 3 Insufficient cpu.",
        "  claim data is Pending, class fast",
        "shop/api-7d9f-ccccc: pending for 2m, Unschedulable",
        "  the scheduler: 0/3 nodes are available: 3 Insufficient cpu.",
        "  claim none does not exist",
        "quota shop/compute: pods 10 of 10 used",
    ]
    assert found.summary == "2 pods pending: 2 Unschedulable; 1 quota used up"


async def test_pods_that_could_not_even_be_made() -> None:
    refused = {
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"kind": "ReplicaSet", "name": "api-7d9f", "uid": "uid-rs"},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "exceeded quota: compute",
        "lastTimestamp": "2025-06-01T09:59:00Z",
    }

    class Here(FakeCluster):
        async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> Any:
            return await super().list(kind, namespace, labels=labels)

    here = Here([deployment(), replicaset(owner=UID), refused])
    found = await collect(context(cluster=here), "pending_reason")
    assert found.text == "api-7d9f could not make a pod 60s ago: exceeded quota: compute"
    assert found.summary == "no pod is pending; 1 refusal to make pods"


async def test_claims_that_cannot_be_read_are_not_missing() -> None:
    here = FakeCluster(
        [deployment(), replicaset(), held(claim="data")], broken={"PersistentVolumeClaim": Forbidden("403")}
    )
    found = await collect(context(cluster=here), "pending_reason")
    assert "does not exist" not in found.text
    assert "we may not list persistentvolumeclaims" in found.error
