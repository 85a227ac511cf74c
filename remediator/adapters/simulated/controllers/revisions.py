"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had."""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.controllers.pods import child_of, template_hash
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World

HASH_LABEL = "controller-revision-hash"


def current_revision(world: World, owner: Obj, *, hash_only: bool) -> Obj:
    """The revision of the present template: an equal old one with a new number, or a new one.

    `hash_only`: a DaemonSet labels pods with the hash, a StatefulSet with the revision's whole name.
    """
    data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    revisions = sorted(history(world, owner), key=number)
    highest = number(revisions[-1]) if revisions else 0
    for revision in reversed(revisions):
        if revision["data"] == data:
            if number(revision) == highest:
                return revision
            return world.update(revision, {**revision, "revision": highest + 1})
    digest = template_hash(data)
    name = f"{owner['metadata']['name']}-{digest}"
    labels = {
        **(owner["spec"]["template"].get("metadata", {}).get("labels") or {}),
        HASH_LABEL: digest if hash_only else name,
    }
    made = child_of(owner, "ControllerRevision", name, metadata={"labels": labels}, data=data, revision=highest + 1)
    return world.create(made)


def history(world: World, owner: Obj) -> list[Obj]:
    return world.store.children(owner["metadata"]["uid"], "ControllerRevision")


def number(revision: Obj) -> int:
    return int(revision["revision"])


def trim(world: World, owner: Obj, in_use: set[Any]) -> None:
    """Forget the oldest revisions beyond revisionHistoryLimit that no pod has. `in_use` = values of the hash label."""
    spare = [r for r in history(world, owner) if r["metadata"]["labels"][HASH_LABEL] not in in_use]
    for revision in sorted(spare, key=number)[: max(len(spare) - owner["spec"]["revisionHistoryLimit"], 0)]:
        world.delete(revision)
