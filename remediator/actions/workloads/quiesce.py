"""`quiesce_namespace` and `resume_namespace`: all workloads of a namespace to 0 copies, and back to what they had.

How many there were is written into each workload by the same patch that takes them away, so it cannot get lost: neither
with our database, nor with us. Data stores keep running unless they are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import git_owner, git_sets, operator_of
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workload import OURS, read_workload
from remediator.actions.workloads.looking import (
    count,
    in_order,
    is_named,
    is_protected,
    listed,
    namespace_name,
    one_of,
    refuse_leaving,
)
from remediator.actions.workloads.scale import REPLICAS_PATH
from remediator.objects import Object, annotations_of, controller_of, dig, ref_of, uid_of
from remediator.playbooks.selectors import selector_problem

RECORD = f"{OURS}replicas"
"""Annotation with the number of copies to go back to."""

RECORD_PATH = ("metadata", "annotations", RECORD)

MOST_COPIES = 1000
SCALED = ("Deployment", "StatefulSet")
_RIGHTS = tuple(Right(verb, kind) for kind in SCALED for verb in ("list", "patch"))
Name = Annotated[str, Field(pattern=r"^((Deployment|StatefulSet)/)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Names = Annotated[tuple[Name, ...], Field(max_length=200)]


class _Among(Params):
    """Which workloads: `selector` (labels; empty = all), but for `exclude`, at most `max`; first those of `order`."""

    selector: str = Field("", max_length=500)
    exclude: Names = ()
    order: Names = ()
    max: int = Field(ge=1, le=200)

    @field_validator("selector")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value and (problem := selector_problem(value)):
            raise ValueError(f"selector {value[:80]!r}: {problem}")
        return value


class QuiesceNamespaceParams(_Among):
    """`stateful` names the data stores that stop too: StatefulSets, and Deployments with a volume claim."""

    stateful: Names = ()


class QuiesceNamespace:
    """An outage on purpose. Undo, and `resume_namespace`, put the copies back."""

    name = "quiesce_namespace"
    kinds: tuple[str, ...] = ("Namespace",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (*_RIGHTS, Right("list", "HorizontalPodAutoscaler"))
    params = QuiesceNamespaceParams

    def wants(self, params: QuiesceNamespaceParams, view: View) -> Mapping[str, Wanted]:
        autoscalers = ListOf(kind="HorizontalPodAutoscaler", namespace=namespace_name(view))
        return {**_workloads(view, params.selector), "autoscalers": autoscalers}

    def resolve(self, params: QuiesceNamespaceParams, view: View) -> QuiesceNamespaceParams:
        return params

    def plan(self, params: QuiesceNamespaceParams, view: View) -> Change:
        """Raises: NotPossible when nothing runs, it is too much, or somebody would start it again."""
        refuse_leaving(view)
        if view.ref.name.startswith("kube-"):
            raise NotPossible(f"{view.ref} is Kubernetes' own: the cluster needs what runs there")
        _refuse_unknown(view, params.stateful)
        running = [obj for obj in _all(view) if _copies(obj) > 0 and not is_named(obj, params.exclude)]
        left = {ref_of(obj): why for obj in running if (why := _why_left(obj, params.stateful))}
        chosen = in_order([obj for obj in running if ref_of(obj) not in left], params.order)
        _check_number(view, chosen, params.max, "stop")
        for obj in chosen:
            _refuse_started_again(obj, view)
        names = one_of((ref_of(obj).name for obj in chosen), 10)
        return Change(
            effects=tuple(_stop(obj) for obj in chosen),
            takes=sum(read_workload(obj).available for obj in chosen),
            summary=f"stop {count(len(chosen), 'workload')}: {names}",
            direction="down",
            reduces_capacity=True,
            needs_approval=f"it stops {count(len(chosen), 'workload')} of {view.ref} altogether",
            notes=(
                "an outage until resume_namespace; autoscalers are off meanwhile, Jobs and DaemonSets go on",
                *(f"left alone: {ref}, {why}" for ref, why in sorted(left.items())[:10]),
            ),
            touches=tuple(ref_of(obj) for obj in chosen),
        )


class ResumeNamespaceParams(_Among):
    """`max_copies` = the most copies of one workload that a record may ask for."""

    max_copies: int = Field(50, ge=1, le=MOST_COPIES)


class ResumeNamespace:
    """Only what quiesce_namespace has stopped, by what it has recorded. Undo stops it again."""

    name = "resume_namespace"
    kinds: tuple[str, ...] = ("Namespace",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = _RIGHTS
    params = ResumeNamespaceParams

    def wants(self, params: ResumeNamespaceParams, view: View) -> Mapping[str, Wanted]:
        return _workloads(view, params.selector)

    def resolve(self, params: ResumeNamespaceParams, view: View) -> ResumeNamespaceParams:
        return params

    def plan(self, params: ResumeNamespaceParams, view: View) -> Change:
        """Raises: NotPossible when nothing is stopped, or a record is no sensible number."""
        refuse_leaving(view)
        recorded = [obj for obj in _all(view) if RECORD in annotations_of(obj) and not is_named(obj, params.exclude)]
        chosen = in_order([obj for obj in recorded if _copies(obj) == 0 and not is_protected(obj)], params.order)
        _check_number(view, chosen, params.max, "resume")
        patches = tuple(_resume(obj, params.max_copies) for obj in chosen)
        total = sum(patch.changes[0].after for patch in patches)
        up = len([obj for obj in recorded if _copies(obj) > 0])
        return Change(
            effects=patches,
            summary=f"resume {count(len(chosen), 'workload')} with {count(total, 'copy', 'copies')}: "
            f"{one_of((ref_of(obj).name for obj in chosen), 10)}",
            direction="up",
            notes=(f"{count(up, 'workload')} with a record runs already, and is left alone",) if up else (),
            touches=tuple(ref_of(obj) for obj in chosen),
        )


def _workloads(view: View, selector: str) -> dict[str, Wanted]:
    namespace = namespace_name(view)
    return {kind: ListOf(kind=kind, namespace=namespace, labels=selector) for kind in SCALED}


def _all(view: View) -> tuple[Object, ...]:
    return tuple(obj for kind in SCALED for obj in listed(view, kind) if not dig(obj, "metadata", "deletionTimestamp"))


def _copies(obj: Object) -> int:
    return int(dig(obj, *REPLICAS_PATH, default=1))


def _check_number(view: View, chosen: Sequence[Object], most: int, verb: str) -> None:
    if not chosen:
        raise NotPossible(f"{view.ref} has no workload to {verb}")
    if len(chosen) > most:
        raise NotPossible(f"{view.ref} has {len(chosen)} workloads to {verb}, max is {most}: raise max, or name fewer")


def _refuse_unknown(view: View, stateful: Sequence[str]) -> None:
    """A misspelt data store would keep running while people believe that it stands still."""
    everything = _all(view)
    for name in stateful:
        if not any(is_named(obj, (name,)) for obj in everything):
            raise NotPossible(f"stateful: {view.ref} has no workload {name} that the selector finds")


def _why_left(obj: Object, stateful: Sequence[str]) -> str:
    """Why this one keeps running; empty when it may be stopped."""
    if is_protected(obj):
        return "which is protected"
    if owner := operator_of(obj):
        return f"which {owner} would start again"
    if is_named(obj, stateful):
        return ""
    if ref_of(obj).kind == "StatefulSet":
        return "a StatefulSet that `stateful` does not name"
    volumes = dig(obj, "spec", "template", "spec", "volumes") or ()
    return "which keeps data in a volume" if any("persistentVolumeClaim" in volume for volume in volumes) else ""


def _refuse_started_again(obj: Object, view: View) -> None:
    """Git writes its number of copies back, and KEDA starts what has work to do: half a namespace would come back."""
    ref, git = ref_of(obj), git_owner(obj)
    if git is not None and git_sets(obj, REPLICAS_PATH):
        raise NotPossible(f"{git} would start {ref} again: suspend it, or exclude it", guardrail="ownership")
    for hpa in listed(view, "autoscalers"):
        aim, owner = dig(hpa, "spec", "scaleTargetRef") or {}, controller_of(hpa)
        if (aim.get("kind"), aim.get("name")) == (ref.kind, ref.name) and owner is not None:
            raise NotPossible(
                f"{operator_of(hpa)} would start {ref} again: pause that, or exclude it", guardrail="ownership"
            )


def _stop(obj: Object) -> Patch:
    copies = _copies(obj)
    return _patch(obj, FieldChange(path=REPLICAS_PATH, before=dig(obj, *REPLICAS_PATH), after=0), str(copies))


def _resume(obj: Object, most: int) -> Patch:
    text = annotations_of(obj).get(RECORD, "")
    # Not `isdecimal`, which also says yes to digits of other scripts, and not any length: int() of those is slow.
    copies = int(text) if len(text) <= 4 and text.isascii() and text.isdigit() else 0
    if not 1 <= copies <= most:
        raise NotPossible(
            f"{RECORD} of {ref_of(obj)} is {text[:20]!r}, not 1 to {most}: correct it, or raise max_copies"
        )
    return _patch(obj, FieldChange(path=REPLICAS_PATH, before=0, after=copies), None)


def _patch(obj: Object, replicas: FieldChange, record: str | None) -> Patch:
    before = annotations_of(obj).get(RECORD)
    changes = (replicas, FieldChange(path=RECORD_PATH, before=before, after=record))
    return Patch(ref=ref_of(obj), uid=uid_of(obj), changes=tuple(c for c in changes if c.before != c.after))
