"""The simulated API server: one request in, one object or one StatusError out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from remediator.adapters.simulated import eviction, patches, status
from remediator.adapters.simulated.defaults import with_defaults
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.validation import check_preconditions, check_shape, check_values
from remediator.adapters.simulated.world import World
from remediator.objects import KINDS, ObjectRef, kind_of
from remediator.ports import FIELD_MANAGER, WriteRequest

ORPHANED_BY_DEFAULT = frozenset(("Job",))
"""Deleting a Job without a propagationPolicy leaves its pods behind."""

PATCHES: Mapping[str, Callable[[Any, Any], Any]] = {
    patches.MERGE: patches.merge_patch,
    patches.JSON_PATCH: patches.json_patch,
    patches.STRATEGIC: patches.strategic_merge_patch,
}


def handle(world: World, request: WriteRequest, *, dry_run: bool = False, manager: str = FIELD_MANAGER) -> Obj:
    """Carry out a write, or show what it would do. Returns the object or the Status. Raises: StatusError."""
    body = _parse(request.body)
    match request.verb:
        case "patch":
            return _patch(world, request, body, dry_run, manager)
        case "create":
            return _create(world, request.ref, body, dry_run, manager)
        case "delete":
            return _delete(world, request.ref, body, dry_run)
        case "evict":
            return eviction.evict(world, request.ref, body, dry_run=dry_run)
        case "call":
            raise status.bad_request("a call does not go to the API server")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body or b"{}")
    except ValueError as exc:
        raise status.bad_request(f"error decoding patch: {exc}") from exc


def _existing(world: World, ref: ObjectRef) -> Obj:
    obj = world.store.at(ref)
    if obj is None:
        raise status.not_found(ref.kind, ref.name)
    return obj


def _patch(world: World, request: WriteRequest, body: Any, dry_run: bool, manager: str) -> Obj:
    ref, content_type, part = request.ref, request.content_type, request.subresource
    if part and not _serves(ref.kind, part):
        raise status.not_served()
    before = _existing(world, ref)
    if content_type not in PATCHES or (content_type == patches.STRATEGIC and "." in ref.kind):
        raise status.unsupported(content_type)
    try:
        patched = PATCHES[content_type](before, body)
    except patches.PatchDoesNotApplyError as exc:
        raise status.rejected() from exc
    except patches.BadPatchError as exc:
        raise status.bad_request(str(exc)) from exc
    after = _only(part, before, with_defaults(_checked(before, patched)))
    if part != "resize":
        check_values(before, after)
    if dry_run:
        return world.updated(before, after, manager=manager, subresource=part)
    return world.update(before, after, manager=manager, subresource=part)


def _serves(kind: str, part: str) -> bool:
    return (part == "status" and KINDS[kind].status) or (part == "resize" and kind == "Pod")


def _only(part: str, before: Obj, after: Obj) -> Obj:
    """What a subresource takes of a patch: the rest, annotations too, is dropped in silence."""
    match part:
        case "":
            return after
        case "status":
            return {**before, "status": after.get("status")}
        case _:
            return {**before, "spec": {**before["spec"], "containers": _resized(before, after)}}


def _resized(before: Obj, after: Obj) -> list[Obj]:
    old, new = (part["spec"].get("containers") or [] for part in (before, after))
    if [{**c, "resources": None} for c in old] != [{**c, "resources": None} for c in new]:
        problem = "spec: Forbidden: only cpu and memory resources are mutable"
        raise status.invalid("Pod", before["metadata"]["name"], [problem])
    return list(new)


def _checked(before: Obj, patched: Any) -> Obj:
    """A patched object that is still the same object, whose preconditions hold. Raises: StatusError."""
    kind, name = before["kind"], before["metadata"]["name"]
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise status.bad_request("the patched object is no object")
    if patched.get("kind") != kind or patched.get("apiVersion") != before["apiVersion"]:
        raise status.bad_request(f"the patch changes kind or apiVersion of {kind} {name}")
    meta = patched["metadata"]
    if meta.get("name") != name:
        raise status.bad_request(
            f"the name of the object ({meta.get('name')}) does not match the name on the URL ({name})"
        )
    if meta.get("namespace") != before["metadata"].get("namespace"):
        raise status.bad_request("the namespace of the object does not match the namespace on the URL")
    check_shape(patched, patched=True)
    wanted = meta.get("resourceVersion")
    if wanted and wanted != before["metadata"]["resourceVersion"]:
        raise status.stale(kind_of(before), name)
    return patched


def _create(world: World, ref: ObjectRef, body: Any, dry_run: bool, manager: str) -> Obj:
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        raise status.bad_request("the body is not an object")
    known = KINDS[ref.kind]
    if body.get("kind", known.kind) != known.kind or body.get("apiVersion", known.api_version) != known.api_version:
        raise status.bad_request(f"{body.get('apiVersion')}/{body.get('kind')} is not what the URL names")
    meta = {k: v for k, v in body["metadata"].items() if k not in ("resourceVersion", "uid", "generation")}
    if known.namespaced:
        if meta.setdefault("namespace", ref.namespace) != ref.namespace:
            raise status.bad_request("the namespace of the provided object does not match the namespace sent")
        if world.store.get("Namespace", "", ref.namespace) is None:
            raise status.not_found("Namespace", ref.namespace)
    if meta.get("name", ref.name) != ref.name:
        raise status.bad_request(f"the body names {meta['name']!r}, the request {ref.name!r}")
    obj = {**body, "apiVersion": known.api_version, "kind": known.kind, "metadata": meta}
    check_shape(obj, patched=False)
    obj = with_defaults(obj)
    obj.pop("status", None)
    check_values(None, obj)
    if "name" in meta and world.store.at(ref) is not None:
        raise status.already_exists(ref.kind, ref.name)
    return world.born(obj, manager=manager) if dry_run else world.create(obj, manager=manager)


def _delete(world: World, ref: ObjectRef, options: Any, dry_run: bool) -> Obj:
    obj = _existing(world, ref)
    if not isinstance(options, dict):
        raise status.bad_request("the body is not DeleteOptions")
    check_preconditions(obj, options)
    if dry_run or options.get("dryRun"):
        return obj
    default = "Orphan" if ref.kind in ORPHANED_BY_DEFAULT else "Background"
    left = world.delete(
        obj,
        grace_s=options.get("gracePeriodSeconds"),
        propagation=options.get("propagationPolicy") or default,
    )
    return left if left is not None else success(ref)


def success(ref: ObjectRef) -> Obj:
    details = {"name": ref.name, "kind": KINDS[ref.kind].plural}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
