"""Objects of delivery operators, as their API has them."""

from __future__ import annotations

from typing import Any

from tests.actions.make import NS, meta

RUNNING = {"phase": "Running", "startedAt": "2025-06-01T11:59:00Z"}


def application(
    *,
    automated: Any = None,
    sync: str = "OutOfSync",
    annotations: Any = None,
    labels: Any = None,
    owners: Any = None,
    operation: Any = None,
    spec: Any = None,
    status: Any = None,
    metadata: Any = None,
) -> dict[str, Any]:
    """An Application `shop` in namespace `shop`. `automated` None = no auto-sync."""
    policy: dict[str, Any] = {} if automated is None else {"syncPolicy": {"automated": automated}}
    found: dict[str, Any] = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            **meta("shop", "Application"),
            **({"annotations": annotations} if annotations else {}),
            **({"labels": labels} if labels else {}),
            **({"ownerReferences": owners} if owners else {}),
            **(metadata or {}),
        },
        "spec": {
            "project": "shop",
            "source": {"repoURL": "https://git.example/shop", "path": "deploy", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": NS},
            **policy,
            **(spec or {}),
        },
        "status": {"sync": {"status": sync}, "health": {"status": "Degraded"}, **(status or {})},
    }
    if operation is not None:
        found["operation"] = operation
    return found


def entry(number: int, revision: str, deployed: str, **extra: Any) -> dict[str, Any]:
    """One item of an Application's history."""
    source = {"repoURL": "https://git.example/shop", "path": "deploy", "targetRevision": "main"}
    return {"id": number, "revision": revision, "source": source, "deployedAt": deployed, **extra}


def flux(kind: str = "Kustomization", *, annotations: Any = None, spec: Any = None, **extra: Any) -> dict[str, Any]:
    version = {
        "Kustomization": "kustomize.toolkit.fluxcd.io/v1",
        "HelmRelease": "helm.toolkit.fluxcd.io/v2",
        "GitRepository": "source.toolkit.fluxcd.io/v1",
    }[kind]
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {**meta("shop", kind), **({"annotations": annotations} if annotations else {}), **extra},
        "spec": {"interval": "10m", **(spec or {})},
        "status": {"lastHandledReconcileAt": "2025-06-01T10:00:00Z"},
    }


def external_secret(*, spec: Any = None, status: Any = None, **extra: Any) -> dict[str, Any]:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {**meta("keys", "ExternalSecret"), **extra},
        "spec": {"refreshInterval": "1h0m0s", "target": {"name": "keys"}, **(spec or {})},
        "status": {"refreshTime": "2025-06-01T11:00:00Z", **(status or {})},
    }
