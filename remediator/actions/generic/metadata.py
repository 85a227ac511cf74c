"""`annotate` and `label`: single entries of an object's metadata; null takes one away."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field, field_validator

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.generic.keys import MOST_KEYS, annotation_problem, label_problem
from remediator.actions.generic.kinds import GENERIC_KINDS
from remediator.actions.render import brief
from remediator.actions.view import View
from remediator.objects import dig, uid_of

Entries = Mapping[str, str | None]


def _checked(entries: dict[str, str | None], problem: Callable[[str, str | None], str]) -> dict[str, str | None]:
    for key, value in entries.items():
        if why := problem(key, value):
            raise ValueError(why)
    return entries


def _change(view: View, part: str, entries: Entries, notes: tuple[str, ...]) -> Change:
    """One merge patch. Raises: NotPossible when nothing would change."""
    present = dig(view.target, "metadata", part) or {}
    changes = tuple(
        FieldChange(path=("metadata", part, key), before=present.get(key), after=value)
        for key, value in sorted(entries.items())
        if present.get(key) != value
    )
    if not changes:
        raise NotPossible(f"{view.ref} has these {part} already")
    said = ", ".join(f"{c.path[-1]} {brief(c.before)} -> {brief(c.after)}" for c in changes)
    return Change(effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=changes),), summary=said, notes=notes)


class AnnotateParams(Params):
    """Keys and values; null removes the key. Keys by which operators take orders are refused: they have actions."""

    annotations: dict[str, str | None] = Field(min_length=1, max_length=MOST_KEYS)

    @field_validator("annotations")
    @classmethod
    def _allowed(cls, annotations: dict[str, str | None]) -> dict[str, str | None]:
        return _checked(annotations, annotation_problem)


class Annotate:
    """Undo puts the old values back."""

    name = "annotate"
    kinds: tuple[str, ...] = GENERIC_KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = AnnotateParams

    def resolve(self, params: AnnotateParams, view: View) -> AnnotateParams:
        return params

    def plan(self, params: AnnotateParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        return _change(view, "annotations", params.annotations, ())


class LabelParams(Params):
    """Keys and values; null removes the key. Labels of kubernetes.io and k8s.io are refused."""

    labels: dict[str, str | None] = Field(min_length=1, max_length=MOST_KEYS)

    @field_validator("labels")
    @classmethod
    def _allowed(cls, labels: dict[str, str | None]) -> dict[str, str | None]:
        return _checked(labels, label_problem)


class Label:
    """Not for pods: their labels decide who owns them and who sends them traffic. Undo puts the old values back."""

    name = "label"
    kinds: tuple[str, ...] = tuple(kind for kind in GENERIC_KINDS if kind != "Pod")
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = LabelParams

    def resolve(self, params: LabelParams, view: View) -> LabelParams:
        return params

    def plan(self, params: LabelParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        return _change(view, "labels", params.labels, ("whatever selects objects by these labels sees it differently",))
