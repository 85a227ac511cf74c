"""Ready-made workloads and playbooks for tests against the real control plane."""

from __future__ import annotations

import secrets
from typing import Any

from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.controlplane.audit import AuditEvent
from tests.support.world import restart_playbook


def ready(control_plane: ControlPlane, namespace: str, name: str = "api", **options: Any) -> None:
    """A Deployment with all its copies available."""
    control_plane.client.create(manifests.deployment(name, **options), namespace)
    wait_available(control_plane, namespace, name, options.get("replicas", 3))


def wait_available(control_plane: ControlPlane, namespace: str, name: str, copies: int, timeout_s: float = 30) -> None:
    def available() -> bool:
        status = control_plane.client.get("deployments", name, namespace).get("status", {})
        return bool(status.get("availableReplicas", 0) == copies)

    wait_until(available, timeout_s=timeout_s, what=f"{copies} copies of {name} available")


def quick(**changes: Any) -> dict[str, Any]:
    """`restart-api`, verified within seconds."""
    verify = {
        "settle": "0s",
        "interval": "200ms",
        "successes": 2,
        "failures": 3,
        "timeout": "20s",
        "checks": [{"rollout": {}}],
    }
    return restart_playbook(**{"verify": verify, **changes})


def effects_of(control_plane: ControlPlane, namespace: str, since: int) -> list[AuditEvent]:
    """Writes of the service, as the API server recorded them; rehearsals left out."""
    return [e for e in control_plane.effects(namespace, since) if e.user_agent.startswith("remediator")]


class Grounds:
    """Namespaces with a healthy Deployment `api` in each, made together so that nobody waits for each in turn."""

    def __init__(self, control_plane: ControlPlane, count: int) -> None:
        self._control_plane = control_plane
        self._spare = [f"people-{secrets.token_hex(3)}" for _ in range(count)]
        for name in self._spare:
            control_plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            control_plane.client.create(manifests.deployment("api"), name)
        self._all = list(self._spare)

    def take(self) -> str:
        """One that nobody else gets."""
        name = self._spare.pop()
        wait_available(self._control_plane, name, "api", 3)
        return name

    def close(self) -> None:
        for name in self._all:
            self._control_plane.client.delete("namespaces", name)
