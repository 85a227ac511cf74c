"""`expand_pvc`: ask for a larger volume. It never becomes smaller again, so a cap is part of every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import git_owner, operator_of
from remediator.actions.storage.sizes import GI, MI, Size, size_of, size_text
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import Object, ObjectRef, dig, labels_of, ref_of, uid_of

REQUEST = ("spec", "resources", "requests", "storage")
CAPACITY = ("status", "capacity", "storage")

MOST = 2
"""One step at most doubles a volume: whatever fills it twice as fast as that is no case for more space."""

_OPERATORS = {
    "cnpg.io/cluster": "CloudNativePG cluster",
    "strimzi.io/cluster": "Strimzi cluster",
}
"""Labels of claims whose size an operator decides: it would take ours back, or stop at the difference."""

_UNDER_WAY = ("Resizing", "FileSystemResizePending")
_FAILED = ("ControllerResizeError", "NodeResizeError")


class ExpandPvcParams(Params):
    """Exactly one of `percent` and `to`. Whatever is asked for, the claim grows at most to `cap`."""

    percent: int | None = Field(None, ge=1, le=100)
    """So much larger than what is requested now, rounded up to whole Gi, or Mi below that."""
    to: Size | None = None
    """The new size: `20Gi`."""
    cap: Size
    """Never larger than this."""

    @model_validator(mode="after")
    def _one_way(self) -> ExpandPvcParams:
        if (self.percent is None) == (self.to is None):
            raise ValueError(f"give exactly one of percent and to, not {'none' if self.to is None else 'both'}")
        if self.to is not None and size_of(self.to) > size_of(self.cap):
            raise ValueError(f"to {self.to} is above cap {self.cap}")
        return self


class ExpandPvc:
    """Has no inverse: no storage makes a volume smaller."""

    name = "expand_pvc"
    kinds: tuple[str, ...] = ("PersistentVolumeClaim",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = (
        Right("patch", "PersistentVolumeClaim"),
        Right("get", "StorageClass"),
        Right("list", "StatefulSet"),
    )
    params = ExpandPvcParams

    def resolve(self, params: ExpandPvcParams, view: View) -> ExpandPvcParams:
        """`percent` as an absolute `to`. Raises: NotPossible."""
        if params.percent is None:
            return params
        return ExpandPvcParams(to=_grown(params.percent, size_of(params.cap), view), cap=params.cap)

    def wants(self, params: ExpandPvcParams, view: View) -> Mapping[str, Wanted]:
        wanted: dict[str, Wanted] = {"statefulsets": ListOf(kind="StatefulSet", namespace=view.ref.namespace)}
        if name := dig(view.target, "spec", "storageClassName"):
            wanted["storage_class"] = Get(ObjectRef("StorageClass", "", str(name)))
        return wanted

    def plan(self, params: ExpandPvcParams, view: View) -> Change:
        """Raises: NotPossible for what is not bound, cannot grow, would shrink, or is being resized."""
        if params.to is None:
            params = self.resolve(params, view)
        assert params.to is not None
        _refuse_unfit(view)
        _refuse_foreign(view.target, view)
        now, wanted = _requested(view), size_of(params.to)
        text = str(dig(view.target, *REQUEST))
        if wanted == now:
            raise NotPossible(f"{view.ref} requests {text} already")
        if wanted < now:
            raise NotPossible(f"{view.ref} requests {text}, {params.to} is less: a volume never becomes smaller")
        if wanted > size_of(params.cap):
            raise NotPossible(f"{params.to} is above cap {params.cap}")
        if wanted > MOST * now:
            raise NotPossible(f"{params.to} is more than twice {text}: one step at most doubles {view.ref}")
        _refuse_resizing(view, now)
        patch = Patch(
            ref=view.ref,
            uid=uid_of(view.target),
            changes=(FieldChange(path=REQUEST, before=dig(view.target, *REQUEST), after=params.to),),
            undoable=False,
        )
        return Change(effects=(patch,), summary=f"storage {text} -> {params.to}", direction="up", notes=_notes(view))


def _requested(view: View) -> int:
    """Raises: NotPossible where the claim says nothing that could be compared."""
    try:
        return size_of(dig(view.target, *REQUEST))
    except ValueError as exc:
        raise NotPossible(f"{view.ref}: {'.'.join(REQUEST)}: {exc}") from None


def _grown(percent: int, cap: int, view: View) -> str:
    """Raises: NotPossible when the claim is at its cap."""
    now = _requested(view)
    exact = Fraction(now) * (100 + percent) / 100
    most = min(cap, MOST * now)
    unit = GI if now >= GI else MI
    size = -(-exact // unit) * unit
    if size > most:
        size = most // MI * MI
    if size <= now:
        raise NotPossible(f"{view.ref} requests {size_text(now)} already, cap is {size_text(cap)}")
    return size_text(size)


def _refuse_unfit(view: View) -> None:
    if dig(view.target, "metadata", "deletionTimestamp"):
        raise NotPossible(f"{view.ref} is being deleted")
    phase = dig(view.target, "status", "phase")
    if phase != "Bound":
        raise NotPossible(f"{view.ref} is {phase or 'without a status'}, not Bound: only a bound claim can grow")
    name = dig(view.target, "spec", "storageClassName")
    if not name:
        raise NotPossible(f"{view.ref} has no storage class: its volume was made by hand and grows by hand")
    found = view.found.get("storage_class")
    if found is None:
        raise NotPossible(f"StorageClass {name} of {view.ref} does not exist")
    if found.get("allowVolumeExpansion") is not True:
        raise NotPossible(f"StorageClass {name} does not allow expansion: set allowVolumeExpansion if its driver can")


def _refuse_foreign(claim: Object, view: View) -> None:
    if owner := operator_of(claim):
        raise NotPossible(f"{owner} decides about the size of {view.ref}: change it there", guardrail="ownership")
    for label, whose in _OPERATORS.items():
        if name := labels_of(claim).get(label):
            raise NotPossible(
                f"{whose} {name} decides about the size of {view.ref}: change it there", guardrail="ownership"
            )
    if labels_of(claim).get("application") == "spilo":
        raise NotPossible(f"a postgresql decides about the size of {view.ref}: change it there", guardrail="ownership")


def _refuse_resizing(view: View, requested: int) -> None:
    """One after the other: a second request during a resize is not an answer to the first."""
    conditions = {c.get("type") for c in dig(view.target, "status", "conditions") or () if c.get("status") == "True"}
    states = set((dig(view.target, "status", "allocatedResourceStatuses") or {}).values())
    if failed := [*(conditions & set(_FAILED)), *(s for s in states if str(s).endswith(("Failed", "Infeasible")))]:
        raise NotPossible(f"the last resize of {view.ref} failed ({min(map(str, failed))}): a person has to look")
    if under_way := [*(conditions & set(_UNDER_WAY)), *map(str, states)]:
        raise NotPossible(f"{view.ref} is being resized ({min(map(str, under_way))})", hold=True)
    capacity = dig(view.target, *CAPACITY)
    try:
        behind = capacity is None or size_of(capacity) < requested
    except ValueError as exc:
        raise NotPossible(f"{view.ref}: {'.'.join(CAPACITY)}: {exc}") from None
    if behind:
        raise NotPossible(f"{view.ref} has {capacity or 'nothing'} of the size it requests: it is resized", hold=True)


def _notes(view: View) -> tuple[str, ...]:
    return ("cannot be undone: a volume never becomes smaller", *_more_notes(view))


def _more_notes(view: View) -> Iterator[str]:
    if found := _from_template(view):
        yield f"{found} keeps the old size in its template: new copies get that"
    if owner := git_owner(view.target):
        yield f"{owner} has to say the new size too"
    if (view.found["storage_class"].get("parameters") or {}).get("type") in ("gp2", "gp3", "io1", "io2"):
        yield "the cloud takes the next change of this volume only after some hours"
    yield "some drivers grow the file system only when the pod starts again"


def _from_template(view: View) -> ObjectRef | None:
    """The StatefulSet that made this claim: template, its name and an ordinal make the claim's name."""
    for workload in view.found["statefulsets"]:
        for template in dig(workload, "spec", "volumeClaimTemplates") or ():
            if _made_by(template, workload, view.ref.name):
                return ref_of(workload)
    return None


def _made_by(template: Mapping[str, Any], workload: Object, claim: str) -> bool:
    start = f"{dig(template, 'metadata', 'name')}-{ref_of(workload).name}-"
    return claim.startswith(start) and claim.removeprefix(start).isdecimal()
