"""Guardrails on the real API server: what is held, what goes through, and what stops in the last second.

Effects are counted in the API server's audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.scenes import effects_of, quick, ready, wait_available
from tests.support.service import Service, alert


def effects(control_plane: ControlPlane, namespace: str, since: int) -> list[tuple[str, str, int]]:
    return [(e.verb, e.resource, e.code) for e in effects_of(control_plane, namespace, since)]


def budget(control_plane: ControlPlane, namespace: str, *, min_available: int, allows: int, **spec: Any) -> None:
    """A PodDisruptionBudget that the controller has counted."""
    body = manifests.disruption_budget("api", min_available=min_available)
    body["spec"] |= spec
    control_plane.client.create(body, namespace)
    wait_budget(control_plane, namespace, allows)


def wait_budget(control_plane: ControlPlane, namespace: str, allows: int) -> None:
    def counted() -> bool:
        found = control_plane.client.get("poddisruptionbudgets", "api", namespace)
        status = found.get("status", {})
        fresh = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(fresh and status.get("disruptionsAllowed") == allows)

    wait_until(counted, timeout_s=30, what=f"the budget allows {allows}")


def surge(maximum: int, unavailable: int) -> dict[str, Any]:
    return {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": maximum, "maxUnavailable": unavailable}}
    }


def lines(service: Service, remediation_id: str) -> list[str]:
    return [str(line["reason"]) for line in service.show(remediation_id)["timeline"]]


def test_a_restart_that_takes_more_than_the_budget_allows_is_held_and_says_so(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Kubernetes itself would not ask the budget for a rollout."""
    ready(control_plane, namespace, replicas=4, spec=surge(0, 2))
    budget(control_plane, namespace, min_available=3, allows=1)
    since = control_plane.audit_offset()
    service = make_service(quick(guardrails={"min_available": 1})).start()
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    held = service.wait_state("held", "succeeded", "denied")
    assert held["state"] == "held"
    assert held["reason"].startswith("HELD ")
    assert "disruption_budget. Budget api allows 1 disruption, this takes 2 ready copies." in held["reason"]
    assert "Passes when it allows 2." in held["reason"]
    assert effects(control_plane, namespace, since) == []
    control_plane.client.patch("poddisruptionbudgets", "api", {"spec": {"minAvailable": 2}}, namespace)
    wait_budget(control_plane, namespace, 2)
    assert service.wait_state("succeeded", "escalated", timeout_s=90)["state"] == "succeeded", "it passed by itself"
    assert effects(control_plane, namespace, since) == [("patch", "deployments", 200)]


def test_a_change_that_takes_nothing_goes_through(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """The budget allows nothing at all, and a surge rollout asks for nothing."""
    ready(control_plane, namespace, spec=surge(1, 0))
    budget(control_plane, namespace, min_available=3, allows=0)
    since = control_plane.audit_offset()
    service = make_service(quick()).start()
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    shown = service.wait_state("succeeded", "escalated", "held", "denied")
    assert shown["state"] == "succeeded", shown["reason"]
    assert effects(control_plane, namespace, since) == [("patch", "deployments", 200)]


def test_an_eviction_that_the_budget_refuses_is_held_and_tried_again(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """An unready pod takes no healthy copy, so our guardrail lets it pass; the API server says 429 all the same."""
    ready(control_plane, namespace)
    sick = control_plane.client.list("pods", namespace)[0]["metadata"]["name"]
    control_plane.client.patch(
        "pods", sick, {"metadata": {"labels": {"test.remediator.dev/unready": "true"}}}, namespace
    )
    wait_available(control_plane, namespace, "api", 2)
    budget(control_plane, namespace, min_available=3, allows=0, unhealthyPodEvictionPolicy="IfHealthyBudget")
    since = control_plane.audit_offset()
    service = make_service(quick(steps=[{"action": "evict_pod", "with": {"select": "unready"}}])).start()
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    waiting = service.wait_state("waiting", "held", "succeeded", "escalated")
    assert waiting["state"] == "waiting", waiting["reason"]
    assert "disruption" in waiting["reason"]
    refused = [("create", "pods", 429)]
    wait_until(lambda: effects(control_plane, namespace, since) >= refused * 2, timeout_s=40, what="tried again")
    control_plane.client.delete("poddisruptionbudgets", "api", namespace)
    shown = service.wait_state("succeeded", "escalated", timeout_s=60)
    assert shown["state"] == "succeeded", shown["reason"]
    found = effects(control_plane, namespace, since)
    assert found[-1] == ("create", "pods", 201)
    assert set(found[:-1]) == set(refused), "one eviction went through, the others were refused"
    assert sick not in {p["metadata"]["name"] for p in control_plane.client.list("pods", namespace)}


def by_the_journal(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    answer = service.cli("pause", "namespace", namespace, "--reason", "hands off")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def by_annotation(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    body = {"metadata": {"annotations": {"remediator.dev/pause": "hands off"}}}
    control_plane.client.patch("namespaces", namespace, body)


def lift_the_journal(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    assert service.cli("resume", "namespace", namespace).returncode == 0


def lift_the_annotation(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    control_plane.client.patch("namespaces", namespace, {"metadata": {"annotations": {"remediator.dev/pause": None}}})


Act = Callable[[Service, ControlPlane, str], None]


@pytest.mark.parametrize(
    ("point", "pause", "lift"),
    [
        pytest.param("before_row", by_the_journal, lift_the_journal, id="in the journal, before the attempt row"),
        pytest.param("before_look", by_annotation, lift_the_annotation, id="by annotation, before the last look"),
    ],
)
def test_a_paused_namespace_stops_an_approved_remediation_in_the_second_before_its_effect(
    point: str,
    pause: Act,
    lift: Act,
    control_plane: ControlPlane,
    namespace: str,
    make_service: MakeService,
    tmp_path: Path,
) -> None:
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    stop = tmp_path / "stop"
    service = make_service(quick(mode="approve")).start(
        module="tests.support.stopping", STOP_AT=point, STOP_FILE=str(stop)
    )
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    waiting = service.wait_state("awaiting_approval", "denied", "held")
    assert service.cli("approve", waiting["id"]).returncode == 0
    wait_until((tmp_path / "stop.reached").exists, timeout_s=30, what="the moment before the effect")
    pause(service, control_plane, namespace)
    (tmp_path / "stop.go").touch()
    stopped = service.wait_state("approved", "held", "succeeded", "escalated", timeout_s=20)
    assert stopped["state"] == "approved", stopped["reason"]
    assert "hands off" in stopped["reason"]
    assert effects(control_plane, namespace, since) == []
    lift(service, control_plane, namespace)
    shown = service.wait_state("succeeded", "escalated", "cancelled", timeout_s=60)
    assert shown["state"] == "succeeded", shown["reason"]
    assert effects(control_plane, namespace, since) == [("patch", "deployments", 200)], "its approval was kept"
    assert any("hands off" in line for line in lines(service, shown["id"]))
