"""What controllers of pods have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from remediator.adapters.simulated.defaults import with_defaults
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_ready
from remediator.objects import KINDS, dig

SAFE_LETTERS = "bcdf456789ghjklm"


def owner_reference(owner: Obj) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_of(owner: Obj, template: Mapping[str, Any], *, labels: Mapping[str, str] | None = None, **meta: Any) -> Obj:
    """A new pod from a template. `meta` is its name or generateName."""
    made = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        **meta,
        "namespace": owner["metadata"]["namespace"],
        "labels": {**(made.get("labels") or {}), **(labels or {})},
        "ownerReferences": [owner_reference(owner)],
    }
    if made.get("annotations"):
        metadata["annotations"] = made["annotations"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    return with_defaults({**pod, "status": {"phase": "Pending"}})


def child_of(owner: Obj, kind: str, name: str, **parts: Any) -> Obj:
    """A new object that belongs to `owner`; `parts` are its sections, merged into the metadata where they name it."""
    meta = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [owner_reference(owner)],
        **parts.pop("metadata", {}),
    }
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, **parts}


def template_hash(value: Any) -> str:
    """Ten letters that stand for a template; like Kubernetes', not the same as Kubernetes'."""
    digest = hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=5).hexdigest()
    return "".join(SAFE_LETTERS[int(c, 16)] for c in digest)


def ready_since(pod: Obj) -> datetime | None:
    """Since when a pod is ready, or None."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    return moment(ready["lastTransitionTime"])


def moment(stamp: str) -> datetime:
    """A time as objects carry it."""
    return datetime.fromisoformat(stamp)


def available(world: World, owner: Obj, pods: Iterable[Obj]) -> int:
    """How many pods have been ready for minReadySeconds; asks to be called again when the next one will have been."""
    wait_s, count = owner["spec"].get("minReadySeconds", 0), 0
    for pod in pods:
        if not wait_s:
            count += is_ready(pod)
            continue
        since = ready_since(pod)
        if since is None:
            continue
        left_s = (since + timedelta(seconds=wait_s) - world.agenda.now()).total_seconds()
        if left_s <= 0:
            count += 1
        else:
            meta = owner["metadata"]
            world.enqueue(owner["kind"], meta["namespace"], meta["name"], left_s)
    return count


def created(pod: Obj) -> str:
    return str(dig(pod, "metadata", "creationTimestamp", default=""))


def omit_zero(**counts: Any) -> dict[str, Any]:
    """The counts that are not zero: Kubernetes leaves zeros out of most statuses."""
    return {name: count for name, count in counts.items() if count}
