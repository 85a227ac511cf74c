"""Which Argo CD Application or Flux object owns an object, and where in Git it takes it from. Pure.

What stands on an object is a claim of it; the owner itself is read before anything is built on it. A tracking id that
names this very object and Flux's labels are written by the controllers. The label `app.kubernetes.io/instance` is
written by every Helm chart, so the Application's own list of resources has to confirm it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.actions.change import NotPossible
from remediator.actions.delivery.argo import APPLICATION
from remediator.actions.delivery.flux import GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION
from remediator.actions.owners import ARGO_TRACKING, git_owner, tracks
from remediator.actions.view import View
from remediator.objects import Object, ObjectRef, annotations_of, dig, labels_of, ref_of

ARGOCD_NAMESPACE = "argocd"
INSTANCE = "app.kubernetes.io/instance"
FLUX_LABELS = ((KUSTOMIZATION, "kustomize.toolkit.fluxcd.io/"), (HELM_RELEASE, "helm.toolkit.fluxcd.io/"))
TOOLS: Mapping[str, str] = {
    APPLICATION: "Argo CD application",
    KUSTOMIZATION: "Flux Kustomization",
    HELM_RELEASE: "Flux HelmRelease",
}
HOLDS = frozenset(TOOLS)
"""Kinds that are held while a live change stands."""

NEXT_STEP = "use the action gitops_pr, which takes a file and a path"

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_VERSION = re.compile(r"v?\d+(\.(\d+|[xX*]))*([-+].*)?|.*[*<>=^~ ].*")
"""What reads as a version or a range of them, and so is a tag."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who an object says that it belongs to. `proven` = nothing more has to confirm it."""

    ref: ObjectRef
    proven: bool

    def __str__(self) -> str:
        return f"{TOOLS[self.ref.kind]} {self.ref.namespace}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner as it was read."""

    ref: ObjectRef
    obj: Object

    def __str__(self) -> str:
        return f"{TOOLS[self.ref.kind]} {self.ref.namespace}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where it takes manifests from. `branch` is as the owner says it, `HEAD` for the default branch; `recurse` = also
    from folders below `path` that no kustomization.yaml names."""

    repository: str
    path: str
    branch: str
    recurse: bool = False


def claim(obj: Object, argocd_namespace: str = ARGOCD_NAMESPACE) -> Claim | None:
    """None when nothing on the object names an owner."""
    labels = labels_of(obj)
    app, _, tracked = annotations_of(obj).get(ARGO_TRACKING, "").partition(":")
    if app and tracks(obj, tracked):
        return Claim(_application(app, argocd_namespace), proven=True)
    for kind, prefix in FLUX_LABELS:
        if name := labels.get(f"{prefix}name"):
            return Claim(ObjectRef(kind, labels.get(f"{prefix}namespace") or ref_of(obj).namespace, name), proven=True)
    instance = labels.get(INSTANCE)
    return Claim(_application(instance, argocd_namespace), proven=False) if instance else None


def owner_name(obj: Object) -> str:
    """What the owner of this object is called among what was found."""
    return f"owner of {ref_of(obj).key}"


def source_name(owner: ObjectRef) -> str:
    """The same for the GitRepository of a Kustomization."""
    return f"source of {owner.key}"


def owner_of(obj: Object, view: View) -> Owner | None:
    """The owner, where it was read and is confirmed."""
    found = view.found.get(owner_name(obj))
    if not isinstance(found, Mapping):
        return None
    ref = ref_of(found)
    claimed = claim(obj, ref.namespace)
    if claimed is None or claimed.ref != ref or not (claimed.proven or _lists(found, obj)):
        return None
    return Owner(ref, found)


def git_repository(owner: Owner) -> ObjectRef | None:
    """The GitRepository that a Flux Kustomization takes its files from; None for what has none."""
    at = dig(owner.obj, "spec", "sourceRef") or {}
    if owner.ref.kind != KUSTOMIZATION or at.get("kind") != "GitRepository" or not at.get("name"):
        return None
    return ObjectRef(GIT_REPOSITORY, str(at.get("namespace") or owner.ref.namespace), str(at["name"]))


def source_of(owner: Owner, view: View) -> Source:
    """Raises: NotPossible for what cannot be edited as manifests on a branch, with the next step."""
    if owner.ref.kind == APPLICATION:
        return _of_application(owner)
    if owner.ref.kind == KUSTOMIZATION:
        return _of_kustomization(owner, view.found.get(source_name(owner.ref)))
    raise NotPossible(f"{owner} installs a Helm chart, whose values say it: {NEXT_STEP}")


def parent_of(owner: Owner) -> str:
    """What writes the spec of a Flux object from Git, for people, or empty."""
    parent = git_owner(owner.obj)
    return str(parent) if parent is not None else ""


def _application(app: str, argocd_namespace: str) -> ObjectRef:
    """`shop`, or `team-a_shop` where Argo CD manages Applications in any namespace: no name has an underscore."""
    namespace, underscore, name = app.partition("_")
    return ObjectRef(APPLICATION, namespace, name) if underscore else ObjectRef(APPLICATION, argocd_namespace, app)


def _lists(app: Object, obj: Object) -> bool:
    """Whether the Application counts the object among its resources."""
    ref = ref_of(obj)
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    wanted = (group if slash else "", str(obj.get("kind")), ref.namespace, ref.name)
    for item in dig(app, "status", "resources") or ():
        if tuple(str(item.get(key) or "") for key in ("group", "kind", "namespace", "name")) == wanted:
            return True
    return False


def _of_application(owner: Owner) -> Source:
    spec: Mapping[str, Any] = owner.obj.get("spec") or {}
    source: Mapping[str, Any] = spec.get("source") or {}
    if spec.get("sources"):
        raise NotPossible(f"{owner} has several sources, so nobody knows which one says it: {NEXT_STEP}")
    if source.get("chart") or source.get("helm"):
        raise NotPossible(f"{owner} installs a Helm chart, whose values say it: {NEXT_STEP}")
    if source.get("plugin"):
        raise NotPossible(f"{owner} makes its manifests with a plugin: {NEXT_STEP}")
    if source.get("kustomize"):
        raise NotPossible(f"{owner} says options of kustomize in its own spec: change it there, by hand")
    branch = _branch(owner, str(source.get("targetRevision") or "HEAD"))
    return Source(
        repository=_required(owner, "spec.source.repoURL", source.get("repoURL")),
        path=_path(source.get("path")),
        branch=branch,
        recurse=bool(dig(source, "directory", "recurse")),
    )


def _of_kustomization(owner: Owner, repository: Object | None) -> Source:
    spec: Mapping[str, Any] = owner.obj.get("spec") or {}
    kind = str(dig(spec, "sourceRef", "kind") or "nothing")
    if kind != "GitRepository":
        raise NotPossible(f"{owner} takes its files from {kind}, not from a GitRepository: change it there, by hand")
    for key in ("images", "patches", "replacements", "components"):
        if spec.get(key):
            raise NotPossible(f"{owner} says {key} in its own spec: change it there, by hand")
    where = git_repository(owner)
    if where is None or repository is None:
        raise NotPossible(f"{where or 'the GitRepository'} of {owner} does not exist: correct its spec.sourceRef")
    ref: Mapping[str, Any] = dig(repository, "spec", "ref") or {}
    for key in ("commit", "semver", "tag"):
        if ref.get(key):
            raise NotPossible(f"{where} follows {key} {ref[key]!s:.60}, not a branch: change that by hand")
    return Source(
        repository=_required(owner, f"spec.url of {where}", dig(repository, "spec", "url")),
        path=_path(spec.get("path")),
        branch=_branch(owner, str(ref.get("name") or ref.get("branch") or "master")),
        recurse=True,
    )


def _branch(owner: Owner, revision: str) -> str:
    """Raises: NotPossible for what is no branch, as far as its name tells; the forge knows the rest."""
    if revision.startswith("refs/heads/"):
        return revision.removeprefix("refs/heads/")
    fixed = _COMMIT.fullmatch(revision) and not revision.isalpha()
    if fixed or _VERSION.fullmatch(revision) or revision.startswith("refs/"):
        raise NotPossible(
            f"{owner} follows {revision:.60}, a tag or a commit: a merge would change nothing there. Change its "
            "revision by hand, or let it follow a branch"
        )
    return revision


def _required(owner: Owner, what: str, value: object) -> str:
    if not value or not isinstance(value, str):
        raise NotPossible(f"{owner} has no {what}: correct it")
    return value


def _path(value: object) -> str:
    parts = [part for part in str(value or "").split("/") if part not in ("", ".")]
    return "/".join(parts)
