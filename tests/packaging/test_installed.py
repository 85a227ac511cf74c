"""The real process on what the chart renders: its configuration, its folders, its rights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import ROOT, render
from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.rbac import grant_chart_roles
from tests.support.service import API_TOKEN, WEBHOOK_TOKEN, Service, alert

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("helm_built")]

PLAYBOOK = """\
name: restart-stuck
match: {alerts: ['alertname="Stuck"']}
target: from_alert
mode: auto
gather: 0s
steps: [{action: rollout_restart}]
verify: {settle: 0s, interval: 200ms, successes: 2, checks: [{rollout: {}}]}
"""
VALUES: dict[str, Any] = {
    "webhook": {"existingSecret": "hook"},
    "config": {
        "api": [{"name": "ann", "role": "admin", "token": "/etc/remediator/secrets/users/ann"}],
        "policy": {"mode_ceiling": "auto"},
    },
    "playbooks": {"files": {"restart-stuck.yaml": PLAYBOOK}},
}


def moved(text: str, root: Path) -> str:
    """A configuration with the pod's folders below another root."""
    for folder in ("/etc/remediator", "/var/lib/remediator", "/usr/share/remediator"):
        text = text.replace(f" {folder}", f" {root}{folder}")
    return text


@pytest.fixture
def installed(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Service]:
    """The service as the chart's pod would start it, with write access to the test's namespace only."""
    root = tmp_path / "pod"
    values = {**VALUES, "write": {"namespaces": [namespace]}}
    (config,) = (o["data"]["remediator.yaml"] for o in render(values) if "remediator.yaml" in o.get("data", {}))
    files = {"secrets/hook/token": WEBHOOK_TOKEN, "secrets/users/ann": API_TOKEN}
    files["playbooks/release/restart-stuck.yaml"] = PLAYBOOK
    for name, text in files.items():
        path = root / "etc/remediator" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "var/lib/remediator").mkdir(parents=True)
    shutil.copytree(ROOT / "playbooks", root / "usr/share/remediator/playbooks")
    content = yaml.safe_load(moved(config, root))
    token = grant_chart_roles(control_plane, "remediator", namespace, write=[namespace])
    # In place of the service account that the kubelet would mount, and of a port that another test may have.
    kubeconfig = control_plane.kubeconfig_for(token, f"installed-{tmp_path.name}")
    content["clusters"] = [{"name": "default", "kubeconfig": str(kubeconfig)}]
    content["listen"] = {"host": "127.0.0.1", "port": 0}
    service = Service(tmp_path / "service", content, {"REMEDIATOR_PORT": "tcp://10.0.0.1:8080"})
    yield service
    service.stop()


def test_the_installed_service_repairs_with_the_rights_of_the_chart(
    installed: Service, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.client.create(manifests.deployment("api"), namespace)
    wait_until(
        lambda: control_plane.client.get("deployments", "api", namespace)["status"].get("availableReplicas") == 3,
        what="api available",
    )
    installed.start()
    loaded = {p["name"]: p["mode"] for p in installed.api("playbooks")["playbooks"]}
    assert loaded.pop("restart-stuck") == "auto"
    assert len(loaded) >= 6
    assert set(loaded.values()) == {"observe"}  # the starter set
    since = control_plane.audit_offset()
    assert installed.post_alerts(alert("Stuck", namespace, deployment="api"))[0] == 200
    shown = installed.wait_state("succeeded", "escalated", "denied")
    assert shown["state"] == "succeeded", shown["reason"]
    me = f"system:serviceaccount:{namespace}:remediator"
    effects = control_plane.effects(namespace, since, user=me)
    assert [(e.verb, e.resource, e.name, e.code) for e in effects] == [("patch", "deployments", "api", 200)]
    written = {path.name.partition("-")[0] for path in (tmp_path / "pod/var/lib/remediator").iterdir()}
    assert written <= {"remediator.db", "remediator.db.lock"}
