"""`pause_rollout` and `resume_rollout`: a Deployment's rollout stands still, and goes on."""

from __future__ import annotations

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import operator_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import View
from remediator.actions.workload import Workload, read_workload, rollout_unfinished, takes_by_rollout
from remediator.actions.workloads.looking import refuse_leaving, set_by_others
from remediator.objects import dig, uid_of

PAUSED = ("spec", "paused")


class NoParams(Params):
    """Nothing to choose."""


class PauseRollout:
    """Undo resumes it."""

    name = "pause_rollout"
    kinds: tuple[str, ...] = ("Deployment",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when it is paused already."""
        workload = _workload(view)
        if workload.paused:
            raise NotPossible(f"{view.ref} is paused already")
        going = rollout_unfinished(workload)
        return Change(
            effects=(_patch(view, after=True),),
            summary=f"pause the rollout ({workload.updated} of {workload.desired} updated)" if going else "pause",
            notes=("while it is paused no release, restart or rollback of it rolls out: somebody has to resume it",),
        )


class ResumeRollout:
    """What was changed while it was paused rolls out then. Undo pauses it again."""

    name = "resume_rollout"
    kinds: tuple[str, ...] = ("Deployment",)
    needs = frozenset({"pods", "pdbs"})
    disruptive = True
    through_git = True
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when it is not paused."""
        workload = _workload(view)
        if not workload.paused:
            raise NotPossible(f"{view.ref} is not paused")
        refuse_unreadable(view, "pods")
        waits = rollout_unfinished(workload)
        takes = takes_by_rollout(workload, view.pods) if waits else 0
        who = set_by_others(view.target, PAUSED)
        return Change(
            effects=(_patch(view, after=False),),
            takes=takes,
            summary=f"resume the rollout ({workload.updated} of {workload.desired} updated)" if waits else "resume",
            reduces_capacity=takes > 0,
            needs_approval=f"{who} paused it, not the remediator" if who else "",
        )


def _workload(view: View) -> Workload:
    workload = read_workload(view.target)
    refuse_leaving(view)
    if owner := operator_of(view.target):
        raise NotPossible(f"{owner} makes the spec of {view.ref}: pause it there", guardrail="ownership")
    return workload


def _patch(view: View, *, after: bool) -> Patch:
    change = FieldChange(path=PAUSED, before=dig(view.target, *PAUSED), after=after)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,))
