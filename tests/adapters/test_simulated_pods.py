"""Pods, nodes and the stories that a demo or a playbook test tells with them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from remediator.adapters.simulated import (
    CRASHING,
    HEALTHY,
    NEVER_READY,
    OUT_OF_MEMORY,
    Behaviour,
    SimulatedCluster,
    StatusError,
    Timing,
    VirtualClock,
    by_tag,
    world,
)
from remediator.adapters.simulated.behaviour import seconds
from remediator.adapters.simulated.validation import quantity
from remediator.errors import CannotSee, NotFound, Unavailable
from remediator.objects import Object, ObjectRef, annotations_of, dig, ref_of, uid_of
from remediator.ports import WriteRequest
from tests.adapters.test_simulated_store import deployment
from tests.adapters.test_simulated_time import WEB, rolled_out
from tests.support.controlplane import manifests as m


@pytest.fixture
def cluster() -> SimulatedCluster:
    return SimulatedCluster("c", VirtualClock())


def image(tag: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": f"app:{tag}"}]}}}}


def started(cluster: SimulatedCluster, tag: str = "v1", **spec: Any) -> list[Object]:
    manifest = deployment(**spec)
    manifest["spec"]["template"]["spec"] = image(tag)["spec"]["template"]["spec"]
    cluster.apply(manifest)
    cluster.advance(5)
    return pods(cluster)


def pods(cluster: SimulatedCluster) -> list[Object]:
    return [p for p in cluster.all("Pod", "shop") if "deletionTimestamp" not in p["metadata"]]


def first(pod: Object) -> dict[str, Any]:
    found: dict[str, Any] = pod["status"]["containerStatuses"][0]
    return found


def is_ready(pod: Object) -> bool:
    conditions = dig(pod, "status", "conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def state(pod: Object) -> str:
    """`Running ready`, `Running unready`, `CrashLoopBackOff`, `ImagePullBackOff`, `Failed`, ..."""
    waiting = dig(first(pod), "state", "waiting", "reason")
    if waiting:
        return str(waiting)
    if pod["status"]["phase"] != "Running":
        return str(pod["status"]["phase"])
    return "Running ready" if is_ready(pod) else "Running unready"


def test_no_name_is_given_twice(cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two letters make 32 names; 20 pods of one ReplicaSet would not all find a free one at the first draw."""
    monkeypatch.setattr(world, "NAME_LETTERS", "ab")
    assert len({uid_of(pod) for pod in started(cluster, replicas=20)}) == 20


# Behaviour


@pytest.mark.parametrize(
    ("tag", "after_s", "expected"),
    [
        ("v1", 5, "Running ready"),
        ("bad", 600, "Running unready"),
        ("nopull", 600, "ImagePullBackOff"),
        ("slow", 3, "Running unready"),
        ("slow", 5, "Running ready"),
        ("crash", 600, "CrashLoopBackOff"),
    ],
)
def test_the_tag_tells_how_a_pod_does(cluster: SimulatedCluster, tag: str, after_s: float, expected: str) -> None:
    manifest = deployment(replicas=1)
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry:5000/shop/app:{tag}@sha256:abc"
    cluster.apply(manifest)
    cluster.advance(after_s)
    assert [state(p) for p in pods(cluster)] == [expected]


def test_the_back_off_of_a_crash_loop_doubles(cluster: SimulatedCluster) -> None:
    """Restart at once, then after 10, 20, 40, ... at most 300 s; each run takes a second."""
    (pod,) = started(cluster, "crash", replicas=1)
    restarts: list[int] = []
    before = first(pod)["restartCount"]
    for second in range(1200):
        cluster.advance(1)
        now = first(pods(cluster)[0])["restartCount"]
        if now != before:
            restarts.append(second)
            before = now
    pauses = [b - a for a, b in pairwise(restarts)]
    assert pauses == [21, 41, 81, 161, 301, 301]
    assert first(pods(cluster)[0])["lastState"]["terminated"]["exitCode"] == 1


def test_a_container_that_runs_out_of_memory_says_so(cluster: SimulatedCluster) -> None:
    started(cluster, replicas=1)
    cluster.behave(lambda pod: OUT_OF_MEMORY)
    assert state(pods(cluster)[0]) == "Running ready"
    cluster.advance(20)
    (pod,) = pods(cluster)
    assert first(pod)["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert first(pod)["lastState"]["terminated"]["exitCode"] == 137


def test_a_story_crash_until_restarted(cluster: SimulatedCluster) -> None:
    """What the demo tells: pods that run since before an incident crash, pods made after it are well."""
    old = {uid_of(p) for p in started(cluster)}
    cluster.behave(lambda pod: CRASHING if uid_of(pod) in old else None)
    cluster.advance(60)
    assert {state(p) for p in pods(cluster)} == {"CrashLoopBackOff"}
    restart = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    cluster.edit(WEB, restart)
    cluster.run_until(lambda: rolled_out(cluster))
    assert {state(p) for p in pods(cluster)} == {"Running ready"}


def test_a_behaviour_can_be_taken_back(cluster: SimulatedCluster) -> None:
    started(cluster)
    take_back = cluster.behave(lambda pod: NEVER_READY)
    assert {state(p) for p in pods(cluster)} == {"Running unready"}
    take_back()
    assert {state(p) for p in pods(cluster)} == {"Running ready"}


def test_what_an_opinion_depends_on_can_change(cluster: SimulatedCluster) -> None:
    started(cluster)
    database = {"up": True}
    cluster.behave(lambda pod: HEALTHY if database["up"] else NEVER_READY)
    database["up"] = False
    assert {state(p) for p in pods(cluster)} == {"Running ready"}
    cluster.reconsider()
    assert {state(p) for p in pods(cluster)} == {"Running unready"}


def test_an_image_that_becomes_available_is_pulled(cluster: SimulatedCluster) -> None:
    started(cluster, "nopull", replicas=1)
    cluster.behave(lambda pod: HEALTHY)
    cluster.advance(5)
    assert state(pods(cluster)[0]) == "Running ready"


def test_sidecars_are_well_while_the_first_container_is_not(cluster: SimulatedCluster) -> None:
    manifest = deployment(replicas=1)
    manifest["spec"]["template"]["spec"]["containers"] = [
        {"name": "app", "image": "app:crash"},
        {"name": "side", "image": "side:v1"},
    ]
    cluster.apply(manifest)
    cluster.advance(60)
    app, side = pods(cluster)[0]["status"]["containerStatuses"]
    assert (app["ready"], side["ready"]) == (False, True)
    assert "running" in side["state"]
    assert side["restartCount"] == 0


@pytest.mark.parametrize(("grace", "after_s"), [(30, 1.0), (0, 0.0)])
def test_a_pod_stops_within_its_grace_period(cluster: SimulatedCluster, grace: int, after_s: float) -> None:
    (pod,) = started(cluster, replicas=1)
    cluster.delete(ref_of(pod), gracePeriodSeconds=grace)
    left = cluster.peek(ref_of(pod))
    assert (left is None) is (grace == 0)
    if left is not None:
        assert left["metadata"]["deletionGracePeriodSeconds"] == 30
    cluster.advance(after_s)
    assert cluster.peek(ref_of(pod)) is None


@pytest.mark.parametrize(
    ("text", "value"), [("3s", 3.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5h", 5400.0), ("7", 7.0)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("20Gi", 20 * 2**30), ("500M", 5e8), ("1.5", 1.5), ("100m", 0.1), ("2Ki", 2048), ("3k", 3000)]
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


def test_jitter_spreads_what_happens_and_keeps_it_reproducible() -> None:
    def times(jitter: float) -> list[str]:
        cluster = SimulatedCluster("c", VirtualClock(), timing=Timing(jitter=jitter, start_s=20.0))
        cluster.apply(deployment(replicas=6))
        cluster.advance(60)
        return sorted(p["status"]["startTime"] for p in pods(cluster))

    assert len(set(times(0.0))) == 1
    assert len(set(times(0.5))) > 1
    assert times(0.5) == times(0.5)


# Nodes


def nodes_of(cluster: SimulatedCluster) -> set[str]:
    return {p["spec"]["nodeName"] for p in pods(cluster)}


def test_pods_spread_over_nodes(cluster: SimulatedCluster) -> None:
    started(cluster, replicas=6)
    counts = [sum(p["spec"]["nodeName"] == n for p in pods(cluster)) for n in sorted(nodes_of(cluster))]
    assert counts == [2, 2, 2]


def test_a_pod_that_no_node_takes_waits_for_one(cluster: SimulatedCluster) -> None:
    for name in ("node-1", "node-2", "node-3"):
        cluster.edit(ObjectRef("Node", "", name), {"spec": {"unschedulable": True}})
    (pod,) = started(cluster, replicas=1)
    scheduled = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    cluster.edit(ObjectRef("Node", "", "node-2"), {"spec": {"unschedulable": None}})
    cluster.advance(5)
    assert nodes_of(cluster) == {"node-2"}


def test_a_full_cluster_takes_no_more() -> None:
    cluster = SimulatedCluster("c", VirtualClock(), node_count=0)
    cluster.add_node("small", pods=2)
    assert sum("nodeName" in p["spec"] for p in started(cluster, replicas=3)) == 2
    cluster.add_node("another", zone="b")
    cluster.advance(5)
    assert nodes_of(cluster) == {"small", "another"}


def test_a_lost_node_keeps_its_pods_terminating_until_it_is_back(cluster: SimulatedCluster) -> None:
    cluster.apply(m.daemonset("agent"), m.statefulset("db"))
    started(cluster)
    cluster.advance(30)
    lost = next(p for p in cluster.all("Pod") if p["metadata"]["name"] == "db-0")
    node = lost["spec"]["nodeName"]
    cluster.fail_node(node)

    found = cluster.peek(ObjectRef("Node", "", node))
    assert found is not None
    assert next(c for c in found["status"]["conditions"] if c["type"] == "Ready")["status"] == "Unknown"
    assert not any(is_ready(p) for p in cluster.all("Pod") if p["spec"]["nodeName"] == node)
    cluster.advance(299)
    assert not any("deletionTimestamp" in p["metadata"] for p in cluster.all("Pod"))

    cluster.advance(600)
    assert rolled_out(cluster)  # a Deployment's pods are replaced elsewhere
    stuck = cluster.peek(ref_of(lost))
    assert stuck is not None
    assert uid_of(stuck) == uid_of(lost)  # a StatefulSet's pod is not: its name is taken until it is gone
    assert "deletionTimestamp" in stuck["metadata"]
    agents = [p for p in cluster.all("Pod") if p["metadata"]["labels"]["app"] == "agent"]
    assert not any("deletionTimestamp" in p["metadata"] for p in agents)

    cluster.recover_node(node)
    cluster.advance(30)
    back = cluster.peek(ref_of(lost))
    assert back is not None
    assert uid_of(back) != uid_of(lost)
    assert all(is_ready(p) for p in cluster.all("Pod"))


def test_a_pod_of_a_lost_node_can_be_forced(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, replicas=1)
    cluster.fail_node(pod["spec"]["nodeName"])
    cluster.advance(400)
    cluster.delete(ref_of(pod), gracePeriodSeconds=0)
    assert cluster.peek(ref_of(pod)) is None


def test_a_node_that_is_back_in_time_keeps_its_pods(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, replicas=1)
    cluster.fail_node(pod["spec"]["nodeName"])
    cluster.advance(100)
    cluster.recover_node(pod["spec"]["nodeName"])
    cluster.advance(600)
    assert [uid_of(p) for p in pods(cluster)] == [uid_of(pod)]
    assert is_ready(pods(cluster)[0])


# Logs


async def test_logs_tell_the_story_of_the_container(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, "crash", replicas=1)
    cluster.advance(60)
    assert "fatal" in await cluster.logs(ref_of(pod), previous=True)
    (well,) = [p for p in started(cluster, "v1", replicas=1) if is_ready(p)]
    assert "listening" in await cluster.logs(ref_of(well))
    with pytest.raises(NotFound):
        await cluster.logs(ref_of(well), previous=True)


async def test_logs_can_be_given(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, replicas=1)
    cluster.behave(lambda _: Behaviour(log="one\ntwo\nthree\n"))
    assert await cluster.logs(ref_of(pod), lines=2) == "two\nthree\n"
    cluster.log_of = lambda found, container, previous: f"{found['metadata']['name']}/{container} ä"
    assert await cluster.logs(ref_of(pod)) == f"{pod['metadata']['name']}/app ä"
    assert await cluster.logs(ref_of(pod), limit_bytes=1) == "\ufffd"


async def test_of_several_containers_one_must_be_named(cluster: SimulatedCluster) -> None:
    manifest = deployment(replicas=1)
    manifest["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:v1"})
    cluster.apply(manifest)
    cluster.advance(0.1)
    pod = ref_of(pods(cluster)[0])
    with pytest.raises(NotFound, match="waiting to start"):
        await cluster.logs(pod, container="side")
    cluster.advance(5)
    with pytest.raises(CannotSee, match="must be specified"):
        await cluster.logs(pod)
    assert "side:v1" in await cluster.logs(pod, container="side")


# Controllers, where the contract suite cannot look


async def test_a_budget_that_has_not_been_counted_yet_asks_to_wait(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, replicas=1)
    cluster.apply({**m.disruption_budget("web", min_available=0), "metadata": {"name": "web", "namespace": "shop"}})
    body = f'{{"metadata":{{"name":"{pod["metadata"]["name"]}"}}}}'.encode()
    with pytest.raises(Unavailable, match="still being processed") as refused:
        await cluster.write(WriteRequest("evict", ref_of(pod), "application/json", body))
    assert (refused.value.retry_after_s, refused.value.disruption_budget) == (10.0, True)


def test_an_autoscaler_follows_its_story_within_its_bounds(cluster: SimulatedCluster) -> None:
    started(cluster)
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {"test.remediator.dev/wants": "9"}},
        "spec": {
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    }
    cluster.apply(scaler)
    cluster.advance(60)
    found, ref = cluster.peek(WEB), ObjectRef("HorizontalPodAutoscaler", "shop", "web")
    assert found is not None
    assert found["spec"]["replicas"] == 5
    limited = next(c for c in (cluster.peek(ref) or {})["status"]["conditions"] if c["type"] == "ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "TooManyReplicas")
    cluster.edit(ref, {"metadata": {"annotations": {"test.remediator.dev/wants": "2"}}})
    cluster.advance(60)
    assert (cluster.peek(WEB) or {})["spec"]["replicas"] == 2


def test_min_ready_seconds_are_waited_for(cluster: SimulatedCluster) -> None:
    started(cluster, minReadySeconds=30)
    status = (cluster.peek(WEB) or {})["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (3, 0)
    cluster.advance(30)
    assert (cluster.peek(WEB) or {})["status"]["availableReplicas"] == 3


def test_a_failing_job_backs_off(cluster: SimulatedCluster) -> None:
    cluster.apply(m.job("once", image="app:fail", backoff_limit=3))
    cluster.run_until(lambda: dig(cluster.peek(ObjectRef("Job", "default", "once")), "status", "failed") == 4)
    starts = sorted(p["metadata"]["creationTimestamp"] for p in cluster.all("Pod"))
    assert [s[-4:-1] for s in starts] == [":00", ":12", ":34", ":16"]  # after 10, 20, 40 s and 2 s each


def test_a_finished_job_goes_after_its_time(cluster: SimulatedCluster) -> None:
    job = m.job("once")
    job["spec"]["ttlSecondsAfterFinished"] = 60
    cluster.apply(job)
    cluster.advance(30)
    assert len(cluster.all("Job")) == 1
    cluster.advance(60)
    assert cluster.all("Job") == []
    assert cluster.all("Pod") == []


def test_a_claim_grows_and_never_shrinks(cluster: SimulatedCluster) -> None:
    ref = ObjectRef("PersistentVolumeClaim", "shop", "data")

    def request(size: str) -> dict[str, Any]:
        return {"spec": {"resources": {"requests": {"storage": size}}}}

    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {"accessModes": ["ReadWriteOnce"], **request("10Gi")["spec"]},
        }
    )
    cluster.advance(1)
    cluster.edit(ref, request("20Gi"))
    assert dig(cluster.peek(ref), "status", "capacity", "storage") == "10Gi"
    cluster.advance(15)
    assert dig(cluster.peek(ref), "status", "capacity", "storage") == "20Gi"
    with pytest.raises(StatusError, match="less than"):
        cluster.edit(ref, request("5Gi"))


def test_marks_steer_pods_as_in_the_test_control_plane(cluster: SimulatedCluster) -> None:
    (pod,) = started(cluster, replicas=1)
    for mark, expected in (("crash", "CrashLoopBackOff"), ("unready", "Running unready")):
        key = f"test.remediator.dev/{mark}"
        cluster.edit(ref_of(pod), {"metadata": {"labels": {key: "true"}}})
        cluster.advance(12)
        assert state(pods(cluster)[0]) == expected
        cluster.edit(ref_of(pod), {"metadata": {"labels": {key: None}}})
        cluster.advance(60)
        assert state(pods(cluster)[0]) == "Running ready"
    assert by_tag(pod) == HEALTHY
    assert annotations_of(pod) == {}


def test_a_status_can_be_played_for_kinds_without_a_controller(cluster: SimulatedCluster) -> None:
    ref = ObjectRef("Service", "shop", "web")
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": []}}
    )
    cluster.set_status(ref, loadBalancer={"ingress": [{"ip": "192.0.2.1"}]})
    assert dig(cluster.peek(ref), "status", "loadBalancer") == {"ingress": [{"ip": "192.0.2.1"}]}
    with pytest.raises(KeyError):
        cluster.set_status(ObjectRef("Service", "shop", "nobody"), x=1)
