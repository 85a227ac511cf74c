"""Alert labels as users really have them: a real kube-state-metrics, scraped by the real Prometheus, both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.alerts.labels import LabelRules
from remediator.objects import ObjectRef
from remediator.remediation.targeting import resolve_from_alert
from tests.support.controlplane import ControlPlane, KubeStateMetrics, PrometheusServer, manifests, wait_until

KSM_SELF = {"namespace": "monitoring", "pod": "kube-state-metrics-0", "service": "kube-state-metrics"}
"""What service discovery says about kube-state-metrics itself; it collides with what its metrics say."""


def rules(namespace: str) -> list[dict[str, Any]]:
    """Three of kube-prometheus-stack's, with their own expressions cut to one namespace."""
    where = f'namespace="{namespace}"'
    exported = f'exported_namespace="{namespace}"'

    def both(metric: str, condition: str, extra: str = "") -> str:
        return " or ".join(f"{metric}{{{w}{extra}}} {condition}" for w in (where, exported))

    waiting = ',reason="CrashLoopBackOff"'
    return [
        {"alert": "KubeDeploymentReplicasMismatch", "expr": both("kube_deployment_status_replicas_unavailable", "> 0")},
        {"alert": "KubePodCrashLooping", "expr": both("kube_pod_container_status_waiting_reason", ">= 1", waiting)},
        {"alert": "KubeStatefulSetReplicasMismatch", "expr": both("kube_statefulset_status_replicas", ">= 0")},
    ]


@pytest.mark.parametrize("honor_labels", [True, False])
async def test_live_labels_lead_to_the_workload(
    honor_labels: bool, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Without honor_labels the plain labels name kube-state-metrics, and `exported_*` name what it is about."""
    control_plane.client.create(manifests.deployment("web", image="app:crash", replicas=2), namespace)
    control_plane.client.create(manifests.statefulset("db", replicas=1), namespace)
    scrape: dict[str, Any] = {"honor_labels": honor_labels}
    (tmp_path / "ksm").mkdir()
    (tmp_path / "prom").mkdir()
    with KubeStateMetrics(tmp_path / "ksm", control_plane) as ksm:
        scrape["static_configs"] = [{"targets": [ksm.address], "labels": KSM_SELF}]
        targets = {"kube-state-metrics": scrape}
        with PrometheusServer(
            tmp_path / "prom", rules=rules(namespace), targets=targets, interval="500ms"
        ) as prometheus:
            names = {r["alert"] for r in rules(namespace)}
            wait_until(
                lambda: names <= {a["labels"]["alertname"] for a in prometheus.alerts()}, timeout_s=60, what="all fire"
            )
            live = prometheus.alerts()
    cluster = await KubernetesCluster.connect("default", kubeconfig=control_plane.kubeconfig)
    try:
        found = {a["labels"]["alertname"]: await lead(cluster, a["labels"]) for a in live}
    finally:
        await cluster.close()
    assert found == {
        "KubeDeploymentReplicasMismatch": ObjectRef("Deployment", namespace, "web"),
        "KubePodCrashLooping": ObjectRef("Deployment", namespace, "web"),
        "KubeStatefulSetReplicasMismatch": ObjectRef("StatefulSet", namespace, "db"),
    }
    assert any("exported_namespace" in a["labels"] for a in live) is not honor_labels


async def lead(cluster: KubernetesCluster, labels: dict[str, str]) -> ObjectRef:
    alert = Alert(fingerprint=fingerprint(labels), status="firing", labels=labels, starts_at=datetime.now(UTC))
    return (await resolve_from_alert(cluster, alert, LabelRules())).ref
