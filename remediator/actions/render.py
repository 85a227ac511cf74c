"""From an effect to the one request that goes on the wire, and what its last look, answer and undo say about it. Pure.

The precondition is always the uid of the plan and the resourceVersion of the LAST LOOK, never of the plan: a flapping
Deployment changes its resourceVersion every few seconds without anything that matters having changed, and a plan waits
for people. What matters is compared separately, path by path, by `still_before`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, assert_never

from remediator.actions.canonical import canonical_json
from remediator.actions.change import GENERATED_TIME, Delete, Effect, Evict, FieldChange, NotPossible, Patch, PodRule
from remediator.actions.pods import created_at, name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.times import format_time
from remediator.objects import JSON, Object, ObjectRef, annotations_of, controller_of, dig, ref_of, uid_of, version_of
from remediator.ports import ABANDONED, MARKER, WriteRequest

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
PLAIN_JSON = "application/json"


def render(effect: Effect, looked: Object, *, effect_id: str, now: datetime) -> WriteRequest:
    """The request for one attempt of `effect`, after the last look at `looked`.

    `looked` is the object to patch, or the pod that `choose_pod` chose. The same arguments give the same bytes.

    Raises: ValueError when `looked` is another object than the effect is bound to (the caller did not ask
    `still_before`), because then there is no request that would be right.
    """
    match effect:
        case Patch():
            _same_object(effect.ref, effect.uid, looked)
            if effect.replace:
                return _json_patch(effect, looked, effect_id, now)
            return _merge_patch(effect, looked, effect_id, now)
        case Evict():
            _fits(effect.pod, looked)
            return _eviction(looked)
        case Delete():
            _fits(effect.pod, looked)
            return _deletion(looked)
        case _:
            assert_never(effect)


def still_before(effect: Effect, looked: Object) -> str | None:
    """What no longer is as the plan saw it, for people; None when all touched paths still hold the plan's `before`.

    Pods are chosen late, so an eviction or deletion has nothing to compare: `choose_pod` decides.
    """
    if not isinstance(effect, Patch):
        return None
    if uid_of(looked) != effect.uid:
        return f"{effect.ref} is another object now (uid {uid_of(looked)}, planned for {effect.uid})"
    for change in effect.changes:
        found = dig(looked, *change.path)
        if found != change.before:
            return f"{dotted(change.path)} is {brief(found)} now, the plan saw {brief(change.before)}"
    return None


def inverse(effect: Patch, answer: Object) -> Patch:
    """The undo of a patch that was done, compare-and-set.

    `before` is what the server ANSWERED to our write (admission may have changed it), so an undo is refused by
    `still_before` as soon as anybody else has touched these paths; `after` is what the plan had recorded. It has no
    inverse itself: an undo is never undone.

    Raises: NotPossible when the effect has no inverse or the answer already holds the recorded values.
    """
    if not effect.undoable:
        raise NotPossible(f"{effect.ref}: this change has no inverse")
    changes = tuple(
        FieldChange(path=change.path, before=dig(answer, *change.path), after=change.before)
        for change in effect.changes
        if dig(answer, *change.path) != change.before
    )
    if not changes:
        raise NotPossible(f"{effect.ref}: already as it was before, nothing to undo")
    return Patch(ref=effect.ref, uid=effect.uid, changes=changes, replace=effect.replace, undoable=False)


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


def dotted(path: tuple[str, ...]) -> str:
    """A path for people: `spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]`."""
    text = ""
    for part in path:
        if "." in part or "/" in part:
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


def _filled(change: FieldChange, looked: Object, now: datetime) -> JSON:
    """The value to send: `after` with the time of sending in the place of its placeholder.

    The same text twice would be a write that changes nothing and restarts nothing, so a second restart within one
    second is dated one second later.
    """
    stamp = format_time(now)
    if dig(looked, *change.path) == stamp:
        stamp = format_time(now + timedelta(seconds=1))
    return _replaced(change.after, stamp)


def _replaced(value: JSON, stamp: str) -> JSON:
    if value == GENERATED_TIME:
        return stamp
    if isinstance(value, Mapping):
        return {key: _replaced(item, stamp) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, stamp) for item in value]
    return value


def _merge_patch(effect: Patch, looked: Object, effect_id: str, now: datetime) -> WriteRequest:
    body: dict[str, Any] = {}
    for change in effect.changes:
        value = _filled(change, looked, now)
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


def _json_patch(effect: Patch, looked: Object, effect_id: str, now: datetime) -> WriteRequest:
    # `replace`, not `test`: a moved resourceVersion then answers 409, which says "nothing was done, look again"; a
    # failed test answers 422, which looks like a bad request.
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version_of(looked)},
        {"op": "replace", "path": "/metadata/uid", "value": effect.uid},
    ]
    made: set[tuple[str, ...]] = set()
    for change in effect.changes:
        operations += _operations(change.path, _filled(change, looked, now), looked, made)
    operations += _operations(("metadata", "annotations", MARKER), effect_id, looked, made)
    return WriteRequest(verb="patch", ref=effect.ref, content_type=JSON_PATCH, body=canonical_json(operations))


def _operations(path: tuple[str, ...], value: JSON, looked: Object, made: set[tuple[str, ...]]) -> list[dict[str, Any]]:
    """JSON-Patch operations that set one path; `made` are the parents that earlier operations have created."""
    if value is None:
        gone = dig(looked, *path) is None
        return [] if gone else [{"op": "remove", "path": pointer(path)}]
    operations: list[dict[str, Any]] = []
    for length in range(1, len(path)):
        parent = path[:length]
        if parent not in made and not isinstance(dig(looked, *parent), Mapping):
            operations.append({"op": "add", "path": pointer(parent), "value": {}})
            made.add(parent)
    present = dig(looked, *path) is not None
    operations.append({"op": "replace" if present else "add", "path": pointer(path), "value": value})
    return operations


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


def _deletion(pod: Object) -> WriteRequest:
    # The resourceVersion too: a delete asks no PDB, so a pod that became ready after the last look must survive it.
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _preconditions(pod)}
    return WriteRequest(verb="delete", ref=ref_of(pod), content_type=PLAIN_JSON, body=canonical_json(body))
