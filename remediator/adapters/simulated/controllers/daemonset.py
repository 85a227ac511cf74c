"""DaemonSet: one pod on every node that takes it. Source: pkg/controller/daemon."""

from __future__ import annotations

import math
from typing import Any

from remediator.adapters.simulated.controllers.pods import available, created, omit_zero, pod_of
from remediator.adapters.simulated.controllers.revisions import HASH_LABEL, current_revision, trim
from remediator.adapters.simulated.scheduling import takes
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import TEMPLATE_GENERATION, World, is_ready, is_terminating
from remediator.objects import annotations_of, dig, labels_of


def reconcile(world: World, workload: Obj) -> None:
    if is_terminating(workload):
        return
    revision = current_revision(world, workload, hash_only=True)
    update = revision["metadata"]["labels"][HASH_LABEL]
    nodes = [n["metadata"]["name"] for n in world.store.all("Node") if _takes(n, workload)]
    _place(world, workload, nodes, update)
    if workload["spec"]["updateStrategy"].get("type") != "OnDelete":
        _update(world, workload, nodes, update)
    _write_status(world, workload, nodes, update)


def _takes(node: Obj, workload: Obj) -> bool:
    return takes(node, workload["spec"]["template"]["spec"], for_daemon=True)


def _by_node(world: World, workload: Obj) -> dict[str, list[Obj]]:
    pods: dict[str, list[Obj]] = {}
    for pod in world.store.children(workload["metadata"]["uid"], "Pod"):
        pods.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
    return pods


def _place(world: World, workload: Obj, nodes: list[str], update: str) -> None:
    """A pod where one is missing, none where none belongs, a new one for one that failed."""
    pods = _by_node(world, workload)
    for name in nodes:
        if not pods.get(name):
            template = workload["spec"]["template"]
            made = pod_of(
                workload,
                template,
                labels={HASH_LABEL: update, "pod-template-generation": annotations_of(workload)[TEMPLATE_GENERATION]},
                name=world.generated("Pod", workload["metadata"]["namespace"], f"{workload['metadata']['name']}-"),
            )
            world.create({**made, "spec": {**made["spec"], "nodeName": name}})
    for name, found in pods.items():
        for i, pod in enumerate(sorted(found, key=created)):
            failed = dig(pod, "status", "phase") == "Failed"
            if not is_terminating(pod) and (failed or name not in nodes or i > 0):
                world.delete(pod)


def _update(world: World, workload: Obj, nodes: list[str], update: str) -> None:
    """Delete old pods: those that are unavailable anyway, then as many as maxUnavailable leaves room for."""
    pods = _by_node(world, workload)
    room, old_available = _max_unavailable(workload, len(nodes)), []
    for name in nodes:
        pod = pods.get(name, [None])[0]
        if pod is None or is_terminating(pod) or not available(world, workload, [pod]):
            room -= 1
        if pod is None or is_terminating(pod) or labels_of(pod).get(HASH_LABEL) == update:
            continue
        if available(world, workload, [pod]):
            old_available.append(pod)
        else:
            world.delete(pod)
    for pod in old_available[: max(room, 0)]:
        world.delete(pod)


def _max_unavailable(workload: Obj, nodes: int) -> int:
    value = (workload["spec"]["updateStrategy"].get("rollingUpdate") or {}).get("maxUnavailable", 1)
    if isinstance(value, str):
        return math.ceil(nodes * int(value.rstrip("%")) / 100)
    return int(value)


def _write_status(world: World, workload: Obj, nodes: list[str], update: str) -> None:
    pods = _by_node(world, workload)
    here = [max(pods[n], key=created) for n in nodes if pods.get(n)]
    elsewhere = [p for n, found in pods.items() if n not in nodes for p in found]
    working = available(world, workload, [p for p in here if not is_terminating(p)])
    counts: dict[str, Any] = omit_zero(
        updatedNumberScheduled=sum(labels_of(p).get(HASH_LABEL) == update for p in here),
        numberAvailable=working,
        numberUnavailable=len(nodes) - working,
    )
    status = {
        "observedGeneration": workload["metadata"]["generation"],
        "currentNumberScheduled": len(here),
        "desiredNumberScheduled": len(nodes),
        "numberMisscheduled": len(elsewhere),
        "numberReady": sum(map(is_ready, here)),
        **counts,
    }
    world.set_status(workload, status)
    trim(world, workload, {update, *(labels_of(p).get(HASH_LABEL) for found in pods.values() for p in found)})
