"""Objects of GitOps controllers, and what a forge says of a repository, in as few words as possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.view import View
from remediator.gitops.owner import owner_name, source_name
from remediator.objects import Object, ref_of
from tests.actions.make import deployment, view

ARGO = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
URL = "https://git.example/acme/deploy.git"
PROD = "apps/shop/prod"
KUSTOMIZATION = """\
resources: [deployment.yaml]
images:
  - name: shop/api
    newTag: "1"  # by the pipeline
"""
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: api
          image: shop/api
"""
FILES = {f"{PROD}/kustomization.yaml": KUSTOMIZATION, f"{PROD}/deployment.yaml": MANIFEST}


def application(
    name: str = "shop", *, namespace: str = "argocd", source: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """It heals by itself."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-app-{name}", "resourceVersion": "7"},
        "spec": {
            "source": source or {"repoURL": URL, "path": PROD, "targetRevision": "main"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
            **spec,
        },
        "status": {
            "resources": [
                {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "api"},
                {"version": "v1", "kind": "Service", "namespace": "shop", "name": "api"},
            ]
        },
    }


def kustomization(**spec: Any) -> dict[str, Any]:
    source = {"kind": "GitRepository", "name": "deploy"}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system", "uid": "uid-apps", "resourceVersion": "7"},
        "spec": {"sourceRef": source, "path": f"./{PROD}/", **spec},
    }


def repository(**ref: str) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "deploy", "namespace": "flux-system", "uid": "uid-deploy"},
        "spec": {"url": URL, **({"ref": ref} if ref else {})},
    }


def files(texts: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """What a forge answers."""
    found = {"repository": "deploy", "branch": "main", "head": "a" * 40, "path": PROD, "files": dict(texts or FILES)}
    return {**found, **changes}


def seen(
    owner: Object | None, obj: Object | None = None, *, repo: Object | None = None, answer: Any = None, **parts: Any
) -> View:
    """A view of a Deployment that Argo CD tracks, with all that was found about its way to Git."""
    obj = deployment(annotations=ARGO) if obj is None else obj
    found: dict[str, Any] = {owner_name(obj): owner}
    if owner is not None and repo is not None:
        found[source_name(ref_of(owner))] = repo
    if answer is not None:
        found[f"files of {URL} main {PROD}"] = answer
    return view(obj, found=found, **parts)
