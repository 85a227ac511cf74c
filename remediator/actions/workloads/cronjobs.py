"""`suspend_cronjob`, `resume_cronjob` and `rerun_cronjob`: a timetable stands still, goes on, or is run once now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import operator_of
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workloads.job_objects import (
    SUSPEND,
    controlled_by,
    copied_spec,
    create_and_start,
    has_finished,
    job_name,
    owned_by_cronjob,
    plain_annotations,
    plain_labels,
    refuse_not_plain,
)
from remediator.actions.workloads.looking import count, listed, one_of, refuse_leaving, set_by_others
from remediator.objects import ObjectRef, dig, ref_of, uid_of

MANUAL = {"cronjob.kubernetes.io/instantiate": "manual"}
"""Annotation of a run that nobody's timetable has asked for, as kubectl writes it."""


class NoParams(Params):
    """Nothing to choose."""


class SuspendCronJob:
    """Undo resumes it."""

    name = "suspend_cronjob"
    kinds: tuple[str, ...] = ("CronJob",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when it is suspended already."""
        _refuse_owned(view)
        if dig(view.target, *SUSPEND):
            raise NotPossible(f"{view.ref} is suspended already")
        active = len(dig(view.target, "status", "active") or ())
        goes_on = f"{count(active, 'run')} under way {'goes' if active == 1 else 'go'} on"
        return Change(
            effects=(_patch(view, after=True),),
            summary="suspend the timetable",
            notes=("no run begins until somebody resumes it", *((goes_on,) if active else ())),
        )


class ResumeCronJob:
    """Undo suspends it again."""

    name = "resume_cronjob"
    kinds: tuple[str, ...] = ("CronJob",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when it is not suspended."""
        _refuse_owned(view)
        if not dig(view.target, *SUSPEND):
            raise NotPossible(f"{view.ref} is not suspended")
        who = set_by_others(view.target, SUSPEND)
        return Change(
            effects=(_patch(view, after=False),),
            summary="resume the timetable",
            needs_approval=f"{who} suspended it, not the remediator" if who else "",
            notes=("a run that was missed meanwhile may begin at once",),
        )


class RerunCronJob:
    """One run now, in the way of `kubectl create job --from`; what it has done is not taken back."""

    name = "rerun_cronjob"
    kinds: tuple[str, ...] = ("CronJob",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("list", "Job"), Right("create", "Job"), Right("patch", "Job"))
    params = NoParams

    def wants(self, params: NoParams, view: View) -> Mapping[str, Wanted]:
        return {"jobs": ListOf(kind="Job", namespace=view.ref.namespace)}

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible; a hold while another run is under way, unless the CronJob allows several at once."""
        refuse_leaving(view)
        template = dig(view.target, "spec", "jobTemplate") or {}
        meta, spec = template.get("metadata") or {}, template.get("spec") or {}
        refuse_not_plain(spec, meta.get("labels") or {}, view.ref)
        if spec.get("suspend"):
            raise NotPossible(f"{view.ref} makes suspended Jobs, which something else starts: start it there")
        notes = self._under_way(view)
        if dig(view.target, *SUSPEND):
            notes = (*notes, "its timetable is suspended, and stays so")
        ref = ObjectRef("Job", view.ref.namespace, job_name(view.ref.name))
        return Change(
            effects=create_and_start(ref, _body(view, meta, spec)),
            summary=f"run {view.ref} once, now",
            notes=(*notes, "what a run has done is not taken back: it must be safe to repeat"),
        )

    def _under_way(self, view: View) -> tuple[str, ...]:
        """The API server lets a manual run in whatever the policy says, so we look ourselves."""
        own = uid_of(view.target)
        running = [job for job in listed(view, "jobs") if controlled_by(job, own) and not has_finished(job)]
        if not running:
            return ()
        names = one_of(ref_of(job).name for job in running)
        policy = dig(view.target, "spec", "concurrencyPolicy", default="Allow")
        if policy != "Allow":
            raise NotPossible(f"{view.ref} is running ({names}), and its concurrencyPolicy is {policy}", hold=True)
        return (f"runs beside {names}",)


def _body(view: View, meta: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """As the CronJob controller would make it. Without a time to live: the CronJob's history limits keep order, and
    a result that is gone when we look would prove nothing."""
    kept = {k: v for k, v in copied_spec(spec).items() if k != "ttlSecondsAfterFinished"}
    return {
        "metadata": {
            "labels": plain_labels(meta.get("labels")),
            "annotations": {**plain_annotations(meta.get("annotations")), **MANUAL},
            "ownerReferences": [owned_by_cronjob(view.target)],
        },
        "spec": kept,
    }


def _patch(view: View, *, after: bool) -> Patch:
    change = FieldChange(path=SUSPEND, before=dig(view.target, *SUSPEND), after=after)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,))


def _refuse_owned(view: View) -> None:
    refuse_leaving(view)
    if owner := operator_of(view.target):
        raise NotPossible(f"{owner} makes {view.ref}: suspend or resume it there", guardrail="ownership")
