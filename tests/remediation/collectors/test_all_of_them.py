"""What holds for every collector: blind is not empty, forbidden is said, and none of them raises or writes."""

from __future__ import annotations

import re

import pytest
from promql_parser import parse

from remediator.adapters.simulated import FailRead, Script, SimulatedQueries
from remediator.errors import CannotSee, NotFound
from remediator.kinds import KINDS
from remediator.objects import ObjectRef
from remediator.remediation.checks.base import MetricLabels
from remediator.remediation.evidence import COLLECTORS
from tests.checks.simulated import Sim
from tests.remediation.collectors.looking import collect

LISTING = (
    "pods_not_running",
    "node_status",
    "cluster_health",
    "pvc_status",
    "unused_pvcs",
    "services",
    "endpoints",
    "ingresses",
    "hpa_status",
    "failed_rollouts",
    "audit_workloads",
    "certificate_status",
    "argocd_apps",
    "cnpg_status",
    "longhorn_status",
    "backup_status",
    "security_audit",
    "incident_snapshot",
)
OF_OPERATORS = ("certificate_status", "argocd_apps", "cnpg_status", "longhorn_status")
NUMBERS = ("top", "node_usage", "rightsizing_report", "kafka_lag", "celery_queue", "active_alerts")
API = ObjectRef("Deployment", "shop", "api")


@pytest.mark.parametrize("kind", LISTING)
async def test_what_cannot_be_read_never_looks_empty(kind: str) -> None:
    sim = Sim()
    sim.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("503 etcd is away")), times=10_000)
    found = await collect(sim.context(), kind)
    assert found.summary == "not available"
    assert "503 etcd is away" in found.error
    assert "could not be read" in found.text


@pytest.mark.parametrize("kind", LISTING)
async def test_what_we_may_not_read_is_said(kind: str) -> None:
    sim = Sim()
    for known in KINDS:
        sim.cluster.forbid("list", known)
    found = await collect(sim.context(), kind)
    assert found.summary == "not available"
    assert "we may not list" in found.error


@pytest.mark.parametrize("kind", OF_OPERATORS)
async def test_an_operator_that_is_not_there(kind: str) -> None:
    sim = Sim()
    sim.cluster.faults = script = Script()
    script.read(FailRead(NotFound("the server could not find the requested resource")), times=100)
    found = await collect(sim.context(), kind)
    assert (found.summary, found.error) == ("not installed", "")
    assert "not installed" in found.text


@pytest.mark.parametrize("kind", LISTING)
async def test_nothing_there_is_an_answer(kind: str) -> None:
    found = await collect(Sim(nodes=0).context(), kind)
    assert found.error == "" or kind == "pvc_status"  # which has asked for numbers as well
    assert found.summary != "not available"


@pytest.mark.parametrize("kind", NUMBERS)
async def test_no_prometheus_and_no_numbers_are_said(kind: str) -> None:
    sim = Sim()
    without = await collect(sim.context(), kind)
    assert "no Prometheus is configured" in without.error
    queries = SimulatedQueries(sim.clock)
    queries.set(re.compile("."), ())
    empty = await collect(sim.context(queries=queries), kind)
    assert "no such numbers" in empty.error
    queries.down = True
    down = await collect(sim.context(queries=queries), kind)
    assert "could not be read" in down.error


@pytest.mark.parametrize("kind", [*NUMBERS, "pvc_status"])
@pytest.mark.parametrize("targets", [(), (API,)])
async def test_every_query_is_promql_and_keeps_to_its_cluster(kind: str, targets: tuple[ObjectRef, ...]) -> None:
    sim = Sim()
    queries = SimulatedQueries(sim.clock)
    queries.set(re.compile("."), ())
    labels = MetricLabels(cluster="cluster", cluster_value="eu-1")
    await collect(sim.context(*targets, queries=queries, labels=labels), kind)
    assert queries.asked
    for query in queries.asked:
        parse(query)
        assert 'cluster="eu-1"' in query


def test_all_are_registered() -> None:
    wanted = {
        *LISTING,
        *NUMBERS,
        "crash_report",
        "rollout_history",
        "config_refs",
        "pending_reason",
        "self_check",
        "link",
    }
    assert wanted <= set(COLLECTORS)
