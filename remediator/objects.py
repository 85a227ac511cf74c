"""Kubernetes objects as we see them: plain JSON mappings, addressed by `ObjectRef`.

Generated client models cost 32 MB and four times the CPU; every field we read is one `dig` away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON = Any
"""Anything `json.loads` returns."""

Object = Mapping[str, Any]
"""One Kubernetes object, as the API server sent it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind lives: `apps/v1`, `deployments`, namespaced or not."""

    kind: str
    api_version: str
    plural: str
    namespaced: bool = True


KINDS: Mapping[str, Kind] = {
    k.kind: k
    for k in (
        Kind("Deployment", "apps/v1", "deployments"),
        Kind("StatefulSet", "apps/v1", "statefulsets"),
        Kind("DaemonSet", "apps/v1", "daemonsets"),
        Kind("ReplicaSet", "apps/v1", "replicasets"),
        Kind("ControllerRevision", "apps/v1", "controllerrevisions"),
        Kind("Pod", "v1", "pods"),
        Kind("Service", "v1", "services"),
        Kind("Event", "v1", "events"),
        Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
        Kind("Node", "v1", "nodes", namespaced=False),
        Kind("Namespace", "v1", "namespaces", namespaced=False),
        Kind("Job", "batch/v1", "jobs"),
        Kind("CronJob", "batch/v1", "cronjobs"),
        Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
        Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    )
}

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one object of a known kind. `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def key(self) -> str:
        """Stable text for locks and rows: `Deployment/shop/api`."""
        return f"{self.kind}/{self.namespace}/{self.name}"


def ref_of(obj: Object) -> ObjectRef:
    """The reference of an object that carries its kind."""
    meta = obj["metadata"]
    return ObjectRef(obj["kind"], meta.get("namespace", ""), meta["name"])


def dig(obj: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of mapping keys, or `default` where any part is missing."""
    for key in path:
        # Nearly all are plain dicts, and asking an abstract class costs more than all the rest here.
        if (type(obj) is not dict and not isinstance(obj, Mapping)) or key not in obj:
            return default
        obj = obj[key]
    return obj


def uid_of(obj: Object) -> str:
    return str(dig(obj, "metadata", "uid", default=""))


def version_of(obj: Object) -> str:
    """The resourceVersion."""
    return str(dig(obj, "metadata", "resourceVersion", default=""))


def generation_of(obj: Object) -> int | None:
    """`metadata.generation`, or None for kinds that have none (HPA, Service, ConfigMap, PVC, Node)."""
    value = dig(obj, "metadata", "generation")
    return None if value is None else int(value)


def annotations_of(obj: Object) -> Mapping[str, str]:
    return dig(obj, "metadata", "annotations") or {}


def labels_of(obj: Object) -> Mapping[str, str]:
    return dig(obj, "metadata", "labels") or {}


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The ownerReference with `controller: true`, or None."""
    for owner in dig(obj, "metadata", "ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None
