"""Whether a GitOps controller would take a live change back, and what keeps it from doing so. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.argo import (
    APPLICATION,
    AUTOMATED_PATH,
    RECORD_PATH,
    auto_sync_off,
    auto_syncs,
    spec_owner,
)
from remediator.actions.delivery.flux import KUSTOMIZATION, SUSPEND_PATH
from remediator.actions.owners import git_sets, managers_of
from remediator.actions.paths import Path
from remediator.actions.view import View
from remediator.gitops.leaves import Leaf, leaves, pointer_of
from remediator.gitops.owner import HOLDS, Owner, parent_of
from remediator.objects import Object, annotations_of, dig, ref_of, uid_of
from remediator.ports import FIELD_MANAGER

RESPECT = "RespectIgnoreDifferences=true"
SSA = "kustomize.toolkit.fluxcd.io/ssa"
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
LEFT_ALONE = {SSA: ("Ignore", "IfNotPresent"), RECONCILE: ("disabled",)}

_JQ = re.compile(r"(\.[A-Za-z_][A-Za-z0-9_]*)+")
"""The only jq expressions that we read: one field."""


def ignores(owner: Owner, obj: Object, change: FieldChange) -> str:
    """Why the owner does not take this change back, for people; empty = it does, as far as we can tell."""
    if owner.ref.kind == KUSTOMIZATION:
        for key, values in LEFT_ALONE.items():
            if (said := annotations_of(obj).get(key)) in values:
                return f"{owner} leaves {ref_of(obj)} alone ({key}: {said})"
        return ""
    if owner.ref.kind != APPLICATION:
        return ""
    entries = [e for e in dig(owner.obj, "spec", "ignoreDifferences") or () if _about(e, obj)]
    changed = leaves(change)
    if not changed or not all(any(_covers(entry, leaf, obj) for entry in entries) for leaf in changed):
        return ""
    options = [str(option).replace(" ", "") for option in dig(owner.obj, "spec", "syncPolicy", "syncOptions") or ()]
    still = "" if RESPECT in options else f"; its next sync of the object writes it back, unless {RESPECT} is set"
    return f"{owner} ignores this difference (spec.ignoreDifferences){still}"


def corrects(owner: Owner) -> bool:
    """Whether it writes by itself what Git says."""
    if owner.ref.kind == APPLICATION:
        return auto_syncs(owner.obj)
    return not dig(owner.obj, *SUSPEND_PATH)


def hold(owner: Owner, view: View, *, begun: bool) -> Patch | None:
    """What keeps the owner from taking a live change back; None when nothing has to be done for that.

    `begun` = this step has done something already, so a hold that is there is its own.
    Raises: NotPossible where somebody else decides about it, or has ended the hold of this step, with `hold` while
    another hold lasts.
    """
    if not corrects(owner):
        if not begun and _ours(owner):
            raise NotPossible(
                f"{owner} is held for another change already: it is released when that one's pull request is merged",
                hold=True,
            )
        return None
    if begun:
        raise NotPossible(f"{owner} is not held any more, and nobody has agreed to another hold")
    if owner.ref.kind == APPLICATION and (writer := spec_owner(owner.obj)):
        raise NotPossible(
            f"{writer} writes the spec of {owner} and would switch its automated sync on again: write via: pr",
            guardrail="ownership",
        )
    if owner.ref.kind != APPLICATION and (writer := parent_of(owner)) and git_sets(owner.obj, SUSPEND_PATH):
        raise NotPossible(
            f"{writer} sets spec.suspend of {owner} and would resume it again: write via: pr", guardrail="ownership"
        )
    if owner.ref.kind == APPLICATION:
        return auto_sync_off(View(target=owner.obj, ref=owner.ref, root=owner.ref, read_at=view.read_at))
    suspended = FieldChange(path=SUSPEND_PATH, before=dig(owner.obj, *SUSPEND_PATH), after=True)
    return Patch(ref=owner.ref, uid=uid_of(owner.obj), changes=(suspended,))


def taken(obj: Object, path: Path) -> bool:
    """Whether we have set it last: then managedFields has forgotten whoever set it before."""
    return [manager.name for manager in managers_of(obj, path)][:1] == [FIELD_MANAGER]


def taken_from(owner: Owner | None, obj: Object, path: Path) -> bool:
    """Whether it is what we have changed while its owner is held: Git may say it all the same."""
    return owner is not None and not corrects(owner) and _ours(owner) and taken(obj, path)


def is_hold(patch: Patch) -> bool:
    """Whether this patch keeps a GitOps object from correcting drift."""
    paths = {change.path for change in patch.changes if change.after in (None, True)}
    return patch.ref.kind in HOLDS and bool(paths & {AUTOMATED_PATH, SUSPEND_PATH})


def held_by(owner: Owner, change: Change) -> bool:
    """Whether nothing takes the change back because the owner is held: by an effect of it, or by now."""
    effects = [e for e in change.effects if isinstance(e, Patch)]
    return not corrects(owner) or any(e.ref == owner.ref and is_hold(e) for e in effects)


def _ours(owner: Owner) -> bool:
    """Whether it was one of our effects that stopped it."""
    if owner.ref.kind == APPLICATION:
        return dig(owner.obj, *RECORD_PATH) is not None
    return taken(owner.obj, SUSPEND_PATH)


def _about(entry: Mapping[str, Any], obj: Object) -> bool:
    """Whether an entry of ignoreDifferences is about this object; `*` stands for every group or kind."""
    ref = ref_of(obj)
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    wanted = {
        "group": (str(entry.get("group") or ""), group if slash else ""),
        "kind": (str(entry.get("kind") or ""), str(obj.get("kind"))),
    }
    if any(said not in ("*", is_) for said, is_ in wanted.values()):
        return False
    return all(entry.get(key) in (None, "", is_) for key, is_ in (("name", ref.name), ("namespace", ref.namespace)))


def _covers(entry: Mapping[str, Any], leaf: Leaf, obj: Object) -> bool:
    if FIELD_MANAGER in (entry.get("managedFieldsManagers") or ()):
        return True
    at = pointer_of(leaf.path, obj)
    pointers = [str(text) for text in entry.get("jsonPointers") or ()]
    pointers += [str(t).replace(".", "/") for t in entry.get("jqPathExpressions") or () if _JQ.fullmatch(str(t))]
    return any(text.startswith("/") and (at == text or at.startswith(f"{text}/")) for text in pointers)
