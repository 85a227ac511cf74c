"""Paths into objects that also go through lists: `containers[name=app].image`, `rules[0].weight`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.objects import JSON

Path = tuple[str, ...]


def selects(part: str) -> tuple[str, str] | None:
    """`[name=app]` as ("name", "app"); None for a key or a number."""
    if part.startswith("[") and part.endswith("]") and "=" in part:
        key, _, value = part[1:-1].partition("=")
        return key, value
    return None


def through_list(path: Path) -> bool:
    """Whether a part of it selects from a list. A number counts as one: no field of Kubernetes is called so."""
    return any(part.isdigit() or selects(part) is not None for part in path)


def value_at(obj: Any, path: Path) -> JSON:
    """The value at a path, None where any part is missing."""
    for part in path:
        obj = _step(obj, part)
        if obj is None:
            return None
    return obj


def index_of(items: Any, part: str) -> int | None:
    """Which item of a list a part means; None when there is none."""
    if not isinstance(items, Sequence) or isinstance(items, str):
        return None
    if part.isdigit():
        return int(part) if int(part) < len(items) else None
    wanted = selects(part)
    if wanted is None:
        return None
    key, value = wanted
    for index, item in enumerate(items):
        if isinstance(item, Mapping) and str(item.get(key)) == value:
            return index
    return None


def _step(obj: Any, part: str) -> Any:
    if isinstance(obj, Mapping):
        return obj.get(part)
    index = index_of(obj, part)
    return None if index is None else obj[index]
