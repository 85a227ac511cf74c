"""`delete_finished_jobs`: take away Jobs that are complete, with their pods, in one namespace.

What somebody would apply again stays: a Job that Git or Helm brings back runs a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from remediator.actions.base import Right
from remediator.actions.change import Change, NotPossible, Remove
from remediator.actions.times import format_time, parse_time
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workloads.clean_up import CleanUpParams
from remediator.actions.workloads.job_objects import condition_of, who_applies
from remediator.actions.workloads.looking import (
    count,
    is_protected,
    kept_as_proof,
    listed,
    namespace_name,
    refuse_leaving,
)
from remediator.objects import Object, controller_of, dig, ref_of, uid_of
from remediator.playbooks.fields import Duration

LEAST_AGE = timedelta(hours=1)
"""Younger ones may still be waited for, by name, by whatever started them."""

COMPLETED = ("status", "completionTime")


class DeleteFinishedJobsParams(CleanUpParams):
    """Jobs of a CronJob are left to its history limits, unless `owned`. Failed Jobs stay for somebody to look at."""

    least_age = LEAST_AGE
    older_than: Duration = timedelta(hours=24)
    owned: bool = False


class DeleteFinishedJobs:
    """Nothing brings them back. Pods go with their Job."""

    name = "delete_finished_jobs"
    kinds: tuple[str, ...] = ("Namespace",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("list", "Job"), Right("delete", "Job"))
    params = DeleteFinishedJobsParams

    def wants(self, params: DeleteFinishedJobsParams, view: View) -> Mapping[str, Wanted]:
        return {"jobs": ListOf(kind="Job", namespace=namespace_name(view))}

    def resolve(self, params: DeleteFinishedJobsParams, view: View) -> DeleteFinishedJobsParams:
        return params.settled(view)

    def plan(self, params: DeleteFinishedJobsParams, view: View) -> Change:
        """Raises: NotPossible when there is nothing to delete."""
        refuse_leaving(view)
        before = params.moment(view)
        complete = [job for job in listed(view, "jobs") if condition_of(job, "Complete") and dig(job, *COMPLETED)]
        left = [_why_left(job, params, view.read_at) for job in complete]
        fitting = [job for job, why in zip(complete, left, strict=True) if not why]
        old = sorted((job for job in fitting if completed_at(job) < before), key=lambda j: (completed_at(j), ref_of(j)))
        if not old:
            raise NotPossible(
                f"{view.ref} has no Job to delete: {len(complete)} are complete, "
                f"{len(fitting)} of them may go, none completed before {format_time(before)}"
            )
        chosen = old[: params.max]
        return Change(
            effects=tuple(
                Remove(ref=ref_of(job), uid=uid_of(job), holds=((COMPLETED, dig(job, *COMPLETED)),)) for job in chosen
            ),
            summary=f"delete {len(chosen)} of {count(len(complete), 'complete Job')}, "
            f"those before {format_time(before)}",
            notes=(
                "their pods and logs go with them, and cannot be brought back",
                *_left_alone([why for why in left if why]),
            ),
        )


def completed_at(job: Object) -> datetime:
    return parse_time(dig(job, *COMPLETED))


def _why_left(job: Object, params: DeleteFinishedJobsParams, now: datetime) -> str:
    """Why this one is not deleted, for people; empty when it may be."""
    owner = controller_of(job)
    if dig(job, "metadata", "deletionTimestamp") is not None:
        return "going away already"
    if is_protected(job):
        return "protected"
    if kept_as_proof(job, now):
        return "made by a remediation"
    if owner is not None and owner.get("kind") != "CronJob":
        return f"made by a {str(owner.get('kind', ''))[:63]}"
    if owner is not None and not params.owned:
        return "of a CronJob, which has history limits"
    if owner is None and who_applies(job):
        return "applied by Git or Helm, which would run it again"
    if dig(job, "spec", "ttlSecondsAfterFinished") is not None:
        return "with a time to live of its own"
    return ""


def _left_alone(reasons: list[str]) -> tuple[str, ...]:
    return tuple(f"left alone: {count(reasons.count(why), 'Job')} {why}" for why in dict.fromkeys(reasons))
