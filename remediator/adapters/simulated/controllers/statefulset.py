"""StatefulSet: pods with ordinals, one after the other. Source: pkg/controller/statefulset/stateful_set_control.go.

With OrderedReady nothing moves while an earlier pod is broken: a restart or rollback of a set whose pod 0 never gets
ready updates no pod (measured on a real cluster), because pods are updated only once all are running and ready.
"""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.controllers.pods import available, omit_zero, pod_of
from remediator.adapters.simulated.controllers.revisions import HASH_LABEL, current_revision, history, trim
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, is_ready, is_terminating
from remediator.objects import dig, labels_of

INDEX_LABEL = "apps.kubernetes.io/pod-index"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"


def reconcile(world: World, workload: Obj) -> None:
    if is_terminating(workload):
        return
    update = current_revision(world, workload, hash_only=False)
    current_name = dig(workload, "status", "currentRevision", default="") or update["metadata"]["name"]
    current = next((r for r in history(world, workload) if r["metadata"]["name"] == current_name), update)
    _step(world, workload, _template(current), update["metadata"]["name"], current["metadata"]["name"])
    _write_status(world, workload, update["metadata"]["name"], current["metadata"]["name"])


def _template(revision: Obj) -> dict[str, Any]:
    return {k: v for k, v in revision["data"]["spec"]["template"].items() if k != "$patch"}


def _pods(world: World, workload: Obj) -> dict[int, Obj]:
    pods = world.store.children(workload["metadata"]["uid"], "Pod")
    return {int(p["metadata"]["name"].rpartition("-")[2]): p for p in pods}


def _step(world: World, workload: Obj, current_template: dict[str, Any], update: str, current: str) -> None:
    """One round: replace what ended, create what is missing, take away what is too many, then update. Stops at the
    first pod that has to be waited for, if the pods are managed in order.
    """
    pods, spec = _pods(world, workload), workload["spec"]
    in_order = spec["podManagementPolicy"] == "OrderedReady"
    first = (spec.get("ordinals") or {}).get("start", 0)
    ordinals = range(first, first + spec["replicas"])
    partition = _partition(spec)
    for ordinal in ordinals:
        pod = pods.get(ordinal)
        if pod is not None and dig(pod, "status", "phase") in ("Failed", "Succeeded") and not is_terminating(pod):
            world.delete(pod)
            if in_order:
                return
        elif pod is None:
            old = partition is not None and ordinal < first + partition and current != update
            template, revision = (current_template, current) if old else (spec["template"], update)
            world.create(_pod(workload, ordinal, template, revision))
            if in_order:
                return
        elif in_order and (is_terminating(pod) or not _healthy(pod, world, workload)):
            return
    condemned = sorted((o for o in pods if o not in ordinals), reverse=True)
    first_broken = min((o for o in condemned if not _healthy(pods[o], world, workload)), default=None)
    for ordinal in condemned:
        pod = pods[ordinal]
        if in_order and not is_ready(pod) and ordinal != first_broken:
            return  # of two broken pods the lower one has to heal first: scaling down hangs
        if not is_terminating(pod):
            world.delete(pod)
        if in_order:
            return
    if partition is not None:
        _update(world, pods, [o for o in ordinals if o - first >= partition], update)


def _partition(spec: dict[str, Any]) -> int | None:
    """Ordinals from here on are updated; None when the controller updates nothing by itself (OnDelete)."""
    strategy = spec["updateStrategy"]
    if strategy.get("type") == "OnDelete":
        return None
    return int((strategy.get("rollingUpdate") or {}).get("partition", 0))


def _healthy(pod: Obj, world: World, workload: Obj) -> bool:
    return bool(available(world, workload, [pod])) and not is_terminating(pod)


def _update(world: World, pods: dict[int, Obj], ordinals: list[int], update: str) -> None:
    """Replace pods from the highest ordinal down, one at a time, each after the one before is ready."""
    for ordinal in reversed(ordinals):
        pod = pods.get(ordinal)
        if pod is None:
            return
        if labels_of(pod).get(HASH_LABEL) != update and not is_terminating(pod):
            world.delete(pod)
            return
        if is_terminating(pod) or not is_ready(pod):
            return


def _pod(workload: Obj, ordinal: int, template: dict[str, Any], revision: str) -> Obj:
    name = f"{workload['metadata']['name']}-{ordinal}"
    labels = {HASH_LABEL: revision, INDEX_LABEL: str(ordinal), NAME_LABEL: name}
    pod = pod_of(workload, template, labels=labels, name=name)
    spec = {**pod["spec"], "hostname": name, "subdomain": workload["spec"].get("serviceName", "")}
    return {**pod, "spec": spec}


def _write_status(world: World, workload: Obj, update: str, current: str) -> None:
    pods = [p for p in _pods(world, workload).values() if dig(p, "status", "phase") not in ("Succeeded", "Failed")]
    alive = [p for p in pods if not is_terminating(p)]
    replicas = workload["spec"]["replicas"]
    updated = sum(labels_of(p).get(HASH_LABEL) == update for p in alive)
    ready = sum(map(is_ready, pods))
    rolling = _partition(workload["spec"]) is not None
    if rolling and updated == replicas and len(pods) == replicas and ready == replicas:
        current = update
    status = {
        "observedGeneration": workload["metadata"]["generation"],
        "replicas": len(pods),
        "availableReplicas": available(world, workload, pods),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
        **omit_zero(
            readyReplicas=ready,
            currentReplicas=sum(labels_of(p).get(HASH_LABEL) == current for p in alive),
            updatedReplicas=updated,
        ),
    }
    world.set_status(workload, status)
    trim(world, workload, {update, current, *(labels_of(p).get(HASH_LABEL) for p in pods)})
