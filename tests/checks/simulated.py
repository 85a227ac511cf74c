"""The simulated cluster with whole objects in it, statuses too, for checks and collectors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, ref_of
from remediator.ports import MADE_BY
from remediator.remediation.checks.base import CheckContext, CheckTarget

REMEDIATION = "r-1"


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest(kind: str, name: str, namespace: str = "shop", **parts: Any) -> dict[str, Any]:
    """An object of a known kind; `labels` and `annotations` go to its metadata, the rest beside it."""
    known = KINDS[kind]
    meta: dict[str, Any] = {"name": name} | ({"namespace": namespace} if known.namespaced else {})
    meta |= {key: parts.pop(key) for key in ("labels", "annotations", "ownerReferences") if key in parts}
    return {"apiVersion": known.api_version, "kind": known.kind, "metadata": meta, **parts}


class Sim:
    """One simulated cluster, and the contexts in which it is looked at."""

    def __init__(self, *, nodes: int = 3) -> None:
        self.clock = VirtualClock()
        self.cluster = SimulatedCluster("prod", self.clock, node_count=nodes)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def ago(self, **length: float) -> str:
        return at(self.now - timedelta(**length))

    def put(self, *manifests: Mapping[str, Any]) -> ObjectRef:
        """Objects with their statuses as given; the last one's reference."""
        assert manifests
        for obj in manifests:
            self.cluster.apply({**obj})
            ref = ref_of(obj)
            if "status" in obj:
                self.cluster.replace_status(ref, obj["status"])
        return ref_of(manifests[-1])

    def made(self, obj: Mapping[str, Any], by: str = REMEDIATION) -> ObjectRef:
        """An object that a remediation has made."""
        meta = {**obj["metadata"], "labels": {**(obj["metadata"].get("labels") or {}), MADE_BY: by}}
        return self.put({**obj, "metadata": meta})

    def peek(self, ref: ObjectRef) -> Object:
        found = self.cluster.peek(ref)
        assert found is not None
        return found

    def pass_time(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    def context(self, *targets: ObjectRef, **more: Any) -> CheckContext:
        """A moment with the effect a minute ago, unless `since` says otherwise."""
        given: dict[str, Any] = {
            "cluster": self.cluster,
            "targets": tuple(CheckTarget(ref) for ref in targets),
            "now": self.now,
            "since": self.now - timedelta(minutes=1),
            "remediation": REMEDIATION,
        }
        return CheckContext(**given | more)
