"""The three patch formats. Each returns a new object and leaves the old one alone; what did not change is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JSON = Any

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
MOST_OPERATIONS = 10_000


class BadPatchError(ValueError):
    """A patch that makes no sense: 400."""


class PatchDoesNotApplyError(ValueError):
    """A JSON patch whose `test` fails or whose path is not there: 422."""


def merge_patch(target: JSON, patch: JSON) -> JSON:
    """RFC 7386: mappings merge, null deletes, everything else (lists too) is replaced whole."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def json_patch(target: JSON, operations: JSON) -> JSON:
    """RFC 6902. Raises: BadPatchError, PatchDoesNotApplyError."""
    if not isinstance(operations, list):
        raise BadPatchError("a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise BadPatchError(f"the allowed maximum operations in a JSON patch is {MOST_OPERATIONS}")
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise BadPatchError(f"not a JSON patch operation: {operation!r}")
        path = _pointer(operation["path"])
        match operation.get("op"):
            case "test":
                if _at(target, path) != operation.get("value"):
                    raise PatchDoesNotApplyError(f"testing path {operation['path']!r} failed")
            case "add" | "replace" | "remove" as op:
                target = _change(target, path, op, operation.get("value"))
            case "move" | "copy" as op:
                source = _pointer(str(operation.get("from", "")))
                value = _at(target, source)
                if op == "move":
                    target = _change(target, source, "remove", None)
                target = _change(target, path, "add", value)
            case op:
                raise BadPatchError(f"unexpected JSON patch operation {op!r}")
    return target


def _pointer(path: str) -> tuple[str, ...]:
    if path == "":
        return ()
    if not path.startswith("/"):
        raise BadPatchError(f"not a JSON pointer: {path!r}")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))


def _at(target: JSON, path: tuple[str, ...]) -> JSON:
    """The value at `path`; None where the last key of a mapping is missing, as `test` with null wants it."""
    for i, key in enumerate(path):
        if isinstance(target, list):
            target = target[_index(target, key)]
        elif isinstance(target, dict) and (key in target or i == len(path) - 1):
            target = target.get(key)
        else:
            raise PatchDoesNotApplyError(f"there is nothing at /{'/'.join(path[: i + 1])}")
    return target


def _change(target: JSON, path: tuple[str, ...], op: str, value: JSON) -> JSON:
    """A copy of `target` with one place changed; only the containers on the way are copied."""
    if not path:
        return value if op != "remove" else None
    key, rest = path[0], path[1:]
    if isinstance(target, list):
        items = list(target)
        if rest:
            items[_index(items, key)] = _change(items[_index(items, key)], rest, op, value)
        elif op == "add":
            items.insert(len(items) if key == "-" else _index(items, key, length=len(items) + 1), value)
        elif op == "replace":
            items[_index(items, key)] = value
        else:
            del items[_index(items, key)]
        return items
    if not isinstance(target, dict) or (key not in target and (rest or op != "add")):
        raise PatchDoesNotApplyError(f"there is nothing at {key!r} to {op}")
    copy = dict(target)
    if rest:
        copy[key] = _change(target[key], rest, op, value)
    elif op == "remove":
        del copy[key]
    else:
        copy[key] = value
    return copy


def _index(items: Sequence[JSON], key: str, *, length: int | None = None) -> int:
    if not key.isdigit() or int(key) >= (len(items) if length is None else length):
        raise PatchDoesNotApplyError(f"there is no item {key!r}")
    return int(key)


MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "ports": ("containerPort", "port"),  # of a container, of a Service
    "topologySpreadConstraints": ("topologyKey",),
    "taints": ("key",),
    "conditions": ("type",),
    "addresses": ("type",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "hostIPs": ("ip",),
}
"""Lists that merge by a key of their items (`patchMergeKey` in the API's types); any other list is replaced whole."""

MERGED_SETS = frozenset({"finalizers", "podCIDRs"})
"""Lists of plain values that merge."""


def strategic_merge_patch(target: JSON, patch: JSON) -> JSON:
    """Kubernetes' own format, for the built-in kinds. `$patch: replace|delete` and `$deleteFromPrimitiveList` work,
    `$setElementOrder` does not reorder. Raises: BadPatchError.
    """
    if not isinstance(patch, dict):
        raise BadPatchError("a strategic merge patch is a mapping")
    return _strategic_mapping(target, patch)


def _strategic_mapping(target: JSON, patch: dict[str, JSON]) -> dict[str, JSON] | None:
    directive = patch.get("$patch")
    if directive == "delete":
        return None
    if directive == "replace":
        return {k: v for k, v in patch.items() if not k.startswith("$")}
    if directive not in (None, "merge"):
        raise BadPatchError(f"unknown patch type: {directive!r}")
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            _strategic_directive(merged, key, value)
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = _strategic_mapping(merged.get(key), value)
            if inner is None:
                merged.pop(key, None)
            else:
                merged[key] = inner
        elif isinstance(value, list):
            merged[key] = _strategic_list(key, merged.get(key), value)
        else:
            merged[key] = value
    return merged


def _strategic_directive(merged: dict[str, JSON], key: str, value: JSON) -> None:
    if key == "$retainKeys":
        for gone in set(merged) - set(value):
            del merged[gone]
    elif key.startswith("$deleteFromPrimitiveList/"):
        field = key.partition("/")[2]
        merged[field] = [v for v in merged.get(field) or () if v not in value]


def _strategic_list(field: str, target: JSON, patch: list[JSON]) -> list[JSON]:
    current: list[JSON] = list(target) if isinstance(target, list) else []
    if field in MERGED_SETS:
        return current + [v for v in patch if v not in current]
    keys = MERGE_KEYS.get(field)
    if keys is None or not all(isinstance(item, dict) for item in patch):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    for item in patch:
        key = next((k for k in keys if k in item), None)
        if key is None:
            raise BadPatchError(f"map: {item!r} does not contain declared merge key: {keys[0]}")
        place = next((i for i, old in enumerate(current) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            current = [old for old in current if old.get(key) != item[key]]
        elif place is None:
            current.append(_strategic_mapping({}, item))
        else:
            current[place] = _strategic_mapping(current[place], item)
    return current
