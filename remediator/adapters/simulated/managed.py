"""managedFields: who set which field last, and when.

The guardrail `ownership` and the probe of an unanswered write read them. What people and we write is tracked field by
field; controllers' own creations and status updates, which nobody asks about, get one coarse entry.
"""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.patches import MERGE_KEYS, MERGED_SETS
from remediator.adapters.simulated.store import Obj

Fields = dict[str, Any]
"""FieldsV1: `{"f:spec": {"f:replicas": {}}}`, list items as `k:{"name":"api"}` or `v:"text"`."""

ATOMIC = frozenset(("selector", "nodeSelector", "scaleTargetRef"))
"""Mappings that have one owner."""

MAPS = frozenset(("annotations", "labels", "rollingUpdate"))
"""Mappings whose existence has an owner of its own, written `.`."""

UNTRACKED = frozenset(
    (
        "managedFields",
        "resourceVersion",
        "generation",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "name",
        "namespace",
        "selfLink",
    )
)


def record(before: Obj | None, after: Obj, *, manager: str, at: str, subresource: str = "") -> list[dict[str, Any]]:
    """The managedFields of `after`, when `manager` turned `before` into it by an update (not a server-side apply)."""
    took = _object_difference(before, after)
    lost = _object_difference(after, before) if before is not None else {}
    gone = _subtract(lost, took)
    entries: list[dict[str, Any]] = []
    mine: dict[str, Any] | None = None
    for entry in (before or {}).get("metadata", {}).get("managedFields") or ():
        same = entry["manager"] == manager and entry.get("subresource", "") == subresource
        if same and entry["operation"] == "Update":
            fields = _subtract(_union(entry["fieldsV1"], took), gone)
            mine = {**entry, "fieldsV1": fields, "time": at if took else entry["time"]}
            entries.append(mine)
            continue
        fields = _subtract(_subtract(entry["fieldsV1"], took), gone)
        if fields:
            entries.append({**entry, "fieldsV1": fields})
    if mine is None and took:
        entries.append(entry_of(after, manager=manager, at=at, subresource=subresource, fields=took))
    return entries


def entry_of(obj: Obj, *, manager: str, at: str, subresource: str = "", fields: Fields) -> dict[str, Any]:
    """One entry of managedFields."""
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": obj["apiVersion"],
        "time": at,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {**entry, "subresource": subresource} if subresource else entry


def touch_status(entries: list[dict[str, Any]], obj: Obj, *, manager: str, at: str) -> list[dict[str, Any]]:
    """The same entries after a status update by `manager`."""
    kept = [e for e in entries if e["manager"] != manager or e.get("subresource") != "status"]
    return [*kept, entry_of(obj, manager=manager, at=at, subresource="status", fields={"f:status": {}})]


def _object_difference(old: Obj | None, new: Obj | None) -> Fields:
    """Fields of `new` that `old` lacks or holds another value for."""
    found: Fields = {}
    for part, value in (new or {}).items():
        if part in ("apiVersion", "kind"):
            continue
        was = (old or {}).get(part)
        if part == "metadata":
            value = {k: v for k, v in value.items() if k not in UNTRACKED}
        if value == was:
            continue
        inner = _difference(part, was, value)
        if inner is not None and (inner or value in ({}, [])):
            found[f"f:{part}"] = inner
    return {k: v for k, v in found.items() if v or k != "f:metadata"}


def _difference(field: str, old: Any, new: Any) -> Fields | None:
    """FieldsV1 of what is new in `new`; {} for a leaf that changed, None when nothing did."""
    if new == old:
        return None
    if isinstance(new, dict):
        was = old if isinstance(old, dict) else {}
        if field in ATOMIC:
            return {}
        inner = {f"f:{k}": d for k, v in new.items() if (d := _difference(k, was.get(k), v)) is not None}
        if inner and field in MAPS and not was:
            inner["."] = {}
        return inner or (None if new and isinstance(old, dict) else {})
    if isinstance(new, list) and field in MERGED_SETS:
        return {f'v:"{v}"': {} for v in new if v not in (old or ())} or None
    if isinstance(new, list) and field in MERGE_KEYS and all(isinstance(item, dict) for item in new):
        was_items = {_item_key(field, item): item for item in old or () if isinstance(item, dict)}
        found: Fields = {}
        for item in new:
            key = _item_key(field, item)
            inner_item = _difference("", was_items.get(key), item)
            if inner_item is not None:
                found[key] = {".": {}, **inner_item} if key not in was_items else inner_item
        return found or None
    return {}


def _item_key(field: str, item: dict[str, Any]) -> str:
    key = next((k for k in MERGE_KEYS[field] if k in item), MERGE_KEYS[field][0])
    value = item.get(key)
    return f'k:{{"{key}":"{value}"}}' if isinstance(value, str) else f'k:{{"{key}":{value}}}'


def _union(a: Fields, b: Fields) -> Fields:
    merged = dict(a)
    for key, value in b.items():
        merged[key] = _union(merged[key], value) if key in merged else value
    return merged


def _subtract(a: Fields, b: Fields) -> Fields:
    """`a` without the leaves of `b`; what becomes empty goes."""
    left: Fields = {}
    for key, value in a.items():
        if key not in b:
            left[key] = value
        elif value and b[key]:
            inner = _subtract(value, b[key])
            if inner and set(inner) != {"."}:
                left[key] = inner
    return left
