"""The control plane does what the tests built on it take for granted."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import (
    AlertmanagerServer,
    ApiError,
    ControlPlane,
    KubeStateMetrics,
    NoControlPlane,
    Object,
    PrometheusServer,
    command,
    free_port,
    wait_until,
)
from tests.support.controlplane import manifests as m


def pods(plane: ControlPlane, namespace: str, name: str = "web") -> list[Object]:
    return plane.client.list("pods", namespace, labels=f"app={name}")


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def ready_replicas(plane: ControlPlane, namespace: str, resource: str = "deployments", name: str = "web") -> int:
    status = plane.client.get(resource, name, namespace)["status"]
    count: int = status.get("numberReady" if resource == "daemonsets" else "readyReplicas", 0)
    return count


def create_ready(plane: ControlPlane, namespace: str, *, replicas: int = 3, **options: Any) -> None:
    plane.client.create(m.deployment("web", replicas=replicas, **options), namespace)
    wait_until(lambda: ready_replicas(plane, namespace) == replicas, what="web ready")


def mark(plane: ControlPlane, pod: Object, key: str, value: str | None) -> None:
    body = {"metadata": {"annotations": {f"test.remediator.dev/{key}": value}}}
    plane.client.patch("pods", pod["metadata"]["name"], body, pod["metadata"]["namespace"])


def get_pod(plane: ControlPlane, pod: Object) -> Object:
    found: Object = plane.client.get("pods", pod["metadata"]["name"], pod["metadata"]["namespace"])
    return found


def test_workloads_get_ready(control_plane: ControlPlane, namespace: str) -> None:
    for workload in (m.deployment("web"), m.statefulset("db"), m.daemonset("agent")):
        control_plane.client.create(workload, namespace)

    wait_until(lambda: ready_replicas(control_plane, namespace) == 3, what="deployment")
    wait_until(lambda: ready_replicas(control_plane, namespace, "statefulsets", "db") == 3, what="statefulset")
    wait_until(lambda: ready_replicas(control_plane, namespace, "daemonsets", "agent") == 3, what="daemonset")
    assert {pod["spec"]["nodeName"] for pod in pods(control_plane, namespace, "agent")} == {
        "node-a",
        "node-b",
        "node-c",
    }


@pytest.mark.parametrize(
    ("tag", "reason"), [("bad", None), ("crash", "CrashLoopBackOff"), ("nopull", "ImagePullBackOff")]
)
def test_a_broken_image_never_gets_ready(
    control_plane: ControlPlane, namespace: str, tag: str, reason: str | None
) -> None:
    control_plane.client.create(m.deployment("web", image=f"registry:5000/app:{tag}"), namespace)

    def settled() -> bool:
        states = [pod["status"]["containerStatuses"][0]["state"] for pod in pods(control_plane, namespace)]
        reasons = [state.get("waiting", {}).get("reason") for state in states]
        return reasons == [reason] * 3

    wait_until(settled, what=f"pods with tag {tag}")
    assert ready_replicas(control_plane, namespace) == 0


def test_a_crash_loop_counts_its_restarts(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.client.create(m.deployment("web", image="app:crash", replicas=1), namespace)

    def crashed_twice() -> Object | None:
        status: Object = pods(control_plane, namespace)[0]["status"]["containerStatuses"][0]
        return status if status["restartCount"] >= 2 else None

    assert wait_until(crashed_twice, what="two restarts")["lastState"]["terminated"]["exitCode"] == 1


def test_slow_pods_take_the_time_they_are_told(control_plane: ControlPlane, namespace: str) -> None:
    started = time.monotonic()
    create_ready(
        control_plane,
        namespace,
        image="app:slow",
        pod_annotations={"test.remediator.dev/ready-after": "1s"},
    )
    assert 1.0 <= time.monotonic() - started < 5.0


@pytest.mark.parametrize("illness", ["unready", "crash"])
def test_a_ready_pod_can_be_made_ill_and_well(control_plane: ControlPlane, namespace: str, illness: str) -> None:
    create_ready(control_plane, namespace, replicas=1)
    pod = pods(control_plane, namespace)[0]

    mark(control_plane, pod, illness, "true")
    wait_until(lambda: not is_ready(get_pod(control_plane, pod)), what="pod ill")
    mark(control_plane, pod, illness, None)
    wait_until(lambda: is_ready(get_pod(control_plane, pod)), what="pod well")


def test_a_restart_replaces_every_pod(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace)
    before = {pod["metadata"]["uid"] for pod in pods(control_plane, namespace)}

    restart(control_plane, namespace)

    def replaced() -> bool:
        now = pods(control_plane, namespace)
        return len(now) == 3 and all(map(is_ready, now)) and not before & {pod["metadata"]["uid"] for pod in now}

    wait_until(replaced, what="three new ready pods")


def restart(plane: ControlPlane, namespace: str, **query: str) -> Object:
    body = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    return plane.client.patch("deployments", "web", body, namespace, patch_type="strategic", **query)


def test_an_eviction_is_refused_by_the_disruption_budget(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace)
    control_plane.client.create(m.disruption_budget("web", min_available=3), namespace)
    budget = ("poddisruptionbudgets", "web", namespace)
    wait_until(lambda: control_plane.client.get(*budget)["status"].get("currentHealthy") == 3, what="budget counted")

    with pytest.raises(ApiError) as refused:
        control_plane.client.evict(pods(control_plane, namespace)[0]["metadata"]["name"], namespace)

    assert refused.value.code == 429
    assert [cause["reason"] for cause in refused.value.body["details"]["causes"]] == ["DisruptionBudget"]


def test_an_evicted_pod_is_gone_at_once(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace)
    victim = pods(control_plane, namespace)[0]["metadata"]

    control_plane.client.evict(victim["name"], namespace)

    # Its grace period is 30 s; no test should have to wait for it.
    wait_until(
        lambda: victim["name"] not in {pod["metadata"]["name"] for pod in pods(control_plane, namespace)},
        timeout_s=5,
        what="pod gone",
    )


def test_the_audit_log_has_each_effect_once(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace)
    mark_ = control_plane.audit_offset()

    restart(control_plane, namespace, dryRun="All")
    restart(control_plane, namespace)

    effects = control_plane.effects(namespace, since=mark_)
    assert [(e.verb, e.group, e.resource, e.name, e.code, e.user) for e in effects] == [
        ("patch", "apps", "deployments", "web", 200, "admin")
    ]
    assert effects[0].request_object is not None
    assert "restartedAt" in json.dumps(effects[0].request_object)
    dry_runs = [e.dry_run for e in control_plane.effects(namespace, since=mark_, dry_runs=True)]
    assert dry_runs == [True, False]


def test_the_audit_log_knows_what_a_delete_or_eviction_means(control_plane: ControlPlane, namespace: str) -> None:
    """`?dryRun=All` beside a body is ignored by DELETE: what looks like a dry run really deletes."""
    create_ready(control_plane, namespace)
    names = [pod["metadata"]["name"] for pod in pods(control_plane, namespace)]
    mark_ = control_plane.audit_offset()
    path = control_plane.client.path("pods", namespace)

    control_plane.client.request("DELETE", f"{path}/{names[0]}?dryRun=All")
    control_plane.client.request("DELETE", f"{path}/{names[0]}", {"dryRun": ["All"]})
    control_plane.client.evict(names[0], namespace, dryRun="All")
    control_plane.client.request("DELETE", f"{path}/{names[1]}?dryRun=All", {"gracePeriodSeconds": 1})

    dry_runs = [(e.verb, e.dry_run) for e in control_plane.effects(namespace, since=mark_, dry_runs=True)]
    assert dry_runs == [("delete", True), ("delete", True), ("create", True), ("delete", False)]
    wait_until(lambda: names[1] not in {p["metadata"]["name"] for p in pods(control_plane, namespace)}, what="deleted")
    assert names[0] in {pod["metadata"]["name"] for pod in pods(control_plane, namespace)}


def test_a_service_account_is_held_to_its_role(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace)
    control_plane.client.create(m.role("restarter", ("apps", "deployments", "get patch")), namespace)
    binding = m.role_binding("restarter", role="restarter", service_account="remediator", namespace=namespace)
    control_plane.client.create(binding, namespace)
    token = control_plane.token_for(namespace, "remediator")
    client = control_plane.client.with_token(token)
    wait_until(lambda: client.get("deployments", "web", namespace), what="the role to take effect")

    patched = client.patch("deployments", "web", {"metadata": {"annotations": {"by": "remediator"}}}, namespace)
    with pytest.raises(ApiError) as refused:
        client.delete("deployments", "web", namespace)

    assert patched["metadata"]["annotations"]["by"] == "remediator"
    assert refused.value.code == 403
    by_account = control_plane.effects(namespace, user=f"system:serviceaccount:{namespace}:remediator")
    assert [(e.verb, e.code) for e in by_account] == [("patch", 200), ("delete", 403)]


def test_a_plain_user_may_do_nothing(control_plane: ControlPlane, namespace: str) -> None:
    client = control_plane.client.with_token(control_plane.user("test-user-1"))
    with pytest.raises(ApiError) as refused:
        client.list("pods", namespace)
    assert refused.value.code == 403


@pytest.mark.parametrize(("tag", "outcome"), [("v1", "succeeded"), ("fail", "failed"), ("crash", "failed")])
def test_jobs_end(control_plane: ControlPlane, namespace: str, tag: str, outcome: str) -> None:
    control_plane.client.create(m.job("task", image=f"app:{tag}"), namespace)
    wait_until(lambda: control_plane.client.get("jobs", "task", namespace)["status"].get(outcome) == 1, what=outcome)


def test_pods_have_the_logs_a_test_gives_them(control_plane: ControlPlane, namespace: str) -> None:
    create_ready(control_plane, namespace, replicas=2)
    first, second = (pod["metadata"]["name"] for pod in pods(control_plane, namespace))

    control_plane.set_logs(namespace, first, "starting\nout of memory", previous="killed")

    assert control_plane.client.logs(first, namespace, tailLines="1") == "out of memory\n"
    assert control_plane.client.logs(first, namespace, previous=True) == "killed\n"
    assert control_plane.client.logs(second, namespace) == ""
    with pytest.raises(ApiError) as missing:
        control_plane.client.logs(second, namespace, previous=True)
    assert missing.value.code == 400


def test_helm_can_speak_to_it(control_plane: ControlPlane, namespace: str) -> None:
    argv = [*command("helm"), "list", "--namespace", namespace, "--kubeconfig", str(control_plane.kubeconfig)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_an_alert_goes_from_cluster_to_alertmanager(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """kube-state-metrics, scraped by Prometheus, whose rule fires into Alertmanager; and it resolves."""
    create_ready(control_plane, namespace, replicas=1)
    rule = {
        "alert": "PodNotReady",
        "expr": f'kube_pod_status_ready{{condition="true", namespace="{namespace}"}} == 0',
        "labels": {"severity": "page"},
    }
    with (
        KubeStateMetrics(tmp_path / "kube-state-metrics", control_plane) as kube,
        AlertmanagerServer(
            tmp_path / "alertmanager", {"route": {"receiver": "none"}, "receivers": [{"name": "none"}]}
        ) as am,
        PrometheusServer(
            tmp_path / "prometheus",
            rules=[rule],
            targets={"kube-state-metrics": {"honor_labels": True, "static_configs": [{"targets": [kube.address]}]}},
            alertmanager_url=am.url,
        ) as prometheus,
    ):
        wait_until(lambda: prometheus.query(f'kube_pod_status_ready{{namespace="{namespace}"}}'), what="a scrape")
        pod = pods(control_plane, namespace)[0]
        mark(control_plane, pod, "unready", "true")
        alerts = wait_until(am.alerts, what="the alert in Alertmanager")
        assert alerts[0]["labels"]["pod"] == pod["metadata"]["name"]

        mark(control_plane, pod, "unready", None)
        wait_until(lambda: not prometheus.alerts(), what="the alert resolved")
        prometheus.rules = []
        prometheus.reload()
        assert prometheus.get("/api/v1/rules")["data"]["groups"] == []


def test_without_go_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REMEDIATOR_TEST_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoControlPlane, match=r"^Go is not installed; .*build.* or point KUBEBUILDER_ASSETS"):
        command("kube-apiserver")


def test_ready_binaries_win_over_building(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "kube-apiserver"
    binary.touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert command("kube-apiserver") == [str(binary)]


def test_no_server_outlives_a_killed_test_run(tmp_path: Path) -> None:
    """`kill -9` leaves the run no chance to clean up; a watchdog does."""
    port = free_port()
    listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
    program = f"""
import pathlib, sys, time
from tests.support.controlplane.process import Server
Server("listener", [sys.executable, "-c", {listen!r}], pathlib.Path({str(tmp_path / "log")!r})).start()
time.sleep(600)
"""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root) as run:
        wait_until(lambda: listens(port), what="the server started")
        run.kill()

    wait_until(lambda: not listens(port), what="the server ended")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
