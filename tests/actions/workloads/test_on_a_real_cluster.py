"""What the API server makes of the requests: every kind of effect of these actions, sent as it is planned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.actions.change import Change, Create, NotPossible
from remediator.actions.render import render, resolved, still_before
from remediator.actions.view import Get, ListOf, View
from remediator.actions.workloads.create_hpa import CreateHpa
from remediator.actions.workloads.cronjobs import RerunCronJob
from remediator.actions.workloads.delete_failed_pods import DeleteFailedPods
from remediator.actions.workloads.delete_finished_jobs import DeleteFinishedJobs
from remediator.actions.workloads.hpa_bounds import SetHpaBounds
from remediator.actions.workloads.job_objects import condition_of
from remediator.actions.workloads.quiesce import RECORD, QuiesceNamespace, ResumeNamespace
from remediator.actions.workloads.restart_job import RestartJob
from remediator.actions.workloads.run_job import RunJob
from remediator.actions.workloads.set_image import SetImage
from remediator.actions.workloads.set_resources import SetResources
from remediator.actions.workloads.strategy import SetHistoryLimit, SetStrategy
from remediator.errors import Conflict, NotFound
from remediator.objects import Object, ObjectRef, annotations_of, dig, labels_of, ref_of
from remediator.ports import MADE_BY
from tests.contract.backends import Bench, Real
from tests.support.controlplane import ControlPlane
from tests.support.controlplane import manifests as m

pytestmark = pytest.mark.controlplane

RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}}
ID = "0123456789"


@pytest.fixture
async def bench(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Bench]:
    backend = await Real.connect(control_plane, namespace)
    yield Bench(backend)
    await backend.close()


async def look(bench: Bench, ref: ObjectRef) -> Object | None:
    try:
        return await bench.cluster.get(ref)
    except NotFound:
        return None


async def change_of(bench: Bench, action: Any, target: Object, at: datetime | None = None, **given: Any) -> Change:
    """The plan, with what the action wants read from the cluster."""
    params, ref = action.params(**given), ref_of(target)
    seen = View(target=target, ref=ref, root=ref, read_at=at or datetime.now(UTC))
    if "pods" in action.needs:
        seen = replace(seen, pods=tuple(await bench.pods(ref.name)))
    if "hpas" in action.needs:
        seen = replace(seen, hpas=tuple(await bench.list("HorizontalPodAutoscaler")))
    found: dict[str, Any] = {}
    wanted = action.wants(params, seen) if hasattr(action, "wants") else {}
    for name, one in wanted.items():
        if isinstance(one, Get):
            found[name] = await look(bench, one.ref)
        else:
            assert isinstance(one, ListOf)
            listed = await bench.cluster.list(one.kind, one.namespace, labels=one.labels, fields=one.fields)
            found[name] = listed.items
    seen = replace(seen, found=found)
    change: Change = action.plan(action.resolve(params, seen), seen)
    return change


async def do(bench: Bench, action: Any, target: Object, at: datetime | None = None, **given: Any) -> list[Object]:
    """Send all effects of the plan in order; the answers."""
    change, answers = await change_of(bench, action, target, at, **given), []
    for number, planned in enumerate(change.effects):
        answers.append(await send(bench, resolved(planned, ID), f"r1/{number}"))
    return answers


async def send(bench: Bench, effect: Any, effect_id: str) -> Object:
    """The last look and the request, again when a controller has come between the two."""
    for _ in range(10):
        looked = await look(bench, effect.ref)
        assert still_before(effect, looked) is None
        before = None if isinstance(effect, Create) else looked
        now = datetime.now(UTC)
        request = render(effect, before, effect_id=effect_id, now=now, generated=ID, made_by="r1")
        try:
            await bench.cluster.write(request, dry_run=True)
            return await bench.cluster.write(request)
        except Conflict:
            continue
    raise TimeoutError(f"{effect.ref} does not keep still")


def web(**spec: Any) -> Any:
    made = m.deployment("web", replicas=2, spec=spec)
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = RESOURCES
    return made


async def test_what_a_deployment_takes(bench: Bench) -> None:
    """Image, resources, strategy, history, an autoscaler and its bounds."""
    target = await bench.running(web())
    (answer,) = await do(bench, SetImage(), target, container="app", image="app:v2", repositories=["app"])
    assert dig(answer, "spec", "template", "spec", "containers")[0]["image"] == "app:v2"
    await bench.rolled_out("Deployment", "web")
    given: dict[str, Any] = {"container": "app", "step": 1.5, "cap": {"cpu": "2", "memory": "1Gi"}}
    (answer,) = await do(bench, SetResources(), await bench.get("Deployment", "web"), **given)
    assert dig(answer, "spec", "template", "spec", "containers")[0]["resources"] == {
        "requests": {"cpu": "150m", "memory": "96Mi"},
        "limits": {"cpu": "1500m", "memory": "192Mi"},
    }
    await bench.rolled_out("Deployment", "web")
    target = await bench.get("Deployment", "web")
    (answer,) = await do(bench, SetStrategy(), target, max_surge=1, max_unavailable=0)
    assert dig(answer, "spec", "strategy", "rollingUpdate") == {"maxSurge": 1, "maxUnavailable": 0}
    (answer,) = await do(bench, SetHistoryLimit(), answer, n=5)
    assert dig(answer, "spec", "revisionHistoryLimit") == 5
    (made,) = await do(bench, CreateHpa(), answer, min=1, max=4, cpu=70)
    assert dig(made, "spec", "scaleTargetRef", "name") == "web"
    assert labels_of(made)[MADE_BY] == "r1"
    (answer,) = await do(bench, SetHpaBounds(), await bench.get("Deployment", "web"), max=6)
    assert dig(answer, "spec", "maxReplicas") == 6


async def test_pods_are_resized_in_place(bench: Bench, control_plane: ControlPlane) -> None:
    target = await bench.running(web())
    given: dict[str, Any] = {"container": "app", "cap": {"cpu": "2", "memory": "1Gi"}, "where": "in_place"}
    with pytest.raises(NotPossible, match="cannot resize pods in place"):
        await do(bench, SetResources(), target, limits={"cpu": "2"}, **given)
    for pod in await bench.pods("web"):  # a kubelet reports what a container has got; the simulated one does not
        body = {"status": {"containerStatuses": [{**pod["status"]["containerStatuses"][0], "resources": RESOURCES}]}}
        control_plane.client.patch("pods", pod["metadata"]["name"], body, bench.namespace, subresource="status")
    answers = await do(bench, SetResources(), target, limits={"cpu": "2", "memory": "256Mi"}, **given)
    assert len(answers) == 2
    for pod in await bench.pods("web"):
        assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "256Mi"}
    template = dig(await bench.get("Deployment", "web"), "spec", "template", "spec", "containers")[0]
    assert template["resources"] == RESOURCES


def nightly(name: str = "nightly", **spec: Any) -> dict[str, Any]:
    made = m.job(name)["spec"]
    made["template"]["spec"]["containers"][0]["env"] = [{"name": "TARGET", "value": "none"}]
    meta = {"annotations": {"remediator.dev/job-template": "true", "remediator.dev/job-env": "TARGET"}}
    job_template = {"metadata": {"labels": {"team": "data"}}, "spec": {**made, "ttlSecondsAfterFinished": 1}}
    body = {"schedule": "0 2 1 1 *", "suspend": True, "jobTemplate": job_template, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, **meta}, "spec": body}


async def test_jobs_are_created_suspended_started_copied_and_cleaned(bench: Bench) -> None:
    cronjob = await bench.create(nightly())
    created, started = await do(bench, RerunCronJob(), cronjob)
    assert created["spec"]["suspend"] is True
    assert started["spec"]["suspend"] is False
    assert started["metadata"]["ownerReferences"][0]["uid"] == cronjob["metadata"]["uid"]

    namespace = await bench.cluster.get(ObjectRef("Namespace", "", bench.namespace))
    await bench.create(nightly("check"))
    created, started = await do(bench, RunJob(), namespace, template="check", timeout="1m", env={"TARGET": "$(HOME)"})
    container = dig(created, "spec", "template", "spec", "containers")[0]
    assert container["env"] == [{"name": "TARGET", "value": "$$(HOME)"}]
    assert (created["spec"]["activeDeadlineSeconds"], started["spec"]["suspend"]) == (60, False)


@pytest.mark.parametrize(("image", "sends"), [("app:bad", 4), ("app:fail", 3)], ids=["hanging", "failed"])
async def test_a_job_is_begun_again(bench: Bench, image: str, sends: int) -> None:
    old = await bench.create(m.job("import", image=image))

    async def in_trouble() -> bool:
        status = (await bench.get("Job", "import")).get("status") or {}
        return condition_of({"status": status}, "Failed") if sends == 3 else status.get("ready", 0) is not None

    await bench.settle(in_trouble)
    answers = await do(bench, RestartJob(), await bench.get("Job", "import"))
    assert len(answers) == sends
    copied = await bench.get("Job", f"import-{ID}")
    assert copied["spec"]["suspend"] is False
    assert copied["spec"]["selector"] != old["spec"]["selector"]
    await bench.gone("Job", "import", old["metadata"]["uid"])


async def test_what_is_over_is_deleted(bench: Bench) -> None:
    """A Job that is complete, looked at the day after tomorrow."""
    namespace = await bench.cluster.get(ObjectRef("Namespace", "", bench.namespace))
    later = datetime.now(UTC) + timedelta(days=2)
    job = await bench.create(m.job("done"))

    async def finished() -> bool:
        return bool(dig(await bench.get("Job", "done"), "status", "completionTime"))

    await bench.settle(finished)
    assert len(await do(bench, DeleteFinishedJobs(), namespace, later, max=5)) == 1
    await bench.gone("Job", "done", job["metadata"]["uid"])


async def test_a_namespace_stops_and_comes_back(bench: Bench) -> None:
    await bench.running(web())
    namespace = await bench.cluster.get(ObjectRef("Namespace", "", bench.namespace))
    (answer,) = await do(bench, QuiesceNamespace(), namespace, max=5)
    assert (answer["spec"]["replicas"], annotations_of(answer)[RECORD]) == (0, "2")
    (answer,) = await do(bench, ResumeNamespace(), namespace, max=5)
    assert answer["spec"]["replicas"] == 2
    assert RECORD not in annotations_of(answer)
    await bench.rolled_out("Deployment", "web")


async def test_a_failed_pod_is_deleted(bench: Bench, control_plane: ControlPlane) -> None:
    await bench.running(web())
    namespace = await bench.cluster.get(ObjectRef("Namespace", "", bench.namespace))
    pod = (await bench.pods("web"))[0]
    body = {"status": {"phase": "Failed", "reason": "Evicted"}}
    control_plane.client.patch("pods", pod["metadata"]["name"], body, bench.namespace, subresource="status")
    later = datetime.now(UTC) + timedelta(days=2)
    assert len(await do(bench, DeleteFailedPods(), namespace, later, max=5)) == 1
