"""Whatever people do to a workload, its controllers keep their promises and come to rest where they should."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.adapters.simulated import SimulatedCluster, StatusError, Timing, VirtualClock
from remediator.objects import ObjectRef, dig, ref_of
from tests.adapters.test_simulated_pods import is_ready
from tests.contract.backends import is_rolled_out
from tests.support.controlplane import manifests as m

MAKERS: dict[str, Any] = {"Deployment": m.deployment, "StatefulSet": m.statefulset, "DaemonSet": m.daemonset}

STEPS = st.one_of(
    st.tuples(st.just("image"), st.sampled_from(["v1", "v2", "v3", "bad", "crash", "nopull", "slow"])),
    st.tuples(st.just("scale"), st.integers(0, 6)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("restart"), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("unready"), st.integers(0, 9)),
    st.tuples(st.just("node"), st.sampled_from(["node-1", "node-2"])),
    st.tuples(st.just("wait"), st.floats(0.01, 20.0)),
)


def take(cluster: SimulatedCluster, ref: ObjectRef, step: str, value: Any) -> None:
    pods = cluster.all("Pod")
    pod = ref_of(pods[value % len(pods)]) if pods and step in ("delete", "unready") else None
    match step:
        case "image":
            cluster.edit(ref, image(value))
        case "scale" if ref.kind != "DaemonSet":
            cluster.edit(ref, {"spec": {"replicas": value}})
        case "pause" if ref.kind == "Deployment":
            cluster.edit(ref, {"spec": {"paused": value}})
        case "restart":
            cluster.edit(ref, {"spec": {"template": {"metadata": {"annotations": {"at": str(value)}}}}})
        case "delete" if pod is not None:
            cluster.delete(pod)
        case "unready" if pod is not None:
            cluster.edit(pod, {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}})
        case "node":
            found = cluster.peek(ObjectRef("Node", "", value))
            assert found is not None
            cluster.edit(ref_of(found), {"spec": {"unschedulable": not found["spec"].get("unschedulable")}})
        case "wait":
            cluster.advance(value)
        case _:
            pass


def image(tag: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": f"app:{tag}"}]}}}}


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(list(MAKERS)), st.lists(STEPS, max_size=12), st.integers(0, 3))
def test_a_workload_always_comes_to_rest_where_its_spec_says(
    kind: str, steps: list[tuple[str, Any]], seed: int
) -> None:
    cluster = SimulatedCluster("c", VirtualClock(), seed=seed, timing=Timing(jitter=0.5))
    ref = ObjectRef(kind, "default", "web")
    cluster.apply(MAKERS[kind]("web"))
    for step, value in steps:
        take(cluster, ref, step, value)

    for name in ("node-1", "node-2"):
        cluster.edit(ObjectRef("Node", "", name), {"spec": {"unschedulable": None}})
    cluster.edit(ref, image("good"))
    if kind == "Deployment":
        cluster.edit(ref, {"spec": {"paused": None}})
    if kind == "StatefulSet":  # does not heal by itself from a broken pod
        for pod in cluster.all("Pod"):
            cluster.delete(ref_of(pod))
    cluster.advance(1200)

    found = cluster.peek(ref)
    assert found is not None
    assert is_rolled_out(found)
    pods = cluster.all("Pod")
    wanted = 3 if kind == "DaemonSet" else found["spec"]["replicas"]
    assert len(pods) == wanted
    assert all(is_ready(p) and p["spec"]["containers"][0]["image"] == "app:good" for p in pods)
    for replica_set in cluster.all("ReplicaSet"):
        assert replica_set["spec"]["replicas"] == dig(replica_set, "status", "replicas", default=0)
    cluster.advance(1200)
    assert cluster._agenda.next_due() is None


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8),
    st.sampled_from([0, 1, 2, "25%", "50%", "100%"]),
    st.sampled_from([0, 1, 2, "25%", "50%", "100%"]),
    st.lists(st.sampled_from(["v2", "v3", "bad", "crash", "v1"]), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_a_rollout_never_takes_more_than_the_strategy_allows(
    replicas: int, surge: int | str, unavailable: int | str, tags: list[str], seed: int
) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    cluster = SimulatedCluster("c", VirtualClock(), seed=seed, timing=Timing(jitter=0.5))
    ref = ObjectRef("Deployment", "default", "web")
    manifest = m.deployment("web", replicas=replicas, spec={"strategy": strategy})
    if surge in (0, "0%") and unavailable in (0, "0%"):
        return  # the API server refuses that
    cluster.apply(manifest)
    cluster.run_until(lambda: is_rolled_out(cluster.peek(ref) or {}))
    up = -(-replicas * int(str(surge)[:-1]) // 100) if isinstance(surge, str) else surge
    down = replicas * int(str(unavailable)[:-1]) // 100 if isinstance(unavailable, str) else unavailable
    if up == down == 0:
        down = 1
    for tag in tags:
        cluster.edit(ref, image(tag))
        for _ in range(100):
            cluster.advance(0.1)
            alive = [p for p in cluster.all("Pod") if "deletionTimestamp" not in p["metadata"]]
            # What is wanted, not what is there: a ReplicaSet that has just been told to shrink may still have the pod.
            wanted = sum(int(rs["spec"]["replicas"]) for rs in cluster.all("ReplicaSet"))
            assert wanted <= replicas + up
            assert sum(map(is_ready, alive)) >= replicas - down


def test_a_strategy_that_allows_nothing_is_refused() -> None:
    cluster = SimulatedCluster("c", VirtualClock())
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}
    with pytest.raises(StatusError, match="may not be 0"):
        cluster.apply(m.deployment("web", spec={"strategy": strategy}))
