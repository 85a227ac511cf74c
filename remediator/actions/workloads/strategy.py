"""`set_strategy` and `set_history_limit`: how the next rollout goes, and how many old revisions are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.owners import operator_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.revisions import last_healthy, past_revisions
from remediator.actions.view import View
from remediator.actions.workload import percent_of, read_workload
from remediator.actions.workloads.looking import count, refuse_leaving
from remediator.objects import WORKLOADS, dig, uid_of

Copies = Annotated[int, Field(strict=True, ge=0, le=100)]
Percent = Annotated[str, Field(pattern=r"^(\d|[1-9]\d|100)%$")]


class SetStrategyParams(Params):
    """`max_surge` = copies too many, `max_unavailable` = copies too few while it rolls out; numbers or percentages."""

    max_surge: Copies | Percent | None = None
    max_unavailable: Copies | Percent | None = None

    @field_validator("max_unavailable")
    @classmethod
    def _not_everything(cls, value: int | str | None) -> int | str | None:
        if value == "100%":
            raise ValueError("100% would let a rollout take all copies at once: give less")
        return value

    @model_validator(mode="after")
    def _something(self) -> SetStrategyParams:
        if self.max_surge is None and self.max_unavailable is None:
            raise ValueError("give max_surge, max_unavailable or both")
        if self.max_surge in (0, "0%") and self.max_unavailable in (0, "0%"):
            raise ValueError("max_surge and max_unavailable cannot both be 0: no rollout could begin")
        return self


class SetStrategy:
    """Changes no pod by itself. Undo puts the recorded numbers back."""

    name = "set_strategy"
    kinds: tuple[str, ...] = ("Deployment", "DaemonSet")
    needs: frozenset[str] = frozenset()
    disruptive = False
    through_git = True
    params = SetStrategyParams

    def resolve(self, params: SetStrategyParams, view: View) -> SetStrategyParams:
        return params

    def plan(self, params: SetStrategyParams, view: View) -> Change:
        """Raises: NotPossible for other types than RollingUpdate, and for numbers that go together badly."""
        workload = read_workload(view.target)
        _refuse_owned(view)
        field = "strategy" if view.ref.kind == "Deployment" else "updateStrategy"
        if workload.strategy != "RollingUpdate":
            raise NotPossible(
                f"{view.ref} has the {field} {workload.strategy}, which somebody has chosen: a person changes it"
            )
        wanted = {"maxSurge": params.max_surge, "maxUnavailable": params.max_unavailable}
        present = {key: dig(view.target, "spec", field, "rollingUpdate", key) for key in wanted}
        _refuse_unsound(view, workload.desired, {k: present[k] if v is None else v for k, v in wanted.items()})
        changes = tuple(
            FieldChange(path=("spec", field, "rollingUpdate", key), before=present[key], after=after)
            for key, after in wanted.items()
            if after is not None and after != present[key]
        )
        if not changes:
            raise NotPossible(f"{view.ref} has this strategy already")
        said = ", ".join(f"{c.path[-1]} {_text(c.before)} -> {c.after}" for c in changes)
        surges = params.max_surge not in (None, 0, "0%")
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=changes),),
            summary=f"{field}: {said}",
            notes=("a rollout then needs room for more pods than there are now",) if surges else (),
        )


def _refuse_unsound(view: View, desired: int, after: dict[str, int | str | None]) -> None:
    daemon = view.ref.kind == "DaemonSet"
    surge = after["maxSurge"] if after["maxSurge"] is not None else (0 if daemon else "25%")
    gone = after["maxUnavailable"] if after["maxUnavailable"] is not None else (1 if daemon else "25%")
    extra = percent_of(surge, desired, round_up=True)
    fewer = percent_of(gone, desired, round_up=daemon)
    if surge in (0, "0%") and gone in (0, "0%"):
        raise NotPossible(f"{view.ref} would have maxSurge 0 and maxUnavailable 0: no rollout could begin")
    if daemon and extra and fewer:
        raise NotPossible(
            f"{view.ref} is a DaemonSet, which takes either maxSurge or maxUnavailable: set the other one to 0"
        )
    if desired > 1 and fewer >= desired:
        raise NotPossible(f"maxUnavailable {gone} would let a rollout take all {desired} copies of {view.ref} at once")


class SetHistoryLimitParams(Params):
    """`n` old revisions are kept; fewer than 3 would leave too little to roll back to."""

    n: int = Field(ge=3, le=50)


class SetHistoryLimit:
    """Raising it can be undone; what a lower limit deletes does not come back."""

    name = "set_history_limit"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"revisions"})
    disruptive = False
    through_git = True
    params = SetHistoryLimitParams

    def resolve(self, params: SetHistoryLimitParams, view: View) -> SetHistoryLimitParams:
        return params

    def plan(self, params: SetHistoryLimitParams, view: View) -> Change:
        """Raises: NotPossible when nothing changes, or the last healthy revision would be deleted."""
        workload = read_workload(view.target)
        _refuse_owned(view)
        refuse_unreadable(view, "revisions", "observed")
        before = dig(view.target, "spec", "revisionHistoryLimit")
        if workload.history_limit == params.n:
            raise NotPossible(f"{view.ref} keeps {params.n} old revisions already")
        known = past_revisions(view)
        kept = known[: params.n + 1]  # the present one does not count
        good = last_healthy(workload, view)
        if good is not None and good.template_hash not in {revision.template_hash for revision in kept}:
            raise NotPossible(
                f"revision {good.number}, the last healthy one of {view.ref}, would be deleted: raise n",
                guardrail="last_good_revision",
            )
        lost = known[len(kept) :] if params.n < workload.history_limit else ()
        patch = Patch(
            ref=view.ref,
            uid=uid_of(view.target),
            changes=(FieldChange(path=("spec", "revisionHistoryLimit"), before=before, after=params.n),),
            undoable=not lost,
        )
        doubt = f"it deletes {count(len(lost), 'old revision')}, which nothing brings back" if lost else ""
        return Change(
            effects=(patch,),
            summary=f"revisionHistoryLimit {_text(before)} -> {params.n}",
            needs_approval=doubt,
            notes=(doubt,) if doubt else (),
        )


def _refuse_owned(view: View) -> None:
    refuse_leaving(view)
    if owner := operator_of(view.target):
        raise NotPossible(f"{owner} makes the spec of {view.ref}: change it there", guardrail="ownership")


def _text(value: object) -> str:
    return "absent" if value is None else str(value)
