"""`create_hpa`: let a HorizontalPodAutoscaler decide how many copies there are, within bounds."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, Create, NotPossible
from remediator.actions.owners import hpas_of, operator_of
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import View
from remediator.actions.workload import Workload, read_workload
from remediator.actions.workloads.looking import one_of, refuse_git, refuse_leaving
from remediator.actions.workloads.quantities import request_of
from remediator.actions.workloads.scale import REPLICAS_PATH
from remediator.kinds import KINDS
from remediator.objects import ObjectRef, ref_of

HPA = "HorizontalPodAutoscaler"


class CreateHpaParams(Params):
    """Between `min` and `max` copies, so many that they use `cpu` percent of what they request."""

    min: int = Field(ge=1, le=1000)
    max: int = Field(ge=2, le=1000)
    cpu: int = Field(ge=10, le=95)

    @model_validator(mode="after")
    def _room(self) -> CreateHpaParams:
        if self.min >= self.max:
            raise ValueError(f"min {self.min} is not below max {self.max}")
        return self


class CreateHpa:
    """Undo deletes it again; the copies stay as many as they are then."""

    name = "create_hpa"
    kinds: tuple[str, ...] = ("Deployment", "StatefulSet")
    needs = frozenset({"hpas", "pdbs"})
    disruptive = True
    rights = (Right("create", HPA), Right("delete", HPA), Right("list", HPA))
    params = CreateHpaParams

    def resolve(self, params: CreateHpaParams, view: View) -> CreateHpaParams:
        return params

    def plan(self, params: CreateHpaParams, view: View) -> Change:
        """Raises: NotPossible without CPU requests, beside another autoscaler, or against who decides already."""
        workload = read_workload(view.target)
        refuse_leaving(view)
        refuse_unreadable(view, "hpas")
        if hpas := hpas_of(view):
            raise NotPossible(f"{ref_of(hpas[0])} scales {view.ref} already: use set_hpa_bounds", guardrail="ownership")
        if owner := operator_of(view.target):
            raise NotPossible(f"{owner} decides about the copies of {view.ref}: scale that", guardrail="ownership")
        refuse_git(view.target, REPLICAS_PATH)
        _refuse_without_requests(view, workload)
        if workload.desired == 0:
            raise NotPossible(f"{view.ref} was scaled to 0, where an autoscaler does nothing: scale it first")
        if workload.desired > params.max:
            raise NotPossible(f"{view.ref} has {workload.desired} copies, max {params.max} would take some: raise max")
        ref = ObjectRef(HPA, view.ref.namespace, view.ref.name)
        notes = [f"may go down to {params.min} copies when they are idle"]
        if view.ref.kind == "StatefulSet":
            notes.append("the volumes of removed copies stay")
        return Change(
            effects=(Create(ref=ref, body=_body(params, view.ref), undoable=True),),
            summary=f"create {ref}: {params.min} to {params.max} copies at {params.cpu}% CPU",
            direction="up" if workload.desired < params.min else "",
            notes=tuple(notes),
        )


def _refuse_without_requests(view: View, workload: Workload) -> None:
    """An autoscaler by CPU asks every container for its request; one without leaves it blind."""
    spec = workload.template.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    try:
        without = [str(c.get("name")) for c in (*spec.get("containers", ()), *sidecars) if not request_of(c, "cpu")]
    except ValueError as exc:
        raise NotPossible(f"the CPU requests of {view.ref} cannot be read: {exc}") from None
    if without:
        raise NotPossible(f"{view.ref} requests no CPU in {one_of(without)}: use set_resources first")


def _body(params: CreateHpaParams, workload: ObjectRef) -> dict[str, Any]:
    aim = {"apiVersion": KINDS[workload.kind].api_version, "kind": workload.kind, "name": workload.name}
    target = {"type": "Utilization", "averageUtilization": params.cpu}
    return {
        "spec": {
            "scaleTargetRef": aim,
            "minReplicas": params.min,
            "maxReplicas": params.max,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
    }
