"""Kubernetes objects as we see them: plain JSON mappings, addressed by `ObjectRef`.

Generated client models cost 32 MB and four times the CPU; every field we read is one `dig` away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.kinds import KINDS, Kind, kind_name

__all__ = [
    "JSON",
    "KINDS",
    "WORKLOADS",
    "Kind",
    "Object",
    "ObjectRef",
    "annotations_of",
    "controller_of",
    "dig",
    "generation_of",
    "kind_name",
    "kind_of",
    "labels_of",
    "ref_of",
    "uid_of",
    "version_of",
]

JSON = Any
"""Anything `json.loads` returns."""

Object = Mapping[str, Any]
"""One Kubernetes object, as the API server sent it."""


_PLAIN = frozenset(name for name in KINDS if "." not in name)
"""Names of kinds that no other group uses here: the hot path asks no further."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one object of a known kind (a key of KINDS). `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        kind = self.kind.partition(".")[0]  # people know whose Certificate it is
        return f"{kind} {self.namespace}/{self.name}" if self.namespace else f"{kind} {self.name}"

    @property
    def key(self) -> str:
        """Stable text for locks and rows: `Deployment/shop/api`."""
        return f"{self.kind}/{self.namespace}/{self.name}"


def ref_of(obj: Object) -> ObjectRef:
    """The reference of an object that carries its kind."""
    meta = obj["metadata"]
    return ObjectRef(kind_of(obj), meta.get("namespace", ""), meta["name"])


def kind_of(obj: Object) -> str:
    """The name that we know the object's kind by: a key of KINDS."""
    kind: str = obj["kind"]
    return kind if kind in _PLAIN else kind_name(obj.get("apiVersion", ""), kind)


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
