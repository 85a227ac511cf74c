"""`condition`, `created`, `job_succeeded`: what objects say of themselves, and what they cannot say."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, Script
from remediator.errors import CannotSee, InvalidPlaybook
from remediator.objects import ObjectRef
from remediator.playbooks.expressions import Environment
from remediator.playbooks.model import Check
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.checks.registry import parse_check
from remediator.remediation.samples import CheckSample
from remediator.remediation.verify import sample_all
from tests.checks.simulated import Sim, manifest

APP = "Application.argoproj.io"
BACKUP = "Backup.velero.io"
SYNCED = 'target.object.status.sync.status == "Synced" && target.object.status.health.status == "Healthy"'
DEGRADED = 'target.object.status.health.status == "Degraded"'
SHOP: dict[str, str] = {"kind": APP, "namespace": "argocd", "name": "shop"}


def app(sync: str = "Synced", health: str = "Healthy", **status: Any) -> dict[str, Any]:
    status |= {"sync": {"status": sync, "revision": "d0c5"}, "health": {"status": health}}
    return manifest(APP, "shop", "argocd", spec={"project": "default"}, status=status)


def backup(phase: str | None, **status: Any) -> dict[str, Any]:
    given = {"status": {"phase": phase, **status}} if phase else {}
    return manifest(BACKUP, "before-1", "velero", spec={"ttl": "720h0m0s"}, **given)


async def ask(context: CheckContext, kind: str, /, **args: Any) -> CheckSample:
    (found,) = (await sample_all((Check(kind=kind, args=args),), context)).checks
    return found


@pytest.mark.parametrize(
    ("sync", "health", "expected"),
    [
        pytest.param("Synced", "Healthy", "good", id="synced and healthy"),
        pytest.param("OutOfSync", "Healthy", "unknown", id="not yet synced"),
        pytest.param("Synced", "Progressing", "unknown", id="not yet healthy"),
        pytest.param("Synced", "Degraded", "bad", id="degraded"),
    ],
)
async def test_argo(sync: str, health: str, expected: str) -> None:
    sim = Sim()
    sim.put(app(sync, health))
    found = await ask(sim.context(), "condition", target=SHOP, **{"is": SYNCED, "failed": DEGRADED})
    assert (found.answer, found.check) == (expected, "condition Application shop")
    assert found.taken_at == sim.now


async def test_a_field_that_is_not_there_yet_is_no_answer() -> None:
    sim = Sim()
    ref = sim.put(backup(None))
    args = {"is": 'target.object.status.phase == "Completed"', "failed": "target.object.status.errors > 0"}
    found = await ask(sim.context(ref), "condition", **args)
    assert (found.answer, found.detail) == (
        "unknown",
        'Backup velero/before-1: target.object.status.phase == "Completed": there is no "status" in target.object',
    )
    sim.put(backup("Completed"))  # `errors` is left out where there are none
    assert (await ask(sim.context(ref), "condition", **args)).answer == "good"


async def test_both_at_once_is_unknown() -> None:
    sim = Sim()
    ref = sim.put(backup("Completed"))
    found = await ask(sim.context(ref), "condition", **{"is": "true", "failed": "size(target.name) > 0"})
    assert found.answer == "unknown"
    assert "both" in found.detail


async def test_every_target_counts() -> None:
    sim = Sim()
    good = sim.put(backup("Completed"))
    other = sim.put(manifest(BACKUP, "two", "velero", status={"phase": "Failed"}))
    args = {"is": 'target.object.status.phase == "Completed"', "failed": 'target.object.status.phase == "Failed"'}
    found = await ask(sim.context(good, other), "condition", **args)
    assert (found.answer, found.badness) == ("bad", 1.0)


@pytest.mark.parametrize(
    ("reconciled", "answer", "why"),
    [
        pytest.param({"minutes": 2}, "unknown", "before the last effect", id="from before"),
        pytest.param({"seconds": 30}, "good", "", id="since"),
        pytest.param(None, "unknown", "there is no time at status.reconciledAt yet", id="not there"),
    ],
)
async def test_after_wants_a_time_since_the_effect(reconciled: dict[str, float] | None, answer: str, why: str) -> None:
    sim = Sim()
    sim.put(app(**({"reconciledAt": sim.ago(**reconciled)} if reconciled else {})))
    found = await ask(
        sim.context(), "condition", target=SHOP, after="status.reconciledAt", **{"is": SYNCED, "failed": DEGRADED}
    )
    assert found.answer == answer
    assert why in found.detail


async def test_a_status_of_an_older_spec_is_unknown() -> None:
    sim = Sim()
    ref = sim.put(manifest("HelmRelease.helm.toolkit.fluxcd.io", "shop", status={"observedGeneration": 1}))
    args = {"is": "target.object.status.observedGeneration > 0"}
    assert (await ask(sim.context(ref), "condition", **args)).answer == "good"
    sim.cluster.edit(ref, {"spec": {"suspend": True}})
    found = await ask(sim.context(ref), "condition", **args)
    assert (found.answer, "not seen the last change" in found.detail) == ("unknown", True)


async def test_expressions_know_parameters_and_values_stay_values() -> None:
    sim = Sim()
    ref = sim.put(backup("Completed"))
    scope = Environment(None, sim.now).scope(params={"phase": 'x" || true || "'})
    args = {"is": "target.object.status.phase == params.phase"}
    assert (await ask(sim.context(ref, scope=scope), "condition", **args)).answer == "unknown"
    scope = Environment(None, sim.now).scope(params={"phase": "Completed"})
    assert (await ask(sim.context(ref, scope=scope), "condition", **args)).answer == "good"


async def test_what_cannot_be_read_is_unknown() -> None:
    sim = Sim()
    ref = sim.put(backup("Completed"))
    sim.cluster.faults = script = Script()
    for _ in range(3):
        script.read(FailRead(CannotSee("timeout")))
    assert (await ask(sim.context(ref), "condition", **{"is": "true"})).answer == "unknown"
    gone = await ask(sim.context(ObjectRef(BACKUP, "velero", "none")), "condition", **{"is": "true"})
    assert (gone.answer, "not found" in gone.detail) == ("unknown", True)
    assert (await ask(sim.context(), "condition", **{"is": "true"})).detail.startswith("there is no target")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        pytest.param({}, "is: ", id="nothing"),
        pytest.param({"is": "target.objekt.x"}, "unknown field target.objekt", id="misspelt"),
        pytest.param({"is": "target.restarts > 0"}, "not known in checks", id="pods are not read"),
        pytest.param({"is": "${alert.labels.x} == 1"}, "an expression has no ${...}", id="pasted value"),
        pytest.param({"is": "true", "failed": "true"}, "say the same", id="the same"),
        pytest.param({"is": "true", "after": "status..x"}, "is no path", id="path"),
        pytest.param({"is": "true", "target": {"kind": "Secret", "name": "x"}}, "unknown kind", id="Secrets"),
        pytest.param({"is": "true", "wait": 1}, "unknown argument wait", id="unknown argument"),
    ],
)
def test_arguments(args: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidPlaybook) as complaint:
        parse_check(Check(kind="condition", args=args))
    assert why in str(complaint.value)


# --- what was made


COMPLETED = {"is": 'target.object.status.phase == "Completed"', "failed": 'target.object.status.phase == "Failed"'}


async def test_created_asks_about_the_last_one_made() -> None:
    sim = Sim()
    ref = sim.made(backup("InProgress"))
    first = ObjectRef(BACKUP, "velero", "older")
    made = sim.context(made=(first, ref))
    assert (await ask(made, "created", **COMPLETED)).answer == "unknown"
    sim.made(backup("Completed"))
    assert (await ask(made, "created", **COMPLETED)).answer == "good"
    sim.made(backup("Failed"))
    assert (await ask(made, "created", kind=BACKUP, **COMPLETED)).answer == "bad"
    assert "made no Job" in (await ask(made, "created", kind="Job", **COMPLETED)).detail


@pytest.mark.parametrize(
    ("by", "why"),
    [("r-2", "not the one that this remediation made"), ("", "not the one that this remediation made")],
)
async def test_another_object_under_its_name_says_nothing(by: str, why: str) -> None:
    sim = Sim()
    ref = sim.made(backup("Completed"), by) if by else sim.put(backup("Completed"))
    found = await ask(sim.context(made=(ref,)), "created", **COMPLETED)
    assert (found.answer, why in found.detail) == ("unknown", True)


async def test_nothing_made_and_made_but_gone() -> None:
    sim = Sim()
    assert "made no object yet" in (await ask(sim.context(since=None), "created", **COMPLETED)).detail
    gone = await ask(sim.context(made=(ObjectRef(BACKUP, "velero", "x"),)), "created", **COMPLETED)
    assert (gone.answer, "does not exist any more" in gone.detail) == ("unknown", True)


def job(**status: Any) -> dict[str, Any]:
    container = {"name": "migrate", "image": "shop/migrate:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return manifest("Job", "migrate", spec={"template": template, "backoffLimit": 0}, status=status)


def ended(kind: str, reason: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", **({"reason": reason} if reason else {})}]}


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        pytest.param({"active": 1}, "unknown", "1 active", id="runs"),
        pytest.param({"succeeded": 1}, "unknown", "1 succeeded", id="counts alone end nothing"),
        pytest.param(ended("SuccessCriteriaMet"), "unknown", "runs", id="on its way"),
        pytest.param(ended("Complete"), "good", "complete", id="complete"),
        pytest.param(ended("Failed", "BackoffLimitExceeded"), "bad", "BackoffLimitExceeded", id="failed"),
        pytest.param({"conditions": [{"type": "Failed", "status": "False"}]}, "unknown", "runs", id="not failed"),
    ],
)
async def test_job(status: dict[str, Any], answer: str, why: str) -> None:
    sim = Sim()
    ref = sim.made(job(**status))
    found = await ask(sim.context(made=(ref,)), "job_succeeded")
    assert (found.answer, why in found.detail) == (answer, True)


async def test_a_named_job_must_be_younger_than_the_effect() -> None:
    sim = Sim()
    deployment = ObjectRef("Deployment", "shop", "api")
    sim.put(job(**ended("Complete")))
    assert (await ask(sim.context(deployment), "job_succeeded", job="migrate")).answer == "good"
    since = sim.now
    sim.pass_time(60)
    context = sim.context(deployment, since=since)
    assert (await ask(context, "job_succeeded", job="migrate")).answer == "good"
    sim.pass_time(60)
    old = await ask(sim.context(deployment), "job_succeeded", job="migrate")
    assert (old.answer, "before the last effect" in old.detail) == ("unknown", True)
