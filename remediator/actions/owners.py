"""Who owns a field or an object: managedFields, HPAs, and what GitOps tools leave on objects. Pure.

Labels and annotations alone prove little (a Helm chart sets `app.kubernetes.io/instance`, a copied manifest carries
somebody else's annotation), so each finding says what it rests on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from remediator.actions.paths import selects, value_at
from remediator.actions.view import View
from remediator.objects import Object, annotations_of, controller_of, dig, labels_of, ref_of

ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
HELM_RELEASE = "meta.helm.sh/release-name"

GITOPS_MANAGERS = ("argocd-controller", "argocd-application-controller", "kustomize-controller", "helm-controller")
"""Field managers of the GitOps controllers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldManager:
    """One managedFields entry that covers a path. `operation` is `Apply` (server-side apply) or `Update`."""

    name: str
    operation: str
    subresource: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOwner:
    """The GitOps object that writes an object, for people: `Argo CD application shop`."""

    tool: Literal["Argo CD application", "Flux Kustomization", "Flux HelmRelease"]
    name: str

    def __str__(self) -> str:
        return f"{self.tool} {self.name}"


def managers_of(obj: Object, path: tuple[str, ...]) -> tuple[FieldManager, ...]:
    """Everybody whose managedFields hold this path or anything below it, newest entry first."""
    found = []
    for entry in dig(obj, "metadata", "managedFields") or ():
        if _covers(entry.get("fieldsV1") or {}, path):
            found.append(
                FieldManager(
                    name=str(entry.get("manager", "")),
                    operation=str(entry.get("operation", "")),
                    subresource=str(entry.get("subresource") or ""),
                    time=str(entry.get("time") or ""),
                )
            )
    return tuple(sorted(found, key=lambda manager: manager.time, reverse=True))


def git_owner(obj: Object) -> GitOwner | None:
    """The Argo CD application or Flux object that tracks this very object; None when nothing proves one.

    Argo CD's tracking id names group, kind, namespace and name: one that names another object was copied, and is no
    proof.
    """
    tracking = annotations_of(obj).get(ARGO_TRACKING, "")
    if tracking:
        app, _, tracked = tracking.partition(":")
        if app and tracks(obj, tracked):
            return GitOwner(tool="Argo CD application", name=app)
    labels = labels_of(obj)
    if name := labels.get("kustomize.toolkit.fluxcd.io/name"):
        where = labels.get("kustomize.toolkit.fluxcd.io/namespace", "")
        return GitOwner(tool="Flux Kustomization", name=f"{where}/{name}" if where else name)
    if name := labels.get("helm.toolkit.fluxcd.io/name"):
        where = labels.get("helm.toolkit.fluxcd.io/namespace", "")
        return GitOwner(tool="Flux HelmRelease", name=f"{where}/{name}" if where else name)
    return None


def git_sets(obj: Object, path: tuple[str, ...]) -> bool:
    """Whether Git says something about this path, as far as the object tells.

    A controller that uses server-side apply lists exactly its fields. One that applies as kubectl did leaves what it
    applied in an annotation. Otherwise its Update entry counts, and where there is none at all the answer is yes: not
    knowing is no permission.
    """
    entries = [e for e in dig(obj, "metadata", "managedFields") or () if e.get("manager") in GITOPS_MANAGERS]
    applied = [e for e in entries if e.get("operation") == "Apply"]
    if applied:
        return any(_covers(e.get("fieldsV1") or {}, path) for e in applied)
    if LAST_APPLIED in annotations_of(obj):
        return _in_last_applied(annotations_of(obj)[LAST_APPLIED], path)
    if entries:
        return any(_covers(e.get("fieldsV1") or {}, path) for e in entries)
    return True


def helm_release(obj: Object) -> str:
    """The Helm release that installed the object, or empty. Helm writes only when somebody upgrades it."""
    return annotations_of(obj).get(HELM_RELEASE, "")


def operator_of(obj: Object) -> str:
    """What controls a workload itself (an operator's custom resource), as `Prometheus k8s`, or empty."""
    owner = controller_of(obj)
    return f"{owner.get('kind', '')} {owner.get('name', '')}".strip() if owner else ""


def hpas_of(view: View) -> tuple[Object, ...]:
    """The HorizontalPodAutoscalers that scale the target: kind, name and API group must agree."""
    return tuple(hpa for hpa in view.hpas if _scales(hpa, view.target))


def _scales(hpa: Object, workload: Object) -> bool:
    aim = dig(hpa, "spec", "scaleTargetRef") or {}
    ref = ref_of(workload)
    same_group = _group(str(aim.get("apiVersion", ""))) == _group(str(workload.get("apiVersion", "")))
    return (
        (aim.get("kind"), aim.get("name")) == (ref.kind, ref.name) and same_group and _namespace(hpa) == ref.namespace
    )


def _namespace(obj: Object) -> str:
    return str(dig(obj, "metadata", "namespace", default=""))


def _group(api_version: str) -> str:
    return api_version.partition("/")[0] if "/" in api_version else ""


def tracks(obj: Object, tracked: str) -> bool:
    """Whether a tracking id, behind the name of its application, is about this very object."""
    ref = ref_of(obj)
    return tracked == f"{_group(str(obj.get('apiVersion', '')))}/{obj['kind']}:{ref.namespace}/{ref.name}"


def _covers(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a fieldsV1 tree holds the path, or anything below it. A list that is owned as a whole holds its items.

    Items are there by their keys, never by their number: of a number any item counts.
    """
    if not path:
        return True
    part, rest = path[0], path[1:]
    wanted = selects(part)
    if wanted is None and not part.isdigit():
        inner = fields.get(f"f:{part}")
        return isinstance(inner, Mapping) and _covers(inner, rest)
    if not fields:
        return True
    items = [inner for key, inner in fields.items() if key[:2] in ("k:", "i:", "v:")]
    if wanted is not None:
        items = [inner for key, inner in fields.items() if key.startswith("k:") and _has(key[2:], *wanted)]
    return any(_covers(inner, rest) for inner in items)


def _has(keys: str, name: str, value: str) -> bool:
    try:
        return str(json.loads(keys).get(name)) == value
    except (ValueError, AttributeError):
        return False


def _in_last_applied(text: str, path: tuple[str, ...]) -> bool:
    try:
        applied = json.loads(text)
    except ValueError:
        return True
    return value_at(applied, path) is not None
