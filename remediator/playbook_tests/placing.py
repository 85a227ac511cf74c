"""Short forms of objects as manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from remediator.adapters.simulated import SimulatedCluster
from remediator.adapters.simulated.controllers.hpa import WANTS
from remediator.adapters.simulated.patches import merge_patch
from remediator.objects import KINDS, ObjectRef, dig
from remediator.playbook_tests.filling import Filler, stamp
from remediator.playbook_tests.placed import Placed, manifest_kind

FIRST = ("namespace", "node")
Manifest = dict[str, Any]


def place(cluster: SimulatedCluster, filler: Filler, *placed: Placed) -> None:
    """Put them into the cluster. Raises: StatusError for what the API server refuses, CannotFill."""
    for one in sorted(placed, key=lambda p: p.kind not in FIRST):
        if one.kind == "node":
            cluster.add_node(one.node, zone=one.zone, labels=dict(one.labels))
        elif one.kind == "manifest":
            _place_manifest(cluster, filler, one.manifest)
        else:
            cluster.apply(_MADE[one.kind](one, cluster))


def _place_manifest(cluster: SimulatedCluster, filler: Filler, written: Mapping[str, Any]) -> None:
    name = manifest_kind(written)
    known = KINDS[name]
    filled = filler.fill(written)
    status, created = filled.pop("status", None), filled["metadata"].get("creationTimestamp")
    meta = filled["metadata"]
    if known.namespaced:
        meta.setdefault("namespace", "default")
    cluster.apply({**filled, "apiVersion": known.api_version, "kind": known.kind})
    ref = ObjectRef(name, meta.get("namespace", "") if known.namespaced else "", meta["name"])
    if created:
        cluster.backdate(ref, created)
    if status:
        set_status(cluster, filler, ref, status)


def set_status(cluster: SimulatedCluster, filler: Filler, ref: ObjectRef, said: Mapping[str, Any]) -> None:
    """Merge into its status; conditions one by one, by their type, with the time at which they changed. Raises:
    CannotFill."""
    before = dig(cluster.peek(ref), "status") or {}
    filled = filler.fill(said)
    after = merge_patch(before, filled)
    if isinstance(filled.get("conditions"), list):
        after["conditions"] = _conditions(before.get("conditions") or (), filled["conditions"], stamp(filler.now))
    cluster.replace_status(ref, after)


def _conditions(before: Iterable[Manifest], said: Iterable[Manifest], now: str) -> list[Manifest]:
    found = {str(condition["type"]): condition for condition in before}
    for new in said:
        old = found.get(new["type"], {})
        changed = old.get("status") != new.get("status", old.get("status"))
        since = {} if old and not changed else {"lastTransitionTime": now}
        found[new["type"]] = {**old, **since, **new}
    return list(found.values())


def _object(kind: str, place: str, placed: Placed, spec: Mapping[str, Any]) -> Manifest:
    namespace, _, name = place.rpartition("/")
    meta: Manifest = {"name": name, "labels": dict(placed.labels), "annotations": dict(placed.annotations)}
    if namespace:
        meta["namespace"] = namespace
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": meta,
        **({"spec": dict(spec)} if spec else {}),
    }


def _workload(kind: str, place: str, placed: Placed) -> Manifest:
    name = place.partition("/")[2]
    template = {
        "metadata": {"labels": {"app": name, **placed.labels}},
        "spec": {"containers": [{"name": "app", "image": placed.image}]},
    }
    spec: Manifest = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if kind != "DaemonSet":
        spec["replicas"] = placed.replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return _object(kind, place, placed, spec)


def _deployment(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    return _workload("Deployment", placed.deployment, placed)


def _statefulset(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    return _workload("StatefulSet", placed.statefulset, placed)


def _daemonset(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    return _workload("DaemonSet", placed.daemonset, placed)


def _namespace(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    return _object("Namespace", placed.namespace, placed, {})


def _of(placed: Placed, place: str) -> ObjectRef:
    return placed.of or ObjectRef("Deployment", *place.split("/"))


def _hpa(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    of = _of(placed, placed.hpa)
    target = {"apiVersion": KINDS[of.kind].api_version, "kind": of.kind, "name": of.name}
    spec = {"scaleTargetRef": target, "minReplicas": placed.min, "maxReplicas": placed.max}
    made = _object("HorizontalPodAutoscaler", placed.hpa, placed, spec)
    if placed.wants is not None:
        made["metadata"]["annotations"][WANTS] = str(placed.wants)
    return made


def _pdb(placed: Placed, cluster: SimulatedCluster) -> Manifest:
    workload = cluster.peek(_of(placed, placed.pdb))
    labels = dig(workload or {}, "spec", "selector", "matchLabels") or {"app": placed.pdb.partition("/")[2]}
    spec: Manifest = {"selector": {"matchLabels": labels}}
    if placed.max_unavailable is not None:
        spec["maxUnavailable"] = placed.max_unavailable
    else:
        spec["minAvailable"] = placed.min_available if placed.min_available is not None else 1
    return _object("PodDisruptionBudget", placed.pdb, placed, spec)


_MADE: Mapping[str, Callable[[Placed, SimulatedCluster], Manifest]] = {
    "deployment": _deployment,
    "statefulset": _statefulset,
    "daemonset": _daemonset,
    "namespace": _namespace,
    "hpa": _hpa,
    "pdb": _pdb,
}
