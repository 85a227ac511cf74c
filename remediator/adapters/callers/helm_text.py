"""What helm prints, read: histories, and how two manifests differ. Pure.

Values of a manifest may be secrets wherever they are, so a difference names fields, and says values only where they are
numbers, switches, images or sizes. Of a Secret only its name is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from remediator.errors import CannotSee
from remediator.objects import WORKLOADS, dig
from remediator.redact import redact

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_LINES = 40
MOST_FIELDS = 4
MOST_TEXT = 160

TOLD = frozenset({"image", "cpu", "memory", "storage", "ephemeral-storage", "type", "appVersion"})
"""Texts under these keys are no secrets."""
VERSION_LABELS = frozenset({"helm.sh/chart", "app.kubernetes.io/version"})
"""Differ in each object with each version: noise."""
DATA = frozenset({"PersistentVolumeClaim", "PersistentVolume", "StatefulSet", "CustomResourceDefinition", "Namespace"})
"""Kinds whose removal, or whose absence afterwards, may cost data."""

Doc = Mapping[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One line of a history. `chart` is `name-version`."""

    number: int
    status: str
    chart: str
    description: str
    updated: str = ""

    @property
    def pending(self) -> bool:
        return self.status.startswith("pending-") or self.status == "uninstalling"

    def told(self) -> dict[str, Any]:
        return {
            "revision": self.number,
            "status": self.status,
            "chart": self.chart,
            "updated": self.updated,
            "description": redact(self.description)[:MOST_TEXT],
        }


def read_history(text: bytes) -> tuple[Revision, ...]:
    """`helm history -o json`, oldest first. Raises: CannotSee."""
    try:
        found = tuple(
            Revision(
                number=int(one["revision"]),
                status=str(one["status"]),
                chart=str(one["chart"]),
                description=str(one.get("description", "")),
                updated=str(one.get("updated", ""))[:40],
            )
            for one in orjson.loads(text)
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise CannotSee(f"helm's history cannot be read: {type(exc).__name__}") from exc
    if not found:
        raise CannotSee("helm's history is empty")
    return tuple(sorted(found, key=lambda one: one.number))


def read_manifest(text: str | bytes) -> dict[Key, Doc]:
    """Objects by kind, namespace and name. Raises: CannotSee."""
    try:
        docs = [doc for doc in yaml.load_all(text, Loader=LOADER) if doc]
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise CannotSee(f"helm's manifest cannot be read: {type(exc).__name__}") from exc
    flat: list[Any] = []
    for doc in docs:
        items = doc.get("items") if isinstance(doc, Mapping) and str(doc.get("kind", "")).endswith("List") else None
        flat += items if isinstance(items, list) else [doc]
    if not all(isinstance(doc, Mapping) and doc.get("kind") for doc in flat):
        raise CannotSee("helm's manifest has something without a kind")
    return {_key(doc): doc for doc in flat}


def _key(doc: Doc) -> Key:
    return str(doc["kind"]), str(dig(doc, "metadata", "namespace") or ""), str(dig(doc, "metadata", "name") or "")


def difference(before: Mapping[Key, Doc], after: Mapping[Key, Doc], *, namespace: str) -> dict[str, Any]:
    """`{"lines", "added", "changed", "removed", "workloads", "data"}`: lines for people, counts, and names.

    `workloads`: `Kind/namespace/name` of those that are touched; `data`: removed objects that hold data.
    """
    lines, changed = [], []
    added, removed = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    for key in sorted(set(before) & set(after)):
        fields = list(_fields(before[key], after[key], ()))
        if not fields:
            continue
        changed.append(key)
        said = fields[:MOST_FIELDS] + [f"{len(fields) - MOST_FIELDS} more"] * (len(fields) > MOST_FIELDS)
        lines.append(f"~ {_named(key)}" + ("" if key[0] == "Secret" else f": {', '.join(said)}"))
    lines += [f"+ {_named(key)}" for key in added] + [f"- {_named(key)}" for key in removed]
    touched = [key for key in (*changed, *added, *removed) if key[0] in WORKLOADS]
    return {
        "lines": [_clean(line) for line in lines[:MOST_LINES]],
        "added": len(added),
        "changed": len(changed),
        "removed": len(removed),
        "workloads": sorted(f"{kind}/{where or namespace}/{name}" for kind, where, name in touched)[:200],
        "data": [_clean(_named(key)) for key in removed if key[0] in DATA][:20],
    }


def _fields(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Leaves that differ, as `spec.replicas 2 -> 3`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({str(key) for key in (*before, *after)} - VERSION_LABELS):
            yield from _fields(before.get(key), after.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else None
            other = after[index] if index < len(after) else None
            name = other.get("name") if isinstance(other, Mapping) else None
            yield from _fields(one, other, (*path, f"[{name if isinstance(name, str) else index}]"))
    elif before != after:
        known = path and path[-1] in TOLD
        values = [value if known or not isinstance(value, str) else "..." for value in (before, after)]
        yield ".".join(path) + (f" {_brief(values[0])} -> {_brief(values[1])}" if "..." not in values else "")


def _brief(value: Any) -> str:
    if value is None:
        return "none"
    return str(value)[:80] if isinstance(value, str | int | float | bool) else "..."


def _named(key: Key) -> str:
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _clean(line: str) -> str:
    return redact(" ".join(line.split()))[:MOST_TEXT]


def hooks_on(hooks: Sequence[Doc], *events: str) -> list[str]:
    """Names of hooks that run on these events (`pre-upgrade`)."""
    found = [_clean(f"{one['kind']} {one['name']} ({', '.join(one['events'])})") for one in hooks if _runs(one, events)]
    return sorted(found)[:20]


def _runs(hook: Doc, events: Sequence[str]) -> bool:
    return bool({str(event) for event in hook["events"]} & set(events))


def hooks_of_dry_run(found: Any) -> list[dict[str, Any]]:
    """The hooks of `helm upgrade --dry-run -o json`. Raises: CannotSee."""
    try:
        return [
            {"kind": str(one["kind"]), "name": str(one["name"]), "events": [str(e) for e in one.get("events") or ()]}
            for one in found.get("hooks") or ()
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        raise CannotSee(f"helm's hooks cannot be read: {type(exc).__name__}") from exc


def hooks_of_manifest(docs: Mapping[Key, Doc]) -> list[dict[str, Any]]:
    """The hooks of `helm get hooks`: their events are an annotation."""
    return [
        {
            "kind": kind,
            "name": name,
            "events": [e.strip() for e in str(dig(doc, "metadata", "annotations", "helm.sh/hook") or "").split(",")],
        }
        for (kind, _, name), doc in docs.items()
    ]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
