"""A change of fields, taken apart into single values: what manifests say is single values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.actions.change import FieldChange
from remediator.actions.paths import Path, index_of, selects, value_at
from remediator.actions.render import dotted, pointer
from remediator.actions.workload import OURS, POD_TEMPLATE_HASH, is_restart_annotation
from remediator.objects import JSON, Object


@dataclass(frozen=True, slots=True)
class Leaf:
    """One path below which nothing is taken apart any more; None = it is absent."""

    path: Path
    before: JSON
    after: JSON

    def __str__(self) -> str:
        return dotted(self.path)


def leaves(change: FieldChange) -> tuple[Leaf, ...]:
    """Where `before` and `after` differ, down to single values as far as lists can be matched.

    Dates of restarts, our own annotations and the hash that a controller adds are nobody's in Git, and left out.
    """
    return tuple(leaf for leaf in _apart(change.path, change.before, change.after) if not _nobodys(leaf.path))


def pointer_of(path: Path, obj: Object) -> str:
    """The path as a JSON Pointer into this object: items of lists by their number."""
    parts: list[str] = []
    for number, part in enumerate(path):
        index = index_of(value_at(obj, path[:number]), part) if selects(part) else None
        parts.append(part if index is None else str(index))
    return pointer(tuple(parts))


def _apart(path: Path, before: JSON, after: JSON) -> Iterator[Leaf]:
    if before == after and type(before) is type(after):
        return
    if before is None and isinstance(after, Mapping):
        before = {}  # what a mapping that was not there brings is named key by key
    if after is None and isinstance(before, Mapping):
        after = {}
    left, right = _parts(before), _parts(after)
    if left is None or right is None or _kind(before) is not _kind(after):
        yield Leaf(path, before, after)
        return
    if not isinstance(before, Mapping) and (left.keys() != right.keys() or list(left) != list(right)):
        yield Leaf(path, before, after)  # an item more, less, or in another place: the list as a whole
        return
    for key in dict.fromkeys((*left, *right)):
        yield from _apart((*path, key), left.get(key), right.get(key))


def _kind(value: JSON) -> type:
    return dict if isinstance(value, Mapping) else list


def _parts(value: JSON) -> Mapping[str, Any] | None:
    """Of a mapping or a list of mappings, by the part of a path; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(x, Mapping) for x in value):
        return None
    names = [item.get("name") for item in value if isinstance(item, Mapping)]
    if all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
        return {f"[name={name}]": item for name, item in zip(names, value, strict=True)}
    return {str(index): item for index, item in enumerate(value)}


def _nobodys(path: Path) -> bool:
    parent, name = path[-2:-1], path[-1]
    if parent == ("annotations",):
        return is_restart_annotation(name) or name.startswith(OURS)
    return parent == ("labels",) and name == POD_TEMPLATE_HASH
