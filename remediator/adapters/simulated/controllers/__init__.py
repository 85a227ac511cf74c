"""The controllers: small, each a function that looks at one object and brings the world one step closer to its spec.

A change in the store puts the objects it concerns on the agenda, once each, a moment later; nothing polls. What a
controller writes is a change again, so a rollout goes step by step, as it does in a real cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from remediator.adapters.simulated.controllers import (
    daemonset,
    deployment,
    disruption,
    hpa,
    job,
    replicaset,
    statefulset,
    volume,
)
from remediator.adapters.simulated.controllers.garbage import collect_dependents, release_foreground
from remediator.adapters.simulated.store import Change, Obj
from remediator.adapters.simulated.world import World
from remediator.objects import annotations_of, controller_of

RECONCILERS: Mapping[str, Callable[[World, Obj], None]] = {
    "Deployment": deployment.reconcile,
    "ReplicaSet": replicaset.reconcile,
    "StatefulSet": statefulset.reconcile,
    "DaemonSet": daemonset.reconcile,
    "Job": job.reconcile,
    "HorizontalPodAutoscaler": hpa.reconcile,
    "PodDisruptionBudget": disruption.reconcile,
    "PersistentVolumeClaim": volume.reconcile,
}


class Controllers:
    """Wakes the right controller for every change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queued: dict[tuple[str, str, str], datetime] = {}
        world.enqueue = self.enqueue
        world.store.listeners.append(self._changed)

    def enqueue(self, kind: str, namespace: str, name: str, delay_s: float) -> None:
        """Reconcile an object after a delay, unless that will happen sooner anyway."""
        key, due = (kind, namespace, name), self._world.agenda.now() + timedelta(seconds=delay_s)
        queued = self._queued.get(key)
        if queued is not None and queued <= due:
            return
        self._queued[key] = due

        def run() -> None:
            if self._queued.get(key) != due:
                return  # moved to an earlier time since
            del self._queued[key]
            obj = self._world.store.get(kind, namespace, name)
            if obj is not None:
                RECONCILERS[kind](self._world, obj)

        self._world.later(delay_s, run)

    def _changed(self, change: Change) -> None:
        obj = change.object
        kind, meta = obj["kind"], obj["metadata"]
        namespace = meta.get("namespace", "")
        if change.after is None:
            collect_dependents(self._world, obj)
        elif kind in RECONCILERS:
            delay_s = self._world.timing.autoscale_s if kind == "HorizontalPodAutoscaler" else self._soon
            if change.before is None or kind != "HorizontalPodAutoscaler" or not _only_status(change):
                self.enqueue(kind, namespace, meta["name"], delay_s)
        if "deletionTimestamp" in meta:
            release_foreground(self._world, obj, later_s=self._soon)
        owner = controller_of(obj)
        if owner is not None and owner["kind"] in RECONCILERS:
            self.enqueue(owner["kind"], namespace, owner["name"], self._soon)
            if kind == "Pod" and change.after is None:
                self._tell_grandparent(namespace, owner["kind"], owner["name"])
        match kind:
            case "Pod":
                for budget in self._world.store.all("PodDisruptionBudget", namespace):
                    self.enqueue("PodDisruptionBudget", namespace, budget["metadata"]["name"], self._soon)
            case "Node":
                for daemon in self._world.store.all("DaemonSet"):
                    where, name = daemon["metadata"]["namespace"], daemon["metadata"]["name"]
                    self.enqueue("DaemonSet", where, name, self._soon)
            case "Deployment" | "StatefulSet" if not _only_status(change):
                for scaler in hpa.scalers_of(self._world, obj):
                    delay_s = self._world.timing.autoscale_s
                    self.enqueue("HorizontalPodAutoscaler", namespace, scaler["metadata"]["name"], delay_s)

    def _tell_grandparent(self, namespace: str, kind: str, name: str) -> None:
        """A Deployment that recreates waits for the last old pod to be gone, which changes no ReplicaSet."""
        parent = self._world.store.get(kind, namespace, name)
        above = controller_of(parent) if parent is not None else None
        if above is not None and above["kind"] in RECONCILERS:
            self.enqueue(above["kind"], namespace, above["name"], self._soon)

    @property
    def _soon(self) -> float:
        return self._world.timing.react_s


def _only_status(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    return before.get("spec") == after.get("spec") and annotations_of(before) == annotations_of(after)
