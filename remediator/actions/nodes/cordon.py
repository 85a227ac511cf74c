"""`cordon` and `uncordon`: no new pods on a node, and back. Only our own cordon is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.nodes.node import (
    CORDONED,
    OUT_OF_SERVICE,
    UNSCHEDULABLE,
    copies,
    cordoned_by_us,
    is_cordoned,
    ready_of,
    refuse_leaving,
    refuse_too_many,
    who_cordoned,
)
from remediator.actions.nodes.standing import moves_primaries, pods_on
from remediator.actions.view import ListOf, View, Wanted
from remediator.objects import annotations_of, dig, uid_of

ANNOTATION = ("metadata", "annotations", CORDONED)


class CordonParams(Params):
    """How many nodes may be out of service at once, this one included: cordoned, or not ready."""

    max_unavailable: int = Field(1, ge=1, le=10)


class Cordon:
    """Undo is an uncordon: both fields go back in one patch, or neither."""

    name = "cordon"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (Right("patch", "Node"), Right("list", "Node"), Right("list", "Pod"))
    params = CordonParams

    def resolve(self, params: CordonParams, view: View) -> CordonParams:
        return params

    def wants(self, params: CordonParams, view: View) -> Mapping[str, Wanted]:
        return {"nodes": ListOf(kind="Node"), "pods": pods_on(view.ref.name)}

    def plan(self, params: CordonParams, view: View) -> Change:
        """Raises: NotPossible for what is cordoned already, being removed, or one node too many."""
        refuse_leaving(view)
        if cordoned_by_us(view.target):
            since = annotations_of(view.target)[CORDONED]
            raise NotPossible(f"{view.ref} is cordoned already, by us since {since[:40]}")
        if is_cordoned(view.target):
            raise NotPossible(
                f"{view.ref} is cordoned already, by {who_cordoned(view.target)}: it stays theirs",
                guardrail="ownership",
            )
        refuse_too_many(view, view.found["nodes"], params.max_unavailable)
        pods = view.found["pods"]
        return Change(
            effects=(cordon_patch(view),),
            summary=f"cordon ({copies(len(pods), 'pod')} there, which stay)",
            reduces_capacity=True,
            needs_approval=moves_primaries(pods),
            notes=("a cordon stops new pods only; pods that are there stay until they are drained",),
        )


class UncordonParams(Params):
    """Whose cordon may be lifted: our own only, or anybody's. `await_cordon`: a step before cordons the node, so one
    that takes pods is waited for."""

    force_owner: Literal["ours", "any"] = "ours"
    await_cordon: bool = False


class Uncordon:
    """Undo cordons the node again."""

    name = "uncordon"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = UncordonParams

    def resolve(self, params: UncordonParams, view: View) -> UncordonParams:
        return params

    def plan(self, params: UncordonParams, view: View) -> Change:
        """Raises: NotPossible for what is not cordoned, is not ready, or is somebody else's cordon."""
        refuse_leaving(view)
        if not is_cordoned(view.target):
            waits = ", and `await_cordon` leaves that to a step before" if params.await_cordon else ""
            raise NotPossible(f"{view.ref} is not cordoned{waits}", hold=params.await_cordon)
        ours = cordoned_by_us(view.target)
        if not ours and params.force_owner != "any":
            raise NotPossible(
                f"{view.ref} was cordoned by {who_cordoned(view.target)}, not by us; `force_owner: any` lifts it",
                guardrail="ownership",
            )
        if any(taint.get("key") == OUT_OF_SERVICE for taint in dig(view.target, "spec", "taints") or ()):
            raise NotPossible(f"{view.ref} carries the taint {OUT_OF_SERVICE}: remove that first, when it runs again")
        if ready_of(view.target).status != "True":
            raise NotPossible(f"{view.ref} is not ready: it is uncordoned when it is", hold=True)
        changes = [FieldChange(path=UNSCHEDULABLE, before=True, after=None)]
        if (since := annotations_of(view.target).get(CORDONED)) is not None:
            changes.append(FieldChange(path=ANNOTATION, before=since, after=None))
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=tuple(changes)),),
            summary="uncordon",
            notes=() if ours else (f"the cordon is not ours: {who_cordoned(view.target)} set it",),
        )


def cordon_patch(view: View) -> Patch:
    """Both fields in one request: a cordon that does not say whose it is would never be lifted."""
    return Patch(
        ref=view.ref,
        uid=uid_of(view.target),
        changes=(
            FieldChange(path=UNSCHEDULABLE, before=dig(view.target, *UNSCHEDULABLE), after=True),
            FieldChange(path=ANNOTATION, before=annotations_of(view.target).get(CORDONED), after=GENERATED_TIME),
        ),
    )
