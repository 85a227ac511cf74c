"""Operators' objects, backups, numbers, security, remediator itself, and a snapshot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedQueries
from remediator.errors import InvalidPlaybook
from remediator.objects import ObjectRef
from remediator.playbooks.model import Collect
from remediator.ports import Sample
from remediator.remediation.collectors.security import binding_findings, pod_findings, service_findings
from remediator.remediation.evidence import parse_collect
from tests.checks.fakes import FakeQueries, renderer
from tests.checks.simulated import Sim, at, manifest
from tests.checks.test_operators import cnpg, database
from tests.remediation.collectors.looking import SECRET, collect, container
from tests.remediation.collectors.test_of_a_cluster import a_pod, condition
from tests.support.world import deployment as shop_api

API = ObjectRef("Deployment", "shop", "api")


async def test_certificates() -> None:
    sim = Sim()

    def certificate(name: str, days: float, *conditions: dict[str, str], **status: Any) -> dict[str, Any]:
        spec = {"secretName": name, "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"}}
        given = {"notAfter": at(sim.now + timedelta(days=days)), "conditions": list(conditions), **status}
        return manifest("Certificate.cert-manager.io", name, spec=spec, status=given)

    ready = condition("Ready", "True", "Ready")
    failed = condition("Issuing", "False", "Failed", "429 urn:ietf:params:acme:error:rateLimited")
    sim.put(
        certificate("well", 60, ready),
        certificate("soon", 5, ready, renewalTime=sim.ago(days=2)),
        certificate("ill", 40, ready, failed, failedIssuanceAttempts=3, lastFailureTime=sim.ago(hours=3)),
    )
    found = await collect(sim.context(), "certificate_status")
    assert found.text.splitlines() == [
        "shop/soon: ready, expires in 5d, due for renewal for 2d, issuer ClusterIssuer letsencrypt",
        "shop/ill: ready, expires in 40d, failed 3 times, last 3h ago: 429 urn:ietf:params:acme:error:rateLimited, "
        "issuer ClusterIssuer letsencrypt",
        "shop/well: ready, expires in 60d, issuer ClusterIssuer letsencrypt",
    ]
    assert found.summary == "3 certificates, 1 with less than 21 days, 2 in trouble"


async def test_argo_cd() -> None:
    sim = Sim()
    ended = {"phase": "Failed", "finishedAt": sim.ago(minutes=20), "message": "one or more objects failed to apply"}
    for name, sync, health, more in (
        ("well", "Synced", "Healthy", {}),
        ("ill", "OutOfSync", "Degraded", {"operationState": ended}),
    ):
        status = {"sync": {"status": sync, "revision": "d0c5f3a1b2c3d4e5"}, "health": {"status": health}, **more}
        spec = {"syncPolicy": {"automated": {"prune": True}}}
        sim.put(manifest("Application.argoproj.io", name, "argocd", spec=spec, status=status))
    found = await collect(sim.context(API), "argocd_apps")  # wherever the target is
    assert found.text.splitlines() == [
        "argocd/ill: OutOfSync, Degraded; revision d0c5f3a1b2c…; "
        "last operation Failed 20m ago: one or more objects failed to apply; syncs by itself",
        "argocd/well: Synced, Healthy; revision d0c5f3a1b2c…; syncs by itself",
    ]
    assert found.summary == "1 of 2 Applications not Synced and Healthy"


async def test_postgresql_clusters() -> None:
    sim = Sim()
    archiving = condition("ContinuousArchiving", "False", "ContinuousArchivingFailing", "access denied")
    obj = cnpg(conditions=[archiving], lastSuccessfulBackup=sim.ago(hours=30))
    database(sim, obj, unready="db-3")
    found = await collect(sim.context(), "cnpg_status")
    assert found.text == (
        "Cluster shop/db: 2 of 3 instances ready, Cluster in healthy state, archiving fails: access denied, "
        "last backup 30h ago"
    )
    assert found.summary == "1 of 1 PostgreSQL cluster not healthy"
    sim.cluster.forbid("list", "Pod")
    blind = await collect(sim.context(), "cnpg_status")
    assert "3 ready by its own count" in blind.text
    assert blind.data["rows"][0]["answer"] == "unknown"


async def test_longhorn() -> None:
    sim = Sim()
    for name, robustness in (("pvc-1", "healthy"), ("pvc-2", "degraded"), ("pvc-3", "faulted")):
        status = {"state": "attached", "robustness": robustness, "lastBackupAt": sim.ago(hours=5)}
        spec = {"size": "10737418240", "numberOfReplicas": 3}
        sim.put(manifest("Volume.longhorn.io", name, "longhorn-system", spec=spec, status=status))
    target = {"backupTargetURL": "s3://backups@eu/"}
    sim.put(
        manifest("BackupTarget.longhorn.io", "default", "longhorn-system", spec=target, status={"available": False})
    )
    found = await collect(sim.context(), "longhorn_status")
    assert [line.split(",")[0] for line in found.text.splitlines()] == [
        "backup target longhorn-system/default is not available",
        "longhorn-system/pvc-3: attached",
        "longhorn-system/pvc-2: attached",
        "longhorn-system/pvc-1: attached",
    ]
    assert "10 GiB, 3 replicas, last backup 5h ago, claim none" in found.text
    assert found.summary == "3 volumes: 1 degraded, 1 faulted, 1 healthy"


# --- backups


def velero(sim: Sim, name: str, phase: str, hours: float, schedule: str = "daily", **status: Any) -> dict[str, Any]:
    labels = {"velero.io/schedule-name": schedule} if schedule else {}
    given = {"phase": phase, "completionTimestamp": sim.ago(hours=hours), **status}
    return manifest("Backup.velero.io", name, "velero", labels=labels, spec={}, status=given)


async def test_backups() -> None:
    sim = Sim()
    sim.put(
        velero(sim, "daily-1", "Completed", 30),
        velero(sim, "daily-2", "PartiallyFailed", 6, errors=4),
        velero(sim, "hourly-1", "Completed", 1, "hourly"),
        velero(sim, "hourly-2", "InProgress", 0, "hourly"),
        velero(sim, "mine", "Completed", 300, ""),
    )
    for name, paused in (("daily", False), ("never", True)):
        sim.put(manifest("Schedule.velero.io", name, "velero", spec={"schedule": "0 1 * * *", "paused": paused}))
    for name, phase, hours in (("db-1", "completed", 3), ("db-2", "failed", 1)):
        status = {"phase": phase, "stoppedAt": sim.ago(hours=hours), "error": "no space" if phase == "failed" else ""}
        sim.put(manifest("Backup.postgresql.cnpg.io", name, spec={"cluster": {"name": "db"}}, status=status))
    longhorn = {"state": "Completed", "volumeName": "pvc-1", "backupCreatedAt": sim.ago(hours=2)}
    sim.put(manifest("Backup.longhorn.io", "backup-1", "longhorn-system", status=longhorn))
    template = {"spec": {"template": {"spec": {"containers": [container()], "restartPolicy": "Never"}}}}
    for name in ("etcd-snapshot", "report"):
        status = {"lastSuccessfulTime": sim.ago(hours=40), "lastScheduleTime": sim.ago(hours=4)}
        spec = {"schedule": "0 * * * *", "jobTemplate": template}
        sim.put(manifest("CronJob", name, "kube-system", spec=spec, status=status))
    found = await collect(sim.context(API), "backup_status")
    assert found.text.splitlines() == [
        "Velero schedule velero/daily: last good 30h ago, last one PartiallyFailed 6h ago: 4 errors",
        "CronJob kube-system/etcd-snapshot: last good 40h ago, no success since its last start",
        "Velero schedule velero/never: no good backup, its schedule is paused",
        "CloudNativePG cluster shop/db: last good 3h ago, last one failed 60m ago: no space",
        "Longhorn volume pvc-1: last good 2h ago",
        "Velero schedule velero/hourly: last good 60m ago, one is InProgress",
        "Velero velero by hand: last good 12d ago",
    ]
    assert found.summary == "7 backed up things: 3 without a good backup in time, 2 failed last"


async def test_nothing_is_backed_up() -> None:
    assert (await collect(Sim().context(), "backup_status")).summary == "nothing is backed up as far as can be seen"


# --- numbers


def numbers(sim: Sim, values: dict[tuple[str, ...], float], labels: tuple[str, ...]) -> list[Sample]:
    return [Sample(dict(zip(labels, key, strict=True)), value, sim.now) for key, value in values.items()]


async def test_top_of_the_targets_pods() -> None:
    sim = Sim()
    queries = SimulatedQueries(sim.clock)
    labels = ("namespace", "pod")
    one, two = ("shop", "api-7d9f-bbbbb"), ("shop", "api-7d9f-ccccc")
    queries.set("container_cpu_usage_seconds_total", numbers(sim, {one: 0.9, two: 0.1}, labels))
    queries.set("container_memory_working_set_bytes", numbers(sim, {one: 2**29, two: 2**30}, labels))
    queries.set('resource="cpu"', numbers(sim, {one: 1.0}, labels))
    queries.set('resource="memory"', ())
    found = await collect(sim.context(API, queries=queries), "top")
    assert found.text.splitlines() == [
        "shop/api-7d9f-bbbbb: 0.9 cores (90% of limit), 512 MiB",
        "shop/api-7d9f-ccccc: 0.1 cores, 1 GiB",
    ]
    assert found.summary == "2 pods use 1 cores and 1.5 GiB"
    assert all('pod=~"api-' in query for query in queries.asked)


async def test_nodes_by_numbers() -> None:
    sim = Sim()
    queries = SimulatedQueries(sim.clock)
    for text, value in (("node_cpu", 0.5), ("node_memory", 0.95), ("node_filesystem", 0.4), ("node_load1", 3.0)):
        queries.set(text, [Sample({"instance": "node-1:9100"}, value, sim.now)])
    found = await collect(sim.context(queries=queries), "node_usage")
    assert found.text == "node-1:9100: cpu 50%, memory 95%, disk 40%, load 3.00"
    assert found.summary == "1 of 1 node above 90%"
    assert (await collect(sim.context(queries=queries), "top", by="node")).text == found.text


async def test_rightsizing() -> None:
    sim = Sim()
    queries = SimulatedQueries(sim.clock)
    labels, key = ("namespace", "pod", "container"), ("shop", "api-1", "app")
    queries.set("container_cpu_usage_seconds_total", numbers(sim, {key: 0.25}, labels))
    queries.set("container_memory_working_set_bytes", numbers(sim, {key: 2**30}, labels))
    queries.set('resource="cpu"', numbers(sim, {key: 2.0}, labels))
    queries.set('resource="memory"', ())
    found = await collect(sim.context(API, queries=queries), "rightsizing_report", last="7d")
    assert found.text == "shop/api-1/app: cpu 0.25 used (p95) of 2 asked for, memory 1 GiB used (max) of no request"
    assert found.summary == "1.75 cores and 0 B asked for and not used by 1 container, 1 without requests"
    with pytest.raises(InvalidPlaybook, match="at most 14d"):
        parse_collect(Collect(kind="rightsizing_report", args={"last": "15d"}))


async def test_queues() -> None:
    sim = Sim()
    queries = SimulatedQueries(sim.clock)
    labels = {"consumergroup": "billing", "topic": "orders"}
    queries.set("kafka_consumergroup_lag", [Sample(labels, 5000, sim.now)])
    queries.set("offset 10m", [Sample(labels, 100, sim.now)])
    found = await collect(sim.context(queries=queries), "kafka_lag", group='billing"} or up{a="')
    assert found.text == "billing/orders: 5000, 100 ten minutes ago"
    assert found.summary == "5000 waiting in 1 consumer group, 1 growing"
    assert all(r'consumergroup="billing\x22} or up{a=\x22"' in query for query in queries.asked)
    queries.set("celery_queue_length", [Sample({"queue_name": "mail"}, 12, sim.now)])
    assert (await collect(sim.context(queries=queries), "celery_queue")).summary == "12 waiting in 1 queue, 0 growing"


async def test_alerts() -> None:
    sim = Sim()
    beat = Sample({}, -1, sim.now)
    firing = {"alertstate": "firing", "namespace": "shop"}
    series = (
        Sample({"alertname": "Slow", **firing, "severity": "warning"}, 1, sim.now),
        Sample({"alertname": "Down", **firing, "severity": "critical"}, 1, sim.now),
        Sample({"alertname": "Odd", **firing, "severity": "<!channel>"}, 1, sim.now),
        Sample({"alertname": "Soon", "alertstate": "pending"}, 1, sim.now),
    )
    queries = FakeQueries().on("ALERTS", (*series, beat))
    found = await collect(sim.context(queries=queries), "active_alerts")
    assert queries.asked == ["ALERTS{} or vector(-1)"]
    assert [line.split(":")[0] for line in found.text.splitlines()] == [
        "firing Down",
        "firing Slow",
        "firing Odd",
        "pending Soon",
    ]
    assert found.summary == "3 firing: 1 critical, 1 warning, 1 other; 1 pending"
    quiet = await collect(sim.context(queries=FakeQueries().on("ALERTS", (beat,))), "active_alerts")
    assert (quiet.summary, quiet.error) == ("0 firing; 0 pending", "")


# --- security


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {}, {"default service account with its token", "may run as root", "may gain privileges"}, id="bare"
        ),
        pytest.param(
            {
                "serviceAccountName": "api",
                "securityContext": {"runAsNonRoot": True},
                "containers": [container(securityContext={"allowPrivilegeEscalation": False})],
            },
            set(),
            id="sound",
        ),
        pytest.param(
            {
                "serviceAccountName": "api",
                "hostNetwork": True,
                "volumes": [{"hostPath": {"path": "/"}}],
                "containers": [
                    container(
                        securityContext={
                            "privileged": True,
                            "runAsUser": 0,
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"add": ["SYS_ADMIN"]},
                        }
                    )
                ],
            },
            {"on the host's network", "mounts a host path", "privileged", "runs as root", "with strong capabilities"},
            id="all of it",
        ),
    ],
)
def test_pods(spec: dict[str, Any], expected: set[str]) -> None:
    found = pod_findings(manifest("Pod", "x", spec={"containers": [container()], **spec}))
    assert {words for words, _ in found} == expected


@pytest.mark.parametrize(
    ("role", "subject", "expected"),
    [
        pytest.param("view", {"kind": "User", "name": "system:anonymous"}, {"bound to anybody"}, id="anybody"),
        pytest.param("system:discovery", {"kind": "Group", "name": "system:unauthenticated"}, set(), id="as shipped"),
        pytest.param(
            "edit", {"kind": "Group", "name": "system:authenticated"}, {"bound to everybody who can log in"}, id="all"
        ),
        pytest.param(
            "cluster-admin",
            {"kind": "ServiceAccount", "name": "default"},
            {"service account as cluster-admin", "default service account with a role"},
            id="admin",
        ),
        pytest.param("edit", {"kind": "Group", "name": "sre"}, set(), id="a group"),
    ],
)
def test_bindings(role: str, subject: dict[str, str], expected: set[str]) -> None:
    binding = manifest("ClusterRoleBinding", "b", roleRef={"kind": "ClusterRole", "name": role}, subjects=[subject])
    assert {words for words, _ in binding_findings(binding)} == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ClusterIP"}, set()),
        ({"type": "LoadBalancer"}, {"load balancer open to all"}),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}, {"load balancer"}),
        ({"type": "NodePort", "externalIPs": ["192.0.2.1"]}, {"node port", "external IPs"}),
    ],
)
def test_services(spec: dict[str, Any], expected: set[str]) -> None:
    assert {words for words, _ in service_findings(manifest("Service", "x", spec=spec))} == expected


async def test_ten_copies_are_one_finding_and_the_system_is_left_out() -> None:
    sim = Sim()
    sim.put(shop_api(replicas=10))
    sim.pass_time(60)
    system = a_pod("cni", ready=True, hostNetwork=True)
    sim.put({**system, "metadata": {"name": "cni", "namespace": "kube-system"}})
    found = await collect(sim.context(), "security_audit")
    assert found.data["counted"] == {
        "default service account with its token": 1,
        "may gain privileges": 1,
        "may run as root": 1,
    }
    whole = await collect(sim.context(), "security_audit", ignore=[])
    assert whole.data["counted"]["on the host's network"] == 1


# --- remediator itself


async def test_self_check() -> None:
    sim = Sim()
    queries = FakeQueries().on("vector", (Sample({}, 1, sim.now - timedelta(minutes=5)),))
    found = await collect(sim.context(queries=queries), "self_check")
    assert found.summary == "1 of 6 do not answer as they should"
    assert "Prometheus: answers, clocks 300 s apart" in found.text
    sim.cluster.forbid("list", "Node")
    assert "list Node: not allowed in the whole cluster" in (await collect(sim.context(), "self_check")).text


async def test_link() -> None:
    sim = Sim()
    args = {"url": "https://logs.example.com/?q=${params.pod}", "title": "its logs"}
    found = await collect(sim.context(render=renderer(pod="a&b=<x>")), "link", **args)
    assert (found.text, found.summary) == ("https://logs.example.com/?q=a%26b%3D%3Cx%3E", "its logs")
    for url in ("javascript:alert(1)", "https://${params.host}/", "https://user:pw@a.example/"):
        with pytest.raises(InvalidPlaybook):
            parse_collect(Collect(kind="link", args={"url": url}))


async def test_snapshot() -> None:
    sim = Sim()
    obj = shop_api()
    obj["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": SECRET}]
    sim.put(obj)
    sim.pass_time(60)
    sim.put(manifest("ConfigMap", "api", data={"x": SECRET}))
    sim.put(a_pod("lost", waiting="ImagePullBackOff"))
    event = manifest(
        "Event",
        "e",
        involvedObject={"kind": "Pod", "name": "lost"},
        type="Warning",
        reason="Failed",
        message=f"token={SECRET}",
        lastTimestamp=sim.ago(minutes=2),
    )
    sim.put(event)
    found = await collect(sim.context(API), "incident_snapshot")
    lines = found.text.splitlines()
    assert lines[0].startswith("taken 2025-06-02 10:01:00 UTC")
    assert "Deployment shop/api: 3 wanted, 3 updated, 3 ready, 3 available; shop/api:1" in lines
    assert "pod shop/lost: ImagePullBackOff" in lines
    assert "2m ago Failed Pod/lost: token=[redacted]" in lines
    assert found.data["warnings"]["Failed"] == 1
    assert found.summary.startswith("1 workload, 1 of 4 pods not ready, 0 of 3 nodes not well, ")
