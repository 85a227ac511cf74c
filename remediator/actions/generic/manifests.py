"""A manifest from a playbook, checked: a kind that may be made, no rights, no foreign keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.canonical import canonical_json
from remediator.actions.change import NotPossible
from remediator.actions.generic.dangers import danger_of
from remediator.actions.generic.keys import annotation_problem
from remediator.actions.generic.kinds import CREATABLE
from remediator.actions.view import View
from remediator.alerts.names import name_problem
from remediator.objects import KINDS, dig, kind_name
from remediator.playbooks.names import is_label_key, is_label_value

LARGEST_MANIFEST = 65_536
LONGEST_NAME = 52
"""So that eleven generated characters, or what a CronJob adds, still fit into 63."""

MOST_REPLICAS = 20

_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "data", "binaryData", "immutable"})
_METADATA = frozenset({"name", "namespace", "labels", "annotations"})


def checked_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest as it is. Raises: ValueError with what is wrong with it."""
    if len(canonical_json(manifest)) > LARGEST_MANIFEST:
        raise ValueError(f"a manifest has at most {LARGEST_MANIFEST} bytes")
    if (empty := _empty_key(manifest)) is not None:
        raise ValueError(f"nothing is written behind {empty[:80]}: fill it in, or remove it")
    kind = kind_of(manifest)
    if kind not in CREATABLE:
        raise ValueError(f"a {kind[:80]} is not made from a manifest; these are: {', '.join(CREATABLE)}")
    if manifest["apiVersion"] != KINDS[kind].api_version:
        raise ValueError(f"apiVersion of a {KINDS[kind].kind} is {KINDS[kind].api_version} here")
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise ValueError("metadata.name is missing")
    for where, keys, known in (("the manifest", manifest, _TOP), ("metadata", metadata, _METADATA)):
        if others := sorted(str(key) for key in set(keys) - known):
            raise ValueError(f"{where} has {', '.join(others)[:80]}, which is not set so: remove it")
    if len(metadata["name"]) > LONGEST_NAME:
        raise ValueError(f"metadata.name has at most {LONGEST_NAME} characters")
    if problem := name_problem("Service", metadata["name"]):
        raise ValueError(f"metadata.name {metadata['name']!r:.80} is {problem}")
    _check_metadata(metadata)
    replicas = dig(manifest, "spec", "replicas", default=1)
    if not isinstance(replicas, int) or not 0 <= replicas <= MOST_REPLICAS:
        raise ValueError(f"spec.replicas is a number from 0 to {MOST_REPLICAS}; scale goes further, within bounds")
    if reason := danger_of(manifest):
        raise ValueError(f"it sets {reason}")
    return manifest


def kind_of(manifest: Mapping[str, Any]) -> str:
    """The name we know its kind by. Raises: ValueError when it does not say."""
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not kind:
        raise ValueError("apiVersion and kind are missing")
    return kind_name(version, kind)


def namespace_for(manifest: Mapping[str, Any], view: View) -> str:
    """The target's namespace, the only one in which something is made. Raises: NotPossible for another one."""
    namespace = view.ref.name if view.ref.kind == "Namespace" else view.ref.namespace
    if not namespace:
        raise NotPossible(f"{view.ref} is in no namespace: name a target that is in the one to make it in")
    named = dig(manifest, "metadata", "namespace")
    if named not in (None, namespace):
        raise NotPossible(f"the manifest names namespace {named}, the target is in {namespace}: name that one, or none")
    if view.namespace is not None and dig(view.namespace, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"namespace {namespace} is being deleted: nothing is made in it")
    return namespace


def doubt_about(manifest: Mapping[str, Any]) -> str:
    """Why a person must agree, whatever the mode: what opens something to the outside, or takes its traffic."""
    kind = manifest.get("kind")
    if kind in ("Ingress", "HTTPRoute", "VirtualService"):
        return f"{kind} can take the traffic of host names that others use"
    service = dig(manifest, "spec", "type")
    if kind == "PersistentVolumeClaim":
        return "storage costs until somebody deletes it"
    if kind == "Service" and service not in (None, "ClusterIP"):
        return f"a Service of type {service} opens something to the outside"
    return ""


def _empty_key(value: Any) -> str | None:
    """The first key without a value: nobody can tell what was meant."""
    for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        if inner is None:
            return str(key)
        if isinstance(inner, Mapping | list | tuple) and (found := _empty_key(inner)) is not None:
            return found
    return None


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if not isinstance(annotations, Mapping) or not isinstance(labels, Mapping):
        raise ValueError("metadata.labels and metadata.annotations are mappings")
    for key, value in annotations.items():
        if not isinstance(value, str) or (problem := annotation_problem(str(key), value)):
            raise ValueError(f"annotation {problem if isinstance(value, str) else f'{key} is no text'}")
    for key, value in labels.items():
        text = value if isinstance(value, str) else "="
        if str(key).startswith("remediator.dev/") or not is_label_key(str(key)) or not is_label_value(text):
            raise ValueError(f"{key!r:.80} with {value!r:.80} is no label to set")
