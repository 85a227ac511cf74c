"""Checks and collectors on the real control plane: what real controllers and events look like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.objects import ObjectRef, uid_of
from remediator.playbooks.model import Check, Collect
from remediator.remediation.checks.base import CheckContext, CheckTarget
from remediator.remediation.evidence import Evidence, collect_all
from remediator.remediation.samples import SampleSet
from remediator.remediation.verify import sample_all
from tests.support.controlplane import ControlPlane, Object, wait_until
from tests.support.controlplane import manifests as m

RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
MAKE = {"Deployment": m.deployment, "StatefulSet": m.statefulset, "DaemonSet": m.daemonset}
BOTH = (Check(kind="rollout"), Check(kind="pods_ready"))


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    connected = await KubernetesCluster.connect("prod", kubeconfig=control_plane.kubeconfig)
    yield connected
    await connected.close()


class Bench:
    """One workload called `web` and the questions asked about it."""

    def __init__(self, plane: ControlPlane, cluster: KubernetesCluster, namespace: str, kind: str) -> None:
        self.plane, self.cluster, self.namespace = plane, cluster, namespace
        self.ref = ObjectRef(kind, namespace, "web")
        self.resource = RESOURCES[kind]
        self.uid = uid_of(plane.client.create(MAKE[kind]("web"), namespace))

    def set_image(self, image: str) -> None:
        container: Object = {"name": "app", "image": image}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        self.plane.client.patch(self.resource, "web", patch, self.namespace, patch_type="strategic")

    def context(self, since: datetime | None) -> CheckContext:
        target = CheckTarget(self.ref, self.uid)
        return CheckContext(cluster=self.cluster, targets=(target,), now=datetime.now(UTC), since=since)

    async def until(self, answers: list[str], since: datetime | None = None) -> SampleSet:
        """Sample until both checks answer so."""
        found: SampleSet | None = None
        try:
            async with asyncio.timeout(30):
                while True:
                    found = await sample_all(BOTH, self.context(since))
                    if [c.answer for c in found.checks] == answers:
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"wanted {answers}, last {found}") from None

    async def collect(self, kind: str, **args: Any) -> Evidence:
        (found,) = await collect_all([Collect(kind=kind, args=args)], self.context(None))
        return found


@pytest.mark.parametrize("kind", sorted(RESOURCES))
async def test_a_good_rollout_is_proven_and_one_that_cannot_start_is_bad(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str, kind: str
) -> None:
    bench = Bench(control_plane, cluster, namespace, kind)
    found = await bench.until(["good", "good"])
    assert found.available == 3
    begin = datetime.now(UTC)
    bench.set_image("app:v2")
    await bench.until(["good", "good"], begin)
    # Kubernetes writes creation times in whole seconds: the pods of v2 must not pass for those of the next change.
    await asyncio.sleep(1.1)
    begin = datetime.now(UTC)
    bench.set_image("app:nopull")
    found = await bench.until(["bad", "bad"] if kind != "Deployment" else ["bad", "good"], begin)
    assert "cannot start: " in found.checks[0].detail
    assert "PullBackOff" in found.checks[0].detail or "ErrImagePull" in found.checks[0].detail


async def test_evidence_of_a_crash_loop(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    bench = Bench(control_plane, cluster, namespace, "Deployment")
    await bench.until(["good", "good"])
    pod = control_plane.client.list("pods", namespace, labels="app=web")[0]
    name = pod["metadata"]["name"]
    control_plane.set_logs(namespace, name, "starting\npassword=hunter2", previous="panic: no database")
    control_plane.client.patch(
        "pods", name, {"metadata": {"annotations": {"test.remediator.dev/crash": "true"}}}, namespace
    )
    wait_until(lambda: _restarts(control_plane, namespace, name) >= 2, what="a crash loop")

    logs = await bench.collect("logs", previous=True, pods=1)
    assert (logs.error, logs.text.splitlines()[1:]) == ("", ["panic: no database"])
    now = await bench.collect("logs", pods=1)
    assert "starting" in now.text
    assert "hunter2" not in now.text
    events = await bench.collect("events", limit=50)
    assert "ScalingReplicaSet" in events.text
    assert f"Pod/{name}" in events.text
    assert "BackOff x" in events.summary
    status = await bench.collect("status")
    assert f"pod {name}: Running, not ready" in status.text
    assert "CrashLoopBackOff" in status.text
    restarts = await bench.collect("restarts")
    assert restarts.data["containers"][0]["pod"] == name
    assert restarts.data["total"] >= 2


def _restarts(plane: ControlPlane, namespace: str, name: str) -> int:
    status = plane.client.get("pods", name, namespace)["status"]
    return sum(c["restartCount"] for c in status.get("containerStatuses", ()))


async def test_a_workload_made_anew_under_its_name_is_not_the_target(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    bench = Bench(control_plane, cluster, namespace, "Deployment")
    await bench.until(["good", "good"])
    control_plane.client.delete("deployments", "web", namespace)
    wait_until(lambda: not control_plane.client.list("deployments", namespace), what="web gone")
    found = await bench.until(["unknown", "unknown"])
    assert found.available is None
    control_plane.client.create(m.deployment("web"), namespace)
    found = await sample_all(BOTH, bench.context(datetime.now(UTC) - timedelta(seconds=1)))
    assert all("another object than at planning" in c.detail for c in found.checks)


NOT_HERE = ("certificate_status", "argocd_apps", "cnpg_status", "longhorn_status")
"""What asks for kinds that this API server does not serve."""

HERE = (
    *("crash_report", "rollout_history", "config_refs", "pending_reason", "pods_not_running", "node_status"),
    *("cluster_health", "unused_pvcs", "services", "endpoints", "ingresses", "hpa_status", "failed_rollouts"),
    *("audit_workloads", "backup_status", "security_audit", "incident_snapshot"),
)


async def test_lists_of_a_real_api_server(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    bench = Bench(control_plane, cluster, namespace, "Deployment")
    await bench.until(["good", "good"])
    begin = datetime.now(UTC)
    bench.set_image("app:v2")
    await bench.until(["good", "good"], begin)
    for kind in NOT_HERE:
        absent = await bench.collect(kind)
        assert (absent.summary, absent.error) == ("not installed", ""), kind
    found = {kind: await bench.collect(kind) for kind in HERE}
    assert {kind: one.error for kind, one in found.items() if one.error} == {}
    assert "changed: image of app" in found["rollout_history"].text
    assert found["audit_workloads"].summary.startswith("1 of 1 workload with findings")
    assert found["incident_snapshot"].summary.startswith("1 workload, 0 of 3 pods not ready")
    assert found["cluster_health"].summary.startswith("0 of ")
    assert "Rollout (argoproj.io): not installed" not in found["failed_rollouts"].text
