"""Who owns an object or a field, and what that knowledge rests on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediator.actions.owners import git_owner, git_sets, helm_release, managers_of, operator_of
from tests.actions.make import deployment, owner

REPLICAS = ("spec", "replicas")
TEMPLATE = ("spec", "template")
IMAGE: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}}}
SETS_REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


def managed(*entries: tuple[str, str, Any], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    fields = [
        {"manager": m, "operation": op, "fieldsV1": f, "time": f"2025-0{i}-01T00:00:00Z"}
        for i, (m, op, f) in enumerate(entries, 1)
    ]
    return deployment(metadata={"managedFields": fields}, annotations=annotations)


@pytest.mark.parametrize(
    ("annotations", "labels", "found"),
    [
        pytest.param({}, {}, None, id="nobody"),
        pytest.param(
            {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"},
            {},
            "Argo CD application shop",
            id="Argo CD",
        ),
        pytest.param(
            {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/other"}, {}, None, id="copied: other name"
        ),
        pytest.param({"argocd.argoproj.io/tracking-id": "shop:/Service:shop/api"}, {}, None, id="copied: other kind"),
        pytest.param({"argocd.argoproj.io/tracking-id": "nonsense"}, {}, None, id="not a tracking id"),
        pytest.param({}, {"app.kubernetes.io/instance": "shop"}, None, id="the instance label alone is no proof"),
        pytest.param(
            {},
            {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
            "Flux Kustomization flux-system/apps",
            id="Flux Kustomization",
        ),
        pytest.param(
            {},
            {"helm.toolkit.fluxcd.io/name": "api", "helm.toolkit.fluxcd.io/namespace": "shop"},
            "Flux HelmRelease shop/api",
            id="Flux HelmRelease",
        ),
        pytest.param({"meta.helm.sh/release-name": "api"}, {}, None, id="Helm alone writes nothing by itself"),
    ],
)
def test_git_owner(annotations, labels, found):
    owner_found = git_owner(deployment(annotations=annotations, labels=labels))
    assert (str(owner_found) if owner_found else None) == found


@pytest.mark.parametrize(
    ("obj", "path", "sets"),
    [
        pytest.param(managed(("kustomize-controller", "Apply", SETS_REPLICAS)), REPLICAS, True, id="applied: listed"),
        pytest.param(managed(("kustomize-controller", "Apply", IMAGE)), REPLICAS, False, id="applied: not listed"),
        pytest.param(
            managed(("kustomize-controller", "Apply", IMAGE), ("helm-controller", "Apply", SETS_REPLICAS)),
            REPLICAS,
            True,
            id="applied: by one of two",
        ),
        pytest.param(
            managed(("argocd-controller", "Update", IMAGE), ("argocd-controller", "Update", SETS_REPLICAS)),
            REPLICAS,
            True,
            id="updated: in one of two entries",
        ),
        pytest.param(
            managed(("kustomize-controller", "Apply", IMAGE)), TEMPLATE, True, id="applied: something below it"
        ),
        pytest.param(
            managed(("kustomize-controller", "Apply", IMAGE), ("argocd-controller", "Update", SETS_REPLICAS)),
            REPLICAS,
            False,
            id="server-side apply is the better witness",
        ),
        pytest.param(
            managed(
                ("argocd-controller", "Update", SETS_REPLICAS),
                annotations={
                    "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"template": {}}})
                },
            ),
            REPLICAS,
            False,
            id="last applied leaves it out: the Update entry is a default",
        ),
        pytest.param(
            managed(
                annotations={"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"replicas": 3}})}
            ),
            REPLICAS,
            True,
            id="last applied has it",
        ),
        pytest.param(
            managed(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{"}),
            REPLICAS,
            True,
            id="unreadable",
        ),
        pytest.param(managed(("argocd-controller", "Update", IMAGE)), REPLICAS, False, id="updated: not listed"),
        pytest.param(managed(("argocd-controller", "Update", SETS_REPLICAS)), REPLICAS, True, id="updated: listed"),
        pytest.param(managed(("kubectl", "Update", SETS_REPLICAS)), REPLICAS, True, id="not knowing is no permission"),
    ],
)
def test_git_sets(obj, path, sets):
    assert git_sets(obj, path) is sets


def test_managers_of_a_field_newest_first():
    obj = managed(("a", "Update", SETS_REPLICAS), ("b", "Update", IMAGE), ("c", "Apply", SETS_REPLICAS))
    assert [(m.name, m.operation) for m in managers_of(obj, REPLICAS)] == [("c", "Apply"), ("a", "Update")]


def test_operator_and_helm():
    prometheus = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "k8s", "uid": "p"},
    }
    assert operator_of(deployment(metadata={"ownerReferences": owner(prometheus)})) == "Prometheus k8s"
    assert operator_of(deployment(metadata={"ownerReferences": owner(prometheus, controller=False)})) == ""
    assert operator_of(deployment()) == ""
    assert helm_release(deployment(annotations={"meta.helm.sh/release-name": "api"})) == "api"
    assert helm_release(deployment()) == ""
