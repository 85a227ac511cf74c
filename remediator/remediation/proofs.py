"""What a consistent look proves about a request that was not answered. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from remediator.actions.change import (
    GENERATED_TIME,
    Call,
    Create,
    Delete,
    Effect,
    Evict,
    Inverse,
    NotPossible,
    Patch,
    Remove,
)
from remediator.actions.paths import value_at
from remediator.actions.render import inverse, marker_of
from remediator.objects import Object, dig, generation_of, ref_of, uid_of, version_of
from remediator.ports import FIELD_MANAGER
from remediator.remediation.events import ProbeAnswer, Probed
from remediator.remediation.journal import Attempt


def inverse_of(effect: Effect, answer: Object) -> Inverse | None:
    """The undo of an effect that happened; None where it has none."""
    try:
        return inverse(effect, answer)
    except NotPossible:
        return None


def never(effect_id: str) -> Probed:
    return Probed(effect_id=effect_id, answer="never", detail="nothing of it is under way")


def acknowledged(effect_id: str, effect: Effect, attempt: Attempt) -> Probed:
    """Of an attempt whose outcome is on record, though nobody has heard of it: a process died in between.

    What the object says by now is somebody else's word, so there is nothing to take back, except of a call.
    """
    return Probed(
        effect_id=effect_id,
        answer="happened",
        detail="its answer was recorded",
        inverse=inverse_of(effect, {}) if isinstance(effect, Call) else None,
        taken_uid=attempt.uid if isinstance(effect, Evict | Delete) else "",
        made=attempt.request.ref if isinstance(effect, Create) else None,
    )


def judge(effect_id: str, effect: Effect, last: Attempt | None, looked: Object | None) -> Probed:
    """Of any effect but a call, which only its caller can tell. `last` is the newest attempt without a settled outcome;
    None = there is none, and only a marker can tell."""
    match effect:
        case Patch() if effect.subresource:
            return judge_unmarked(effect_id, effect, last, looked)
        case Patch():
            return judge_patch(effect_id, effect, last, looked)
        case Create():
            return judge_create(effect_id, effect, last, looked)
        case _ if last is None:
            return never(effect_id)
        case Remove():
            return judge_gone(effect_id, last, looked, f"{effect.ref} is gone or going")
        case _:
            return judge_gone(effect_id, last, looked, "the pod is gone or going", taken=True)


def judge_patch(effect_id: str, effect: Patch, last: Attempt | None, looked: Object | None) -> Probed:
    """Marker, resourceVersion, generation, managedFields: in this order, each a proof."""

    def say(answer: ProbeAnswer, detail: str, undo: Inverse | None = None) -> Probed:
        return Probed(effect_id=effect_id, answer=answer, detail=detail, inverse=undo)

    uid = last.uid if last is not None and effect.made_here else effect.uid
    if looked is None or (uid and uid_of(looked) != uid):
        return say("never", f"{effect.ref} is gone, or another object by that name")
    if marker_of(looked) == effect_id:
        # The undo is only bound to values that are still ours: what somebody changed since is left alone.
        undo = inverse_of(effect, looked) if _holds_what_we_sent(effect, looked) else None
        return say("happened", "our marker is on the object", undo)
    if last is None:
        return never(effect_id)
    if version_of(looked) == last.resource_version:
        return say("again", "resourceVersion is still the attempt's: it has not happened yet")
    generation = generation_of(looked)
    if generation is not None:
        if generation == last.generation:
            return say("never", "only the status moved since: the attempt's precondition can never hold again")
        return say("person", "the spec moved and our marker is not there: cannot tell by looking")
    if _written_since(looked, last.at):
        return say("person", "somebody wrote it since and our marker is not there: cannot tell by looking")
    return say("never", "nobody wrote its spec since: the attempt's precondition can never hold again")


def judge_unmarked(effect_id: str, effect: Patch, last: Attempt | None, looked: Object | None) -> Probed:
    """A patch of a subresource leaves no marker, but an entry of ours in managedFields, with the time.

    An entry disappears when others write all of its fields, so its absence proves nothing.
    """

    def say(answer: ProbeAnswer, detail: str, undo: Inverse | None = None) -> Probed:
        return Probed(effect_id=effect_id, answer=answer, detail=detail, inverse=undo)

    if last is None:
        return never(effect_id)
    if looked is None or uid_of(looked) != effect.uid:
        return say("never", f"{effect.ref} is gone, or another object by that name")
    if version_of(looked) == last.resource_version:
        return say("again", "resourceVersion is still the attempt's: it has not happened yet")
    if _ours_since(looked, effect.subresource, last.at):
        undo = inverse_of(effect, looked) if _holds_what_we_sent(effect, looked) else None
        return say("happened", f"managedFields shows our write of {effect.subresource}", undo)
    return say("person", f"{effect.subresource} moved and no write of ours is on it: cannot tell by looking")


def judge_create(effect_id: str, effect: Create, last: Attempt | None, looked: Object | None) -> Probed:
    """A name is taken once: the same bytes again can only make what is not there yet."""
    if looked is not None and marker_of(looked) == effect_id:
        undo = inverse_of(effect, looked)
        return Probed(
            effect_id=effect_id,
            answer="happened",
            detail=f"{ref_of(looked)} carries our marker",
            inverse=undo,
            made=ref_of(looked),
        )
    if last is None:
        return never(effect_id)
    if looked is None:
        return Probed(effect_id=effect_id, answer="again", detail=f"{effect.ref} does not exist yet")
    return Probed(effect_id=effect_id, answer="person", detail=f"{effect.ref} exists and we did not make it")


def judge_gone(effect_id: str, last: Attempt, looked: Object | None, gone: str, *, taken: bool = False) -> Probed:
    """An eviction or deletion is bound to a uid: gone or going is done, and the same request again can only hit it."""
    if looked is None or uid_of(looked) != last.uid or dig(looked, "metadata", "deletionTimestamp"):
        return Probed(effect_id=effect_id, answer="happened", detail=gone, taken_uid=last.uid if taken else "")
    if last.request.verb == "delete" and version_of(looked) != last.resource_version:
        return Probed(effect_id=effect_id, answer="never", detail="it moved on: its precondition cannot hold again")
    return Probed(effect_id=effect_id, answer="again", detail="it is still there, untouched")


def _holds_what_we_sent(effect: Patch, looked: Object) -> bool:
    return all(GENERATED_TIME in json.dumps(c.after) or value_at(looked, c.path) == c.after for c in effect.changes)


def _ours_since(looked: Object, subresource: str, at: datetime) -> bool:
    for entry in dig(looked, "metadata", "managedFields") or ():
        mine = entry.get("manager") == FIELD_MANAGER and entry.get("subresource", "") == subresource
        if mine and (time := entry.get("time")) is not None and _parsed(time) >= at.replace(microsecond=0):
            return True
    return False


def _written_since(looked: Object, at: datetime) -> bool:
    """Whether managedFields shows a write of anything but the status since then; their times have whole seconds."""
    entries = dig(looked, "metadata", "managedFields")
    if not entries:
        return True
    start = at.replace(microsecond=0)
    for entry in entries:
        if entry.get("subresource") == "status":
            continue
        time = entry.get("time")
        if time is None or _parsed(time) >= start:
            return True
    return False


def _parsed(time: object) -> datetime:
    return datetime.fromisoformat(str(time).replace("Z", "+00:00"))
