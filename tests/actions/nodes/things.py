"""Nodes and what stands on them, as the API server sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from remediator.actions.change import Change, NotPossible
from remediator.actions.times import format_time
from remediator.actions.view import View
from remediator.objects import Object, ref_of
from tests.actions.make import NOW, NS

OURS = [
    {
        "manager": "remediator",
        "operation": "Update",
        "time": "2025-06-01T11:00:00Z",
        "fieldsV1": {"f:spec": {"f:unschedulable": {}}},
    }
]
THEIRS = [{**OURS[0], "manager": "kubectl-cordon"}]


def node(
    name: str = "worker-1",
    *,
    ready: str = "True",
    since: timedelta = timedelta(hours=1),
    cordoned: bool = False,
    ours: bool = False,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
    managers: Any = None,
) -> dict[str, Any]:
    """A node that takes pods. `ours`: cordoned by us an hour ago."""
    said = dict(annotations or {})
    if ours:
        said["remediator.dev/cordoned"] = "2025-06-01T11:00:00Z"
        managers = OURS if managers is None else managers
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-node-{name}",
            "resourceVersion": "500",
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})},
            "annotations": said,
        },
        "spec": {"podCIDR": "10.42.1.0/24"},
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                {"type": "Ready", "status": ready, "lastTransitionTime": format_time(NOW - since)},
            ],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}, {"type": "Hostname", "address": name}],
        },
    }
    if cordoned or ours:
        made["spec"]["unschedulable"] = True
    if taints:
        made["spec"]["taints"] = [dict(taint) for taint in taints]
    if managers is not None:
        made["metadata"]["managedFields"] = managers
    return made


SERVER = {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"}
OTHERS = (node("worker-2"), node("worker-3"))


def on_node(
    name: str,
    *,
    of: str = "ReplicaSet",
    owner: str = "api-5d9",
    owner_uid: str = "",
    namespace: str = NS,
    ready: bool = True,
    phase: str = "Running",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    leaving: bool = False,
    empty_dir: bool = False,
) -> dict[str, Any]:
    """A pod. `of` is the kind of its controller, empty = none; one of a ReplicaSet carries the hash `5d9`."""
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2025-06-01T10:00:00Z",
            "labels": {**({"pod-template-hash": "5d9"} if of == "ReplicaSet" else {}), **(labels or {})},
            "annotations": dict(annotations or {}),
        },
        "spec": {"nodeName": "worker-1", "volumes": [{"name": "token", "projected": {}}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }
    if of:
        group = {"Job": "batch/v1", "Node": "v1", "Widget": "acme.io/v1"}.get(of, "apps/v1")
        made["metadata"]["ownerReferences"] = [
            {
                "apiVersion": group,
                "kind": of,
                "name": owner,
                "uid": owner_uid or f"uid-{owner}",
                "controller": True,
            }
        ]
    if leaving:
        made["metadata"]["deletionTimestamp"] = format_time(NOW)
    if empty_dir:
        made["spec"]["volumes"].append({"name": "cache", "emptyDir": {}})
    return made


def daemonset_named(name: str, namespace: str = NS) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"},
    }


def namespace(name: str = NS, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": f"uid-ns-{name}", **metadata}}


def seen(target: Object, **found: Any) -> View:
    ref = ref_of(target)
    return View(target=target, ref=ref, root=ref, read_at=NOW, found=found)


def plan(action: Any, given: Mapping[str, Any], target: Object, **found: Any) -> Change:
    """As the core asks: params as written, resolved, then planned from what it found."""
    view = seen(target, **found)
    params = action.params(**given)
    assert set(found) == set(action.wants(params, view)) if hasattr(action, "wants") else not found
    change: Change = action.plan(action.resolve(params, view), view)
    return change


def refusal(action: Any, given: Mapping[str, Any], target: Object, **found: Any) -> NotPossible:
    try:
        change = plan(action, given, target, **found)
    except NotPossible as exc:
        return exc
    raise AssertionError(f"planned: {change.summary}")
