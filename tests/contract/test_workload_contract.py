"""What the core may rely on in the controllers: rollouts, rollbacks, budgets, jobs. For both clusters, as in
test_cluster_contract.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from remediator.errors import Conflict, Refused, Unavailable
from remediator.objects import Object, annotations_of, controller_of, dig, generation_of, labels_of, uid_of, version_of
from remediator.ports import MARKER
from tests.contract.backends import JSON_PATCH, Bench, Simulated, image_of, is_ready, is_rolled_out
from tests.contract.test_cluster_contract import CRON_JOB, scaler
from tests.support.controlplane import manifests as m

REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "kubectl.kubernetes.io/restartedAt"


def image(tag: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": f"app:{tag}"}]}}}}


def restart(at: str) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED: at}}}}}


def condition(obj: Object, kind: str) -> Object:
    found: Object = next((c for c in dig(obj, "status", "conditions") or () if c["type"] == kind), {})
    return found


async def sets(bench: Bench, name: str = "web") -> dict[int, Object]:
    """ReplicaSets of a Deployment by revision."""
    owner = uid_of(await bench.get("Deployment", name))
    found = await bench.list("ReplicaSet", labels=f"app={name}")
    own = [rs for rs in found if (controller_of(rs) or {}).get("uid") == owner]
    return {int(annotations_of(rs)[REVISION]): rs for rs in own}


async def stuck(bench: Bench, kind: str, name: str, **counts: int) -> None:
    """Wait until the status shows these counts, and see that it stays so."""

    async def shows() -> bool:
        obj = await bench.get(kind, name)
        seen = {field: dig(obj, "status", field, default=0) for field in counts}
        return seen == counts and obj["status"]["observedGeneration"] == generation_of(obj)

    await bench.settle(shows)
    await bench.backend.rest()
    assert await shows()


# Deployment


async def test_a_deployment_comes_up(bench: Bench) -> None:
    deployment = await bench.running(m.deployment("web", replicas=3))
    status = deployment["status"]
    assert [status.get(f, 0) for f in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")] == [3] * 4
    assert "unavailableReplicas" not in status
    assert condition(deployment, "Available")["status"] == "True"

    async def progressed() -> bool:
        found = condition(await bench.get("Deployment", "web"), "Progressing")
        return bool(found.get("reason") == "NewReplicaSetAvailable")

    await bench.settle(progressed)
    assert annotations_of(deployment)[REVISION] == "1"
    pods = await bench.pods("web")
    assert all(is_ready(p) for p in pods)
    assert len({p["spec"]["nodeName"] for p in pods}) == 3


async def test_a_good_image_rolls_out(bench: Bench) -> None:
    await bench.running(m.deployment("web"))
    await bench.patch("Deployment", "web", image("v2"))
    await bench.rolled_out("Deployment", "web")
    found = await sets(bench)
    assert {r: rs["spec"]["replicas"] for r, rs in found.items()} == {1: 0, 2: 3}
    assert {image_of(p) for p in await bench.pods("web")} == {"app:v2"}
    assert annotations_of(await bench.get("Deployment", "web"))[REVISION] == "2"


@pytest.mark.parametrize("tag", ["bad", "crash", "nopull"])
async def test_a_bad_image_gets_stuck_and_takes_nothing_away(bench: Bench, tag: str) -> None:
    """maxUnavailable 25 % of 3 rounds down to 0, maxSurge rounds up to 1: one new pod that never gets ready."""
    await bench.running(m.deployment("web", replicas=3))
    await bench.patch("Deployment", "web", image(tag))
    await stuck(
        bench,
        "Deployment",
        "web",
        replicas=4,
        updatedReplicas=1,
        readyReplicas=3,
        availableReplicas=3,
        unavailableReplicas=1,
    )


async def test_a_bad_image_takes_what_the_strategy_allows(bench: Bench) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "34%"}}
    await bench.running(m.deployment("web", replicas=3, spec={"strategy": strategy}))
    await bench.patch("Deployment", "web", image("bad"))
    # surge rounds up to 2, unavailable down to 1: five pods in all, two old ones must stay
    await stuck(bench, "Deployment", "web", replicas=5, updatedReplicas=3, availableReplicas=2)


async def test_an_unready_deployment_keeps_its_ready_pods_through_a_bad_restart(bench: Bench) -> None:
    """Measured and built upon by the guardrails: 3 of 5 ready, restarted with pods that never get ready, stay 3."""
    await bench.running(m.deployment("web", replicas=5))
    pods = await bench.pods("web")
    for pod in pods[:2]:
        mark = {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}}
        await bench.patch("Pod", pod["metadata"]["name"], mark)
    await stuck(bench, "Deployment", "web", readyReplicas=3)
    await bench.patch("Deployment", "web", image("bad"))
    await stuck(bench, "Deployment", "web", readyReplicas=3, availableReplicas=3)


async def test_a_pod_loses_and_regains_readiness(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    name = (await bench.pods("web"))[0]["metadata"]["name"]
    for mark, ready in (("true", 1), (None, 2)):
        await bench.patch("Pod", name, {"metadata": {"annotations": {"test.remediator.dev/unready": mark}}})
        await stuck(bench, "Deployment", "web", readyReplicas=ready, replicas=2)


async def test_a_restart_replaces_every_pod_once(bench: Bench) -> None:
    before = {uid_of(p) for p in [*(await started(bench))]}
    patched = await bench.patch("Deployment", "web", restart("2025-06-02T10:00:00Z"))
    assert generation_of(patched) == 2
    await bench.rolled_out("Deployment", "web")
    after = {uid_of(p) for p in await bench.pods("web")}
    assert len(after) == 3
    assert not before & after
    again = await bench.patch("Deployment", "web", restart("2025-06-02T10:00:00Z"))
    assert generation_of(again) == 2  # the same second, the same patch, nothing happens


async def started(bench: Bench) -> list[Object]:
    await bench.running(m.deployment("web", replicas=3))
    return await bench.pods("web")


async def test_a_rollback_reuses_the_old_replica_set(bench: Bench) -> None:
    await bench.running(m.deployment("web"))
    first = (await sets(bench))[1]
    await bench.patch("Deployment", "web", image("bad"))
    await stuck(bench, "Deployment", "web", updatedReplicas=1)

    labels = {k: v for k, v in labels_of(first["spec"]["template"]).items() if k != "pod-template-hash"}
    template = first["spec"]["template"]
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    current = await bench.get("Deployment", "web")
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version_of(current)},
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": f"/metadata/annotations/{MARKER.replace('/', '~1')}", "value": "e-1"},
    ]
    await bench.patch("Deployment", "web", operations, JSON_PATCH)
    await bench.rolled_out("Deployment", "web")

    found = await sets(bench)
    assert sorted(found) == [2, 3]  # revision 1 has become 3
    assert uid_of(found[3]) == uid_of(first)
    assert {r: rs["spec"]["replicas"] for r, rs in found.items()} == {2: 0, 3: 3}
    deployment = await bench.get("Deployment", "web")
    assert annotations_of(deployment)[REVISION] == "3"
    assert annotations_of(deployment)[MARKER] == "e-1"
    assert {image_of(p) for p in await bench.pods("web")} == {"app:v1"}


async def test_scaling_up_and_down(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    for replicas in (4, 1, 0, 2):
        await bench.patch("Deployment", "web", {"spec": {"replicas": replicas}})
        await bench.rolled_out("Deployment", "web")

        async def that_many(wanted: int = replicas) -> bool:
            return len(await bench.pods("web")) == wanted

        await bench.settle(that_many)
    assert list(await sets(bench)) == [1]


async def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportion(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=4))
    await bench.patch("Deployment", "web", image("bad"))
    await stuck(bench, "Deployment", "web", replicas=5, updatedReplicas=2, availableReplicas=3)
    await bench.patch("Deployment", "web", {"spec": {"replicas": 8}})
    # 8 + 2 surge: the five pods grow to ten, old ones 3 -> 6, new ones 2 -> 4
    await stuck(bench, "Deployment", "web", replicas=10, updatedReplicas=4, availableReplicas=6)


async def test_a_paused_deployment_takes_patches_and_does_nothing(bench: Bench) -> None:
    await bench.running(m.deployment("web"))
    await bench.patch("Deployment", "web", {"spec": {"paused": True}})
    await bench.patch("Deployment", "web", image("v2"))
    await stuck(bench, "Deployment", "web", readyReplicas=3, updatedReplicas=0)
    assert list(await sets(bench)) == [1]
    await bench.patch("Deployment", "web", {"spec": {"paused": False}})
    await bench.rolled_out("Deployment", "web")
    assert {image_of(p) for p in await bench.pods("web")} == {"app:v2"}


async def test_recreate_takes_everything_down_first(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2, spec={"strategy": {"type": "Recreate"}}))
    await bench.patch("Deployment", "web", image("bad"))
    await stuck(bench, "Deployment", "web", replicas=2, updatedReplicas=2, readyReplicas=0)
    await bench.patch("Deployment", "web", image("v2"))
    await bench.rolled_out("Deployment", "web")


async def test_history_is_bounded(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1, spec={"revisionHistoryLimit": 1}))
    for tag in ("v2", "v3", "v4"):
        await bench.patch("Deployment", "web", image(tag))
        await bench.rolled_out("Deployment", "web")

    async def trimmed() -> bool:
        return sorted(await sets(bench)) == [3, 4]

    await bench.settle(trimmed)


async def test_a_progress_deadline_is_reported(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1, spec={"progressDeadlineSeconds": 3}))
    await bench.patch("Deployment", "web", image("bad"))

    async def exceeded() -> bool:
        found = condition(await bench.get("Deployment", "web"), "Progressing")
        return (found.get("status"), found.get("reason")) == ("False", "ProgressDeadlineExceeded")

    await bench.settle(exceeded)
    await bench.patch("Deployment", "web", image("v1"))
    await bench.rolled_out("Deployment", "web")


async def test_a_slow_pod_gets_ready_in_its_time(bench: Bench) -> None:
    slow = m.deployment("web", image="app:slow", replicas=1, pod_annotations={"test.remediator.dev/ready-after": "2s"})
    await bench.create(slow)
    await bench.rolled_out("Deployment", "web")


async def test_a_crash_loop_looks_like_one(bench: Bench) -> None:
    await bench.create(m.deployment("web", image="app:crash", replicas=1))

    async def crashed_twice() -> bool:
        for pod in await bench.pods("web"):
            first = (dig(pod, "status", "containerStatuses") or [{}])[0]
            waits = dig(first, "state", "waiting", "reason") == "CrashLoopBackOff"
            if waits and first["restartCount"] >= 1 and dig(first, "lastState", "terminated", "exitCode") == 1:
                return not is_ready(pod) and pod["status"]["phase"] == "Running"
        return False

    await bench.settle(crashed_twice, within_s=60)


# StatefulSet


async def test_a_stateful_set_rolls_from_the_top(bench: Bench) -> None:
    workload = await bench.running(m.statefulset("web", replicas=3))
    assert workload["status"]["currentRevision"] == workload["status"]["updateRevision"]
    assert [p["metadata"]["name"] for p in await by_name(bench)] == ["web-0", "web-1", "web-2"]
    await bench.patch("StatefulSet", "web", image("v2"))
    await bench.rolled_out("StatefulSet", "web")
    assert {image_of(p) for p in await bench.pods("web")} == {"app:v2"}
    revisions = await bench.list("ControllerRevision", labels="app=web")
    assert sorted(r["revision"] for r in revisions) == [1, 2]
    assert all(r["data"]["spec"]["template"]["$patch"] == "replace" for r in revisions)


async def by_name(bench: Bench) -> list[Object]:
    return sorted(await bench.pods("web"), key=lambda p: str(p["metadata"]["name"]))


async def test_a_bad_revision_stops_at_the_last_ordinal(bench: Bench) -> None:
    await bench.running(m.statefulset("web", replicas=3))
    await bench.patch("StatefulSet", "web", image("bad"))
    await stuck(bench, "StatefulSet", "web", replicas=3, readyReplicas=2, updatedReplicas=1)
    assert [image_of(p) for p in await by_name(bench)] == ["app:v1", "app:v1", "app:bad"]


async def test_a_stateful_set_with_a_broken_first_pod_does_not_move(bench: Bench) -> None:
    """Measured and built upon: a restart updates no pod, a rollback of the template neither; the pod must go too."""
    await bench.running(m.statefulset("web", replicas=3))
    mark = {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}}
    await bench.patch("Pod", "web-0", mark)
    await stuck(bench, "StatefulSet", "web", readyReplicas=2)
    before = [uid_of(p) for p in await by_name(bench)]
    await bench.patch("StatefulSet", "web", restart("2025-06-02T10:00:00Z"))
    await stuck(bench, "StatefulSet", "web", readyReplicas=2, updatedReplicas=0)
    assert [uid_of(p) for p in await by_name(bench)] == before

    await bench.delete("Pod", "web-0", preconditions={"uid": before[0]})
    await bench.rolled_out("StatefulSet", "web")
    assert not set(before) & {uid_of(p) for p in await by_name(bench)}


async def test_a_rollback_leaves_the_broken_pod_of_a_stateful_set(bench: Bench) -> None:
    await bench.running(m.statefulset("web", replicas=2))
    await bench.patch("StatefulSet", "web", image("bad"))
    await stuck(bench, "StatefulSet", "web", readyReplicas=1, updatedReplicas=1)
    await bench.patch("StatefulSet", "web", image("v1"))
    await bench.backend.rest()
    assert [image_of(p) for p in await by_name(bench)] == ["app:v1", "app:bad"]
    broken = (await by_name(bench))[1]
    await bench.delete("Pod", "web-1", preconditions={"uid": uid_of(broken)})
    await bench.rolled_out("StatefulSet", "web")
    assert {image_of(p) for p in await by_name(bench)} == {"app:v1"}


async def test_a_partition_holds_the_lower_ordinals_back(bench: Bench) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await bench.running(m.statefulset("web", replicas=3, spec={"updateStrategy": strategy}))
    await bench.patch("StatefulSet", "web", image("v2"))
    await stuck(bench, "StatefulSet", "web", readyReplicas=3, updatedReplicas=1)
    assert [image_of(p) for p in await by_name(bench)] == ["app:v1", "app:v1", "app:v2"]
    await bench.delete("Pod", "web-0")
    await stuck(bench, "StatefulSet", "web", readyReplicas=3)
    assert image_of((await by_name(bench))[0]) == "app:v1"


async def test_on_delete_waits_for_the_deletion(bench: Bench) -> None:
    await bench.running(m.statefulset("web", replicas=2, spec={"updateStrategy": {"type": "OnDelete"}}))
    await bench.patch("StatefulSet", "web", image("v2"))
    await stuck(bench, "StatefulSet", "web", readyReplicas=2, updatedReplicas=0)
    await bench.delete("Pod", "web-1")
    await stuck(bench, "StatefulSet", "web", readyReplicas=2, updatedReplicas=1)
    assert [image_of(p) for p in await by_name(bench)] == ["app:v1", "app:v2"]


async def test_a_stateful_set_scales_in_order(bench: Bench) -> None:
    await bench.running(m.statefulset("web", replicas=1))
    await bench.patch("StatefulSet", "web", {"spec": {"replicas": 3}})
    await bench.rolled_out("StatefulSet", "web")
    await bench.patch("StatefulSet", "web", {"spec": {"replicas": 1}})
    await bench.rolled_out("StatefulSet", "web")
    assert [p["metadata"]["name"] for p in await by_name(bench)] == ["web-0"]


async def test_a_stateful_set_with_two_broken_pods_cannot_even_scale_down(bench: Bench) -> None:
    await bench.running(m.statefulset("web", replicas=3))
    await bench.patch("StatefulSet", "web", image("bad"))
    await stuck(bench, "StatefulSet", "web", readyReplicas=2, updatedReplicas=1)
    await bench.delete("Pod", "web-1")
    await stuck(bench, "StatefulSet", "web", replicas=3, readyReplicas=1, updatedReplicas=2)
    await bench.patch("StatefulSet", "web", {"spec": {"replicas": 1}})
    await stuck(bench, "StatefulSet", "web", replicas=3, readyReplicas=1)
    await bench.delete("Pod", "web-1")
    await stuck(bench, "StatefulSet", "web", replicas=1, readyReplicas=0)


# DaemonSet


async def test_a_daemon_set_runs_on_every_node(bench: Bench) -> None:
    await bench.running(m.daemonset("web"))
    assert len({p["spec"]["nodeName"] for p in await bench.pods("web")}) == 3
    await bench.patch("DaemonSet", "web", image("v2"))
    await bench.rolled_out("DaemonSet", "web")
    assert {image_of(p) for p in await bench.pods("web")} == {"app:v2"}
    revisions = await bench.list("ControllerRevision", labels="app=web")
    assert sorted(r["revision"] for r in revisions) == [1, 2]


async def test_a_bad_daemon_set_takes_one_node(bench: Bench) -> None:
    await bench.running(m.daemonset("web"))
    await bench.patch("DaemonSet", "web", image("bad"))
    await stuck(bench, "DaemonSet", "web", desiredNumberScheduled=3, updatedNumberScheduled=1, numberAvailable=2)
    await bench.patch("DaemonSet", "web", image("v1"))
    await bench.rolled_out("DaemonSet", "web")
    revisions = await bench.list("ControllerRevision", labels="app=web")
    assert sorted(r["revision"] for r in revisions) == [2, 3]


# Budgets and eviction


async def test_a_budget_refuses_an_eviction(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    await budget(bench, m.disruption_budget("web", min_available=2), allowed=0)
    pods = await bench.pods("web")
    for dry_run in (True, False):
        with pytest.raises(Unavailable, match="needs 2 healthy pods and has 2") as refused:
            await bench.evict(pods[0], dry_run=dry_run)
        assert refused.value.disruption_budget
        assert refused.value.retry_after_s is None
    assert {uid_of(p) for p in await bench.pods("web")} == {uid_of(p) for p in pods}


async def budget(bench: Bench, manifest: dict[str, Any], *, allowed: int) -> None:
    """Create a budget and wait until it allows so many disruptions."""
    await bench.create(manifest)
    await allows(bench, manifest["metadata"]["name"], allowed)


async def allows(bench: Bench, name: str, allowed: int) -> None:
    async def shows() -> bool:
        found = await bench.get("PodDisruptionBudget", name)
        counted = dig(found, "status", "observedGeneration", default=0) == generation_of(found)
        return counted and found["status"]["disruptionsAllowed"] == allowed

    await bench.settle(shows)


async def test_a_budget_is_spent_and_comes_back(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=3))
    await budget(bench, m.disruption_budget("web", min_available=2), allowed=1)
    pods = await bench.pods("web")
    await bench.evict(pods[0], dry_run=True)
    answer = await bench.evict(pods[0])
    assert answer["status"] == "Success"
    await bench.gone("Pod", pods[0]["metadata"]["name"], uid_of(pods[0]))
    await bench.rolled_out("Deployment", "web")
    await allows(bench, "web", 1)
    assert len(await bench.pods("web")) == 3


async def test_an_unready_pod_may_go_while_the_budget_is_healthy(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=3))
    await budget(bench, m.disruption_budget("web", min_available=2), allowed=1)
    pods = await bench.pods("web")
    mark = {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}}
    await bench.patch("Pod", pods[0]["metadata"]["name"], mark)
    await allows(bench, "web", 0)
    with pytest.raises(Unavailable):
        await bench.evict(pods[1])
    await bench.evict(pods[0])
    await bench.gone("Pod", pods[0]["metadata"]["name"], uid_of(pods[0]))


@pytest.mark.parametrize("policy", ["IfHealthyBudget", "AlwaysAllow"])
async def test_an_unhealthy_budget_and_its_policy(bench: Bench, policy: str) -> None:
    await bench.create(m.deployment("web", image="app:bad", replicas=2))

    async def running() -> bool:
        return len([p for p in await bench.pods("web") if dig(p, "status", "phase") == "Running"]) == 2

    await bench.settle(running)
    manifest = m.disruption_budget("web", min_available=1)
    manifest["spec"]["unhealthyPodEvictionPolicy"] = policy
    await budget(bench, manifest, allowed=0)
    pod = (await bench.pods("web"))[0]
    if policy == "AlwaysAllow":
        await bench.evict(pod)
        await bench.gone("Pod", pod["metadata"]["name"], uid_of(pod))
    else:
        with pytest.raises(Unavailable) as refused:
            await bench.evict(pod)
        assert refused.value.disruption_budget


async def test_a_pending_pod_asks_no_budget(bench: Bench) -> None:
    await bench.create(m.deployment("web", image="app:nopull", replicas=1))
    await budget(bench, m.disruption_budget("web", min_available=1), allowed=0)

    async def exists() -> bool:
        return len(await bench.pods("web")) == 1

    await bench.settle(exists)
    pod = (await bench.pods("web"))[0]
    await bench.evict(pod)
    await bench.gone("Pod", pod["metadata"]["name"], uid_of(pod))


async def test_two_budgets_over_one_pod_are_a_permanent_no(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    for name in ("one", "two"):
        manifest = m.disruption_budget("web", min_available=0)
        manifest["metadata"]["name"] = name
        await budget(bench, manifest, allowed=1)
    with pytest.raises(Refused, match="more than one PodDisruptionBudget"):
        await bench.evict((await bench.pods("web"))[0])


@pytest.mark.parametrize(
    ("spec", "desired"),
    [
        pytest.param({"minAvailable": "50%"}, 3, id="share of five rounds up"),
        pytest.param({"maxUnavailable": 1}, 4, id="maxUnavailable"),
        pytest.param({"maxUnavailable": "30%"}, 3, id="maxUnavailable share rounds up"),
        pytest.param({"minAvailable": 2}, 2, id="minAvailable"),
    ],
)
async def test_what_a_budget_demands(bench: Bench, spec: dict[str, Any], desired: int) -> None:
    await bench.running(m.deployment("web", replicas=5))
    manifest = m.disruption_budget("web", min_available=0)
    manifest["spec"] = {"selector": manifest["spec"]["selector"], **spec}
    await budget(bench, manifest, allowed=5 - desired)
    status = (await bench.get("PodDisruptionBudget", "web"))["status"]
    assert (status["expectedPods"], status["currentHealthy"], status["desiredHealthy"]) == (5, 5, desired)


# Jobs


async def test_a_suspended_job_starts_once(bench: Bench) -> None:
    """The start is the effect: a replay of its bytes is a conflict."""
    manifest = m.job("once")
    manifest["spec"]["suspend"] = True
    await bench.create(manifest)

    async def suspended() -> bool:
        return condition(await bench.get("Job", "once"), "Suspended").get("status") == "True"

    await bench.settle(suspended)
    await bench.backend.rest()
    assert await bench.pods("once") == []
    job = await bench.get("Job", "once")
    start = {
        "metadata": {"uid": uid_of(job), "resourceVersion": version_of(job), "annotations": {MARKER: "e-1"}},
        "spec": {"suspend": False},
    }
    await bench.patch("Job", "once", start)
    with pytest.raises(Conflict):
        await bench.patch("Job", "once", start)
    await finished(bench, "once", "Complete")
    job = await bench.get("Job", "once")
    assert job["status"]["succeeded"] == 1
    assert annotations_of(job)[MARKER] == "e-1"
    assert "completionTime" in job["status"]


async def finished(bench: Bench, name: str, kind: str) -> None:
    async def done() -> bool:
        return condition(await bench.get("Job", name), kind).get("status") == "True"

    await bench.settle(done)


async def test_a_failing_job_fails(bench: Bench) -> None:
    await bench.create(m.job("broken", image="app:fail", backoff_limit=0))
    await finished(bench, "broken", "Failed")
    job = await bench.get("Job", "broken")
    assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 1


@pytest.mark.parametrize("policy", ["Background", None])
async def test_deleting_a_job_orphans_its_pods_unless_told_otherwise(bench: Bench, policy: str | None) -> None:
    await bench.create(m.job("once"))
    await finished(bench, "once", "Complete")
    job = await bench.get("Job", "once")
    options: dict[str, Any] = {"propagationPolicy": policy} if policy else {}
    await bench.delete("Job", "once", **options)
    await bench.gone("Job", "once", uid_of(job))
    await bench.backend.rest()
    left = await bench.list("Pod", labels="job-name=once")
    assert len(left) == (0 if policy else 1)


async def test_a_cron_job_can_be_suspended(bench: Bench) -> None:
    await bench.create(CRON_JOB)
    patched = await bench.patch("CronJob", "night", {"spec": {"suspend": True}})
    assert patched["spec"]["suspend"] is True


# Autoscaling


async def test_an_autoscaler_brings_replicas_back_within_its_bounds(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    await bench.create(scaler(2, 4))

    async def replicas(wanted: int) -> bool:
        return bool((await bench.get("Deployment", "web"))["spec"]["replicas"] == wanted)

    await bench.settle(lambda: replicas(2), within_s=60)
    await bench.patch("HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 3}})
    await bench.settle(lambda: replicas(3), within_s=60)
    await bench.patch("Deployment", "web", {"spec": {"replicas": 6}})
    await bench.settle(lambda: replicas(4), within_s=60)
    entries = (await bench.get("Deployment", "web"))["metadata"]["managedFields"]
    scaled = [e for e in entries if e.get("subresource") == "scale"]
    assert [e["fieldsV1"] for e in scaled] == [{"f:spec": {"f:replicas": {}}}]


async def test_zero_replicas_disable_an_autoscaler(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    await bench.create(scaler(2, 4))
    await bench.patch("Deployment", "web", {"spec": {"replicas": 0}})

    async def disabled() -> bool:
        found = condition(await bench.get("HorizontalPodAutoscaler", "web"), "ScalingActive")
        return (found.get("status"), found.get("reason")) == ("False", "ScalingDisabled")

    await bench.settle(disabled, within_s=60)
    await bench.backend.rest()
    assert (await bench.get("Deployment", "web"))["spec"]["replicas"] == 0


# Nodes


async def test_a_cordoned_node_takes_no_pod(bench: Bench) -> None:
    node = (await bench.cluster.list("Node")).items[0]["metadata"]["name"]
    try:
        await bench.patch("Node", node, {"spec": {"unschedulable": True}})
        await bench.running(m.deployment("web", replicas=3))
        assert node not in {p["spec"]["nodeName"] for p in await bench.pods("web")}
    finally:
        await bench.patch("Node", node, {"spec": {"unschedulable": None}})


async def test_a_deployment_that_is_rolled_out_says_so_only_for_its_own_generation(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    patched = await bench.patch("Deployment", "web", image("v2"))
    if isinstance(bench.backend, Simulated):
        assert not is_rolled_out(patched)  # a real controller may have been quicker, not before the answer though
    assert patched["status"]["observedGeneration"] < (generation_of(patched) or 0)
