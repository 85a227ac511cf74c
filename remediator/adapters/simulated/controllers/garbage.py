"""Dependents follow their owners: in the background, or before them where the deletion is in the foreground."""

from __future__ import annotations

from remediator.adapters.simulated.store import Obj, ref_to
from remediator.adapters.simulated.world import FOREGROUND, World, is_terminating


def collect_dependents(world: World, owner: Obj) -> None:
    """An owner is gone: delete what nobody else owns."""
    uid = owner["metadata"]["uid"]
    for child in world.store.children(uid):
        _collect_later(world, child, uid)


def _collect_later(world: World, child: Obj, owner_uid: str) -> None:
    ref, uid = ref_to(child), child["metadata"]["uid"]

    def collect() -> None:
        current = world.store.at(ref)
        if current is None or current["metadata"]["uid"] != uid or is_terminating(current):
            return
        owners = current["metadata"].get("ownerReferences") or ()
        if owners and all(o["uid"] == owner_uid for o in owners):
            world.delete(current)

    world.later(world.timing.collect_s, collect)


def release_foreground(world: World, obj: Obj, *, later_s: float) -> None:
    """Something is terminating: an owner deleted in the foreground takes its dependents along, and goes after them."""
    if FOREGROUND not in (obj["metadata"].get("finalizers") or ()):
        return
    ref, uid = ref_to(obj), obj["metadata"]["uid"]

    def check() -> None:
        current = world.store.at(ref)
        if current is None or current["metadata"]["uid"] != uid:
            return
        children = world.store.children(uid)
        for child in children:
            if not is_terminating(child):
                world.delete(child, propagation="Foreground")
        if world.store.children(uid):
            world.later(world.timing.collect_s, check)
            return
        finalizers = [f for f in current["metadata"].get("finalizers") or () if f != FOREGROUND]
        if len(finalizers) != len(current["metadata"].get("finalizers") or ()):
            world.update(current, {**current, "metadata": {**current["metadata"], "finalizers": finalizers}})

    world.later(later_s, check)
