"""What API server, controllers and kubelets share: the store, time, and the life of an object.

Whoever changes an object goes through here, so that uid, generation, managedFields, graceful deletion and finalizers
follow the same rules for everybody.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated import managed
from remediator.adapters.simulated.agenda import Agenda
from remediator.adapters.simulated.behaviour import HEALTHY, Behaviour, BehaviourOf, Timing
from remediator.adapters.simulated.store import Obj, Store
from remediator.objects import KINDS, dig, kind_of

CONTROLLER = "kube-controller-manager"
KUBELET = "kubelet"
SCHEDULER = "kube-scheduler"

GENERATION = frozenset(
    ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "PodDisruptionBudget", "Pod")
) | {name for name in KINDS if "." in name}
"""Kinds with metadata.generation. The spec raises it; a status never does."""

GENERATION_BY_ANNOTATION = frozenset(("Deployment",))
"""Kinds whose own annotations raise it too (measured on 1.36)."""

STATUS = frozenset(name for name, kind in KINDS.items() if kind.status)
"""Kinds with a status subresource: an update of the object itself leaves the status alone."""

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
FOREGROUND = "foregroundDeletion"

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class World:
    """One simulated cluster from the inside."""

    def __init__(self, name: str, agenda: Agenda, timing: Timing, seed: int) -> None:
        self.name = name
        self.agenda = agenda
        self.timing = timing
        self.store = Store(agenda.now)
        self.random = random.Random(f"{name}/{seed}")  # noqa: S311 the same seed must give the same names
        self.behaviours: list[BehaviourOf] = []
        self.enqueue: Callable[[str, str, str, float], None] = lambda *_: None
        """(kind, namespace, name, delay): ask that kind's controller to look at an object. Set by the controllers."""
        self._uids = 0
        self._stamped: tuple[datetime | None, str] = (None, "")
        self._uid_prefix = f"{zlib.crc32(name.encode()):08x}-0000-4000-8000-"

    def stamp(self) -> str:
        """Now, as objects carry it: RFC 3339 in seconds."""
        now = self.agenda.now()
        if now is not self._stamped[0]:
            self._stamped = now, f"{now:%Y-%m-%dT%H:%M:%SZ}"
        return self._stamped[1]

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Do this after a delay, spread by the timing's jitter."""
        if self.timing.jitter:
            delay_s *= 1.0 + self.random.uniform(-self.timing.jitter, self.timing.jitter)
        self.agenda.after(delay_s, callback)

    def generated(self, kind: str, namespace: str, start: str) -> str:
        """A name that begins like this and that nobody has: the API server takes no name twice."""
        while True:
            name = start + "".join(self.random.choice(NAME_LETTERS) for _ in range(5))
            if self.store.get(kind, namespace, name) is None:
                return name

    def behaviour(self, pod: Obj) -> Behaviour:
        """The first opinion about a pod; well, if there is none."""
        for opinion in self.behaviours:
            behaviour = opinion(pod)
            if behaviour is not None:
                return behaviour
        return HEALTHY

    # The life of an object. Functions that end in -ed return what would be stored, for dry runs too.

    def born(self, obj: Obj, *, manager: str) -> Obj:
        """A new object as the API server would store it."""
        self._uids += 1
        meta = dict(obj["metadata"])
        _drop_empty(meta)
        if "name" not in meta:
            meta["name"] = self.generated(kind_of(obj), meta.get("namespace", ""), meta.get("generateName", ""))
        meta["uid"] = f"{self._uid_prefix}{self._uids:012x}"
        meta["creationTimestamp"] = self.stamp()
        if kind_of(obj) in GENERATION:
            meta["generation"] = 1
        new = {**obj, "metadata": meta}
        match obj["kind"]:
            case "Job":
                new = _job_with_selector(new)
            case "DaemonSet":
                new = _noting_template(new, 1)
            case _:
                pass
        meta = new["metadata"]
        if manager == CONTROLLER:
            fields: managed.Fields = {"f:metadata": {}, "f:spec": {}}
            entries = [managed.entry_of(new, manager=manager, at=self.stamp(), fields=fields)]
        else:
            entries = managed.record(None, new, manager=manager, at=self.stamp())
        meta["managedFields"] = entries
        return new

    def create(self, obj: Obj, *, manager: str = CONTROLLER) -> Obj:
        return self.store.put(self.born(obj, manager=manager))

    def updated(self, before: Obj, after: Obj, *, manager: str, subresource: str = "") -> Obj:
        """`before` turned into `after`; `before` itself if nothing changes. Identity and times are the server's."""
        old, meta = before["metadata"], dict(after["metadata"])
        for field in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
            meta.pop(field, None)
            if field in old:
                meta[field] = old[field]
        meta["resourceVersion"], meta["managedFields"] = old["resourceVersion"], old.get("managedFields", [])
        _drop_empty(meta)
        new = {**after, "metadata": meta}
        if before["kind"] == "DaemonSet":
            count = int(before["metadata"]["annotations"][TEMPLATE_GENERATION])
            new = _noting_template(new, count + (before["spec"]["template"] != new["spec"]["template"]))
            meta = new["metadata"]
        if kind_of(before) in STATUS and subresource != "status":
            new.pop("status", None)
            if "status" in before:
                new["status"] = before["status"]
        if new == before:
            return before
        if subresource != "status" and self._bumps(before, new):
            meta["generation"] = old["generation"] + 1
        meta["managedFields"] = managed.record(before, new, manager=manager, at=self.stamp(), subresource=subresource)
        return new

    @staticmethod
    def _bumps(before: Obj, after: Obj) -> bool:
        kind = kind_of(before)
        if kind not in GENERATION:
            return False
        if before.get("spec") != after.get("spec"):
            return True
        if "." in kind:  # of a custom resource everything counts that is neither metadata nor a status of its own
            apart = ("metadata", "status") if kind in STATUS else ("metadata",)
            return any(before.get(k) != after.get(k) for k in {**before, **after} if k not in apart)
        if kind not in GENERATION_BY_ANNOTATION:
            return False
        return bool(before["metadata"].get("annotations") != after["metadata"].get("annotations"))

    def update(self, before: Obj, after: Obj, *, manager: str = CONTROLLER, subresource: str = "") -> Obj:
        """Store a change. A terminating object that lost its last finalizer goes."""
        new = self.updated(before, after, manager=manager, subresource=subresource)
        if new is before:
            return before
        stored = self.store.put(new)
        if "deletionTimestamp" in stored["metadata"] and not stored["metadata"].get("deletionGracePeriodSeconds"):
            self.remove(stored)
        return stored

    def set_status(self, obj: Obj, status: dict[str, Any], *, manager: str = CONTROLLER) -> Obj:
        """Store a status, if it differs. Coarser and cheaper than `update`: this is most of what happens."""
        if obj.get("status") == status:
            return obj
        meta = obj["metadata"]
        entries = managed.touch_status(meta.get("managedFields", []), obj, manager=manager, at=self.stamp())
        return self.store.put({**obj, "metadata": {**meta, "managedFields": entries}, "status": status})

    def set_spec(self, obj: Obj, **fields: Any) -> Obj:
        """A controller's change of some fields of the spec."""
        return self.update(obj, {**obj, "spec": {**obj["spec"], **fields}})

    def delete(self, obj: Obj, *, grace_s: float | None = None, propagation: str = "Background") -> Obj | None:
        """Delete as the API server does; the terminating object, or None when it is gone at once."""
        match propagation:
            case "Orphan":
                self._orphan(obj)
            case "Foreground" if self.store.children(obj["metadata"]["uid"]):
                finalizers = [*(obj["metadata"].get("finalizers") or ()), FOREGROUND]
                obj = {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}}
        grace = self._grace(obj, grace_s)
        if not grace and not obj["metadata"].get("finalizers"):
            self.store.remove(obj)
            return None
        return self._terminate(obj, grace)

    @staticmethod
    def _grace(obj: Obj, wanted: float | None) -> int:
        """Seconds a pod gets to stop; nothing else is deleted gracefully, nor a pod that does not run anywhere."""
        if obj["kind"] != "Pod" or not obj["spec"].get("nodeName"):
            return 0
        if dig(obj, "status", "phase") in ("Succeeded", "Failed"):
            return 0
        return int(wanted if wanted is not None else obj["spec"].get("terminationGracePeriodSeconds", 30))

    def _terminate(self, obj: Obj, grace: int) -> Obj:
        meta = obj["metadata"]
        if "deletionTimestamp" in meta and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return obj  # already on its way, and not asked to hurry
        ends = self.agenda.now() + timedelta(seconds=grace)
        meta = {**meta, "deletionTimestamp": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "deletionGracePeriodSeconds": grace}
        if "generation" in meta:
            meta["generation"] += 1
        return self.store.put({**obj, "metadata": meta})

    def _orphan(self, owner: Obj) -> None:
        for child in self.store.children(owner["metadata"]["uid"]):
            owners = [o for o in child["metadata"]["ownerReferences"] if o["uid"] != owner["metadata"]["uid"]]
            self.update(child, {**child, "metadata": {**child["metadata"], "ownerReferences": owners}})

    def remove(self, obj: Obj) -> None:
        """Take away an object whose time to stop is over; finalizers still hold it."""
        if not obj["metadata"].get("finalizers"):
            self.store.remove(obj)
        elif obj["metadata"].get("deletionGracePeriodSeconds"):
            self.store.put({**obj, "metadata": {**obj["metadata"], "deletionGracePeriodSeconds": 0}})


def _drop_empty(meta: dict[str, Any]) -> None:
    for field in ("annotations", "labels", "finalizers", "ownerReferences"):
        if field in meta and not meta[field]:
            del meta[field]


def _job_with_selector(job: Obj) -> Obj:
    """A Job selects its pods by its own uid, unless it says otherwise."""
    spec, meta = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return job
    own = {"controller-uid": meta["uid"], "job-name": meta["name"]}
    template = spec.get("template") or {}
    made = template.get("metadata") or {}
    labels = {**(made.get("labels") or {}), **{f"batch.kubernetes.io/{k}": v for k, v in own.items()}, **own}
    template = {**template, "metadata": {**made, "labels": labels}}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    meta = {**meta, "labels": meta.get("labels") or labels}
    return {**job, "metadata": meta, "spec": {**spec, "selector": selector, "template": template}}


def _noting_template(daemon: Obj, count: int) -> Obj:
    """A DaemonSet counts the changes of its template in an annotation."""
    annotations = {**(daemon["metadata"].get("annotations") or {}), TEMPLATE_GENERATION: str(count)}
    return {**daemon, "metadata": {**daemon["metadata"], "annotations": annotations}}


def condition(obj: Obj, kind: str) -> dict[str, Any] | None:
    """A condition of the status by its type."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found["type"] == kind:
            return dict(found)
    return None


def is_ready(pod: Obj) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"


def is_terminating(obj: Obj) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def is_active(pod: Obj) -> bool:
    """Counts as a copy: neither ended nor terminating."""
    return not is_terminating(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
