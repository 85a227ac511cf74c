"""The target as expressions see it: one set of names for all workloads, instead of three spellings of "ready"."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.pods import pod_is_ready
from remediator.actions.revisions import past_revisions
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.actions.workload import read_workload, template_hash
from remediator.objects import WORKLOADS, Object, annotations_of, dig, labels_of


def normalise_target(view: View) -> dict[str, Any]:
    """What `target` holds in CEL: the fields of `expressions.TARGET_FIELDS`.

    Numbers that the API server omits because they are zero are zero here. What a kind has not, or what could not be
    read, is left out (zero restarts would be a claim); `unknown` then says why, for the error of an expression that
    asks. The raw object is under `object`.
    """
    found: dict[str, Any] = {
        "kind": view.ref.kind,
        "namespace": view.ref.namespace,
        "name": view.ref.name,
        "labels": dict(labels_of(view.target)),
        "annotations": dict(annotations_of(view.target)),
        "object": view.target,
    }
    unknown: dict[str, str] = {}
    if view.ref.kind in WORKLOADS:
        found |= _workload_numbers(view.target)
        found |= _images(dig(view.target, "spec", "template", "spec"))
        _put(found, unknown, "restarts", _restarts_of_pods(view))
        _put(found, unknown, "revision_age", _revision_age(view))
    elif view.ref.kind == "Pod":
        ready = int(pod_is_ready(view.target))
        found |= {"desired": 1, "updated": 1, "ready": ready, "available": ready}
        found |= _images(dig(view.target, "spec"))
        found["restarts"] = _restarts(view.target)
    return {**found, "unknown": unknown}


def _put(found: dict[str, Any], unknown: dict[str, str], key: str, value: int | timedelta | str) -> None:
    """A text is the reason why there is no value."""
    if isinstance(value, str):
        unknown[key] = value
    else:
        found[key] = value


def _workload_numbers(target: Object) -> dict[str, int]:
    numbers = read_workload(target)
    return {
        "desired": numbers.desired,
        "ready": numbers.ready,
        "updated": numbers.updated,
        "available": numbers.available,
    }


def _images(spec: Any) -> dict[str, Any]:
    """`image` is the first container's, `images` those of all containers; init containers do not serve anybody."""
    images = [str(container.get("image", "")) for container in dig(spec, "containers") or ()]
    return {"image": images[0], "images": images} if images else {}


def _restarts(pod: Object) -> int:
    return sum(int(status.get("restartCount") or 0) for status in dig(pod, "status", "containerStatuses") or ())


def _restarts_of_pods(view: View) -> int | str:
    if reason := view.unreadable.get("pods"):
        return f"its pods could not be read: {reason}"
    return sum(_restarts(pod) for pod in view.pods)


def _revision_age(view: View) -> timedelta | str:
    """How long ago the present pod template came. A restart is the same template, so it does not make it younger.

    Revisions with the same template in a row count as one; the first of them says when it came. A ReplicaSet that a
    rollback brought back keeps its old creation time and so looks older than it is: then a playbook for bad releases
    does not fit, which is the safe way to be wrong.
    """
    if reason := view.unreadable.get("revisions"):
        return f"its revisions could not be read: {reason}"
    present = template_hash(dig(view.target, "spec", "template") or {})
    born: datetime | None = None
    for hashed, created in _history(view):
        if hashed != present:
            break
        born = created
    if born is None:
        return "no revision of its present pod template was found"
    return max(view.read_at - born, timedelta(0))


def _history(view: View) -> list[tuple[str, datetime]]:
    """(template hash, creation) of the target's revisions, newest number first."""
    found = []
    for obj in view.revisions:
        created = dig(obj, "metadata", "creationTimestamp")
        for revision in past_revisions(replace(view, revisions=(obj,))) if isinstance(created, str) else ():
            found.append((revision.number, revision.template_hash, parse_time(created)))
    return [(hashed, created) for _, hashed, created in sorted(found, reverse=True)]
