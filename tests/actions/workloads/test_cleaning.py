"""delete_failed_pods and delete_finished_jobs: what is over, old enough, and would not come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import NotPossible, Remove
from remediator.actions.diff import diff_lines
from remediator.actions.render import still_before
from remediator.actions.view import ListOf
from remediator.actions.workloads.delete_failed_pods import DeleteFailedPods, DeleteFailedPodsParams, ended_at
from remediator.actions.workloads.delete_finished_jobs import DeleteFinishedJobs, DeleteFinishedJobsParams
from remediator.ports import MADE_BY
from tests.actions.make import NOW, NS, deployment, replicaset, view
from tests.actions.workloads.things import ago, job, namespace, owned_by

RS = replicaset(deployment(), 1, "shop/api:1")


def failed(name: str, hours: float = 5, owners: Any = None, **meta: Any) -> dict[str, Any]:
    """A pod whose container ended `hours` ago; it is a day old."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NS,
            "uid": f"uid-{name}",
            "creationTimestamp": ago(days=1),
            "ownerReferences": owned_by("ReplicaSet", "api-1", "apps/v1") if owners is None else owners,
            **meta,
        },
        "status": {
            "phase": "Failed",
            "startTime": ago(hours=23),
            "containerStatuses": [{"name": "api", "state": {"terminated": {"finishedAt": ago(hours=hours)}}}],
        },
    }


def evicted(name: str, hours: float = 5) -> dict[str, Any]:
    """As the kubelet leaves one: no container status at all."""
    pod = failed(name)
    moved = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": ago(hours=hours)}]
    return {**pod, "status": {"phase": "Failed", "reason": "Evicted", "conditions": moved}}


def pods(*found: dict[str, Any], **given: Any) -> Any:
    action, seen = DeleteFailedPods(), view(namespace(), found={"pods": found})
    params = action.resolve(DeleteFailedPodsParams(**{"max": 10, **given}), seen)
    assert DeleteFailedPodsParams.model_validate(params.model_dump(mode="json")) == params
    return action.plan(params, seen)


def test_it_asks_for_the_failed_pods_of_the_namespace():
    wanted = DeleteFailedPods().wants(DeleteFailedPodsParams(max=1), view(namespace()))
    assert wanted == {"pods": ListOf(kind="Pod", namespace=NS, fields="status.phase=Failed")}


def test_the_oldest_first_each_bound_to_its_phase():
    change = pods(failed("b", 3), failed("a", 6), evicted("c", 9), failed("young", 0.5), max=2)
    assert [(e.ref.name, e.uid) for e in change.effects] == [("c", "uid-c"), ("a", "uid-a")]
    assert all(isinstance(e, Remove) and e.holds == ((("status", "phase"), "Failed"),) for e in change.effects)
    assert change.summary == "delete 2 of 4 failed pods, those before 2025-06-01T11:00:00Z"
    assert "logs" in change.notes[0]
    assert (change.takes, change.direction) == (0, "")
    assert diff_lines(change)[0] == "delete Pod shop/c"


def test_when_a_pod_has_failed():
    assert ended_at(failed("a", 3)) == NOW - timedelta(hours=3)
    assert ended_at(evicted("a", 9)) == NOW - timedelta(hours=9)
    unseen = {**failed("a"), "status": {"phase": "Failed"}}
    assert ended_at(unseen) == NOW - timedelta(days=1)


def test_the_pods_do_not_become_more_while_the_plan_waits():
    action = DeleteFailedPods()
    first = view(namespace(), found={"pods": (failed("a"),)})
    params = action.resolve(DeleteFailedPodsParams(max=10), first)
    later = view(namespace(), found={"pods": (failed("a"), failed("b", 0.5))}, read_at=NOW + timedelta(hours=1))
    assert action.plan(action.resolve(params, later), later).effects == action.plan(params, first).effects


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        pytest.param(failed("a", deletionTimestamp=ago(hours=1)), "going away already", id="leaving"),
        pytest.param(failed("a", annotations={"remediator.dev/protect": "yes"}), "protected", id="protected"),
        pytest.param(
            failed("a", labels={MADE_BY: "r1"}, creationTimestamp=ago(hours=23)), "made by a remediation", id="ours"
        ),
        pytest.param(failed("a", owners=[]), "without a controller", id="bare"),
        pytest.param(failed("a", owners=owned_by("Node", "n1", "v1")), "static", id="static"),
        pytest.param(failed("a", owners=owned_by("Job", "import")), "of a Job", id="of a Job"),
    ],
)
def test_pods_that_are_left_alone(pod, why):
    with pytest.raises(NotPossible, match="no failed pod to delete"):
        pods(pod)
    assert any(note.startswith(f"left alone: 1 pod {why}") for note in pods(pod, failed("b")).notes)


def test_pods_that_may_go_after_all():
    old = failed("a", labels={MADE_BY: "r1"}, creationTimestamp=ago(hours=25))
    of_job = failed("b", owners=owned_by("Job", "import"))
    not_protected = failed("c", annotations={"remediator.dev/protect": "false"})
    assert len(pods(old, of_job, not_protected, of_jobs=True).effects) == 3


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param((), "0 are there", id="none"),
        pytest.param((failed("a", 0.9),), "1 of them may go, none failed before", id="too young"),
        pytest.param(({**failed("a"), "status": {"phase": "Running"}},), "0 are there", id="runs again"),
    ],
)
def test_no_pod_to_delete(found, reason):
    with pytest.raises(NotPossible, match=reason):
        pods(*found)


def test_a_list_that_nobody_read_is_not_empty():
    with pytest.raises(NotPossible, match="CANNOT SEE: pods") as refused:
        DeleteFailedPods().plan(DeleteFailedPodsParams(max=1), view(namespace()))
    assert refused.value.hold


def succeeded(name: str, hours: float = 5, owners: Any = (), **meta: Any) -> dict[str, Any]:
    pod = failed(name, hours, list(owners), **meta)
    return {**pod, "status": {**pod["status"], "phase": "Succeeded"}}


def test_pods_that_have_succeeded_only_when_asked_for():
    wanted = DeleteFailedPods().wants(DeleteFailedPodsParams(max=1, phase="Succeeded"), view(namespace()))
    assert wanted == {"pods": ListOf(kind="Pod", namespace=NS, fields="status.phase=Succeeded")}
    found = (succeeded("once"), succeeded("shut-down", 6, owned_by("ReplicaSet", "api-1", "apps/v1")), failed("ill"))
    change = pods(*found, phase="Succeeded")
    assert [e.ref.name for e in change.effects] == ["shut-down", "once"]
    assert all(e.holds == ((("status", "phase"), "Succeeded"),) for e in change.effects)
    assert change.summary == "delete 2 of 2 succeeded pods, those before 2025-06-01T11:00:00Z"
    assert [e.ref.name for e in pods(*found).effects] == ["ill"]


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        pytest.param(succeeded("a", owners=owned_by("Job", "import")), "of a Job", id="of a Job"),
        pytest.param(succeeded("a", owners=owned_by("Workflow")), "made by a Workflow", id="an operator's"),
        pytest.param(succeeded("a", owners=owned_by("Node", "n1", "v1")), "static", id="static"),
        pytest.param(
            succeeded("a", annotations={"argocd.argoproj.io/tracking-id": "shop:/Pod:shop/a"}),
            "applied by Git or Helm",
            id="Argo CD",
        ),
        pytest.param(
            succeeded("a", annotations={"meta.helm.sh/release-name": "shop"}), "applied by Git or Helm", id="Helm"
        ),
        pytest.param(succeeded("a", annotations={"remediator.dev/protect": "yes"}), "protected", id="protected"),
    ],
)
def test_pods_that_have_succeeded_and_are_left_alone(pod, why):
    with pytest.raises(NotPossible, match="no succeeded pod to delete: 1 are there, 0 of them may go"):
        pods(pod, phase="Succeeded")
    notes = pods(pod, succeeded("b"), phase="Succeeded").notes
    assert any(note.startswith(f"left alone: 1 pod {why}") for note in notes)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max": 0},
        {"max": 201},
        {"max": 1, "older_than": "5m"},
        {"max": 1, "phase": "Running"},
        {"max": 1, "phase": "Succeeded", "older_than": "30m"},
        {"max": 1, "phase": "Succeeded", "of_jobs": True},
    ],
    ids=str,
)
def test_bad_parameters_for_pods(given):
    with pytest.raises(ValidationError):
        DeleteFailedPodsParams(**given)


# --- jobs -------------------------------------------------------------------------------------------------------------


def jobs(*found: dict[str, Any], **given: Any) -> Any:
    action, seen = DeleteFinishedJobs(), view(namespace(), found={"jobs": found})
    params = action.resolve(DeleteFinishedJobsParams(**{"max": 10, **given}), seen)
    assert DeleteFinishedJobsParams.model_validate(params.model_dump(mode="json")) == params
    return action.plan(params, seen)


def done(name: str = "import", days: float = 2, **extra: Any) -> dict[str, Any]:
    return job(name, state="Complete", finished=ago(days=days), **extra)


def test_it_asks_for_the_jobs_of_the_namespace():
    wanted = DeleteFinishedJobs().wants(DeleteFinishedJobsParams(max=1), view(namespace()))
    assert wanted == {"jobs": ListOf(kind="Job", namespace=NS)}


def test_complete_ones_with_their_pods():
    counted = done("counted")
    counted["status"]["conditions"][0]["type"] = "SuccessCriteriaMet"  # its pods are still being stopped
    others = (done("young", 0.5), job("runs"), job("broken", state="Failed"), counted)
    change = jobs(done("a", 2), done("b", 3), *others, max=5)
    assert [e.ref.name for e in change.effects] == ["b", "a"]
    assert {e.propagation for e in change.effects} == {"Background"}
    assert change.effects[0].holds == ((("status", "completionTime"), ago(days=3)),)
    assert change.summary == "delete 2 of 3 complete Jobs, those before 2025-05-31T12:00:00Z"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(done(metadata={"ownerReferences": owned_by("CronJob")}), "of a CronJob", id="history limits"),
        pytest.param(
            done(metadata={"ownerReferences": owned_by("Workflow")}), "made by a Workflow", id="an operator's"
        ),
        pytest.param(
            done(metadata={"annotations": {"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/import"}}),
            "applied by Git or Helm",
            id="Argo CD",
        ),
        pytest.param(
            done(metadata={"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}), "applied by Git or Helm", id="Flux"
        ),
        pytest.param(
            done(metadata={"annotations": {"meta.helm.sh/release-name": "shop"}}), "applied by Git or Helm", id="Helm"
        ),
        pytest.param(
            done(
                metadata={
                    "labels": {"app.kubernetes.io/instance": "shop"},
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
                }
            ),
            "applied by Git or Helm",
            id="Argo CD by label",
        ),
        pytest.param(done(spec={"ttlSecondsAfterFinished": 600}), "with a time to live", id="TTL"),
        pytest.param(
            done(metadata={"labels": {MADE_BY: "r1"}, "creationTimestamp": ago(hours=3)}), "made by a remed", id="ours"
        ),
        pytest.param(done(metadata={"annotations": {"remediator.dev/protect": ""}}), "protected", id="protected"),
        pytest.param(done(metadata={"deletionTimestamp": ago(hours=1)}), "going away", id="leaving"),
    ],
)
def test_jobs_that_are_left_alone(found, why):
    with pytest.raises(NotPossible, match="0 of them may go"):
        jobs(found)
    assert any(note.startswith(f"left alone: 1 Job {why}") for note in jobs(found, done("other")).notes)


def test_jobs_of_a_cronjob_only_when_asked_for():
    of_cronjob = done(metadata={"ownerReferences": owned_by("CronJob")}, spec={"ttlSecondsAfterFinished": None})
    assert jobs(of_cronjob, owned=True).effects
    with pytest.raises(NotPossible):
        jobs(done(metadata={"ownerReferences": owned_by("Workflow")}), owned=True)


def broken(name: str = "import", days: float = 4, **extra: Any) -> dict[str, Any]:
    return job(name, state="Failed", finished=ago(days=days), **extra)


def test_failed_ones_only_when_asked_for_and_later():
    stopping = broken("stopping")
    stopping["status"]["conditions"][0]["type"] = "FailureTarget"  # its pods are still being stopped
    not_so = broken("not-so")
    not_so["status"]["conditions"][0]["status"] = "False"
    found = (broken("a"), broken("b", 5), broken("young", 2), done("well", 9), job("runs"), stopping, not_so)
    change = jobs(*found, state="Failed", older_than=timedelta(days=3))
    assert [e.ref.name for e in change.effects] == ["b", "a"]
    assert change.summary == "delete 2 of 3 failed Jobs, those before 2025-05-29T12:00:00Z"
    assert still_before(change.effects[0], found[1]) is None
    again = {**found[1], "status": {**found[1]["status"], "conditions": []}}
    assert "status" in (still_before(change.effects[0], again) or "")
    assert [e.ref.name for e in jobs(*found).effects] == ["well"]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(broken(metadata={"ownerReferences": owned_by("CronJob")}), "of a CronJob", id="history limits"),
        pytest.param(broken(metadata={"annotations": {"meta.helm.sh/release-name": "x"}}), "applied by", id="Helm"),
        pytest.param(broken(metadata={"annotations": {"remediator.dev/protect": ""}}), "protected", id="protected"),
    ],
)
def test_failed_jobs_that_are_left_alone(found, why):
    given = {"state": "Failed", "older_than": timedelta(days=3)}
    with pytest.raises(NotPossible, match="no failed Job to delete: 1 are there, 0 of them may go"):
        jobs(found, **given)
    assert any(note.startswith(f"left alone: 1 Job {why}") for note in jobs(found, broken("other"), **given).notes)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max": 201},
        {"max": 1, "older_than": "30m"},
        {"max": 1, "state": "Suspended"},
        {"max": 1, "state": "Failed"},
        {"max": 1, "state": "Failed", "older_than": "71h"},
    ],
    ids=str,
)
def test_bad_parameters_for_jobs(given):
    with pytest.raises(ValidationError):
        DeleteFinishedJobsParams(**given)
