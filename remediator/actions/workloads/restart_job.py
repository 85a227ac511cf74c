"""`restart_job`: the work of a Job that hangs or has failed is begun again, by a copy under a new name.

A Job's pod template cannot be changed and a failed one cannot be started again, so it takes a copy. The old Job goes
last: a copy that the cluster does not take leaves everything as it was.
"""

from __future__ import annotations

from typing import Any

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch, Remove
from remediator.actions.owners import operator_of
from remediator.actions.view import View
from remediator.actions.workloads.job_objects import (
    SUSPEND,
    condition_of,
    copied_spec,
    create_and_start,
    job_name,
    plain_annotations,
    plain_labels,
    refuse_not_plain,
    who_applies,
)
from remediator.actions.workloads.looking import count, refuse_leaving
from remediator.objects import ObjectRef, annotations_of, controller_of, dig, labels_of, uid_of
from remediator.ports import MADE_BY

DEFAULT_GRACE_S = 30


class RestartJobParams(Params):
    """Nothing to choose."""


class RestartJob:
    """The old Job, its pods and their logs are gone for good."""

    name = "restart_job"
    kinds: tuple[str, ...] = ("Job",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    changes_data = True
    rights = (Right("delete", "Job"), Right("create", "Job"), Right("patch", "Job"))
    params = RestartJobParams

    def resolve(self, params: RestartJobParams, view: View) -> RestartJobParams:
        return params

    def plan(self, params: RestartJobParams, view: View) -> Change:
        """Raises: NotPossible for Jobs of an owner, complete or suspended ones, and those that Git or Helm applies."""
        _refuse(view)
        job = view.target
        stops: tuple[Patch, ...] = ()
        active = int(dig(job, "status", "active", default=0) or 0)
        failed = condition_of(job, "Failed")
        if not failed:
            stop = FieldChange(path=SUSPEND, before=dig(job, *SUSPEND), after=True)
            stops = (Patch(ref=view.ref, uid=uid_of(job), changes=(stop,)),)
        copy = create_and_start(ObjectRef("Job", view.ref.namespace, job_name(_base(view))), _body(view))
        return Change(
            effects=(*stops, *copy, Remove(ref=view.ref, uid=uid_of(job))),
            summary=f"run a copy of the {'failed' if failed else 'hanging'} {view.ref}, delete the old one",
            needs_approval=_overlap(view, active),
            notes=(
                "the old Job, its pods and their logs are gone for good",
                "the work begins anew: it must be safe to repeat",
                "who waits for the Job by its name does not find the copy",
            ),
        )


def _refuse(view: View) -> None:
    refuse_leaving(view)
    job = view.target
    owner = controller_of(job)
    if owner is not None and owner.get("kind") == "CronJob":
        raise NotPossible(f"{view.ref} is a run of {operator_of(job)}: use rerun_cronjob on that")
    if owner is not None:
        raise NotPossible(f"{view.ref} was made by {operator_of(job)}: restart it there", guardrail="ownership")
    if who := who_applies(job):
        raise NotPossible(f"{who} would make {view.ref} again, so it would run twice", guardrail="ownership")
    if condition_of(job, "Complete"):
        raise NotPossible(f"{view.ref} is complete: there is nothing to restart")
    if dig(job, *SUSPEND):
        raise NotPossible(f"{view.ref} is suspended: whoever suspended it starts it")
    refuse_not_plain(job.get("spec") or {}, labels_of(job), view.ref)


def _overlap(view: View, active: int) -> str:
    """Why a person must agree while its pods run: nothing waits until they are gone."""
    if not active:
        return ""
    grace = dig(view.target, "spec", "template", "spec", "terminationGracePeriodSeconds", default=DEFAULT_GRACE_S)
    return f"{count(active, 'pod')} may work on for {grace} s, beside the new ones"


def _base(view: View) -> str:
    """The name without the end that an earlier restart gave it, or names would grow with each restart."""
    head, _, tail = view.ref.name.rpartition("-")
    ours = MADE_BY in labels_of(view.target) and len(tail) == 10 and head
    return head if ours else view.ref.name


def _body(view: View) -> dict[str, Any]:
    job = view.target
    return {
        "metadata": {
            "labels": plain_labels(labels_of(job)),
            "annotations": plain_annotations(annotations_of(job)),
        },
        "spec": copied_spec(job.get("spec") or {}),
    }
