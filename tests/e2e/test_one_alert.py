"""The real process on the real control plane: one webhook, one repaired workload."""

from __future__ import annotations

import re

from remediator.guardrails.order import ORDER
from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.scenes import effects_of, quick, ready
from tests.support.service import alert


def test_a_webhook_restarts_a_deployment_once(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    ready(control_plane, namespace)
    service = make_service(quick()).start()
    since = control_plane.audit_offset()
    assert service.post_alerts(alert("Stuck", namespace, deployment="api"))[0] == 200
    shown = service.wait_state("succeeded", "escalated", "denied")
    assert shown["state"] == "succeeded", shown["reason"]
    effects = effects_of(control_plane, namespace, since)
    assert [(e.verb, e.resource, e.name) for e in effects] == [("patch", "deployments", "api")]
    told = service.cli("remediations", "show", shown["id"])
    assert told.returncode == 0
    passing = re.search(r"(\d+) pass", told.stdout)
    assert passing, told.stdout
    assert len(ORDER) * 2 // 3 < int(passing[1]) <= len(ORDER), "the rest has nothing to say here"


def test_a_statefulset_stuck_on_a_broken_ordinal_is_freed(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """A restart alone updates no pod while ordinal 0 is broken: its template is patched and that pod is deleted."""
    client = control_plane.client
    client.create(manifests.statefulset("db", replicas=2), namespace)

    def status() -> dict[str, object]:
        found: dict[str, object] = client.get("statefulsets", "db", namespace).get("status", {})
        return found

    wait_until(lambda: status().get("readyReplicas") == 2, timeout_s=30, what="db ready")
    broken = {"metadata": {"annotations": {"test.remediator.dev/crash": "true"}}}
    client.patch("pods", "db-0", broken, namespace, patch_type="merge")
    wait_until(lambda: status().get("readyReplicas") == 1, timeout_s=30, what="db-0 broken")
    before = client.get("pods", "db-0", namespace)["metadata"]["uid"]
    service = make_service(quick(guardrails={"min_available": 1})).start()
    since = control_plane.audit_offset()
    assert service.post_alerts(alert("Stuck", namespace, statefulset="db"))[0] == 200
    shown = service.wait_state("succeeded", "escalated", "denied", "held", "inconclusive")
    assert shown["state"] == "succeeded", service.cli("remediations", "show", shown["id"]).stdout
    assert client.get("pods", "db-0", namespace)["metadata"]["uid"] != before
    done = [(e.verb, e.resource, e.name) for e in effects_of(control_plane, namespace, since) if e.code < 300]
    assert done == [("patch", "statefulsets", "db"), ("delete", "pods", "db-0")]
