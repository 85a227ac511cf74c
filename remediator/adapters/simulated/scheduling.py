"""Which node a pod goes to: the one with the fewest pods among those that would take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import SCHEDULER, World, condition
from remediator.objects import dig, labels_of

PODS_PER_NODE = 110
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def schedule(world: World, pod: Obj, load: Mapping[str, set[str]]) -> Obj | None:
    """Bind a pod to a node; None when no node takes it, which its status then says. `load` = pod uids by node."""
    nodes = [n for n in world.store.all("Node") if takes(n, pod["spec"])]
    nodes = [n for n in nodes if len(load.get(n["metadata"]["name"], ())) < _capacity(n)]
    if not nodes:
        world.set_status(pod, _unschedulable(world, pod), manager=SCHEDULER)
        return None
    node = min(nodes, key=lambda n: (len(load.get(n["metadata"]["name"], ())), n["metadata"]["name"]))
    return world.store.put({**pod, "spec": {**pod["spec"], "nodeName": node["metadata"]["name"]}})


def takes(node: Obj, pod_spec: Mapping[str, Any], *, for_daemon: bool = False) -> bool:
    """Whether a node is ready and selected, and its taints are tolerated. DaemonSets tolerate cordons and failures."""
    labels = labels_of(node)
    if any(labels.get(k) != v for k, v in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    if for_daemon:
        own = ("node.kubernetes.io/",)
        taints = [t for t in _taints(node) if not t["key"].startswith(own)]
    else:
        if node["spec"].get("unschedulable"):
            return False
        ready = condition(node, "Ready")
        if ready is None or ready["status"] != "True":
            return False
        taints = _taints(node)
    return all(_tolerated(t, pod_spec.get("tolerations") or ()) for t in taints)


def _taints(node: Obj) -> list[dict[str, Any]]:
    return [t for t in node["spec"].get("taints") or () if t["effect"] in ("NoSchedule", "NoExecute")]


def _tolerated(taint: Mapping[str, Any], tolerations: Any) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("operator") == "Exists" and toleration.get("key") in (None, "", taint["key"]):
            return True
        if toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _capacity(node: Obj) -> int:
    return int(dig(node, "status", "allocatable", "pods", default=PODS_PER_NODE))


def _unschedulable(world: World, pod: Obj) -> dict[str, Any]:
    count = sum(1 for _ in world.store.all("Node"))
    before = condition(pod, "PodScheduled")
    since = before["lastTransitionTime"] if before is not None and before["status"] == "False" else world.stamp()
    scheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": f"0/{count} nodes are available.",
        "lastTransitionTime": since,
    }
    return {**(pod.get("status") or {}), "phase": "Pending", "conditions": [scheduled]}
