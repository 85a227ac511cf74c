"""Argo Rollouts: abort, retry, promote and restart what the Rollout controller carries out.

The controller takes its orders from fields of the status, which only mean anything in a certain state; so each action
looks at that state first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.view import View
from remediator.actions.workload import percent_of
from remediator.actions.workloads.looking import one_of, refuse_leaving
from remediator.objects import dig, uid_of

ROLLOUT = "Rollout.argoproj.io"
_STATUS = (Right("patch", ROLLOUT, "status"),)

ABORT = ("status", "abort")
PAUSE_CONDITIONS = ("status", "pauseConditions")
PROMOTE_FULL = ("status", "promoteFull")
RESTART_AT = ("spec", "restartAt")
PLANNED_PAUSES = frozenset({"CanaryPauseStep", "BlueGreenPause"})
"""Reasons of pauses that its author has planned; others are trouble."""


class NoParams(Params):
    """Nothing to choose."""


class RolloutAbort:
    """Traffic goes back to the stable version. `rollout_retry` is the way forward again."""

    name = "rollout_abort"
    kinds: tuple[str, ...] = (ROLLOUT,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = _STATUS
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when no update is under way, or it is aborted already."""
        _refuse_unseen(view)
        if dig(view.target, *ABORT):
            raise NotPossible(f"{view.ref} is aborted already")
        _refuse_settled(view, "abort")
        return Change(
            effects=(_status_patch(view, ABORT, True),),
            summary=f"abort the update at {_step(view)}, all traffic to the stable version",
            notes=(
                "its spec stays on the new version: it reads Degraded until rollout_undo, rollout_retry or a release",
            ),
        )


class RolloutRetry:
    """The aborted update begins anew."""

    name = "rollout_retry"
    kinds: tuple[str, ...] = (ROLLOUT,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = _STATUS
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible when it is not aborted."""
        _refuse_unseen(view)
        if not dig(view.target, *ABORT):
            raise NotPossible(f"{view.ref} is not aborted")
        why = str(dig(view.target, "status", "message", default="") or "")[:200]
        return Change(
            effects=(_status_patch(view, ABORT, False),),
            summary="retry the aborted update from its first step",
            notes=(f"it was aborted: {why}",) if why else (),
        )


class RolloutPromoteParams(Params):
    """The next step, or with `full` the whole update without any more steps, pauses and analyses."""

    full: bool = False


class RolloutPromote:
    """A promotion is not taken back: `rollout_abort` stops what follows, while it is under way."""

    name = "rollout_promote"
    kinds: tuple[str, ...] = (ROLLOUT,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = _STATUS
    params = RolloutPromoteParams

    def resolve(self, params: RolloutPromoteParams, view: View) -> RolloutPromoteParams:
        return params

    def plan(self, params: RolloutPromoteParams, view: View) -> Change:
        """Raises: NotPossible when there is nothing to promote, or it does not wait."""
        _refuse_unseen(view)
        if dig(view.target, *ABORT):
            raise NotPossible(f"{view.ref} is aborted: use rollout_retry first")
        if dig(view.target, "spec", "paused"):
            raise NotPossible(f"{view.ref} is paused (spec.paused): somebody has to resume it")
        _refuse_settled(view, "promote")
        if params.full:
            if dig(view.target, *PROMOTE_FULL):
                raise NotPossible(f"{view.ref} is being promoted in full already")
            return Change(
                effects=(_status_patch(view, PROMOTE_FULL, True),),
                summary=f"promote the update in full from {_step(view)}",
                needs_approval="it skips all steps, pauses and analyses that are left",
            )
        reasons = [str(c.get("reason", "")) for c in dig(view.target, *PAUSE_CONDITIONS) or ()]
        if not reasons:
            raise NotPossible(f"{view.ref} does not wait at a pause: it goes on by itself")
        trouble = [reason for reason in reasons if reason not in PLANNED_PAUSES]
        return Change(
            effects=(_status_patch(view, PAUSE_CONDITIONS, None),),
            summary=f"go on from the pause at {_step(view)}",
            needs_approval=f"it did not pause by plan: {one_of(trouble)[:200]}" if trouble else "",
        )


class RolloutsRestart:
    """New pods of the same version, as many at a time as maxUnavailable says. A restart has no inverse."""

    name = "rollouts_restart"
    kinds: tuple[str, ...] = (ROLLOUT,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (Right("patch", ROLLOUT),)
    params = NoParams

    def resolve(self, params: NoParams, view: View) -> NoParams:
        return params

    def plan(self, params: NoParams, view: View) -> Change:
        """Raises: NotPossible while an update or another restart is under way, or without copies."""
        _refuse_unseen(view)
        desired = int(dig(view.target, "spec", "replicas", default=1))
        if desired == 0:
            raise NotPossible(f"{view.ref} wants 0 copies: there is nothing to restart")
        if dig(view.target, "spec", "paused"):
            raise NotPossible(f"{view.ref} is paused (spec.paused): somebody has to resume it")
        if _updating(view):
            raise NotPossible(f"an update of {view.ref} is under way", hold=True, guardrail="rollout_in_progress")
        before = dig(view.target, *RESTART_AT)
        if before and dig(view.target, "status", "restartedAt") != before:
            raise NotPossible(f"a restart of {view.ref} is under way since {str(before)[:40]}", hold=True)
        patch = Patch(
            ref=view.ref,
            uid=uid_of(view.target),
            changes=(FieldChange(path=RESTART_AT, before=before, after=GENERATED_TIME),),
            undoable=False,
        )
        available = int(dig(view.target, "status", "availableReplicas", default=0) or 0)
        takes = min(available, max(1, _max_unavailable(view, desired)))
        return Change(
            effects=(patch,),
            takes=takes,
            summary=f"restart {desired} {'copy' if desired == 1 else 'copies'}",
            reduces_capacity=takes > 0,
        )


def _max_unavailable(view: View, desired: int) -> int:
    """Rounded down; 25 % where a canary says nothing. A blue-green one has none."""
    canary: Mapping[str, Any] | None = dig(view.target, "spec", "strategy", "canary")
    if canary is None:
        return 0
    try:
        return percent_of(canary.get("maxUnavailable", "25%"), desired, round_up=False)
    except ValueError:
        return desired


def _refuse_unseen(view: View) -> None:
    """Raises: NotPossible (hold) while the controller has not looked at the present spec, or is not there at all."""
    refuse_leaving(view)
    observed = str(dig(view.target, "status", "observedGeneration", default=""))
    if observed != str(dig(view.target, "metadata", "generation", default="")):
        raise NotPossible(f"the Argo Rollouts controller has not looked at {view.ref} as it is now", hold=True)


def _updating(view: View) -> bool:
    status = view.target.get("status") or {}
    return bool(status.get("currentPodHash")) and status.get("currentPodHash") != status.get("stableRS")


def _refuse_settled(view: View, verb: str) -> None:
    if not _updating(view):
        raise NotPossible(f"{view.ref} runs its stable version only: there is nothing to {verb}")


def _step(view: View) -> str:
    """`step 2 of 5`, or `the present state` where there are no steps."""
    steps = len(dig(view.target, "spec", "strategy", "canary", "steps") or ())
    index = dig(view.target, "status", "currentStepIndex")
    return f"step {int(index) + 1} of {steps}" if steps and isinstance(index, int) else "the present state"


def _status_patch(view: View, path: tuple[str, ...], after: object) -> Patch:
    """Never undone: the inverse would start, or stop, another update than the one it was about."""
    change = FieldChange(path=path, before=dig(view.target, *path), after=after)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), subresource="status", undoable=False)
