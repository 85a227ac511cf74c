"""The real process on the real control plane: one webhook, one repaired Deployment."""

from __future__ import annotations

from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.service import Fake, alert
from tests.support.world import restart_playbook


def ready(control_plane: ControlPlane, namespace: str, name: str = "api", **options) -> None:
    control_plane.client.create(manifests.deployment(name, **options), namespace)

    def rolled_out() -> bool:
        status = control_plane.client.get("deployments", name, namespace).get("status", {})
        return bool(status.get("availableReplicas", 0) == options.get("replicas", 3))

    wait_until(rolled_out, timeout_s=20, what=f"{name} available")


def quick(**changes):
    verify = {
        "settle": "0s",
        "interval": "200ms",
        "successes": 2,
        "failures": 3,
        "timeout": "20s",
        "checks": [{"rollout": {}}],
    }
    return restart_playbook(verify=verify, **changes)


def test_a_webhook_restarts_a_deployment_once(
    control_plane: ControlPlane, namespace: str, make_service: MakeService, fake_slack: Fake
) -> None:
    ready(control_plane, namespace)
    service = make_service(quick()).start()
    since = control_plane.audit_offset()
    assert service.post_alerts(alert("Stuck", namespace, deployment="api"))[0] == 200
    shown = service.wait_state("succeeded", "escalated", "denied")
    assert shown["state"] == "succeeded", shown["reason"]
    effects = [
        e
        for e in control_plane.effects(namespace, since)
        if e.user_agent.startswith("remediator") and e.verb == "patch"
    ]
    assert [(e.verb, e.resource, e.name) for e in effects] == [("patch", "deployments", "api")]
    print(service.cli("remediations", "show", shown["id"]).stdout)
