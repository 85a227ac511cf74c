"""`rollout` and `pods_ready`: the numbers decide, for the change that we made, never a condition alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee
from remediator.objects import Object, ObjectRef
from remediator.remediation.checks.base import CheckTarget, Unknown
from remediator.remediation.checks.pods_ready import PodsReadyArgs
from remediator.remediation.checks.pods_ready import sample as pods_ready
from remediator.remediation.checks.rollout import RolloutArgs
from remediator.remediation.checks.rollout import sample as rollout
from tests.checks.fakes import API, EFFECT, NOW, FakeCluster, context, deployment, pod, progressing, replicaset

GAVE_UP = "ProgressDeadlineExceeded"


@pytest.mark.parametrize(
    ("obj", "answer", "missing"),
    [
        pytest.param(deployment(), "good", 0, id="complete"),
        pytest.param(
            deployment(generation=3, observed=2), "unknown", 0, id="the controller is behind, so no number counts"
        ),
        pytest.param(deployment(updated=2), "unknown", 0, id="not all updated"),
        pytest.param(deployment(total=4), "unknown", 0, id="an old pod is left"),
        pytest.param(deployment(available=2), "unknown", 1, id="one not available"),
        pytest.param(
            deployment(available=1, conditions=[progressing("NewReplicaSetAvailable")]),
            "unknown",
            2,
            id="Progressing is True although copies are lost",
        ),
        pytest.param(
            deployment(available=1, conditions=[progressing(GAVE_UP, "False", NOW)]), "bad", 2, id="Kubernetes gave up"
        ),
        pytest.param(
            deployment(available=1, conditions=[progressing(GAVE_UP, "False", EFFECT - timedelta(minutes=5))]),
            "unknown",
            2,
            id="it gave up on an earlier rollout",
        ),
        pytest.param(
            deployment(generation=3, observed=2, available=1, conditions=[progressing(GAVE_UP, "False", NOW)]),
            "unknown",
            2,
            id="it gave up, on a spec that is not ours",
        ),
        pytest.param(deployment(updated=1, paused=True), "unknown", 0, id="paused"),
        pytest.param(deployment(replicas=0), "unknown", 0, id="none wanted proves nothing"),
    ],
)
async def test_deployment(obj: dict[str, Any], answer: str, missing: int) -> None:
    sample = await rollout(RolloutArgs(), context(cluster=FakeCluster([obj])))
    assert (sample.answer, sample.badness, sample.taken_at) == (answer, missing, NOW)


async def test_no_copies_can_be_what_is_wanted() -> None:
    sample = await rollout(RolloutArgs(allow_zero=True), context(cluster=FakeCluster([deployment(replicas=0)])))
    assert sample.answer == "good"


def stateful(**status: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "updatedReplicas": 3,
    }
    given |= {"currentRevision": "b", "updateRevision": "b"}
    partition = status.pop("partition", 0)
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "u", "generation": 2},
        "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}},
        "status": given | status,
    }


@pytest.mark.parametrize(
    ("obj", "answer"),
    [
        pytest.param(stateful(), "good", id="complete"),
        pytest.param(stateful(observedGeneration=0), "unknown", id="never observed"),
        pytest.param(stateful(readyReplicas=2, availableReplicas=2), "unknown", id="one not ready"),
        pytest.param(stateful(currentRevision="a"), "unknown", id="kubectl says done, the last pod is not"),
        pytest.param(stateful(updatedReplicas=2), "unknown", id="one lost"),
        pytest.param(stateful(partition=2, updatedReplicas=1, currentRevision="a"), "good", id="partition reached"),
        pytest.param(
            stateful(partition=1, updatedReplicas=1, currentRevision="a"), "unknown", id="partition not reached"
        ),
    ],
)
async def test_statefulset(obj: dict[str, Any], answer: str) -> None:
    target = CheckTarget(ObjectRef("StatefulSet", "shop", "db"), "u")
    sample = await rollout(RolloutArgs(), context(cluster=FakeCluster([obj]), targets=(target,), since=None))
    assert sample.answer == answer


@pytest.mark.parametrize(("updated", "available", "answer"), [(3, 3, "good"), (2, 3, "unknown"), (3, 2, "unknown")])
async def test_daemonset(updated: int, available: int, answer: str) -> None:
    status = {
        "observedGeneration": 1,
        "desiredNumberScheduled": 3,
        "currentNumberScheduled": 3,
        "numberReady": available,
    }
    obj = {
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {},
        "status": status | {"updatedNumberScheduled": updated, "numberAvailable": available},
    }
    target = CheckTarget(ObjectRef("DaemonSet", "shop", "agent"), "u")
    sample = await rollout(RolloutArgs(), context(cluster=FakeCluster([obj]), targets=(target,), since=None))
    assert sample.answer == answer


@pytest.mark.parametrize(
    ("broken", "answer"),
    [
        pytest.param(pod(ready=False, waiting="ImagePullBackOff"), "bad", id="no image"),
        pytest.param(pod(ready=False, waiting="CrashLoopBackOff", restarts=2), "bad", id="crashes again and again"),
        pytest.param(pod(ready=False, waiting="CrashLoopBackOff", restarts=1), "unknown", id="crashed once"),
        pytest.param(pod(ready=False, waiting="ContainerCreating"), "unknown", id="starting"),
        pytest.param(pod(ready=False), "unknown", id="not ready yet"),
        pytest.param(
            pod(ready=False, waiting="ImagePullBackOff", created=EFFECT - timedelta(minutes=9)),
            "unknown",
            id="older than the effect",
        ),
        pytest.param(pod(ready=False, waiting="ImagePullBackOff", owner="other"), "unknown", id="another's pod"),
        pytest.param(pod(ready=False, waiting="ErrImagePull", deleting=True), "unknown", id="on its way out"),
    ],
)
async def test_a_new_pod_that_cannot_start_is_bad(broken: dict[str, Any], answer: str) -> None:
    """Without this a StatefulSet or DaemonSet could never fail, and a Deployment only after its 10 minutes."""
    cluster = FakeCluster([deployment(available=2), replicaset(), broken])
    assert (await rollout(RolloutArgs(), context(cluster=cluster))).answer == answer
    assert (await pods_ready(PodsReadyArgs(), context(cluster=cluster))).answer == answer


async def test_a_new_pod_that_cannot_start_is_bad_also_while_the_old_ones_still_serve() -> None:
    """With a surge nothing is missing, and yet the rollout will never end."""
    cluster = FakeCluster([deployment(updated=1, total=4), replicaset(), pod(ready=False, waiting="ImagePullBackOff")])
    found = await rollout(RolloutArgs(), context(cluster=cluster))
    assert (found.answer, found.badness) == ("bad", 0)


async def test_while_planning_no_pod_is_new() -> None:
    cluster = FakeCluster([deployment(available=2), replicaset(), pod(ready=False, waiting="ImagePullBackOff")])
    assert (await rollout(RolloutArgs(), context(cluster=cluster, since=None))).answer == "unknown"


async def test_pods_that_cannot_be_listed_only_cost_the_reason() -> None:
    cluster = FakeCluster([deployment(available=2)], broken={"Pod": CannotSee("down")})
    assert (await rollout(RolloutArgs(), context(cluster=cluster))).answer == "unknown"


async def test_another_object_under_the_name_is_not_the_target() -> None:
    with pytest.raises(Unknown, match="another object than at planning"):
        await rollout(RolloutArgs(), context(targets=(CheckTarget(API, "uid-of-yesterday"),)))


async def test_what_has_no_rollout_says_so() -> None:
    with pytest.raises(Unknown, match="a Node has no rollout"):
        await rollout(RolloutArgs(), context(targets=(CheckTarget(ObjectRef("Node", "", "n1")),)))


async def test_beside_a_workload_what_has_no_rollout_is_left_out() -> None:
    targets = (CheckTarget(ObjectRef("ConfigMap", "shop", "settings")), CheckTarget(API))
    sample = await rollout(RolloutArgs(), context(cluster=FakeCluster([deployment()]), targets=targets))
    assert sample.answer == "good"


async def test_every_target_counts() -> None:
    second = deployment(available=1, conditions=[progressing(GAVE_UP, "False", NOW)])
    second["metadata"] |= {"name": "web", "uid": "uid-web"}
    targets = (CheckTarget(API), CheckTarget(ObjectRef("Deployment", "shop", "web")))
    sample = await rollout(RolloutArgs(), context(cluster=FakeCluster([deployment(), second]), targets=targets))
    assert (sample.answer, sample.badness) == ("bad", 2)


@pytest.mark.parametrize(
    ("minimum", "ready", "answer"),
    [("100%", 5, "good"), ("100%", 4, "unknown"), ("60%", 3, "good"), ("60%", 2, "unknown"), ("50%", 3, "good")],
)
async def test_pods_are_counted_and_percents_round_up(minimum: str, ready: int, answer: str) -> None:
    pods = [pod(f"api-7d9f-{x * 5}", ready=n < ready) for n, x in enumerate("bcdfg")]
    cluster = FakeCluster([deployment(replicas=5), replicaset(), *pods])
    sample = await pods_ready(PodsReadyArgs.model_validate({"min": minimum}), context(cluster=cluster))
    assert sample.answer == answer


async def test_finished_leaving_and_foreign_pods_do_not_count() -> None:
    pods = [
        pod("api-7d9f-bbbbb"),
        pod("api-7d9f-ccccc", deleting=True),
        pod("api-7d9f-ddddd", phase="Failed", ready=False),
        pod("api-7d9f-fffff", owner="uid-of-another-replicaset"),
    ]
    sample = await pods_ready(PodsReadyArgs(), context(cluster=FakeCluster([deployment(), replicaset(), *pods])))
    assert (sample.answer, sample.badness) == ("unknown", 2)
    assert "1 of 3 pods ready" in sample.detail


DB = ObjectRef("Cluster.postgresql.cnpg.io", "shop", "db")


class OperatorsCluster(FakeCluster):
    """Finds kinds of operators by the name that we know them by."""

    async def get(self, ref: ObjectRef) -> Object:
        return await super().get(ObjectRef(ref.kind.partition(".")[0], ref.namespace, ref.name))


def instance(name: str, **more: Any) -> dict[str, Any]:
    made = pod(name, owner="uid-db", **more)
    made["metadata"]["labels"] = {"cnpg.io/cluster": "db"}
    return made


def postgres(*pods: dict[str, Any]) -> OperatorsCluster:
    spec = {"instances": 2}
    meta = {"name": "db", "namespace": "shop", "uid": "uid-db"}
    return OperatorsCluster(
        [{"kind": "Cluster", "apiVersion": "postgresql.cnpg.io/v1", "metadata": meta, "spec": spec}, *pods]
    )


@pytest.mark.parametrize(
    ("pods", "answer", "missing"),
    [
        pytest.param((instance("db-1"), instance("db-2")), "good", 0, id="both"),
        pytest.param((instance("db-1"), instance("db-2", ready=False)), "unknown", 1, id="one is not ready"),
        pytest.param((instance("db-1"), pod("db-1-initdb-x", owner="uid-job")), "unknown", 1, id="a Job's"),
        pytest.param((), "unknown", 2, id="none"),
    ],
)
async def test_the_instances_of_a_postgres_cluster_are_counted(pods: Any, answer: str, missing: int) -> None:
    """An operator's object has no selector; its pods carry a label, and its uid."""
    sample = await pods_ready(PodsReadyArgs(), context(cluster=postgres(*pods), targets=(CheckTarget(DB),)))
    assert (sample.answer, sample.badness) == (answer, missing)
    assert "Cluster shop/db" in sample.detail


async def test_beside_what_has_pods_a_target_without_is_left_out() -> None:
    """A step may back up a claim, or refresh a Secret, before the workload is restarted."""
    cluster = FakeCluster([deployment(replicas=1), replicaset(), pod()])
    beside = [
        ObjectRef("PersistentVolumeClaim", "shop", "data"),
        ObjectRef("ExternalSecret.external-secrets.io", "shop", "s"),
    ]
    sample = await pods_ready(
        PodsReadyArgs(), context(cluster=cluster, targets=(*(CheckTarget(r) for r in beside), CheckTarget(API)))
    )
    assert sample.answer == "good"
    assert not any("Secret" in read or "Claim" in read for read in cluster.reads)


async def test_a_target_without_pods_alone_says_so() -> None:
    cluster = FakeCluster([{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "shop"}}])
    with pytest.raises(Unknown, match="a ConfigMap has no pods of its own"):
        await pods_ready(
            PodsReadyArgs(), context(cluster=cluster, targets=(CheckTarget(ObjectRef("ConfigMap", "shop", "c")),))
        )


@pytest.mark.parametrize("value", ["0%", "101%", "many", -1, 0, True])
def test_a_share_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PodsReadyArgs.model_validate({"min": value})
