"""`delete_failed_pods`: take away what is left of pods that have failed, or have ended well, in one namespace.

Of those that have ended well only pods go that nobody waits for: of no Job, and of no controller that reads results off
its pods. What Git or Helm brings back would run a second time, so that stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import model_validator

from remediator.actions.base import Right
from remediator.actions.change import Change, NotPossible, Remove
from remediator.actions.pods import pod_is_leaving
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
from remediator.objects import Object, controller_of, dig, ref_of, uid_of
from remediator.playbooks.fields import Duration

LEAST_AGE = timedelta(minutes=10)
"""Younger ones are what somebody is looking at right now."""

LEAST_AGE_OF_SUCCEEDED = timedelta(hours=1)
"""Younger ones may still be waited for, by name, by whatever started them."""

_MADE_AGAIN_BY = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})
"""Controllers for which a pod that has ended is only one to replace; others read its result off it."""

_WORDS = {"Failed": "failed", "Succeeded": "succeeded"}


class DeleteFailedPodsParams(CleanUpParams):
    """`phase`: of which pods. Pods of Jobs are their Job's proof and go with it, unless they failed and `of_jobs`."""

    least_age = LEAST_AGE
    older_than: Duration = timedelta(hours=1)
    phase: Literal["Failed", "Succeeded"] = "Failed"
    of_jobs: bool = False

    @model_validator(mode="after")
    def _succeeded_ones_wait_longer(self) -> Self:
        if self.phase == "Succeeded":
            if self.of_jobs:
                raise ValueError("pods of Jobs that have succeeded go with their Job: use delete_finished_jobs")
            refuse_young(self.older_than, LEAST_AGE_OF_SUCCEEDED, "pods that have succeeded")
        return self


class DeleteFailedPods:
    """Nothing brings them back. Each is left alone that is not in that phase any more at the last look."""

    name = "delete_failed_pods"
    kinds: tuple[str, ...] = ("Namespace",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("list", "Pod"), Right("delete", "Pod"))
    params = DeleteFailedPodsParams

    def wants(self, params: DeleteFailedPodsParams, view: View) -> Mapping[str, Wanted]:
        return {"pods": ListOf(kind="Pod", namespace=namespace_name(view), fields=f"status.phase={params.phase}")}

    def resolve(self, params: DeleteFailedPodsParams, view: View) -> DeleteFailedPodsParams:
        return params.settled(view)

    def plan(self, params: DeleteFailedPodsParams, view: View) -> Change:
        """Raises: NotPossible when there is nothing to delete."""
        refuse_leaving(view)
        before = params.moment(view)
        word = _WORDS[params.phase]
        ended = [pod for pod in listed(view, "pods") if dig(pod, "status", "phase") == params.phase]
        left = [_why_left(pod, params, view.read_at) for pod in ended]
        fitting = [(ended_at(pod), ref_of(pod), pod) for pod, why in zip(ended, left, strict=True) if not why]
        old = sorted(((at, ref, pod) for at, ref, pod in fitting if at < before), key=lambda item: item[:2])
        if not old:
            raise NotPossible(
                f"{view.ref} has no {word} pod to delete: {len(ended)} are there, {len(fitting)} of them may go, "
                f"none {word} before {format_time(before)}"
            )
        chosen = old[: params.max]
        return Change(
            effects=tuple(
                Remove(ref=ref, uid=uid_of(pod), holds=((("status", "phase"), params.phase),)) for _, ref, pod in chosen
            ),
            summary=f"delete {len(chosen)} of {count(len(ended), f'{word} pod')}, those before {format_time(before)}",
            notes=("their logs go with them, and cannot be brought back", *_left_alone([why for why in left if why])),
        )


def ended_at(pod: Object) -> datetime:
    """When it ended: the latest time that its containers and conditions tell, otherwise its creation.

    An evicted pod has no container status, only conditions; one that no kubelet ever saw has only its creation.
    """
    return max(_times(pod))


def _times(pod: Object) -> Iterator[datetime]:
    yield parse_time(pod["metadata"]["creationTimestamp"])
    if started := dig(pod, "status", "startTime"):
        yield parse_time(started)
    for status in dig(pod, "status", "containerStatuses") or ():
        if finished := dig(status, "state", "terminated", "finishedAt"):
            yield parse_time(finished)
    for condition in dig(pod, "status", "conditions") or ():
        if moved := condition.get("lastTransitionTime"):
            yield parse_time(moved)


def _why_left(pod: Object, params: DeleteFailedPodsParams, now: datetime) -> str:
    """Why this one is not deleted, for people; empty when it may be."""
    owner = controller_of(pod)
    if pod_is_leaving(pod):
        return "going away already"
    if is_protected(pod):
        return "protected"
    if kept_as_proof(pod, now):
        return "made by a remediation"
    kind = str((owner or {}).get("kind", ""))
    if kind == "Node":
        return "static, so the kubelet keeps it"
    if kind == "Job" and not params.of_jobs:
        return "of a Job"
    if params.phase == "Succeeded":
        if owner is None:
            return "applied by Git or Helm, which would run it again" if who_applies(pod) else ""
        return "" if kind in _MADE_AGAIN_BY else f"made by a {kind[:63]}, which may read its result"
    return "without a controller, so nobody could make it again" if owner is None else ""


def _left_alone(reasons: list[str]) -> tuple[str, ...]:
    return tuple(f"left alone: {count(reasons.count(why), 'pod')} {why}" for why in dict.fromkeys(reasons))
