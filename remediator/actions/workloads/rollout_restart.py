"""`rollout_restart`: new pods from the same template, by a rollout or one eviction after the other."""

from __future__ import annotations

from typing import Literal

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.eviction import and_delete, blocking_pods, delete_broken, evict_by_rule
from remediator.actions.refusals import refuse_empty, refuse_on_delete, refuse_paused, refuse_unreadable
from remediator.actions.revisions import pushes_out
from remediator.actions.view import View
from remediator.actions.workload import RESTARTED_AT, read_workload, takes_by_rollout
from remediator.objects import WORKLOADS, dig

RESTART_PATH = ("spec", "template", "metadata", "annotations", RESTARTED_AT)


class RolloutRestartParams(Params):
    """`rollout` dates the pod template, as kubectl does; `evict` makes no revision and asks every PDB."""

    strategy: Literal["rollout", "evict"] = "rollout"


class RolloutRestart:
    """A restart has no inverse: the old processes are gone."""

    name = "rollout_restart"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    rights = (
        *(Right("patch", kind) for kind in WORKLOADS),
        Right("create", "Pod", "eviction"),
        Right("delete", "Pod"),
    )
    params = RolloutRestartParams

    def resolve(self, params: RolloutRestartParams, view: View) -> RolloutRestartParams:
        return params

    def plan(self, params: RolloutRestartParams, view: View) -> Change:
        """Raises: NotPossible for what is paused, OnDelete, empty, or would lose its last healthy revision."""
        workload = read_workload(view.target)
        refuse_empty(workload)
        refuse_paused(workload)
        if params.strategy == "evict":
            refuse_unreadable(view, "pods", "revisions")
            return evict_by_rule(view, "oldest", None)
        refuse_on_delete(workload)
        refuse_unreadable(view, "revisions", "observed")
        if lost := pushes_out(workload, view):
            raise NotPossible(f"{lost}; `strategy: evict` makes no revision", guardrail="last_good_revision")
        return self._by_rollout(view)

    def _by_rollout(self, view: View) -> Change:
        workload = read_workload(view.target)
        before = dig(view.target, *RESTART_PATH)
        patch = Patch(
            ref=view.ref,
            uid=workload.uid,
            changes=(FieldChange(path=RESTART_PATH, before=before, after=GENERATED_TIME),),
            undoable=False,
        )
        stuck_on = blocking_pods(workload, view)
        takes = takes_by_rollout(workload, view.pods)
        copies = f"{workload.desired} {'copy' if workload.desired == 1 else 'copies'}"
        return Change(
            effects=(patch, *(delete_broken(view, pod) for pod in stuck_on)),
            takes=takes,
            summary=f"restart {copies} by rollout{and_delete(stuck_on)}",
            reduces_capacity=takes > 0,
        )
