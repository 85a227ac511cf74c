"""`patch`: single fields of an object, for what has no action of its own."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from remediator.actions.base import Params
from remediator.actions.canonical import canonical_json
from remediator.actions.change import Change, FieldChange, NotPossible
from remediator.actions.change import Patch as PatchEffect
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.diff import field_lines
from remediator.actions.generic.fields import cost_of, refuse_fields
from remediator.actions.generic.kinds import GENERIC_KINDS
from remediator.actions.paths import value_at
from remediator.actions.render import dotted
from remediator.actions.view import View
from remediator.objects import uid_of

MOST_FIELDS = 20
LARGEST_VALUE = 16_384


class FieldValue(Params):
    """`path` as a list: keys, `[name=app]` for an item of a list, or its number.

    `value` null removes the field; it is never left out.
    """

    path: tuple[str, ...] = Field(min_length=2, max_length=20)
    value: Any

    @field_validator("path")
    @classmethod
    def _parts(cls, path: tuple[str, ...]) -> tuple[str, ...]:
        if any(not part or len(part) > 253 for part in path):
            raise ValueError("each part of a path has 1 to 253 characters")
        return path

    @field_validator("value")
    @classmethod
    def _small(cls, value: Any) -> Any:
        if len(canonical_json(value)) > LARGEST_VALUE:
            raise ValueError(f"a value has at most {LARGEST_VALUE} bytes")
        return value


class PatchParams(Params):
    """All of them in one request, in their order. None lies within another."""

    fields: tuple[FieldValue, ...] = Field(min_length=1, max_length=MOST_FIELDS)

    @field_validator("fields")
    @classmethod
    def _apart(cls, fields: tuple[FieldValue, ...]) -> tuple[FieldValue, ...]:
        for number, one in enumerate(fields):
            for other in fields[number + 1 :]:
                shorter = min(len(one.path), len(other.path))
                if one.path[:shorter] == other.path[:shorter]:
                    raise ValueError(f"{dotted(one.path)} and {dotted(other.path)} overlap: name each field once")
        return fields


class Patch:
    """Undo puts the old values back."""

    name = "patch"
    kinds: tuple[str, ...] = GENERIC_KINDS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    through_git = True
    params = PatchParams

    def resolve(self, params: PatchParams, view: View) -> PatchParams:
        return params

    def plan(self, params: PatchParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        wanted = [FieldChange(path=f.path, before=value_at(view.target, f.path), after=f.value) for f in params.fields]
        refuse_fields(view.target, wanted)
        changes = tuple(change for change in wanted if change.before != change.after)
        if not changes:
            raise NotPossible(f"{view.ref} has these values already")
        cost = cost_of(view.target, changes, view)
        effect = PatchEffect(ref=view.ref, uid=uid_of(view.target), changes=changes, replace=True)
        return Change(
            effects=(effect,),
            takes=cost.takes,
            reduces_capacity=cost.takes > 0,
            summary=summary_of(changes),
            needs_approval=cost.needs_approval,
            notes=cost.notes,
        )


def summary_of(changes: tuple[FieldChange, ...]) -> str:
    """The first few changed leaves."""
    lines = [line for change in changes for line in field_lines(change)]
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    return ", ".join(lines[:5]) + more
