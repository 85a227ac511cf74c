"""A cluster that can only be read: a handful of objects, and failures on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from remediator.errors import NotFound, ReadError
from remediator.objects import Object, ObjectRef, dig, labels_of, ref_of
from remediator.ports import ObjectList, WatchEvent, WriteRequest


class ReadingCluster:
    """Implements the reading half of `Cluster`; a write or anything else that targeting must not do is an error."""

    name = "test"

    def __init__(self, *objects: Object) -> None:
        self.objects: dict[ObjectRef, Object] = {ref_of(obj): obj for obj in objects}
        self.failures: dict[str, ReadError] = {}
        self.reads: list[str] = []

    def add(self, *objects: Object) -> None:
        self.objects |= {ref_of(obj): obj for obj in objects}

    def remove(self, *refs: ObjectRef) -> None:
        for ref in refs:
            del self.objects[ref]

    async def get(self, ref: ObjectRef) -> Object:
        self._read(f"get {ref.key}")
        if ref not in self.objects:
            raise NotFound(str(ref))
        return self.objects[ref]

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        self._read(f"list {kind} {namespace} {labels}{fields}".strip())
        found = [
            obj
            for ref, obj in self.objects.items()
            if ref.kind == kind and namespace in ("", ref.namespace) and _selected(obj, labels, fields)
        ]
        return ObjectList(tuple(found), "1")

    def _read(self, what: str) -> None:
        self.reads.append(what)
        for prefix, failure in self.failures.items():
            if what.startswith(prefix):
                raise failure

    def watch(self, kind: str, namespace: str = "", *, resource_version: str) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        raise NotImplementedError

    async def logs(
        self, pod: ObjectRef, *, container: str = "", previous: bool = False, lines: int = 100, limit_bytes: int = 65536
    ) -> str:
        raise NotImplementedError

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        raise NotImplementedError

    async def server_time(self) -> datetime:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def _selected(obj: Object, labels: str, fields: str) -> bool:
    wanted = dict(term.split("=") for term in labels.split(",") if term)
    if any(labels_of(obj).get(name) != value for name, value in wanted.items()):
        return False
    return all(
        str(dig(obj, *path.split("."))) == value for path, value in (f.split("=") for f in fields.split(",") if f)
    )


API = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Cluster": "postgresql.cnpg.io/v1",
    "Rollout": "argoproj.io/v1alpha1",
}


def made(
    kind: str, name: str, *, owner: Object | None = None, namespace: str = "shop", uid: str = "", **parts: Any
) -> Object:
    """An object with a uid of its own, controlled by `owner`."""
    meta: dict[str, Any] = {"name": name, "uid": uid or f"uid-{kind}-{name}", "labels": parts.pop("labels", {})}
    if kind != "Node":
        meta["namespace"] = namespace
    if owner is not None:
        meta["ownerReferences"] = [owned_by(owner)]
    return {"kind": kind, "apiVersion": API.get(kind, "v1"), "metadata": meta, **parts}


def owned_by(owner: Object) -> Mapping[str, Any]:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
