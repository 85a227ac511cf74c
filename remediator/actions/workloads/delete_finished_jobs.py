"""`delete_finished_jobs`: take away Jobs that are complete, or have failed, with their pods, in one namespace.

What somebody would apply again stays: a Job that Git or Helm brings back runs a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import model_validator

from remediator.actions.base import Right
from remediator.actions.change import Change, NotPossible, Remove
from remediator.actions.times import format_time, parse_time
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workloads.clean_up import CleanUpParams, refuse_young
from remediator.actions.workloads.job_objects import who_applies
from remediator.actions.workloads.looking import (
    count,
    is_protected,
    kept_as_proof,
    listed,
    namespace_name,
    refuse_leaving,
)
from remediator.objects import JSON, Object, controller_of, dig, ref_of, uid_of
from remediator.playbooks.fields import Duration

LEAST_AGE = timedelta(hours=1)
"""Younger ones may still be waited for, by name, by whatever started them."""

LEAST_AGE_OF_FAILED = timedelta(days=3)
"""A failed Job is evidence: whoever looks after it gets a weekend's time."""

COMPLETED = ("status", "completionTime")
_WORDS = {"Complete": "complete", "Failed": "failed"}


class DeleteFinishedJobsParams(CleanUpParams):
    """`state`: of which Jobs. Jobs of a CronJob are left to its history limits, unless `owned`."""

    least_age = LEAST_AGE
    older_than: Duration = timedelta(hours=24)
    state: Literal["Complete", "Failed"] = "Complete"
    owned: bool = False

    @model_validator(mode="after")
    def _failed_ones_stay_longer(self) -> Self:
        if self.state == "Failed":
            refuse_young(self.older_than, LEAST_AGE_OF_FAILED, "failed Jobs, which are evidence")
        return self


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
        word = _WORDS[params.state]
        over = [(job, at) for job in listed(view, "jobs") if (at := ended_at(job, params.state)) is not None]
        left = [_why_left(job, params, view.read_at) for job, _ in over]
        fitting = [(at, ref_of(job), job) for (job, at), why in zip(over, left, strict=True) if not why]
        old = sorted((item for item in fitting if item[0] < before), key=lambda item: item[:2])
        if not old:
            raise NotPossible(
                f"{view.ref} has no {word} Job to delete: {len(over)} are there, "
                f"{len(fitting)} of them may go, none ended before {format_time(before)}"
            )
        chosen = old[: params.max]
        return Change(
            effects=tuple(
                Remove(ref=ref, uid=uid_of(job), holds=(_proof(job, params.state),)) for _, ref, job in chosen
            ),
            summary=f"delete {len(chosen)} of {count(len(over), f'{word} Job')}, those before {format_time(before)}",
            notes=(
                "their pods and logs go with them, and cannot be brought back",
                *_left_alone([why for why in left if why]),
            ),
        )


def ended_at(job: Object, state: str) -> datetime | None:
    """When it came to that end; None when it has not, or does not say when."""
    condition = _ending(job, state)
    text = dig(job, *COMPLETED) if state == "Complete" else (condition or {}).get("lastTransitionTime")
    return parse_time(str(text)) if condition is not None and text else None


def _ending(job: Object, state: str) -> Mapping[str, JSON] | None:
    conditions = dig(job, "status", "conditions") or ()
    return next((c for c in conditions if c.get("type") == state and c.get("status") == "True"), None)


def _proof(job: Object, state: str) -> tuple[tuple[str, ...], JSON]:
    """What must still be so at the last look."""
    if state == "Complete":
        return COMPLETED, dig(job, *COMPLETED)
    return ("status", "conditions", "[type=Failed]", "status"), "True"


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
