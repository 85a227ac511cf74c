"""Nodes, pods, claims, Services, workloads: what a list of objects comes down to."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedQueries
from remediator.objects import ObjectRef
from remediator.ports import Sample
from remediator.remediation.collectors.workloads import audit
from tests.checks.simulated import Sim, manifest
from tests.remediation.collectors.looking import collect, container
from tests.support.world import deployment as shop_api

NODE = ObjectRef("Node", "", "node-1")


def condition(kind: str, status: str, reason: str = "Because", message: str = "", when: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": when}


def a_pod(name: str, phase: str = "Running", *, ready: bool = False, waiting: str = "", **spec: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 3, "state": state}],
    }
    return manifest("Pod", name, spec={"nodeName": "node-1", "containers": [container()], **spec}, status=status)


# --- pods


async def test_pods_that_do_not_run() -> None:
    sim = Sim()
    for obj in (
        a_pod("crashing", waiting="CrashLoopBackOff"),
        a_pod("waiting", "Pending", waiting="ImagePullBackOff"),
        a_pod("well", ready=True),
        a_pod("done", "Succeeded"),
        a_pod("starting", waiting="ContainerCreating"),
    ):
        ref = sim.put(obj)
        sim.cluster.backdate(ref, sim.ago(minutes=1 if ref.name == "starting" else 10))
    found = await collect(sim.context(), "pods_not_running")
    assert found.text.splitlines() == [
        "shop/crashing (10m) Running, not ready, 3 restarts, node-1 (app: CrashLoopBackOff)",
        "shop/waiting (10m) Pending, not ready, 3 restarts, node-1 (app: ImagePullBackOff)",
    ]
    assert found.summary == "2 of 5 pods not running: 1 CrashLoopBackOff, 1 ImagePullBackOff"
    elsewhere = await collect(sim.context(), "pods_not_running", namespace="other")
    assert elsewhere.summary == "0 of 0 pods not running"


async def test_the_target_says_where() -> None:
    sim = Sim()
    sim.cluster.backdate(sim.put(a_pod("crashing", waiting="CrashLoopBackOff")), sim.ago(minutes=10))
    other = ObjectRef("Deployment", "payments", "api")
    assert (await collect(sim.context(other), "pods_not_running")).title == "pods that do not run in payments"
    namespace = ObjectRef("Namespace", "", "payments")
    assert (await collect(sim.context(namespace), "pods_not_running")).title == "pods that do not run in payments"
    assert (await collect(sim.context(NODE), "pods_not_running")).title == "pods that do not run in the cluster"
    everywhere = await collect(sim.context(other), "pods_not_running", namespace="*")
    assert everywhere.summary.startswith("1 of 1 pod")


async def test_only_words_reach_chat() -> None:
    """Whoever may write a status may not write into the ops channel."""
    sim = Sim()
    evil = "<!channel> http://evil.example"
    sim.cluster.backdate(sim.put(a_pod("x", waiting=evil)), sim.ago(minutes=10))
    sim.cluster.set_status(NODE, conditions=[condition("Ready", "True"), condition(evil, "True", evil, evil)])
    sim.put(manifest("Volume.longhorn.io", "v", "longhorn-system", status={"state": evil, "robustness": evil}))
    for kind in ("pods_not_running", "node_status", "cluster_health", "longhorn_status", "incident_snapshot"):
        found = await collect(sim.context(), kind)
        assert "channel" not in found.summary, kind
    assert "Other" in (await collect(sim.context(), "node_status")).summary


# --- nodes


async def test_nodes() -> None:
    sim = Sim()
    pressed = [
        condition("Ready", "True", "KubeletReady", "", sim.ago(days=2)),
        condition("DiskPressure", "True", "KubeletHasDiskPressure", "95% used", sim.ago(minutes=5)),
        condition("PIDPressure", "False"),
    ]
    sim.cluster.set_status(NODE, conditions=pressed)
    taint = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}
    sim.cluster.edit(NODE, {"spec": {"unschedulable": True, "taints": [taint]}})
    lease = {"holderIdentity": "node-1", "renewTime": sim.ago(seconds=90)}
    sim.put(manifest("Lease", "node-1", "kube-node-lease", spec=lease))
    sim.put(a_pod("one"))
    found = await collect(sim.context(NODE), "node_status")
    lines = found.text.splitlines()
    assert lines[0].startswith("node-1: DiskPressure, Cordoned, 1 of 110 pods, 1 not ready, kubelet ")
    assert lines[1] == "  lease renewed 90s ago, which is too long"
    assert "  DiskPressure=True KubeletHasDiskPressure for 5m: 95% used" in lines
    assert lines[-1] == "  taints: node.kubernetes.io/disk-pressure:NoSchedule"
    assert found.summary == "1 of 1 node not well: 1 DiskPressure, 1 Cordoned"
    whole = await collect(sim.context(), "node_status")
    assert whole.summary.startswith("1 of 3 nodes not well")
    assert whole.text.startswith("node-1")
    assert "there is no node x" in (await collect(sim.context(), "node_status", node="x")).text


async def test_pods_of_a_node_that_cannot_be_read_are_not_none() -> None:
    sim = Sim()
    sim.cluster.forbid("list", "Pod")
    found = await collect(sim.context(NODE), "node_status")
    assert "pods not known" in found.text
    assert found.summary.endswith("(not all could be read)")


async def test_health_of_the_cluster() -> None:
    sim = Sim()
    sim.cluster.set_status(NODE, conditions=[condition("Ready", "Unknown", "NodeStatusUnknown")])
    system = a_pod("coredns-1", waiting="CrashLoopBackOff")
    sim.put({**system, "metadata": {"name": "coredns-1", "namespace": "kube-system"}})
    found = await collect(sim.context(), "cluster_health")
    assert found.summary == "1 of 3 nodes not well, 1 of 1 system pod not running"
    assert found.data["nodes_ill"] == ["node-1"]
    assert "  kube-system/coredns-1: CrashLoopBackOff on node-1" in found.text.splitlines()
    assert found.text.startswith("API server: answers, its clock differs from ours by 0 s")


# --- claims


def claim(name: str, phase: str = "Bound", wanted: str = "10Gi", **more: Any) -> dict[str, Any]:
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": wanted}}}
    capacity = {"capacity": {"storage": "10Gi"}} if phase == "Bound" else {}
    return manifest("PersistentVolumeClaim", name, spec=spec, status={"phase": phase, **capacity, **more})


async def test_claims() -> None:
    sim = Sim()
    resizing = condition("FileSystemResizePending", "True", message="Waiting for user to (re-)start a pod")
    for obj in (claim("data"), claim("logs", wanted="20Gi", conditions=[resizing]), claim("new", "Pending")):
        sim.cluster.backdate(sim.put(obj), sim.ago(days=3))
    queries = SimulatedQueries(sim.clock)
    used = Sample({"namespace": "shop", "persistentvolumeclaim": "data"}, 0.93, sim.now)
    queries.set("kubelet_volume_stats_used_bytes", [used])
    found = await collect(sim.context(queries=queries), "pvc_status")
    assert found.text.splitlines() == [
        "shop/new: Pending, -, 10Gi wanted, fast, 3d old",
        "shop/data: Bound, 10Gi, 93% full, fast, 3d old",
        "shop/logs: Bound, 10Gi, 20Gi wanted, fast, 3d old; "
        "FileSystemResizePending: Waiting for user to (re-)start a pod",
    ]
    assert found.summary == "3 claims, 1 not bound, 1 above 80%"
    without = await collect(sim.context(), "pvc_status")
    assert "how full: no Prometheus" in without.text
    assert "0% full" not in without.text


async def test_claims_that_nothing_mounts() -> None:
    sim = Sim()
    names = ("mounted", "orphan", "data-db-2", "data-gone-0", "young", "of-cron", "pod-1-scratch")
    for name in names:
        ref = sim.put(claim(name))
        sim.cluster.backdate(ref, sim.ago(hours=1 if name == "young" else 72))
    mount = {"name": "v", "persistentVolumeClaim": {"claimName": "mounted"}}
    sim.put(a_pod("pod-1", ready=True, volumes=[mount, {"name": "scratch", "ephemeral": {}}]))
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container()]}}
    spec = {"replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template}
    sim.put(manifest("StatefulSet", "db", spec=spec | {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}))
    of_cron = {"containers": [container()], "restartPolicy": "Never"}
    of_cron["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "of-cron"}}]
    job = {"spec": {"template": {"spec": of_cron}}}
    sim.put(manifest("CronJob", "nightly", spec={"schedule": "0 3 * * *", "jobTemplate": job}))
    found = await collect(sim.context(), "unused_pvcs")
    assert [row["claim"] for row in found.data["rows"]] == ["shop/data-gone-0", "shop/orphan"]
    assert found.summary == "2 unused claims, 20 GiB"


async def test_nothing_is_unused_while_pods_cannot_be_read() -> None:
    sim = Sim()
    sim.cluster.backdate(sim.put(claim("orphan")), sim.ago(days=3))
    sim.cluster.forbid("list", "Pod")
    found = await collect(sim.context(), "unused_pvcs")
    assert found.summary == "not known (not all could be read)"
    assert "orphan" not in found.text


# --- traffic


def service(name: str, **spec: Any) -> dict[str, Any]:
    return manifest("Service", name, spec={"ports": [{"port": 80}], "selector": {"app": name}, **spec})


def endpoints(of: str, *ready: bool) -> dict[str, Any]:
    behind = [
        {
            "addresses": [f"10.0.0.{n}"],
            "conditions": {"ready": is_ready},
            "targetRef": {"kind": "Pod", "name": f"{of}-{n}"},
            "nodeName": "node-1",
        }
        for n, is_ready in enumerate(ready)
    ]
    labels = {"kubernetes.io/service-name": of}
    return manifest("EndpointSlice", f"{of}-x", labels=labels, addressType="IPv4", endpoints=behind)


def behind_names(sim: Sim) -> None:
    sim.put(service("api"), endpoints("api", True, False), service("web"), endpoints("web", False))
    sim.put(service("elsewhere", type="ExternalName", externalName="db.example.com", selector={}))


async def test_services() -> None:
    sim = Sim()
    behind_names(sim)
    found = await collect(sim.context(), "services")
    assert found.text.splitlines()[:2] == [
        "shop/web: ClusterIP 80/TCP, 0 of 1 endpoints ready",
        "shop/api: ClusterIP 80/TCP, 1 of 2 endpoints ready",
    ]
    assert found.summary == "3 Services, 1 without a ready endpoint"


async def test_services_without_their_endpoints_are_not_empty() -> None:
    sim = Sim()
    behind_names(sim)
    sim.cluster.forbid("list", "EndpointSlice")
    found = await collect(sim.context(), "services")
    assert "0 of" not in found.text
    assert "we may not list endpointslices" in found.error


async def test_endpoints() -> None:
    sim = Sim()
    behind_names(sim)
    found = await collect(sim.context(), "endpoints", service="api", namespace="shop")
    assert found.text.splitlines() == [
        "shop/api: 1 of 2 endpoints ready",
        "  10.0.0.1: not ready, api-1 on node-1",
        "  10.0.0.0: ready, api-0 on node-1",
    ]
    assert found.summary == "1 of 2 endpoints ready behind 1 Service"
    missing = await collect(sim.context(), "endpoints", service="none", namespace="shop")
    assert "there is no Service none in shop" in missing.text


async def test_ingresses() -> None:
    sim = Sim()
    behind_names(sim)

    def path(name: str) -> dict[str, Any]:
        backend = {"service": {"name": name, "port": {"number": 80}}}
        return {"path": f"/{name}", "pathType": "Prefix", "backend": backend}

    rules = [{"host": "shop.example.com", "http": {"paths": [path("api"), path("web"), path("none")]}}]
    sim.put(manifest("Ingress", "shop", spec={"rules": rules}))
    found = await collect(sim.context(), "ingresses")
    assert found.text.splitlines() == [
        "shop/shop: shop.example.com/none -> none:80, no such Service",
        "shop/shop: shop.example.com/web -> web:80, 0 ready",
        "shop/shop: shop.example.com/api -> api:80, 1 ready",
    ]
    assert found.summary == "1 Ingress, 2 of 3 paths lead nowhere"
    sim.cluster.forbid("list", "Service")
    blind = await collect(sim.context(), "ingresses")
    assert "no such Service" not in blind.text


# --- workloads


async def test_autoscalers() -> None:
    sim = Sim()
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}
    now = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 93}}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [cpu],
    }
    status = {"currentReplicas": 5, "desiredReplicas": 5, "currentMetrics": [now]}
    limited = condition(
        "ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum"
    )
    sim.put(manifest("HorizontalPodAutoscaler", "api", spec=spec, status=status | {"conditions": [limited]}))
    blind = condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics returned")
    sim.put(manifest("HorizontalPodAutoscaler", "web", spec=spec, status={"currentReplicas": 2, "conditions": [blind]}))
    found = await collect(sim.context(), "hpa_status")
    assert found.text.splitlines() == [
        "shop/web of Deployment api: 2 copies, 0 desired, 2 to 5; cpu unknown/80 %",
        "  ScalingActive=False FailedGetResourceMetric: no metrics returned",
        "shop/api of Deployment api: 5 copies, 5 desired, 2 to 5, at the maximum; cpu 93 %/80 %",
        "  ScalingLimited=True TooManyReplicas: the desired replica count is more than the maximum",
    ]
    assert found.summary == "2 autoscalers, 1 at the maximum, 1 without metrics"


async def test_rollouts_that_stand() -> None:
    sim = Sim()
    sim.put(shop_api())
    sim.pass_time(60)
    stuck = condition("Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out progressing.")
    ref = sim.put(shop_api("web", replicas=4))
    status = {"observedGeneration": 1, "replicas": 5, "updatedReplicas": 2, "availableReplicas": 3}
    sim.cluster.replace_status(ref, status | {"conditions": [stuck | {"lastUpdateTime": sim.ago(minutes=30)}]})
    degraded = {"phase": "Degraded", "message": "RolloutAborted: canary failed", "updatedReplicas": 1}
    sim.put(manifest("Rollout.argoproj.io", "checkout", spec={"replicas": 2}, status=degraded))
    found = await collect(sim.context(), "failed_rollouts")
    assert found.text.splitlines() == [
        "Deployment shop/web: failed for 30m, 2 of 4 updated, 3 available: ReplicaSet has timed out progressing.",
        "Rollout shop/checkout: Degraded, 1 of 2 updated, 0 available: RolloutAborted: canary failed",
    ]
    assert found.summary == "2 failed and 0 unfinished rollouts of 3 workloads"


SOUND: dict[str, Any] = container(
    readinessProbe={},
    livenessProbe={},
    resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
)
BUDGET = manifest(
    "PodDisruptionBudget",
    "api",
    spec={"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api"]}]}},
    status={"disruptionsAllowed": 1},
)


def sound(*, replicas: int = 3, strategy: str = "RollingUpdate", **change: Any) -> dict[str, Any]:
    obj = shop_api(replicas=replicas)
    obj["spec"]["template"]["spec"]["containers"] = [SOUND | change]
    obj["spec"]["strategy"] = {"type": strategy}
    obj["status"] = {"availableReplicas": replicas}
    return obj


@pytest.mark.parametrize(
    ("obj", "budgets", "expected"),
    [
        pytest.param(sound(), [BUDGET], [], id="sound"),
        pytest.param(sound(), [], ["no disruption budget"], id="no budget"),
        pytest.param(sound(), None, [], id="budgets that cannot be read are no finding"),
        pytest.param(
            sound(), [BUDGET | {"status": {"disruptionsAllowed": 0}}], ["its budget allows no disruption"], id="stuck"
        ),
        pytest.param(sound(replicas=1), [], ["a single copy"], id="one copy"),
        pytest.param(sound(replicas=0), [], ["no copies"], id="no copies"),
        pytest.param(sound(strategy="Recreate"), [BUDGET], ["strategy Recreate"], id="Recreate"),
        pytest.param(sound(image="api"), [BUDGET], ["image without a fixed tag"], id="no tag"),
        pytest.param(sound(image="r:5000/api:latest"), [BUDGET], ["image without a fixed tag"], id="latest"),
        pytest.param(sound(image="r:5000/api@sha256:1"), [BUDGET], [], id="a digest"),
        pytest.param(
            sound(resources={"requests": {"cpu": 1}}), [BUDGET], ["no memory request", "no memory limit"], id="memory"
        ),
    ],
)
def test_audit(obj: dict[str, Any], budgets: Any, expected: list[str]) -> None:
    assert audit(obj, budgets) == expected


async def test_the_audit_counts() -> None:
    sim = Sim()
    sim.put(shop_api(), shop_api("web", replicas=1))
    found = await collect(sim.context(), "audit_workloads")
    assert found.data["counted"]["a single copy"] == 1
    assert found.data["counted"]["no readiness probe"] == 2
    assert found.summary.startswith("2 of 2 workloads with findings: 2 x ")
