"""ReplicaSet: keep so many pods. Source: pkg/controller/replicaset."""

from __future__ import annotations

from datetime import UTC, datetime

from remediator.adapters.simulated.controllers.pods import available, created, moment, omit_zero, pod_of, ready_since
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, is_active, is_ready, is_terminating
from remediator.objects import dig

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def reconcile(world: World, replica_set: Obj) -> None:
    every = world.store.children(replica_set["metadata"]["uid"], "Pod")
    pods = [p for p in every if is_active(p)]
    if not is_terminating(replica_set):
        missing = replica_set["spec"]["replicas"] - len(pods)
        for _ in range(missing):
            meta = replica_set["metadata"]
            name = world.generated("Pod", meta["namespace"], f"{meta['name']}-")
            pods.append(world.create(pod_of(replica_set, replica_set["spec"]["template"], name=name)))
        if missing < 0:
            surplus = sorted(pods, key=_worth)[:-missing]
            for pod in surplus:
                world.delete(pod)
            gone = {p["metadata"]["name"] for p in surplus}
            pods = [p for p in pods if p["metadata"]["name"] not in gone]
            every = world.store.children(replica_set["metadata"]["uid"], "Pod")
    status = {
        "replicas": len(pods),
        "terminatingReplicas": sum(map(is_terminating, every)),
        "observedGeneration": replica_set["metadata"]["generation"],
        **omit_zero(
            fullyLabeledReplicas=len(pods),
            readyReplicas=sum(map(is_ready, pods)),
            availableReplicas=available(world, replica_set, pods),
        ),
    }
    world.set_status(replica_set, status)


def _worth(pod: Obj) -> tuple[object, ...]:
    """Pods that go first sort first: without a node, pending, unready, short ready, often restarted, young."""
    since = ready_since(pod)
    restarts = max((c["restartCount"] for c in dig(pod, "status", "containerStatuses") or ()), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        ("Pending", "Unknown", "Running").index(dig(pod, "status", "phase", default="Pending")),
        since is not None,
        -(since or LONG_AGO).timestamp(),
        -restarts,
        _youngest_first(created(pod)),
    )


def _youngest_first(stamp: str) -> float:
    return -moment(stamp).timestamp()
