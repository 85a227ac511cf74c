"""Objects, their versions and their past.

Objects in here are never changed in place: an update puts a new tree that shares what did not change. So the past costs
little, readers inside need no copies, and only what leaves the simulated cluster is copied (`border`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from remediator.objects import KINDS, ObjectRef, kind_of

Obj = dict[str, Any]
"""An object in the store. By agreement nobody changes it."""

Key = tuple[str, str]
"""Namespace and name."""

FIRST_VERSION = 1000
HISTORY = 10_000
"""Changes kept per kind for watches and stale reads; who asks for older ones lists again (410)."""


def border(obj: Any) -> Any:
    """A copy for the world outside, which may do with it what it likes."""
    return orjson.loads(orjson.dumps(obj))


def key_of(obj: Obj) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def ref_to(obj: Obj) -> ObjectRef:
    return ObjectRef(kind_of(obj), *key_of(obj))


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the store's history. `before` or `after` is None for a creation or a removal."""

    version: int
    at: datetime
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    before: Obj | None
    after: Obj | None
    object: Obj
    """As watches see it: after a removal the last state, with the version of the removal."""


class ExpiredError(Exception):
    """The history does not reach back that far."""


class Store:
    """All objects of one cluster. One counter gives every change its resourceVersion, as etcd does."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._objects: dict[str, dict[Key, Obj]] = {kind: {} for kind in KINDS}
        self._children: dict[str, dict[tuple[str, Key], None]] = {}
        self._history: dict[str, deque[Change]] = {kind: deque(maxlen=HISTORY) for kind in KINDS}
        self._dropped: dict[str, int] = dict.fromkeys(KINDS, FIRST_VERSION)
        self.version = FIRST_VERSION
        self.listeners: list[Callable[[Change], None]] = []

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self._objects[kind].get((namespace, name))

    def at(self, ref: ObjectRef) -> Obj | None:
        return self._objects[ref.kind].get((ref.namespace, ref.name))

    def all(self, kind: str, namespace: str = "") -> Iterator[Obj]:
        """Objects of a kind in the order of their creation."""
        objects = self._objects[kind]
        if not namespace:
            return iter(list(objects.values()))
        return iter([obj for (where, _), obj in objects.items() if where == namespace])

    def children(self, uid: str, kind: str = "") -> list[Obj]:
        """Objects with an ownerReference to `uid`, in the order of their creation."""
        found = self._children.get(uid, ())
        return [self._objects[k][key] for k, key in found if not kind or k == kind]

    def put(self, obj: Obj) -> Obj:
        """Store a new version; gives it its resourceVersion. The object as stored is returned."""
        kind, key = kind_of(obj), key_of(obj)
        before = self._objects[kind].get(key)
        self.version += 1
        after = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self._objects[kind][key] = after
        self._index(kind, key, before, after)
        kind_of_change: Literal["ADDED", "MODIFIED"] = "ADDED" if before is None else "MODIFIED"
        self._record(kind, Change(self.version, self._now(), kind_of_change, before, after, after))
        return after

    def remove(self, obj: Obj) -> None:
        """Take an object out."""
        kind, key = kind_of(obj), key_of(obj)
        before = self._objects[kind].pop(key)
        self._index(kind, key, before, None)
        self.version += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._record(kind, Change(self.version, self._now(), "DELETED", before, None, last))

    def _index(self, kind: str, key: Key, before: Obj | None, after: Obj | None) -> None:
        old = before["metadata"].get("ownerReferences") if before is not None else None
        new = after["metadata"].get("ownerReferences") if after is not None else None
        if old == new:
            return
        for owner in old or ():
            children = self._children[owner["uid"]]
            children.pop((kind, key), None)
            if not children:
                del self._children[owner["uid"]]
        for owner in new or ():
            self._children.setdefault(owner["uid"], {})[(kind, key)] = None

    def _record(self, kind: str, change: Change) -> None:
        history = self._history[kind]
        if len(history) == HISTORY:
            self._dropped[kind] = history[0].version
        history.append(change)
        for listener in self.listeners:
            listener(change)

    def since(self, kind: str, version: int) -> list[Change]:
        """Changes of a kind after `version`, oldest first. Raises: ExpiredError."""
        if version < self._dropped[kind]:
            raise ExpiredError(f"too old resource version: {version} ({self._dropped[kind]})")
        newer: list[Change] = []
        for change in reversed(self._history[kind]):
            if change.version <= version:
                break
            newer.append(change)
        newer.reverse()
        return newer

    def forget(self) -> None:
        """Compact: nothing before now can be watched any more."""
        for kind, history in self._history.items():
            history.clear()
            self._dropped[kind] = self.version

    def as_of(self, kind: str, at: datetime) -> dict[Key, Obj]:
        """The objects of a kind as they were at `at`: what a lagging replica or cache would answer."""
        objects = dict(self._objects[kind])
        for change in reversed(self._history[kind]):
            if change.at <= at:
                break
            if change.before is None:
                objects.pop(key_of(change.object), None)
            else:
                objects[key_of(change.before)] = change.before
        return objects
