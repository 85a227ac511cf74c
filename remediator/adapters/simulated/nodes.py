"""Nodes: how they come, fail and return. Source for the failure: pkg/controller/nodelifecycle, tainteviction."""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.kubelet import Kubelet
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, is_terminating
from remediator.objects import controller_of, dig

UNREACHABLE = "node.kubernetes.io/unreachable"
ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"


def node(name: str, *, zone: str = "", labels: dict[str, str] | None = None, pods: int = 110) -> Obj:
    """A manifest of a healthy node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {HOSTNAME: name, **({ZONE: zone} if zone else {}), **(labels or {})},
        },
        "spec": {},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi", "pods": str(pods)},
            "allocatable": {"cpu": "8", "memory": "32Gi", "pods": str(pods)},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
        },
    }


def report(world: World, found: Obj, ready: str) -> Obj:
    """Write a node's Ready condition: True, or Unknown for a node whose kubelet is silent."""
    reason = "KubeletReady" if ready == "True" else "NodeStatusUnknown"
    now = world.stamp()
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    others = [c for c in dig(found, "status", "conditions") or () if c["type"] != "Ready"]
    return world.set_status(found, {**(found.get("status") or {}), "conditions": [*others, condition]})


def fail(world: World, kubelet: Kubelet, name: str) -> None:
    """The node falls silent: tainted, its pods not ready, and after their tolerations deleted without ever stopping."""
    kubelet.node_fails(name)
    found = world.store.get("Node", "", name)
    if found is None:
        return
    found = report(world, found, "Unknown")
    taints = [*(found["spec"].get("taints") or ()), *({"key": UNREACHABLE, "effect": e} for e in _EFFECTS)]
    world.set_spec(found, taints=taints)
    for pod in _pods_on(world, name):
        _lose_readiness(world, pod)

    def evict() -> None:
        again = world.store.get("Node", "", name)
        if again is None or not any(t["key"] == UNREACHABLE for t in again["spec"].get("taints") or ()):
            return
        for pod in _pods_on(world, name):
            if (controller_of(pod) or {}).get("kind") != "DaemonSet" and not is_terminating(pod):
                world.delete(pod)

    world.later(world.timing.lost_node_s, evict)


def recover(world: World, kubelet: Kubelet, name: str) -> None:
    """The node is back: pods that were deleted meanwhile stop now, the others go on."""
    found = world.store.get("Node", "", name)
    if found is None:
        return
    taints = [t for t in found["spec"].get("taints") or () if t["key"] != UNREACHABLE]
    report(world, world.set_spec(found, taints=taints), "True")
    kubelet.node_returns(name)


_EFFECTS = ("NoSchedule", "NoExecute")


def _pods_on(world: World, name: str) -> list[Obj]:
    return [p for p in world.store.all("Pod") if p["spec"].get("nodeName") == name]


def _lose_readiness(world: World, pod: Obj) -> None:
    lost: list[dict[str, Any]] = []
    for condition in dig(pod, "status", "conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            now = world.stamp()
            condition = {**condition, "status": "False", "reason": "NodeNotReady", "lastTransitionTime": now}
        lost.append(condition)
    world.set_status(pod, {**(pod.get("status") or {}), "conditions": lost})
