"""A CloudNativePG Cluster `db` of three instances, its pods, nodes and measurements; all is well unless said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from remediator.actions.times import format_time
from remediator.actions.view import View
from remediator.ports import Sample
from tests.actions.make import NOW, NS, view

HEALTHY = "Cluster in healthy state"
NAMES = ("db-1", "db-2", "db-3")
LONG_AGO = format_time(NOW - timedelta(days=3))
LAG = "cnpg_pg_replication_lag"
DOWN = 'up{pod=~"db-.*"} == bool 0'


def cluster(
    *,
    instances: int = 3,
    ready: int | None = None,
    phase: str = HEALTHY,
    current: str = "db-1",
    target: str | None = None,
    names: Sequence[str] = NAMES,
    fenced: str | None = None,
    annotations: Mapping[str, str] | None = None,
    conditions: Sequence[Mapping[str, Any]] | None = None,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    noted = dict(annotations or {})
    if fenced is not None:
        noted["cnpg.io/fencedInstances"] = fenced
    state = "True" if phase == HEALTHY else "False"
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {
            "name": "db",
            "namespace": NS,
            "uid": "uid-cluster-db",
            "resourceVersion": "4711",
            "generation": 4,
            **({"annotations": noted} if noted else {}),
            **(metadata or {}),
        },
        "spec": {
            "instances": instances,
            "imageName": "ghcr.io/cloudnative-pg/postgresql:17.2",
            "storage": {"size": "20Gi", "storageClass": "fast"},
            "postgresql": {"parameters": {"max_connections": "200"}},
            "bootstrap": {"initdb": {"database": "shop", "owner": "shop"}},
            **(spec or {}),
        },
        "status": {
            "instances": instances,
            "readyInstances": instances if ready is None else ready,
            "instanceNames": list(names),
            "currentPrimary": current,
            "currentPrimaryTimestamp": "2025-05-01T10:00:00.000000Z",
            "targetPrimary": current if target is None else target,
            "targetPrimaryTimestamp": "2025-05-01T09:59:00.000000Z",
            "phase": phase,
            "conditions": [
                {"type": "ContinuousArchiving", "status": "True", "reason": "ContinuousArchivingSuccess"},
                {
                    "type": "Ready",
                    "status": state,
                    "reason": "ClusterIsReady" if state == "True" else "ClusterIsNotReady",
                    "message": "Cluster is Ready" if state == "True" else "Cluster Is Not Ready",
                    "lastTransitionTime": LONG_AGO,
                },
            ]
            if conditions is None
            else list(conditions),
            **(status or {}),
        },
    }


def instance(
    name: str,
    *,
    ready: bool = True,
    unready_for: timedelta = timedelta(minutes=5),
    state: str = "running",
    phase: str = "Running",
    node: str | None = None,
    leaving: bool = False,
) -> dict[str, Any]:
    """The pod of an instance; `state` of its container `postgres` (`none`: it has no status yet)."""
    since = LONG_AGO if ready else format_time(NOW - unready_for)
    statuses: list[dict[str, Any]] = [{"name": "istio-proxy", "state": {"running": {}}}]
    if state != "none":
        statuses.append({"name": "postgres", "ready": ready, "state": {state: {}} if state else {}})
    placed = f"node-{name}" if node is None else node
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NS,
            "uid": f"uid-pod-{name}",
            "resourceVersion": "9",
            "labels": {"cnpg.io/cluster": "db", "cnpg.io/podRole": "instance"},
        },
        "spec": {"nodeName": placed} if placed else {},
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since},
            ],
            "containerStatuses": statuses,
        },
    }
    if leaving:
        pod["metadata"]["deletionTimestamp"] = format_time(NOW)
    return pod


def node(name: str, *, ready: str = "True", region: str = "eu", cordoned: bool = False) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"topology.kubernetes.io/region": region} if region else {},
        },
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def nodes(**special: Any) -> tuple[dict[str, Any], ...]:
    """A node for each instance; `db_1={"ready": "Unknown"}` says what is special about one."""
    return tuple(node(f"node-{name}", **special.get(name.replace("-", "_"), {})) for name in NAMES)


def samples(values: Mapping[str, float] | Iterable[tuple[str, float]]) -> tuple[Sample, ...]:
    """One sample for each pod; the empty name is a sample without a pod."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return tuple(Sample(labels={"pod": pod} if pod else {}, value=value, at=NOW) for pod, value in pairs)


def planned(action: Any, params: Mapping[str, Any], obj: Any, **found: Any) -> Any:
    """What the core does: the params as written, resolved, planned; the action wants exactly what is found."""
    written = action.params(**params)
    seen = seen_by(action, written, obj, **found)
    return action.plan(action.resolve(written, seen), seen)


def seen_by(action: Any, params: Any, obj: Any, **found: Any) -> View:
    bare = view(obj)
    wanted = action.wants(params, bare) if hasattr(action, "wants") else {}
    assert set(wanted) <= set(found), f"wanted but not in the test: {set(wanted) - set(found)}"
    return view(obj, found={name: found[name] for name in wanted})
