"""`scale`: more or fewer copies, within bounds that the playbook must give.

One merge patch of `spec.replicas`, not of the `/scale` subresource, which silently drops our marker annotation. Where a
HorizontalPodAutoscaler owns the replicas, its bound is changed instead: it would take our number back within seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import Field, model_validator

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import hpas_of, managers_of, operator_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import View
from remediator.actions.workload import Workload, read_workload
from remediator.objects import Object, dig, ref_of, uid_of
from remediator.ports import FIELD_MANAGER

REPLICAS_PATH = ("spec", "replicas")


class ScaleParams(Params):
    """Exactly one of `to`, `by`, `factor`; `min` and `max` bound the result. 0 copies only with `min: 0`.

    A factor rounds up, also when shrinking: one copy too many is the safe side. `autoscaler`: where one has not come to
    its maximum, `bounds` makes it keep more copies, and `at_max` waits until it has grown as far as it may.
    """

    to: int | None = Field(None, ge=0)
    by: int | None = None
    factor: float | None = Field(None, gt=0, le=100)
    min: int = Field(ge=0)
    max: int = Field(ge=1, le=10_000)
    autoscaler: Literal["bounds", "at_max"] = "bounds"

    @model_validator(mode="after")
    def _one_way_within_bounds(self) -> ScaleParams:
        given = [name for name in ("to", "by", "factor") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of to, by or factor, not {' and '.join(given) or 'none'}")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.by == 0 or self.factor == 1:
            raise ValueError(f"{given[0]}: {self.by if self.by == 0 else 1} changes nothing")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How many copies there are, were asked for, and are left of that after min and max."""

    present: int
    asked: int
    copies: int
    bound: str
    """`, 9 wanted, max is 8`, or empty when the bounds did not matter."""


class Scale:
    """Undo puts the recorded number back, compare-and-set."""

    name = "scale"
    kinds: tuple[str, ...] = ("Deployment", "StatefulSet")
    needs = frozenset({"hpas", "pdbs"})
    disruptive = True
    through_git = True
    params = ScaleParams

    def resolve(self, params: ScaleParams, view: View) -> ScaleParams:
        """`by` and `factor` as an absolute `to`, within the bounds. Raises: NotPossible."""
        wish = _wish(params, read_workload(view.target))
        return ScaleParams(to=wish.copies, min=params.min, max=params.max, autoscaler=params.autoscaler)

    def plan(self, params: ScaleParams, view: View) -> Change:
        """Raises: NotPossible when nothing would change, or somebody else decides about the copies."""
        workload = read_workload(view.target)
        refuse_unreadable(view, "hpas")
        wish = _wish(params, workload)
        if owner := operator_of(view.target):
            raise NotPossible(f"{owner} decides about the copies of {view.ref}: scale that", guardrail="ownership")
        hpas = hpas_of(view)
        if len(hpas) > 1:
            names = ", ".join(ref_of(hpa).name for hpa in hpas)
            raise NotPossible(f"several HorizontalPodAutoscalers scale {view.ref}: {names}", guardrail="ownership")
        if hpas:
            return _by_hpa(wish, hpas[0], workload, waits=params.autoscaler == "at_max")
        return _by_replicas(wish, view, workload)


def _wish(params: ScaleParams, workload: Workload) -> Wish:
    """Raises: NotPossible when the result is the present, or the bounds turn the wish round."""
    present = workload.desired
    if params.to is not None:
        asked = params.to
    elif params.by is not None:
        asked = present + params.by
    else:
        # Exact: in floats 10 * 1.1 is a little more than 11, and rounding up would make it 12.
        asked = math.ceil(present * Fraction(str(params.factor)))
    copies = max(params.min, min(params.max, asked))
    bound = ""
    if copies != asked:
        bound = f", {max(asked, 0)} wanted, {'max' if asked > copies else 'min'} is {copies}"
    if copies == present:
        raise NotPossible(f"{workload.ref} has {present} copies already{bound}")
    if (asked - present) * (copies - present) <= 0:
        raise NotPossible(f"{workload.ref} has {present} copies{bound}: that would go the other way")
    return Wish(present=present, asked=asked, copies=copies, bound=bound)


def _by_replicas(wish: Wish, view: View, workload: Workload) -> Change:
    before = dig(view.target, *REPLICAS_PATH)
    patch = Patch(
        ref=view.ref,
        uid=workload.uid,
        changes=(FieldChange(path=REPLICAS_PATH, before=before, after=wish.copies),),
    )
    return _change(
        patch, f"replicas {wish.present} -> {wish.copies}{wish.bound}", wish, workload, notes=_notes(view, wish)
    )


def _by_hpa(wish: Wish, hpa: Object, workload: Workload, *, waits: bool) -> Change:
    """Growing raises minReplicas within maxReplicas, or maxReplicas if copies have reached it; shrinking lowers it."""
    ref, owner = ref_of(hpa), operator_of(hpa)
    if owner:
        keda = "KEDA's " if owner.startswith("ScaledObject") else ""
        raise NotPossible(
            f"{keda}{owner} owns {ref}, which decides about the copies of {workload.ref}", guardrail="ownership"
        )
    if wish.present == 0:
        raise NotPossible(f"{workload.ref} was scaled to 0, which has switched {ref} off", guardrail="ownership")
    lowest, highest = int(dig(hpa, "spec", "minReplicas", default=1)), int(dig(hpa, "spec", "maxReplicas", default=0))
    if wish.copies < wish.present:
        field, after = "maxReplicas", max(wish.copies, lowest)
        useless = after >= min(wish.present, highest)
    elif wish.present >= highest:
        field, after = "maxReplicas", wish.copies
        useless = False
    elif waits:
        reason = f"{ref} may grow to {highest} copies by itself, it has {wish.present}: it is waited for"
        raise NotPossible(reason, hold=True)
    else:
        field, after = "minReplicas", min(wish.copies, highest)
        useless = after <= lowest
    if useless:
        raise NotPossible(f"{ref} keeps between {lowest} and {highest} copies already, and decides within that")
    before = dig(hpa, "spec", field)
    patch = Patch(ref=ref, uid=uid_of(hpa), changes=(FieldChange(path=("spec", field), before=before, after=after),))
    stopped = f", {wish.copies} wanted, its bound is {after}" if after != wish.copies else wish.bound
    summary = f"{ref}: {field} {before} -> {after}{stopped}"
    note = f"the copies of {workload.ref} belong to {ref}, so its bound is changed instead"
    settled = Wish(present=wish.present, asked=wish.asked, copies=after, bound=stopped)
    return _change(patch, summary, settled, workload, notes=(note,))


def _change(patch: Patch, summary: str, wish: Wish, workload: Workload, *, notes: tuple[str, ...]) -> Change:
    down = wish.copies < wish.present
    return Change(
        effects=(patch,),
        takes=max(0, workload.available - wish.copies) if down else 0,
        summary=summary,
        direction="down" if down else "up",
        reduces_capacity=down,
        notes=notes,
    )


def _notes(view: View, wish: Wish) -> tuple[str, ...]:
    others = [m.name for m in managers_of(view.target, REPLICAS_PATH) if m.name != FIELD_MANAGER]
    notes = [f"spec.replicas was last set by {others[0]}"] if others else []
    if view.ref.kind == "StatefulSet" and wish.copies < wish.present:
        notes.append("the volumes of removed copies stay")
    return tuple(notes)
