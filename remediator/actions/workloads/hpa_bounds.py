"""`set_hpa_bounds`: how far a HorizontalPodAutoscaler may go.

An autoscaler that KEDA has made is taken back by KEDA within seconds, so its ScaledObject is changed instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, Direction, FieldChange, NotPossible, Patch
from remediator.actions.owners import hpas_of, operator_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import Get, View, Wanted
from remediator.actions.workload import read_workload
from remediator.actions.workloads.create_hpa import HPA
from remediator.actions.workloads.looking import one_found, one_of, refuse_git, refuse_leaving
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, annotations_of, controller_of, dig, ref_of, uid_of

KEDA = "ScaledObject.keda.sh"
KEDA_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")


class SetHpaBoundsParams(Params):
    """`min`, `max` or both; the other one stays. 0 only where KEDA scales."""

    min: int | None = Field(None, ge=0, le=1000)
    max: int | None = Field(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _something(self) -> SetHpaBoundsParams:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds the bounds: the autoscaler itself, or the ScaledObject behind it."""

    holder: Object
    fields: tuple[str, str]
    defaults: tuple[int, int]

    def present(self) -> tuple[int, int]:
        """(least, most) copies."""
        lowest, highest = (dig(self.holder, "spec", field) for field in self.fields)
        return (
            self.defaults[0] if lowest is None else int(lowest),
            self.defaults[1] if highest is None else int(highest),
        )


class SetHpaBounds:
    """Undo puts the recorded bounds back, compare-and-set."""

    name = "set_hpa_bounds"
    kinds: tuple[str, ...] = (HPA, "Deployment", "StatefulSet")
    needs = frozenset({"hpas", "pdbs"})
    disruptive = True
    through_git = True
    rights = (Right("patch", HPA), Right("list", HPA), Right("get", KEDA), Right("patch", KEDA))
    params = SetHpaBoundsParams

    def wants(self, params: SetHpaBoundsParams, view: View) -> Mapping[str, Wanted]:
        """The ScaledObject, where the only autoscaler has one."""
        hpas = _autoscalers(view)
        owner = controller_of(hpas[0]) if len(hpas) == 1 else None
        if owner is None or not _is_keda(owner):
            return {}
        return {"scaled_object": Get(ObjectRef(KEDA, view.ref.namespace, str(owner.get("name", ""))))}

    def resolve(self, params: SetHpaBoundsParams, view: View) -> SetHpaBoundsParams:
        return params

    def plan(self, params: SetHpaBoundsParams, view: View) -> Change:
        """Raises: NotPossible without exactly one autoscaler, or when nothing would change."""
        refuse_leaving(view)
        if view.ref.kind != HPA:
            refuse_unreadable(view, "hpas")
            if read_workload(view.target).desired == 0:
                raise NotPossible(f"{view.ref} was scaled to 0, which has switched its autoscaler off: scale it first")
        hpas = _autoscalers(view)
        if not hpas:
            raise NotPossible(f"{view.ref} has no HorizontalPodAutoscaler: use scale, or create_hpa")
        if len(hpas) > 1:
            names = one_of(ref_of(hpa).name for hpa in hpas)
            raise NotPossible(
                f"several HorizontalPodAutoscalers scale {view.ref} ({names}): name one as the target",
                guardrail="ownership",
            )
        return _bounded(params, view, hpas[0], _holder(hpas[0], view))


def _bounded(params: SetHpaBoundsParams, view: View, hpa: Object, bounds: Bounds) -> Change:
    ref, (lowest, highest) = ref_of(bounds.holder), bounds.present()
    after = (lowest if params.min is None else params.min, highest if params.max is None else params.max)
    if after[0] > after[1]:
        raise NotPossible(f"{ref} would keep at least {after[0]} and at most {after[1]} copies: give both min and max")
    if after[0] == 0 and bounds.holder is hpa and lowest != 0:
        raise NotPossible(f"{ref} takes no min 0: only KEDA scales to 0")
    if after == (lowest, highest):
        raise NotPossible(f"{ref} keeps between {lowest} and {highest} copies already")
    pairs = zip(bounds.fields, (lowest, highest), after, strict=True)
    changes = tuple(
        FieldChange(path=("spec", field), before=dig(bounds.holder, "spec", field), after=new)
        for field, old, new in pairs
        if old != new
    )
    for change in changes:
        if ref != view.ref:
            refuse_git(bounds.holder, change.path)
    takes = max(0, _available(view, hpa) - after[1])
    lower = after[0] < lowest or after[1] < highest
    said = ", ".join(f"{c.path[-1]} {'absent' if c.before is None else c.before} -> {c.after}" for c in changes)
    return Change(
        effects=(Patch(ref=ref, uid=uid_of(bounds.holder), changes=changes),),
        takes=takes,
        summary=f"{ref}: {said}",
        direction=_direction((lowest, highest), after),
        reduces_capacity=lower,
        notes=_notes(ref, hpa, after, lowest),
        touches=_touched(hpa, view),
    )


def _direction(before: tuple[int, int], after: tuple[int, int]) -> Direction:
    ways = {new > old for old, new in zip(before, after, strict=True) if new != old}
    return "" if len(ways) != 1 else "up" if ways.pop() else "down"


def _notes(ref: ObjectRef, hpa: Object, after: tuple[int, int], lowest: int) -> tuple[str, ...]:
    notes = []
    if ref.kind == KEDA:
        notes.append(f"KEDA makes {ref_of(hpa)} from {ref}, so that is changed")
    if after[0] < lowest:
        notes.append(f"may go down to {after[0]} copies when they are idle")
    return tuple(notes)


def _touched(hpa: Object, view: View) -> tuple[ObjectRef, ...]:
    """The workload behind an autoscaler that is the target: nobody scales it meanwhile."""
    kind, name = (str(dig(hpa, "spec", "scaleTargetRef", key, default="")) for key in ("kind", "name"))
    if view.ref.kind != HPA or kind not in KINDS or not name:
        return ()
    return (ObjectRef(kind, view.ref.namespace, name),)


def _available(view: View, hpa: Object) -> int:
    if view.ref.kind != HPA:
        return read_workload(view.target).available
    return int(dig(hpa, "status", "currentReplicas", default=0) or 0)


def _autoscalers(view: View) -> tuple[Object, ...]:
    return (view.target,) if view.ref.kind == HPA else hpas_of(view)


def _is_keda(owner: Mapping[str, Any]) -> bool:
    return owner.get("kind") == "ScaledObject" and str(owner.get("apiVersion", "")).startswith("keda.sh/")


def _holder(hpa: Object, view: View) -> Bounds:
    """Raises: NotPossible when something else than KEDA has made the autoscaler, or KEDA stands still."""
    owner = controller_of(hpa)
    if owner is None:
        return Bounds(holder=hpa, fields=("minReplicas", "maxReplicas"), defaults=(1, 0))
    if not _is_keda(owner):
        raise NotPossible(f"{operator_of(hpa)} makes {ref_of(hpa)}: change it there", guardrail="ownership")
    found = one_found(view, "scaled_object")
    if found is None or uid_of(found) != owner.get("uid"):
        raise NotPossible(f"{ref_of(hpa)} was made by {operator_of(hpa)}, which does not exist any more")
    if paused := [key for key in KEDA_PAUSED if annotations_of(found).get(key, "false") != "false"]:
        raise NotPossible(f"{ref_of(found)} is paused ({paused[0]}): somebody has to resume it")
    return Bounds(holder=found, fields=("minReplicaCount", "maxReplicaCount"), defaults=(0, 100))
