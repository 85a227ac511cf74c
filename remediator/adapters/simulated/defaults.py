"""Defaults that the API server writes into objects, so that a diff or a digest sees what it would see there."""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.store import Obj

SPEC: dict[str, dict[str, Any]] = {
    "Deployment": {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    },
    "ReplicaSet": {"replicas": 1},
    "StatefulSet": {
        "replicas": 1,
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 10,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    },
    "DaemonSet": {"updateStrategy": {"type": "RollingUpdate"}, "revisionHistoryLimit": 10},
    "Job": {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
        "manualSelector": False,
    },
    "CronJob": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
    "HorizontalPodAutoscaler": {"minReplicas": 1},
}

ZEROS = {"paused": False, "unschedulable": False, "minReadySeconds": 0, "hostNetwork": False}
"""Fields of a spec that the API server leaves out when they say nothing."""

ROLLING: dict[str, tuple[str, dict[str, Any]]] = {
    "Deployment": ("strategy", {"maxSurge": "25%", "maxUnavailable": "25%"}),
    "StatefulSet": ("updateStrategy", {"partition": 0}),
    "DaemonSet": ("updateStrategy", {"maxSurge": 0, "maxUnavailable": 1}),
}

POD_SPEC: dict[str, Any] = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "securityContext": {},
}

POD_ONLY: dict[str, Any] = {
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "serviceAccount": "default",
    "serviceAccountName": "default",
    "tolerations": [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    ],
}

CONTAINER: dict[str, Any] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}


def with_defaults(obj: Obj) -> Obj:
    """The object with what the API server would add. The same object when nothing is missing."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj
    if any(spec.get(field) == zero for field, zero in ZEROS.items() if field in spec):
        spec = {k: v for k, v in spec.items() if k not in ZEROS or v != ZEROS[k]}
    filled = _fill(spec, SPEC.get(obj["kind"], {}))
    if obj["kind"] in ROLLING:
        filled = _rolling(filled, *ROLLING[obj["kind"]])
    match obj["kind"]:
        case "Pod":
            filled = _fill(_pod_spec(filled), POD_ONLY)
        case "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job":
            filled = _template(filled)
        case "CronJob":
            filled = _job_template(filled)
        case _:
            pass
    return obj if filled is obj["spec"] else {**obj, "spec": filled}


def _fill(mapping: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    missing = {k: v for k, v in defaults.items() if mapping.get(k) is None}
    return {**mapping, **missing} if missing else mapping


def _rolling(spec: dict[str, Any], field: str, defaults: dict[str, Any]) -> dict[str, Any]:
    strategy = spec[field]
    if not isinstance(strategy, dict) or strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return spec
    rolling = _fill(strategy.get("rollingUpdate") or {}, defaults)
    filled = {"type": "RollingUpdate", **strategy, "rollingUpdate": rolling}
    return spec if filled == strategy else {**spec, field: filled}


def _template(spec: dict[str, Any]) -> dict[str, Any]:
    template = spec.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return spec
    filled = _pod_spec(template["spec"])
    meta = template.get("metadata") or {}
    kept = {k: v for k, v in meta.items() if v not in ({}, None)}
    if filled is template["spec"] and len(kept) == len(meta):
        return spec
    return {**spec, "template": {**template, "metadata": kept, "spec": filled}}


def _job_template(spec: dict[str, Any]) -> dict[str, Any]:
    job = spec.get("jobTemplate")
    if not isinstance(job, dict) or not isinstance(job.get("spec"), dict):
        return spec
    filled = _template(job["spec"])
    return spec if filled is job["spec"] else {**spec, "jobTemplate": {**job, "spec": filled}}


def _pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    filled = _fill(spec, POD_SPEC)
    for field in ("containers", "initContainers"):
        containers = filled.get(field)
        if isinstance(containers, list):
            changed = [_container(c) if isinstance(c, dict) else c for c in containers]
            if any(new is not old for new, old in zip(changed, containers, strict=True)):
                filled = {**filled, field: changed}
    return filled


def _container(container: dict[str, Any]) -> dict[str, Any]:
    filled = _fill(container, CONTAINER)
    if filled.get("imagePullPolicy") is None and isinstance(filled.get("image"), str):
        policy = "Always" if image_tag(filled["image"]) in ("", "latest") else "IfNotPresent"
        filled = {**filled, "imagePullPolicy": policy}
    return filled


def image_tag(image: str) -> str:
    """`registry:5000/shop/api:1.2@sha256:…` → `1.2`; empty without a tag."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2]
