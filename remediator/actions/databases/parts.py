"""What the actions on operators' objects share: names, queries, annotations, autoscalers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from remediator.actions.change import FieldChange, NotPossible, Patch
from remediator.actions.owners import managers_of
from remediator.actions.times import parse_time
from remediator.actions.view import ListOf, View
from remediator.objects import JSON, Object, annotations_of, dig, ref_of, uid_of
from remediator.ports import FIELD_MANAGER

Promql = Annotated[str, Field(min_length=1, max_length=2000)]
InstanceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""A pod's name, as the API server allows it."""


def refuse_other_kind(view: View, *kinds: str) -> None:
    """Raises: NotPossible when the playbook names this action for something else."""
    if view.ref.kind not in kinds:
        raise NotPossible(f"{view.ref} is no {' or '.join(kinds)}: name one as the target")


def refuse_leaving(view: View) -> None:
    """Raises: NotPossible for an object that is being deleted."""
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")


def annotate(obj: Object, key: str, after: JSON, *, undoable: bool = False) -> Patch:
    """One annotation of the object's own metadata, which is how these operators are asked for most things."""
    before = annotations_of(obj).get(key)
    change = FieldChange(path=("metadata", "annotations", key), before=before, after=after)
    return Patch(ref=ref_of(obj), uid=uid_of(obj), changes=(change,), undoable=undoable)


def set_fields(view: View, fields: Sequence[tuple[tuple[str, ...], JSON]], *, undoable: bool = True) -> Patch:
    """One merge patch of the target; fields that have the value already are left out."""
    changes = tuple(
        FieldChange(path=path, before=dig(view.target, *path), after=after)
        for path, after in fields
        if dig(view.target, *path) != after
    )
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=changes, undoable=undoable)


def set_by_others(obj: Object, path: tuple[str, ...]) -> str:
    """Who wrote this field last, when that was not us; `somebody unknown` where managedFields do not say."""
    managers = managers_of(obj, path)
    if not managers:
        return "somebody unknown"
    return "" if managers[0].name == FIELD_MANAGER else managers[0].name


def condition_of(obj: Object, kind: str) -> Object | None:
    """The status condition of that type."""
    for condition in dig(obj, "status", "conditions") or ():
        if condition.get("type") == kind:
            found: Object = condition
            return found
    return None


def time_at(obj: Object, *path: str) -> datetime | None:
    """A time in an object; None where there is none, or no time."""
    text = dig(obj, *path)
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None


def autoscalers(view: View) -> ListOf:
    """What has to be read before copies of an operator's object are changed: an autoscaler would take them back."""
    return ListOf(kind="HorizontalPodAutoscaler", namespace=view.ref.namespace)


def refuse_autoscaled(view: View, hpas: Sequence[Object]) -> None:
    """Raises: NotPossible when a HorizontalPodAutoscaler of this list scales the target."""
    api_group = str(view.target.get("apiVersion", "")).partition("/")[0]
    for hpa in hpas:
        aim = dig(hpa, "spec", "scaleTargetRef") or {}
        same_group = str(aim.get("apiVersion", "")).partition("/")[0] == api_group
        if same_group and (aim.get("kind"), aim.get("name")) == (view.target.get("kind"), view.ref.name):
            raise NotPossible(f"{ref_of(hpa)} decides about the copies of {view.ref}", guardrail="ownership")
