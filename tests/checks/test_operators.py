"""`certificate_valid`, `replication_healthy`, `rollouts`: what operators' objects prove, and what they do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.objects import ObjectRef
from remediator.ports import Sample
from tests.checks.fakes import FakeQueries
from tests.checks.simulated import Sim, at, manifest
from tests.checks.test_condition import ask

CERTIFICATE = "Certificate.cert-manager.io"
CNPG = "Cluster.postgresql.cnpg.io"
ROLLOUT = "Rollout.argoproj.io"


def condition(kind: str, status: str, reason: str, when: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": "s3cret words", "lastTransitionTime": when}


def certificate(sim: Sim, *conditions: dict[str, str], days: float = 89, begun: float = 1) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": list(conditions), "revision": 4}
    status |= {"notBefore": sim.ago(days=begun), "notAfter": at(sim.now + timedelta(days=days))}
    return manifest(CERTIFICATE, "api-tls", spec={"secretName": "api-tls", "dnsNames": ["a.example"]}, status=status)


@pytest.mark.parametrize(
    ("days", "conditions", "answer", "why"),
    [
        pytest.param(
            89, [("Ready", "True", "Ready", 9000), ("Issuing", "False", "Issued", 5)], "good", "89.0", id="new"
        ),
        pytest.param(89, [("Ready", "True", "Ready", 9000)], "unknown", "not been issued since", id="old"),
        pytest.param(
            89,
            [("Ready", "True", "Ready", 9), ("Issuing", "False", "Issued", 90)],
            "unknown",
            "since",
            id="older renewal",
        ),
        pytest.param(89, [("Issuing", "True", "ManuallyTriggered", 9)], "unknown", "being issued", id="issuing"),
        pytest.param(
            89, [("Ready", "True", "Ready", 9000), ("Issuing", "False", "Failed", 5)], "bad", "Failed", id="refused"
        ),
        pytest.param(
            5, [("Ready", "True", "Ready", 9), ("Issuing", "False", "Issued", 5)], "bad", "wanted 30", id="too short"
        ),
        pytest.param(
            89, [("Ready", "False", "DoesNotExist", 9), ("Issuing", "False", "Issued", 5)], "bad", "not ready", id="not"
        ),
        pytest.param(-1, [("Ready", "False", "Expired", 9)], "bad", "expired", id="expired"),
        pytest.param(89, [("Issuing", "False", "Issued", 5)], "unknown", "has not said", id="no Ready"),
    ],
)
async def test_certificate(days: float, conditions: list[Any], answer: str, why: str) -> None:
    sim = Sim()
    told = [condition(kind, status, reason, sim.ago(seconds=s)) for kind, status, reason, s in conditions]
    ref = sim.put(certificate(sim, *told, days=days))
    found = await ask(sim.context(ref), "certificate_valid", min_days=30)
    assert (found.answer, why in found.detail) == (answer, True), found.detail
    assert found.badness == pytest.approx(-days)
    assert found.tolerance == 1.0
    assert "s3cret" not in found.detail


async def test_a_certificate_that_begins_since_is_new_and_newer_can_be_left_out() -> None:
    sim = Sim()
    ready = condition("Ready", "True", "Ready", sim.ago(days=3))
    ref = sim.put(certificate(sim, ready, begun=0))
    assert (await ask(sim.context(ref), "certificate_valid")).answer == "good"
    sim.put(certificate(sim, ready))
    assert (await ask(sim.context(ref), "certificate_valid")).answer == "unknown"
    assert (await ask(sim.context(ref), "certificate_valid", newer=False)).answer == "good"
    api = ObjectRef("Deployment", "shop", "api")
    assert (await ask(sim.context(api, since=None), "certificate_valid", certificate="api-tls")).answer == "good"
    assert "no certificate" in (await ask(sim.context(api), "certificate_valid")).detail


# --- CloudNativePG


def cnpg(phase: str = "Cluster in healthy state", **status: Any) -> dict[str, Any]:
    given = {"phase": phase, "instances": 3, "readyInstances": 3, "currentPrimary": "db-1", "targetPrimary": "db-1"}
    return manifest(CNPG, "db", spec={"instances": 3}, status=given | status)


def instance(name: str, *, ready: bool = True) -> dict[str, Any]:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    spec = {"nodeName": "node-1", "containers": [{"name": "postgres", "image": "postgresql:17"}]}
    return manifest("Pod", name, labels={"cnpg.io/cluster": "db"}, spec=spec, status=status)


def database(sim: Sim, obj: dict[str, Any], unready: str = "") -> ObjectRef:
    for n in (1, 2, 3):
        sim.put(instance(f"db-{n}", ready=f"db-{n}" != unready))
    return sim.put(obj)


@pytest.mark.parametrize(
    ("obj", "unready", "answer", "missing"),
    [
        pytest.param(cnpg(), "", "good", 0, id="healthy"),
        pytest.param(cnpg(), "db-3", "unknown", 1, id="the operator has not seen it yet"),
        pytest.param(cnpg(), "db-1", "bad", 1, id="the primary is down"),
        pytest.param(cnpg("Switchover in progress", targetPrimary="db-2"), "", "unknown", 0, id="switching over"),
        pytest.param(cnpg(targetPrimary="pending"), "", "unknown", 0, id="failing over"),
        pytest.param(cnpg("Upgrading cluster"), "", "unknown", 0, id="upgrading"),
        pytest.param(cnpg("Not enough disk space"), "", "bad", 0, id="no space"),
        pytest.param(cnpg(readyInstances=2), "", "unknown", 0, id="one missing by the operator's count"),
        pytest.param(manifest(CNPG, "db", spec={"instances": 3}), "", "unknown", 0, id="no status"),
    ],
)
async def test_replication(obj: dict[str, Any], unready: str, answer: str, missing: int) -> None:
    sim = Sim()
    ref = database(sim, obj, unready)
    found = await ask(sim.context(ref), "replication_healthy")
    assert (found.answer, found.badness) == (answer, missing), found.detail


@pytest.mark.parametrize("fenced", ['["db-2"]', '["*"]', "broken"])
async def test_fenced_instances_replicate_nothing(fenced: str) -> None:
    sim = Sim()
    obj = cnpg()
    obj["metadata"]["annotations"] = {"cnpg.io/fencedInstances": fenced}
    found = await ask(sim.context(database(sim, obj)), "replication_healthy")
    assert (found.answer, "fenced" in found.detail) == ("bad", True)


@pytest.mark.parametrize(
    ("lag", "answer"),
    [
        pytest.param(2.0, "good", id="little"),
        pytest.param(120.0, "bad", id="much"),
        pytest.param(float("nan"), "unknown", id="no number"),
        pytest.param(None, "unknown", id="no series"),
    ],
)
async def test_lag(lag: float | None, answer: str) -> None:
    sim = Sim()
    ref = database(sim, cnpg())
    found = () if lag is None else (Sample({"pod": "db-2"}, lag, sim.now),)
    context = sim.context(ref, queries=FakeQueries().on("lag", found))
    said = await ask(context, "replication_healthy", query="cnpg_pg_replication_lag", success="< 30s")
    assert said.answer == answer, said.detail


async def test_lag_without_prometheus_is_unknown() -> None:
    sim = Sim()
    ref = database(sim, cnpg())
    assert (await ask(sim.context(ref), "replication_healthy", query="lag")).answer == "unknown"


# --- Argo Rollouts


@pytest.mark.parametrize(
    ("status", "args", "answer"),
    [
        pytest.param({"phase": "Healthy"}, {}, "good", id="healthy"),
        pytest.param({"phase": "Healthy", "availableReplicas": 1}, {}, "unknown", id="a copy is missing"),
        pytest.param({"phase": "Healthy", "observedGeneration": "0"}, {}, "unknown", id="not seen yet"),
        pytest.param({"phase": "Progressing"}, {}, "unknown", id="progressing"),
        pytest.param({"phase": "Degraded"}, {}, "bad", id="degraded"),
        pytest.param({"phase": "Paused"}, {}, "unknown", id="paused"),
        pytest.param({"phase": "Paused"}, {"paused": "good"}, "good", id="paused as wanted"),
    ],
)
async def test_rollouts(status: dict[str, Any], args: dict[str, Any], answer: str) -> None:
    sim = Sim()
    given = {"observedGeneration": "1", "replicas": 2, "availableReplicas": 2} | status
    ref = sim.put(manifest(ROLLOUT, "checkout", spec={"replicas": 2}, status=given))
    assert (await ask(sim.context(ref), "rollouts", **args)).answer == answer
