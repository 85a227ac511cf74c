"""Kubernetes objects for tests, as the API server would send them, in as few words as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.actions.times import format_time
from remediator.actions.view import View
from remediator.actions.workload import template_hash
from remediator.objects import Object, ref_of

NOW = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
NS = "shop"


def template(image: str = "shop/api:1", *, restarted: str = "", **extra: Any) -> dict[str, Any]:
    """A pod template with one container `api`."""
    metadata: dict[str, Any] = {"labels": {"app": "api"}}
    if restarted:
        metadata["annotations"] = {"kubectl.kubernetes.io/restartedAt": restarted}
    return {"metadata": metadata, "spec": {"containers": [{"name": "api", "image": image}], **extra}}


def meta(name: str, kind: str, **extra: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NS,
        "uid": f"uid-{kind.lower()}-{name}",
        "resourceVersion": "100",
        "generation": 1,
        **extra,
    }


def deployment(
    replicas: int = 3,
    available: int | None = None,
    *,
    updated: int | None = None,
    total: int | None = None,
    image: str = "shop/api:1",
    strategy: Mapping[str, Any] | None = None,
    reason: str = "NewReplicaSetAvailable",
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    observed_generation: int = 1,
) -> dict[str, Any]:
    """A Deployment `api` whose rollout is over; `available` of `replicas` copies are available and ready."""
    have = replicas if available is None else available
    extra: dict[str, Any] = {}
    if annotations is not None:
        extra["annotations"] = dict(annotations)
    if labels is not None:
        extra["labels"] = dict(labels)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**meta("api", "Deployment"), **extra, **(metadata or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "api"}},
            "strategy": strategy
            or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "template": template(image),
            **(spec or {}),
        },
        "status": {
            "observedGeneration": observed_generation,
            "replicas": replicas if total is None else total,
            "updatedReplicas": replicas if updated is None else updated,
            "readyReplicas": have,
            "availableReplicas": have,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
        },
    }


def statefulset(
    replicas: int = 3,
    ready: int | None = None,
    *,
    updated: int | None = None,
    revisions: tuple[str, str] = ("db-1", "db-1"),
    strategy: Mapping[str, Any] | None = None,
    parallel: bool = False,
    image: str = "shop/api:1",
    spec: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A StatefulSet `db`. `revisions` are (currentRevision, updateRevision)."""
    have = replicas if ready is None else ready
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta("db", "StatefulSet"),
        "spec": {
            "replicas": replicas,
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "selector": {"matchLabels": {"app": "api"}},
            "updateStrategy": strategy or {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": template(image),
            **(spec or {}),
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": have,
            "availableReplicas": have,
            "updatedReplicas": replicas if updated is None else updated,
            "currentRevision": revisions[0],
            "updateRevision": revisions[1],
        },
    }


def daemonset(
    nodes: int = 3,
    available: int | None = None,
    *,
    updated: int | None = None,
    strategy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    have = nodes if available is None else available
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": meta("agent", "DaemonSet"),
        "spec": {
            "selector": {"matchLabels": {"app": "api"}},
            "updateStrategy": strategy
            or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "template": template(),
        },
        "status": {
            "observedGeneration": 1,
            "desiredNumberScheduled": nodes,
            "currentNumberScheduled": nodes,
            "updatedNumberScheduled": nodes if updated is None else updated,
            "numberReady": have,
            "numberAvailable": have,
        },
    }


def owner(obj: Object, *, controller: bool = True) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": obj["metadata"]["name"],
            "uid": obj["metadata"]["uid"],
            "controller": controller,
        }
    ]


def pod(
    name: str,
    of: Object,
    *,
    ready: bool = True,
    age: timedelta = timedelta(hours=1),
    unready_for: timedelta = timedelta(minutes=10),
    waiting: str = "",
    phase: str = "Running",
    leaving: bool = False,
    uid: str = "",
) -> dict[str, Any]:
    """A pod controlled by `of` (a ReplicaSet, StatefulSet or DaemonSet)."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    if not ready:
        condition["lastTransitionTime"] = format_time(NOW - unready_for)
    obj: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NS,
            "uid": uid or f"uid-pod-{name}",
            "resourceVersion": "100",
            "creationTimestamp": format_time(NOW - age),
            "ownerReferences": owner(of),
        },
        "status": {"phase": phase, "conditions": [condition]},
    }
    if waiting:
        obj["status"]["containerStatuses"] = [{"name": "api", "state": {"waiting": {"reason": waiting}}}]
    if leaving:
        obj["metadata"]["deletionTimestamp"] = format_time(NOW)
    return obj


def replicaset(of: Object, number: int, image: str, *, restarted: str = "", name: str = "") -> dict[str, Any]:
    made = template(image, restarted=restarted)
    made["metadata"]["labels"] = {**made["metadata"]["labels"], "pod-template-hash": f"h{number}"}
    name = name or f"api-{number}"
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            **meta(name, "ReplicaSet"),
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": owner(of),
        },
        "spec": {"template": made},
    }


def controller_revision(of: Object, number: int, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**meta(f"db-{number}", "ControllerRevision"), "ownerReferences": owner(of)},
        "revision": number,
        "data": {"spec": {"template": {**template(image), "$patch": "replace"}}},
    }


def hpa(
    minimum: int = 2, maximum: int = 10, *, of: str = "api", kind: str = "Deployment", owners: Sequence[Any] = ()
) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": "api",
            "namespace": NS,
            "uid": "uid-hpa",
            "resourceVersion": "7",
            "ownerReferences": list(owners),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": of},
            "minReplicas": minimum,
            "maxReplicas": maximum,
        },
    }


def pdb(
    allowed: int | None = 1, *, selector: Any = None, name: str = "api", generation: int = 1, namespace: str = NS
) -> dict[str, Any]:
    status: dict[str, Any] = {"observedGeneration": 1}
    if allowed is not None:
        status["disruptionsAllowed"] = allowed
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "uid-pdb",
            "resourceVersion": "9",
            "generation": generation,
        },
        "spec": {"selector": {"matchLabels": {"app": "api"}} if selector is None else selector},
        "status": status,
    }


def hash_of(image: str) -> str:
    """The template hash of `template(image)`."""
    return template_hash(template(image))


def view(target: Object, **parts: Any) -> View:
    ref = ref_of(target)
    return View(**{"target": target, "ref": ref, "root": ref, "read_at": NOW, **parts})
