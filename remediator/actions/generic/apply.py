"""`apply`: let an object be as a manifest says: made where it is missing, changed field by field where it differs.

What the manifest does not mention stays, and nothing is ever removed because a manifest lacks it: this owns no object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.generic.create import creation
from remediator.actions.generic.fields import cost_of, refuse_fields
from remediator.actions.generic.keys import annotation_problem, label_problem
from remediator.actions.generic.kinds import CREATABLE, GENERIC_KINDS
from remediator.actions.generic.manifests import checked_manifest, kind_of, namespace_for
from remediator.actions.generic.patch import summary_of
from remediator.actions.paths import Path
from remediator.actions.view import Get, View, Wanted
from remediator.alerts.names import name_problem
from remediator.objects import JSON, Object, ObjectRef, dig, ref_of, uid_of

_FOUND = "object"
_METADATA = ("labels", "annotations")
_CONTENT = ("spec", "data")


class ApplyParams(Params):
    """`manifest` as in a file, with the name that the object has or gets."""

    manifest: dict[str, Any]

    @field_validator("manifest")
    @classmethod
    def _checked(cls, manifest: dict[str, Any]) -> dict[str, Any]:
        return checked_manifest(manifest)


class Apply:
    """Undo puts the old values back, or deletes what was made, but for what may hold data."""

    name = "apply"
    kinds: tuple[str, ...] = GENERIC_KINDS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    rights: tuple[Right, ...] = tuple(
        Right(verb, kind) for kind in CREATABLE for verb in ("get", "create", "patch", "delete")
    )
    params = ApplyParams

    def resolve(self, params: ApplyParams, view: View) -> ApplyParams:
        return params

    def wants(self, params: ApplyParams, view: View) -> Mapping[str, Wanted]:
        """The object itself, unless it is the target. Nothing for another namespace: `plan` refuses that."""
        try:
            ref = _ref(params, view)
        except NotPossible:
            return {}
        return {} if ref == view.ref else {_FOUND: Get(ref)}

    def plan(self, params: ApplyParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        ref = _ref(params, view)
        obj: Object | None = view.target if ref == view.ref else view.found[_FOUND]
        if obj is None:
            return creation(params.manifest, view, ref.name)
        if dig(obj, "metadata", "deletionTimestamp") is not None:
            raise NotPossible(f"{ref} is being deleted: wait until it is gone")
        return _changed(params.manifest, obj, view)


def _ref(params: ApplyParams, view: View) -> ObjectRef:
    return ObjectRef(
        kind_of(params.manifest), namespace_for(params.manifest, view), params.manifest["metadata"]["name"]
    )


def _changed(manifest: Mapping[str, Any], obj: Object, view: View) -> Change:
    ref = ref_of(obj)
    entries = [*_entries(manifest, obj)]
    fields = [c for key in _CONTENT if key in manifest for c in differences((key,), dig(obj, key), manifest[key])]
    if not entries and not fields:
        raise NotPossible(f"{ref} is as the manifest says already")
    refuse_fields(obj, fields)
    cost = cost_of(obj, fields, view)
    changes = (*entries, *fields)
    return Change(
        effects=(Patch(ref=ref, uid=uid_of(obj), changes=changes, replace=True),),
        takes=cost.takes,
        reduces_capacity=cost.takes > 0,
        summary=summary_of(changes) if ref == view.ref else f"{ref}: {summary_of(changes)}",
        needs_approval=cost.needs_approval,
        notes=(*cost.notes, "what the manifest does not mention stays as it is"),
        touches=() if ref == view.ref else (ref,),
    )


def _entries(manifest: Mapping[str, Any], obj: Object) -> Iterator[FieldChange]:
    """Labels and annotations that differ. Raises: NotPossible for one that the generic actions leave alone."""
    for part in _METADATA:
        problem = label_problem if part == "labels" else annotation_problem
        present = dig(obj, "metadata", part) or {}
        for key, value in (dig(manifest, "metadata", part) or {}).items():
            if present.get(key) == value:
                continue
            if reason := problem(key, value):
                raise NotPossible(f"{part} of {ref_of(obj)} are left alone: {reason}")
            yield FieldChange(path=("metadata", part, key), before=present.get(key), after=value)


def differences(path: Path, before: JSON, after: JSON) -> Iterator[FieldChange]:
    """Every field in which `before` is not as `after` says.

    Lists whose items answer to each other are compared item by item, because the API server has filled in defaults that
    no manifest has; all others are replaced whole.
    """
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        for key, value in after.items():
            yield from differences((*path, str(key)), before.get(key), value)
    elif (parts := _pairs(before, after)) is not None:
        for part, old, new in parts:
            yield from differences((*path, part), old, new)
    elif before != after:
        yield FieldChange(path=path, before=before, after=after)


def _pairs(before: JSON, after: JSON) -> Sequence[tuple[str, JSON, JSON]] | None:
    """Items that answer to each other, with the part of the path that means them; None for lists without such."""
    if not _is_list(before) or not _is_list(after) or len(before) != len(after):
        return None
    if not all(isinstance(item, Mapping) for item in (*before, *after)):
        return None
    old, new = ([item.get("name") for item in items] for items in (before, after))
    if sorted(map(str, old)) == sorted(map(str, new)) and len(set(old)) == len(old) and all(map(_plain, old)):
        return [(f"[name={item['name']}]", before[old.index(item["name"])], item) for item in after]
    if old != new:
        return None
    return [(str(i), one, two) for i, (one, two) in enumerate(zip(before, after, strict=True))]


def _plain(name: JSON) -> bool:
    return isinstance(name, str) and name_problem("", name) is None


def _is_list(value: JSON) -> bool:
    return isinstance(value, list | tuple)
