"""`evict_pod`: take pods through the Eviction API, so that disruption budgets hold; their controller replaces them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from remediator.actions.base import Params
from remediator.actions.change import Change, NotPossible
from remediator.actions.eviction import evict_by_rule, evict_named
from remediator.actions.pods import name_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import View
from remediator.actions.workload import read_workload
from remediator.objects import WORKLOADS


class EvictPodParams(Params):
    """Which pods: the one that the alert names, the unready ones, or all (oldest first); at most `max` of them."""

    select: Literal["alert_pod", "unready", "all"] = "alert_pod"
    max: int | None = Field(None, ge=1, le=100)

    @model_validator(mode="after")
    def _all_is_spelled_out(self) -> EvictPodParams:
        if self.select == "all" and self.max is None:
            raise ValueError("select: all needs max, the most pods to evict")
        return self


class EvictPod:
    """One Evict effect a pod; the pod is chosen at the last look, except one that the alert names."""

    name = "evict_pod"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    params = EvictPodParams

    def resolve(self, params: EvictPodParams, view: View) -> EvictPodParams:
        return params

    def plan(self, params: EvictPodParams, view: View) -> Change:
        """Raises: NotPossible."""
        read_workload(view.target)
        refuse_unreadable(view, "pods", "revisions")
        match params.select:
            case "unready":
                return evict_by_rule(view, "unready", params.max or 1)
            case "all":
                return evict_by_rule(view, "oldest", params.max)
            case "alert_pod":
                return self._alert_pod(view)

    def _alert_pod(self, view: View) -> Change:
        if not view.alert_pod:
            raise NotPossible("the alert names no pod; `select: unready` or `all` says which ones")
        for pod in view.pods:
            if name_of(pod) == view.alert_pod:
                return evict_named(view, pod)
        raise NotPossible(f"pod {view.alert_pod} does not exist any more, or is not a pod of {view.ref}")
