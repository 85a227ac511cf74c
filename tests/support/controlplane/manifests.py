"""Objects that tests start from. The image tag decides how the pods do: see tests/controlplane/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.controlplane.client import Object


def deployment(name: str, *, image: str = "app:v1", replicas: int = 3, **options: Any) -> Object:
    """A Deployment; `options` are those of `workload`."""
    return workload("Deployment", name, image=image, replicas=replicas, **options)


def statefulset(name: str, *, image: str = "app:v1", replicas: int = 3, **options: Any) -> Object:
    obj = workload("StatefulSet", name, image=image, replicas=replicas, **options)
    obj["spec"]["serviceName"] = name
    return obj


def daemonset(name: str, *, image: str = "app:v1", **options: Any) -> Object:
    """One pod on each of the three nodes."""
    return workload("DaemonSet", name, image=image, replicas=None, **options)


def workload(
    kind: str,
    name: str,
    *,
    image: str,
    replicas: int | None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    pod_annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> Object:
    """`labels` go to the object and its pods, `spec` is laid over the object's own (strategy, paused, ...)."""
    template = pod_template(name, image=image, labels=labels, annotations=pod_annotations)
    own: dict[str, Any] = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if replicas is not None:
        own["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app": name, **(labels or {})}, "annotations": dict(annotations or {})},
        "spec": {**own, **(spec or {})},
    }


def job(name: str, *, image: str = "app:v1", backoff_limit: int = 0) -> Object:
    template = pod_template(name, image=image)
    template["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": backoff_limit, "template": template},
    }


def pod_template(
    name: str, *, image: str, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": name, **(labels or {})}, "annotations": dict(annotations or {})},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }


def disruption_budget(name: str, *, min_available: int | str) -> Object:
    """A PodDisruptionBudget over the pods of the workload `name`."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": name}}},
    }


def role(name: str, *rules: tuple[str, str, str]) -> Object:
    """A Role of rules (group, resources, verbs), words with blanks between: `("", "pods nodes", "get list")`."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
            for group, resources, verbs in rules
        ],
    }


def role_binding(name: str, *, role: str, service_account: str, namespace: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}],
    }
