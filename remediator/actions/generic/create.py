"""`create`: one object from a manifest, in the namespace of the target."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change
from remediator.actions.change import Create as CreateEffect
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.generic.kinds import CREATABLE, GENERIC_KINDS
from remediator.actions.generic.manifests import checked_manifest, doubt_about, kind_of, namespace_for
from remediator.actions.view import View
from remediator.objects import JSON, ObjectRef

KEPT = frozenset({"PersistentVolumeClaim", "StatefulSet"})
"""Deleted again they would take data with them, or leave it behind nameless: made once, they stay."""


class CreateParams(Params):
    """`manifest` as in a file. Its name gets ten generated characters, unless `fixed_name`."""

    manifest: dict[str, Any]
    fixed_name: bool = False

    @field_validator("manifest")
    @classmethod
    def _checked(cls, manifest: dict[str, Any]) -> dict[str, Any]:
        return checked_manifest(manifest)


class Create:
    """Undo deletes it again, but for what may hold data."""

    name = "create"
    kinds: tuple[str, ...] = GENERIC_KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights: tuple[Right, ...] = tuple(Right(verb, kind) for kind in CREATABLE for verb in ("get", "create", "delete"))
    params = CreateParams

    def resolve(self, params: CreateParams, view: View) -> CreateParams:
        return params

    def plan(self, params: CreateParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        name = params.manifest["metadata"]["name"]
        return creation(params.manifest, view, name if params.fixed_name else f"{name}-{GENERATED_ID}")


def creation(manifest: dict[str, Any], view: View, name: str) -> Change:
    """The Change that makes it under that name. Raises: NotPossible for another namespace than the target's."""
    kind = kind_of(manifest)
    ref = ObjectRef(kind, namespace_for(manifest, view), name)
    undoable = kind not in KEPT
    effect = CreateEffect(ref=ref, body=body_of(manifest), undoable=undoable)
    kept = () if undoable else ("it may hold data, so no undo deletes it",)
    return Change(
        effects=(effect,),
        summary=f"create {str(ref).replace(GENERATED_ID, '…')}",
        needs_approval=doubt_about(manifest),
        notes=(*kept, "if Git or Helm knows nothing of it, nobody else looks after it"),
    )


def body_of(manifest: dict[str, Any]) -> dict[str, JSON]:
    """The manifest without what the reference says."""
    body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = {k: v for k, v in manifest["metadata"].items() if k in ("labels", "annotations")}
    return {**body, "metadata": metadata} if metadata else body
