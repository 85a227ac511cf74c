"""Jobs, CronJobs, namespaces and Rollouts for tests, as the API server would send them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from remediator.actions.times import format_time
from tests.actions.make import NOW, NS, template

GIT = {"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/import"}


def ago(**parts: float) -> str:
    return format_time(NOW - timedelta(**parts))


def namespace(annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NS,
            "uid": "uid-ns",
            "resourceVersion": "3",
            "labels": {"kubernetes.io/metadata.name": NS},
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "status": {"phase": "Active"},
    }


def owned_by(kind: str, name: str = "x", api: str = "batch/v1") -> list[dict[str, Any]]:
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-{kind.lower()}-{name}", "controller": True}]


def job(
    name: str = "import",
    *,
    state: str = "",
    finished: str = "",
    active: int = 0,
    metadata: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A Job; `state` is `Complete` or `Failed`, or empty while it runs."""
    uid = f"uid-job-{name}"
    status: dict[str, Any] = {"startTime": ago(days=3)}
    if active:
        status["active"] = active
    if state:
        moment = finished or ago(days=2)
        status["conditions"] = [{"type": state, "status": "True", "lastTransitionTime": moment}]
        if state == "Complete":
            status |= {"completionTime": moment, "succeeded": 1}
    labels = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name, "controller-uid": uid}
    made = template("shop/import:1", restartPolicy="Never")
    made["metadata"] = {"creationTimestamp": None, "labels": {"app": "import", "job-name": name, **labels}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": NS,
            "uid": uid,
            "resourceVersion": "50",
            "generation": 1,
            "creationTimestamp": ago(days=3),
            "labels": {"app": "import"},
            **(metadata or {}),
        },
        "spec": {
            "backoffLimit": 6,
            "completions": 1,
            "parallelism": 1,
            "suspend": False,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": made,
            **(spec or {}),
        },
        "status": status,
    }


def cronjob(
    name: str = "nightly",
    *,
    suspend: bool = False,
    annotations: Mapping[str, str] | None = None,
    container: Mapping[str, Any] | None = None,
    job_spec: Mapping[str, Any] | None = None,
    pod_spec: Mapping[str, Any] | None = None,
    job_labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    active: int = 0,
) -> dict[str, Any]:
    image = "registry.example.com/shop/import@sha256:" + "a" * 64
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name,
            "namespace": NS,
            "uid": f"uid-cronjob-{name}",
            "resourceVersion": "60",
            "generation": 2,
            "annotations": dict(annotations or {}),
            **(metadata or {}),
        },
        "spec": {
            "schedule": "0 2 * * *",
            "suspend": suspend,
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {
                "metadata": {"labels": dict(job_labels or {"app": "import"}), "annotations": {"team": "data"}},
                "spec": {
                    "ttlSecondsAfterFinished": 60,
                    "backoffLimit": 3,
                    "template": {
                        "metadata": {"labels": {"app": "import"}},
                        "spec": {
                            "restartPolicy": "Never",
                            "containers": [{"name": "main", "image": image, **(container or {})}],
                            **(pod_spec or {}),
                        },
                    },
                    **(job_spec or {}),
                },
            },
            **(spec or {}),
        },
        "status": {"active": [{"kind": "Job", "name": f"{name}-{n}"} for n in range(active)]},
    }


def rollout(
    *,
    current: str = "new",
    stable: str = "old",
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    generation: int = 4,
) -> dict[str, Any]:
    """A canary of five copies; it is updating while `current` and `stable` differ."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "api",
            "namespace": NS,
            "uid": "uid-rollout",
            "resourceVersion": "70",
            "generation": generation,
        },
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "api"}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]}},
            "template": template("shop/api:2" if current == "new" else "shop/api:1"),
            **(spec or {}),
        },
        "status": {
            "observedGeneration": "4",
            "phase": "Progressing" if current != stable else "Healthy",
            "currentPodHash": current,
            "stableRS": stable,
            "currentStepIndex": 1,
            "availableReplicas": 5,
            **(status or {}),
        },
    }
