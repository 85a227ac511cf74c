"""Facts of an Argo CD Application, and the one request that tells Argo CD to do something. Pure.

Argo CD's controller takes whatever stands in the top-level field `operation`, does it, and removes the field. Writing
it is what its own API does, without needing its address or a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from remediator.actions.canonical import canonical_json
from remediator.actions.change import FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.owners import ARGO_TRACKING, git_owner
from remediator.actions.view import View
from remediator.objects import JSON, Object, annotations_of, controller_of, dig, uid_of
from remediator.ports import FIELD_MANAGER

APPLICATION = "Application.argoproj.io"
OPERATION_PATH = ("operation",)
AUTOMATED_PATH = ("spec", "syncPolicy", "automated")
RECORD = "remediator.dev/auto-sync"
"""Annotation with what `spec.syncPolicy.automated` was when we switched it off, as JSON."""
RECORD_PATH = ("metadata", "annotations", RECORD)
AUTOMATED_KEYS = frozenset({"prune", "selfHeal", "allowEmpty", "enabled"})

_BUSY = ("Running", "Terminating")


def refuse_busy(view: View) -> None:
    """Raises: NotPossible for another kind or one that goes; a hold while an operation is asked for or under way."""
    refuse_wrong(view, (APPLICATION,))
    if view.target.get("operation") is not None:
        raise NotPossible(f"{view.ref} has an operation that Argo CD has not finished: wait for it", hold=True)
    phase = dig(view.target, "status", "operationState", "phase")
    if phase in _BUSY:
        raise NotPossible(f"an operation of {view.ref} is {phase}: wait for it, or end it in Argo CD", hold=True)


def auto_syncs(app: Object) -> bool:
    """Whether Argo CD syncs by itself: an empty `automated` means yes."""
    automated = dig(app, *AUTOMATED_PATH)
    return automated is not None and dig(automated, "enabled", default=True) is not False


def spec_owner(app: Object) -> str:
    """What writes the spec of this Application, for people: an app of apps, an ApplicationSet, Flux; or empty.

    Argo CD names the parent in the tracking id of the Application itself, which ends with namespace and name. One that
    names another object was copied with a manifest and proves nothing.
    """
    meta = app["metadata"]
    parent, _, tracked = annotations_of(app).get(ARGO_TRACKING, "").partition(":")
    if parent and tracked == f"argoproj.io/Application:{meta.get('namespace', '')}/{meta['name']}":
        return f"Argo CD application {parent}"
    owner = controller_of(app)
    if owner is not None:
        return f"{owner.get('kind', '')} {owner.get('name', '')}".strip()
    git = git_owner(app)
    return str(git) if git is not None else ""


def operation(view: View, sync: Mapping[str, JSON], *, retries: int = 0) -> Patch:
    """`operation` as one value. The effect has no inverse: what Argo CD did is taken back by another operation."""
    asked: dict[str, Any] = {
        "initiatedBy": {"username": FIELD_MANAGER},
        "info": [{"name": "Reason", "value": "asked for by a remediation"}],
        "sync": dict(sync),
    }
    if retries:
        asked["retry"] = {"limit": retries}
    change = FieldChange(path=OPERATION_PATH, before=None, after=asked)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), replace=True, undoable=False)


def sync_options(app: Object) -> Sequence[str]:
    """The Application's own options, which an operation does not take from the spec by itself."""
    return tuple(str(option) for option in dig(app, "spec", "syncPolicy", "syncOptions") or ())


def replacing_options(app: Object) -> Sequence[str]:
    """Those that delete objects and make them again instead of changing them."""
    return tuple(o for o in sync_options(app) if o.replace(" ", "").lower() in ("replace=true", "force=true"))


def auto_sync_off(view: View) -> Patch:
    """Takes `automated` away and notes in an annotation what it was.

    Removed rather than `enabled: false`: a release that does not know `enabled` drops it in silence and syncs on.
    """
    automated = dig(view.target, *AUTOMATED_PATH)
    record = canonical_json(automated).decode()
    return Patch(
        ref=view.ref,
        uid=uid_of(view.target),
        changes=(
            FieldChange(path=AUTOMATED_PATH, before=automated, after=None),
            FieldChange(path=RECORD_PATH, before=dig(view.target, *RECORD_PATH), after=record),
        ),
        replace=True,
    )


def refuse_owned_spec(view: View) -> None:
    """Raises: NotPossible where somebody would switch auto-sync on again behind our back."""
    if owner := spec_owner(view.target):
        raise NotPossible(
            f"{owner} writes the spec of {view.ref} and would switch auto-sync on again: change it there",
            guardrail="ownership",
        )


def recorded(app: Object) -> Mapping[str, bool] | None:
    """What `automated` was before we switched it off; None without a record.

    Raises: ValueError for a text that is no such record: anybody can write an annotation.
    """
    text = annotations_of(app).get(RECORD)
    if text is None:
        return None
    found = json.loads(text)
    if not isinstance(found, dict) or not AUTOMATED_KEYS.issuperset(found):
        raise ValueError("it has other keys than an auto-sync setting")
    if not all(isinstance(value, bool) for value in found.values()):
        raise ValueError("its values are not all true or false")
    return found
