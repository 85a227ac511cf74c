"""From an effect to the one request that goes on the wire, and what its last look, answer and undo say about it. Pure.

The precondition is always the uid of the plan and the resourceVersion of the LAST LOOK, never of the plan: a flapping
Deployment changes its resourceVersion every few seconds without anything that matters having changed, and a plan waits
for people. What matters is compared separately, path by path, by `still_before`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from remediator.actions.canonical import canonical_json
from remediator.actions.change import (
    GENERATED_ID,
    GENERATED_TIME,
    Call,
    Create,
    Delete,
    Effect,
    Evict,
    FieldChange,
    Inverse,
    NotPossible,
    Patch,
    PodRule,
    Remove,
)
from remediator.actions.paths import index_of, through_list, value_at
from remediator.actions.pods import created_at, name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.times import format_time
from remediator.objects import (
    JSON,
    KINDS,
    Object,
    ObjectRef,
    annotations_of,
    controller_of,
    dig,
    labels_of,
    ref_of,
    uid_of,
    version_of,
)
from remediator.ports import ABANDONED, FIELD_MANAGER, MADE_BY, MARKER, WriteRequest

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
PLAIN_JSON = "application/json"


def generated_id(remediation_id: str, started_at: datetime, step: int) -> str:
    """What GENERATED_ID stands for: the same for all effects of one step, and for no other step anywhere.

    With the time, because ids of remediations begin anew in a new store, while names in the cluster are still taken.
    """
    text = f"{remediation_id}/{started_at.isoformat()}/{step}"
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def resolved(effect: Effect, generated: str) -> Effect:
    """The effect with GENERATED_ID filled in: the name of what it creates or of what was created before, and all that
    a call says, so that its inverse still names the same thing in another step."""
    if isinstance(effect, Call):
        return replace(effect, request=_named(effect.request, generated), inverse=_named(effect.inverse, generated))
    if isinstance(effect, Patch | Create) and GENERATED_ID in effect.ref.name:
        return replace(effect, ref=replace(effect.ref, name=effect.ref.name.replace(GENERATED_ID, generated)))
    return effect


def _named(value: JSON, generated: str) -> JSON:
    if isinstance(value, str):
        return value.replace(GENERATED_ID, generated)
    if isinstance(value, Mapping):
        return {key: _named(item, generated) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item, generated) for item in value]
    return value


def render(
    effect: Effect, looked: Object | None, *, effect_id: str, now: datetime, generated: str = "", made_by: str = ""
) -> WriteRequest:
    """The request for one attempt of `effect` (`resolved`), after the last look at `looked`.

    `looked` is the object to patch or remove, the pod that `choose_pod` chose, or what a call is about; None for a
    create. `generated` stands for GENERATED_ID, `made_by` is the remediation's id. The same arguments give the same
    bytes.

    Raises: ValueError when `looked` is another object than the effect is bound to (the caller did not ask
    `still_before`), because then there is no request that would be right.
    """
    if isinstance(effect, Create):
        return _creation(effect, effect_id, now, generated, made_by)
    if looked is None:
        raise ValueError(f"{effect.kind}: nothing was looked at")
    match effect:
        case Patch():
            if effect.made_here:
                effect = replace(effect, uid=uid_of(looked))
            _same_object(effect.ref, effect.uid, looked)
            if effect.replace or effect.subresource or any(through_list(c.path) for c in effect.changes):
                return _json_patch(effect, looked, effect_id, now, generated)
            return _merge_patch(effect, looked, effect_id, now, generated)
        case Remove():
            _same_object(effect.ref, effect.uid, looked)
            return _deletion(looked, effect.propagation)
        case Evict():
            _fits(effect.pod, looked)
            return _eviction(looked)
        case Delete():
            _fits(effect.pod, looked)
            return _deletion(looked)
        case Call():
            _same_object(effect.ref, effect.uid, looked)
            return _call(effect, effect_id, now, generated)
        case _:
            assert_never(effect)


def still_before(effect: Effect, looked: Object | None) -> str | None:
    """What no longer is as the plan saw it, for people; None when all touched paths still hold the plan's `before`.

    Pods are chosen late, so an eviction or deletion has nothing to compare: `choose_pod` decides. A create must find
    nothing under its name.
    """
    match effect:
        case Create():
            return None if looked is None else f"{effect.ref} exists already, and we did not make it"
        case Patch() | Remove() | Call():
            if looked is None:
                return f"{effect.ref} does not exist"
            if uid_of(looked) != effect.uid and not (isinstance(effect, Patch) and effect.made_here):
                return f"{effect.ref} is another object now (uid {uid_of(looked)}, planned for {effect.uid})"
        case _:
            return None
    match effect:
        case Patch():
            for change in effect.changes:
                found = value_at(looked, change.path)
                if found != change.before:
                    return f"{dotted(change.path)} is {brief(found)} now, the plan saw {brief(change.before)}"
        case Remove():
            for path, value in effect.holds:
                if value_at(looked, path) != value:
                    return f"{dotted(path)} is {brief(value_at(looked, path))} now, the plan saw {brief(value)}"
        case _:
            pass
    return None


def inverse(effect: Effect, answer: Object) -> Inverse:
    """The undo of an effect that was done, compare-and-set.

    Of a patch: `before` is what the server ANSWERED to our write (admission may have changed it), so an undo is refused
    by `still_before` as soon as anybody else has touched these paths; `after` is what the plan had recorded. Of a
    create: the deletion of that very object. It has no inverse itself: an undo is never undone.

    Raises: NotPossible when the effect has no inverse or the answer already holds the recorded values.
    """
    if not effect.undoable:
        what = effect.pod.name if isinstance(effect, Evict | Delete) else effect.ref
        raise NotPossible(f"{what}: this change has no inverse")
    match effect:
        case Create():
            return Remove(ref=ref_of(answer), uid=uid_of(answer))
        case Call():
            assert effect.inverse is not None
            return replace(effect, request=effect.inverse, inverse=None, says=f"take back: {effect.says}")
        case Patch():
            return _patched_back(effect, answer)
    raise NotPossible(f"{effect.kind}: this change has no inverse")


def _patched_back(effect: Patch, answer: Object) -> Patch:
    changes = tuple(
        FieldChange(path=change.path, before=value_at(answer, change.path), after=change.before)
        for change in effect.changes
        # What was only held fast stays with it: an undo must find that as well.
        if value_at(answer, change.path) != change.before or change.before == change.after
    )
    if all(change.before == change.after for change in changes):
        raise NotPossible(f"{effect.ref}: already as it was before, nothing to undo")
    return replace(effect, uid=uid_of(answer), changes=changes, undoable=False, made_here=False)


def choose_pod(
    rule: PodRule, pods: Sequence[Object], taken_uids: Collection[str], started_at: datetime
) -> Object | None:
    """The pod to take now, or None when no pod fits (any more).

    Never a pod that this remediation has already taken, that is going away anyway, or (unless the rule names its uid)
    that is younger than the remediation: otherwise the replacement of the first pod, which is not ready while it
    starts, would be the next one. creationTimestamp has whole seconds, so a pod born in the second of the start is
    younger.
    """
    fitting = [pod for pod in pods if not _unfit(rule, pod) and uid_of(pod) not in taken_uids]
    if not rule.uid:
        fitting = [pod for pod in fitting if created_at(pod) < started_at.replace(microsecond=0)]
    return min(fitting, key=lambda pod: (created_at(pod), uid_of(pod)), default=None)


def abandon(looked: Object, effect_id: str) -> WriteRequest:
    """A harmless write that moves the resourceVersion: an unanswered write bound to the old one can then never land."""
    body = {"metadata": {**_preconditions(looked), "annotations": {ABANDONED: effect_id}}}
    return WriteRequest(verb="patch", ref=ref_of(looked), content_type=MERGE_PATCH, body=canonical_json(body))


def marker_of(looked: Object) -> str:
    """The id of the effect that last patched this object, or empty; `kubectl rollout undo` can bring back an old id."""
    return annotations_of(looked).get(MARKER, "")


def made_by(looked: Object) -> str:
    """The id of the remediation that created this object, or empty."""
    return labels_of(looked).get(MADE_BY, "")


def dotted(path: tuple[str, ...]) -> str:
    """A path for people: `spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]`."""
    text = ""
    for part in path:
        if part.startswith("["):
            text += part
        elif part.isdigit() or "." in part or "/" in part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def brief(value: JSON) -> str:
    """A value for people: short, one line, `absent` for None."""
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _preconditions(looked: Object) -> dict[str, str]:
    return {"uid": uid_of(looked), "resourceVersion": version_of(looked)}


def _same_object(ref: ObjectRef, uid: str, looked: Object) -> None:
    if not uid or not version_of(looked):
        raise ValueError(f"{ref}: a write needs the uid of the plan and the resourceVersion of the last look")
    if ref_of(looked) != ref or uid_of(looked) != uid:
        raise ValueError(f"{ref} with uid {uid} was planned, {ref_of(looked)} with uid {uid_of(looked)} was looked at")


def _fits(rule: PodRule, pod: Object) -> None:
    if problem := _unfit(rule, pod):
        raise ValueError(f"{ref_of(pod)} does not fit the plan's rule: {problem}")


def _unfit(rule: PodRule, pod: Object) -> str:
    """Why this pod is not one that the rule means; empty when it is."""
    if not uid_of(pod) or not version_of(pod):
        return "it has no uid or resourceVersion"
    if dig(pod, "metadata", "namespace") != rule.namespace:
        return "another namespace"
    if pod_is_leaving(pod):
        return "it is going away already"
    if rule.select == "unready" and pod_is_ready(pod):
        return "it is ready"
    if rule.select == "named" or rule.uid:
        return "" if (name_of(pod), uid_of(pod)) == (rule.name, rule.uid) else "another pod"
    # An empty list of owners means no pod at all, never every pod.
    owner = controller_of(pod)
    if owner is None or owner.get("uid") not in rule.owner_uids:
        return "another owner"
    return "it has finished" if pod_has_finished(pod) else ""


def _filled(change: FieldChange, looked: Object, now: datetime, generated: str) -> JSON:
    """The value to send: `after` with the time of sending in the place of its placeholder.

    The same text twice would be a write that changes nothing and restarts nothing, so a second restart within one
    second is dated one second later.
    """
    stamp = format_time(now)
    if value_at(looked, change.path) == stamp:
        stamp = format_time(now + timedelta(seconds=1))
    return _replaced(change.after, stamp, generated)


def _replaced(value: JSON, stamp: str, generated: str) -> JSON:
    if isinstance(value, str):
        return value.replace(GENERATED_TIME, stamp).replace(GENERATED_ID, generated)
    if isinstance(value, Mapping):
        return {key: _replaced(item, stamp, generated) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, stamp, generated) for item in value]
    return value


def _merge_patch(effect: Patch, looked: Object, effect_id: str, now: datetime, generated: str) -> WriteRequest:
    body: dict[str, Any] = {}
    for change in effect.changes:
        value = _filled(change, looked, now, generated)
        if isinstance(value, Mapping):
            # A merge patch would leave behind the keys that are only in the old mapping: not what the diff has shown.
            raise ValueError(f"{effect.ref}: {dotted(change.path)} is a mapping, which takes replace=True")
        _put(body, change.path, value)
    _put(body, ("metadata", "annotations", MARKER), effect_id)
    body["metadata"] |= _preconditions(looked)
    return WriteRequest(verb="patch", ref=effect.ref, content_type=MERGE_PATCH, body=canonical_json(body))


def _put(body: dict[str, Any], path: tuple[str, ...], value: JSON) -> None:
    for key in path[:-1]:
        body = body.setdefault(key, {})
    body[path[-1]] = value


def _json_patch(effect: Patch, looked: Object, effect_id: str, now: datetime, generated: str) -> WriteRequest:
    # `replace`, not `test`: a moved resourceVersion then answers 409, which says "nothing was done, look again"; a
    # failed test answers 422, which looks like a bad request.
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version_of(looked)},
        {"op": "replace", "path": "/metadata/uid", "value": effect.uid},
    ]
    made: set[tuple[str, ...]] = set()
    for change in effect.changes:
        operations += _operations(change.path, _filled(change, looked, now, generated), looked, made)
    if not effect.subresource:  # a subresource would drop it in silence
        operations += _operations(("metadata", "annotations", MARKER), effect_id, looked, made)
    return WriteRequest(
        verb="patch",
        ref=effect.ref,
        content_type=JSON_PATCH,
        body=canonical_json(operations),
        subresource=effect.subresource,
    )


def _operations(path: tuple[str, ...], value: JSON, looked: Object, made: set[tuple[str, ...]]) -> list[dict[str, Any]]:
    """JSON-Patch operations that set one path; `made` are the parents that earlier operations have created.

    The index of an item is that of the last look: the resourceVersion in the same patch binds it to that.
    Raises: ValueError for an item that is not in its list, unless the whole item is what is added.
    """
    if value is None:
        gone = value_at(looked, path) is None
        return [] if gone else [{"op": "remove", "path": pointer(_indexed(path, looked))}]
    operations: list[dict[str, Any]] = []
    for length in range(1, len(path)):
        parent = path[:length]
        if parent not in made and value_at(looked, parent) is None:
            if through_list(parent[-1:]):
                raise ValueError(f"{dotted(parent)} is not there")
            operations.append(
                {"op": "add", "path": pointer(_indexed(parent, looked)), "value": _empty_for(path[length])}
            )
            made.add(parent)
    present = value_at(looked, path) is not None
    operations.append({"op": "replace" if present else "add", "path": pointer(_indexed(path, looked)), "value": value})
    return operations


def _empty_for(part: str) -> JSON:
    return [] if through_list((part,)) else {}


def _indexed(path: tuple[str, ...], looked: Object) -> tuple[str, ...]:
    """The path with every item as its index; `-`, the end of the list, for an item that is to be added."""
    parts: list[str] = []
    for number, part in enumerate(path):
        inside = value_at(looked, path[:number])
        if through_list((part,)) and not isinstance(inside, Mapping):
            index = index_of(inside, part)
            parts.append("-" if index is None else str(index))
        else:
            parts.append(part)
    return tuple(parts)


def pointer(path: tuple[str, ...]) -> str:
    """A JSON Pointer (RFC 6901): `~` is `~0`, `/` is `~1`, in that order."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _eviction(pod: Object) -> WriteRequest:
    ref = ref_of(pod)
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        # Only the uid: the API server asks the PDB itself, and a status update in between is no reason to stop.
        "deleteOptions": {"preconditions": {"uid": uid_of(pod)}},
    }
    return WriteRequest(verb="evict", ref=ref, content_type=PLAIN_JSON, body=canonical_json(body))


def _deletion(looked: Object, propagation: str = "") -> WriteRequest:
    # The resourceVersion too: a delete asks no PDB, so a pod that became ready after the last look must survive it.
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _preconditions(looked)}
    if propagation:
        body["propagationPolicy"] = propagation
    return WriteRequest(verb="delete", ref=ref_of(looked), content_type=PLAIN_JSON, body=canonical_json(body))


def _creation(effect: Create, effect_id: str, now: datetime, generated: str, made_by: str) -> WriteRequest:
    kind = KINDS[effect.ref.kind]
    body = _replaced(dict(effect.body), format_time(now), generated)
    meta = {**(body.get("metadata") or {}), "name": effect.ref.name}
    if effect.ref.namespace:
        meta["namespace"] = effect.ref.namespace
    meta["labels"] = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": FIELD_MANAGER, MADE_BY: made_by}
    meta["annotations"] = {**(meta.get("annotations") or {}), MARKER: effect_id}
    full = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    return WriteRequest(verb="create", ref=effect.ref, content_type=PLAIN_JSON, body=canonical_json(full))


def _call(effect: Call, effect_id: str, now: datetime, generated: str) -> WriteRequest:
    said = _replaced(dict(effect.request), format_time(now), generated)
    body = {"via": effect.via, "place": effect.place, "request": said, "key": effect_id}
    return WriteRequest(verb="call", ref=effect.ref, content_type=PLAIN_JSON, body=canonical_json(body))
