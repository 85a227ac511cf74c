"""`set_resources`: requests and limits of one container, in the template (a rollout) or in the running pods (a resize).

Absolute, or as a step from what is there; never beyond the cap, never with another QoS class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workload import read_workload
from remediator.actions.workloads.looking import namespace_name
from remediator.actions.workloads.new_template import NAME_PATTERN, POD_SPEC, by_new_template, find_container
from remediator.actions.workloads.quantities import RESOURCES, exact, written
from remediator.actions.workloads.quota import refuse_beyond_quota
from remediator.actions.workloads.resizing import (
    PARTS,
    Wish,
    changes_for,
    direction_of,
    pods_to_resize,
    refuse_autoscaled_vertically,
    refuse_unsound,
    resize,
    summary_of,
)
from remediator.objects import WORKLOADS, dig

_LEAST = {"cpu": "1m", "memory": "4Mi"}
_MOST = {"cpu": "256", "memory": "4Ti"}


def _amount(resource: str) -> Any:
    def check(value: object) -> object:
        if value is None:
            return None
        found = exact(value)
        if not exact(_LEAST[resource]) <= found <= exact(_MOST[resource]):
            raise ValueError(f"{value} is not within {_LEAST[resource]} and {_MOST[resource]}")
        return str(value)

    return check


class Amounts(Params):
    """CPU in cores (`500m`, `2`), memory in bytes (`512Mi`, `4Gi`); at least one of the two."""

    cpu: Annotated[str | None, BeforeValidator(_amount("cpu"))] = None
    memory: Annotated[str | None, BeforeValidator(_amount("memory"))] = None

    @model_validator(mode="after")
    def _something(self) -> Amounts:
        if self.cpu is None and self.memory is None:
            raise ValueError("give cpu, memory or both")
        return self

    def given(self) -> dict[str, str]:
        return {name: value for name in RESOURCES if (value := getattr(self, name)) is not None}


class SetResourcesParams(Params):
    """Absolute `requests` and `limits`, or one `step` that multiplies what is set of the resources in `cap`.

    `cap` bounds requests and limits, and has to name each resource that changes. `where`: the pod template, or the
    running pods, of which there may be `max_pods` at most.
    """

    container: str = Field(pattern=NAME_PATTERN)
    requests: Amounts | None = None
    limits: Amounts | None = None
    step: float | None = Field(None, gt=1, le=3)
    cap: Amounts
    where: Literal["template", "in_place"] = "template"
    max_pods: int = Field(10, ge=1, le=50)

    @model_validator(mode="after")
    def _one_way_within_cap(self) -> SetResourcesParams:
        if (self.step is None) == (self.requests is None and self.limits is None):
            raise ValueError("give either step, or requests and limits")
        cap = self.cap.given()
        for part, amounts in self.wish().items():
            for resource, value in amounts.items():
                if resource not in cap:
                    raise ValueError(f"{part}.{resource} needs cap.{resource}, the most that it may ever be")
                if exact(value) > exact(cap[resource]):
                    raise ValueError(f"{part}.{resource} {value} is above cap.{resource} {cap[resource]}")
        return self

    def wish(self) -> Wish:
        """The absolute amounts that are asked for, by part and resource."""
        return {part: amounts.given() for part in PARTS if (amounts := getattr(self, part)) is not None}


class SetResources:
    """Undo puts the recorded amounts back, compare-and-set; a memory limit of running pods is not lowered again."""

    name = "set_resources"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    through_git = True
    rights = (
        *(Right("patch", kind) for kind in WORKLOADS),
        Right("patch", "Pod", "resize"),
        Right("list", "ResourceQuota"),
    )
    params = SetResourcesParams

    def wants(self, params: SetResourcesParams, view: View) -> Mapping[str, Wanted]:
        return {"quotas": ListOf(kind="ResourceQuota", namespace=namespace_name(view))}

    def resolve(self, params: SetResourcesParams, view: View) -> SetResourcesParams:
        """A step as absolute amounts. Raises: NotPossible when there is nothing to multiply, or the cap is reached."""
        if params.step is None:
            return params
        wish = _stepped(params, _present(params, view), view)
        found = {part: Amounts.model_validate(amounts) for part, amounts in wish.items() if amounts}
        return params.model_copy(update={"step": None, **found})

    def plan(self, params: SetResourcesParams, view: View) -> Change:
        """Raises: NotPossible."""
        workload = read_workload(view.target)
        refuse_unreadable(view, "pods")
        refuse_autoscaled_vertically(view)
        wish = self.resolve(params, view).wish()
        if params.where == "in_place":
            pods = pods_to_resize(view, params.max_pods)
            change = resize(view, pods, params.container, wish)
            refuse_beyond_quota(view, pods[0]["spec"], params.container, wish, copies=len(pods))
            return change
        pod_spec = dig(view.target, *POD_SPEC) or {}
        group, container = find_container(pod_spec, params.container, view.ref)
        changes = changes_for(container, (*POD_SPEC, group, f"[name={params.container}]"), wish)
        if not changes:
            raise NotPossible(f"container {params.container} of {view.ref} has these resources already")
        refuse_unsound(view.ref, pod_spec, params.container, wish)
        refuse_beyond_quota(view, pod_spec, params.container, wish, copies=workload.desired)
        return by_new_template(
            view,
            workload,
            changes,
            summary=f"{params.container}: {summary_of(changes)}",
            direction=direction_of(changes),
            notes=("larger requests need nodes with room for them: pods that do not fit stay Pending",),
        )


def _present(params: SetResourcesParams, view: View) -> Mapping[str, Any]:
    """The container as it is, where it will be changed. Raises: NotPossible when running pods differ."""
    if params.where == "template":
        return find_container(dig(view.target, *POD_SPEC) or {}, params.container, view.ref)[1]
    refuse_unreadable(view, "pods")
    pods = pods_to_resize(view, params.max_pods)
    found = [find_container(pod["spec"], params.container, view.ref)[1] for pod in pods]
    if any((one.get("resources") or {}) != (found[0].get("resources") or {}) for one in found):
        raise NotPossible(f"the pods of {view.ref} have different resources: give requests and limits, not a step")
    return found[0]


def _stepped(params: SetResourcesParams, container: Mapping[str, Any], view: View) -> Wish:
    """What the container has, times the step, at most the cap."""
    assert params.step is not None
    wish: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for resource, cap in params.cap.given().items():
        present = {part: dig(container, "resources", part, resource) for part in PARTS}
        if all(value is None for value in present.values()):
            raise NotPossible(
                f"container {params.container} of {view.ref} sets no {resource}: give requests and limits, not a step"
            )
        for part, value in present.items():
            if value is None:
                continue
            raised = exact(value) * exact(params.step)
            if exact(value) < exact(cap):
                rounded = written(resource, raised)
                wish[part][resource] = rounded if exact(rounded) < exact(cap) else cap
            elif exact(value) > exact(cap):
                raise NotPossible(f"{part}.{resource} of {view.ref} is {value}, above the cap {cap}: a person decides")
    if not any(wish.values()):
        caps = ", ".join(f"{resource} {cap}" for resource, cap in params.cap.given().items())
        raise NotPossible(f"container {params.container} of {view.ref} has reached the cap ({caps})")
    return wish
