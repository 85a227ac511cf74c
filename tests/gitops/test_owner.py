"""Whose an object is, and where in Git it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import NotPossible
from remediator.gitops.owner import Source, claim, owner_of, source_of
from tests.actions.make import deployment
from tests.gitops.made import ARGO, FLUX, PROD, URL, application, kustomization, repository, seen

HELM = {"helm.toolkit.fluxcd.io/name": "api", "helm.toolkit.fluxcd.io/namespace": "shop"}
KUSTOMIZATION = "Kustomization.kustomize.toolkit.fluxcd.io"
INSTANCE_LABEL = "app.kubernetes.io/instance"
INSTANCE = {INSTANCE_LABEL: "shop"}
TRACKING = "argocd.argoproj.io/tracking-id"


@pytest.mark.parametrize(
    ("annotations", "labels", "key", "proven"),
    [
        pytest.param(ARGO, {}, "Application.argoproj.io/argocd/shop", True, id="a tracking id"),
        pytest.param(
            {TRACKING: "team-a_shop:apps/Deployment:shop/api"},
            {},
            "Application.argoproj.io/team-a/shop",
            True,
            id="Applications in any namespace",
        ),
        pytest.param(
            {TRACKING: "shop:apps/Deployment:shop/other"},
            FLUX,
            f"{KUSTOMIZATION}/flux-system/apps",
            True,
            id="one that was copied",
        ),
        pytest.param({}, HELM, "HelmRelease.helm.toolkit.fluxcd.io/shop/api", True, id="a HelmRelease"),
        pytest.param({}, INSTANCE, "Application.argoproj.io/argocd/shop", False, id="a label says little"),
        pytest.param(
            {},
            {INSTANCE_LABEL: "team-a_shop"},
            "Application.argoproj.io/team-a/shop",
            False,
            id="the label, any namespace",
        ),
    ],
)
def test_what_an_object_says(annotations: dict[str, str], labels: dict[str, str], key: str, proven: bool) -> None:
    found = claim(deployment(annotations=annotations, labels=labels))
    assert found is not None
    assert (found.ref.key, found.proven) == (key, proven)


def test_nothing_says_anything() -> None:
    assert claim(deployment()) is None


def test_argo_cd_may_live_elsewhere() -> None:
    found = claim(deployment(annotations=ARGO), "gitops")
    assert found is not None
    assert found.ref.namespace == "gitops"


@pytest.mark.parametrize(
    ("owner", "labels", "owned"),
    [
        pytest.param(application(), INSTANCE, True, id="its resources name the object"),
        pytest.param({**application(), "status": {}}, INSTANCE, False, id="they do not"),
        pytest.param(None, INSTANCE, False, id="there is no such Application"),
        pytest.param(application("other"), INSTANCE, False, id="another one was read"),
        pytest.param(kustomization(), FLUX, True, id="Flux needs no confirmation"),
    ],
)
def test_the_owner_confirms_it(owner: Any, labels: dict[str, str], owned: bool) -> None:
    obj = deployment(labels=labels)
    assert (owner_of(obj, seen(owner, obj)) is not None) is owned


def test_a_tracking_id_needs_no_confirmation() -> None:
    view = seen({**application(), "status": {}})
    assert str(owner_of(view.target, view)) == "Argo CD application argocd/shop"


def argo(**source: Any) -> Source:
    view = seen(application(source={"repoURL": URL, "path": PROD, **source}))
    owner = owner_of(view.target, view)
    assert owner is not None
    return source_of(owner, view)


@pytest.mark.parametrize(
    ("revision", "branch"),
    [
        ("main", "main"),
        ("", "HEAD"),
        ("HEAD", "HEAD"),
        ("release/2024", "release/2024"),
        ("refs/heads/main", "main"),
        ("deadbeef-fix", "deadbeef-fix"),
        ("feed", "feed"),
        ("defaced", "defaced"),
    ],
)
def test_a_branch_of_argo_cd(revision: str, branch: str) -> None:
    assert argo(targetRevision=revision) == Source(URL, PROD, branch)


@pytest.mark.parametrize(
    "revision",
    [
        "v1.2.3",
        "1.2.*",
        ">=1.0.0 <2",
        "~1.2",
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "4b825dc",
        "refs/tags/v1",
        "1.0",
    ],
)
def test_no_branch_of_argo_cd(revision: str) -> None:
    with pytest.raises(NotPossible, match="a tag or a commit"):
        argo(targetRevision=revision)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"chart": "api"}, "Helm chart.*gitops_pr", id="a chart"),
        pytest.param({"helm": {"valueFiles": ["x"]}}, "Helm chart.*gitops_pr", id="values"),
        pytest.param({"plugin": {"name": "x"}}, "with a plugin.*gitops_pr", id="a plugin"),
        pytest.param({"kustomize": {"images": ["a=b"]}}, "in its own spec", id="an image in the Application"),
        pytest.param({"repoURL": ""}, "no spec.source.repoURL", id="no address"),
    ],
)
def test_what_argo_cd_takes_from_elsewhere(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(NotPossible, match=said):
        argo(**changes)


def test_several_sources() -> None:
    view = seen(application(sources=[{"repoURL": URL}]))
    owner = owner_of(view.target, view)
    assert owner is not None
    with pytest.raises(NotPossible, match="several sources"):
        source_of(owner, view)


def flux(repo: Any = None, labels: Any = FLUX, owner: Any = None, **spec: Any) -> Source:
    obj = deployment(labels=labels)
    view = seen(owner or kustomization(**spec), obj, repo=repo)
    found = owner_of(obj, view)
    assert found is not None
    return source_of(found, view)


@pytest.mark.parametrize(
    ("ref", "branch"), [({"branch": "main"}, "main"), ({}, "master"), ({"name": "refs/heads/prod"}, "prod")]
)
def test_a_branch_of_flux(ref: dict[str, str], branch: str) -> None:
    assert flux(repository(**ref)) == Source(URL, PROD, branch, recurse=True)


@pytest.mark.parametrize(
    ("repo", "spec", "said"),
    [
        pytest.param(repository(tag="v1"), {}, "follows tag v1", id="a tag"),
        pytest.param(repository(semver=">1"), {}, "follows semver", id="a range"),
        pytest.param(repository(branch="main", commit="abc"), {}, "follows commit", id="a commit on a branch"),
        pytest.param(repository(name="refs/tags/v1"), {}, "a tag or a commit", id="a reference to a tag"),
        pytest.param(None, {}, "does not exist", id="no repository"),
        pytest.param(repository(), {"images": [{"name": "x"}]}, "says images", id="an image in the Kustomization"),
        pytest.param(repository(), {"sourceRef": {"kind": "OCIRepository", "name": "x"}}, "OCIRepository", id="OCI"),
    ],
)
def test_what_flux_takes_from_elsewhere(repo: Any, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(NotPossible, match=said):
        flux(repo, **spec)


def test_a_helm_release() -> None:
    release = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "api", "namespace": "shop", "uid": "u"},
    }
    with pytest.raises(NotPossible, match=r"Helm chart.*gitops_pr"):
        flux(labels=HELM, owner=release)
