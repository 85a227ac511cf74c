"""`switch_service`: let a Service send its traffic to other pods, as blue and green do."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.owners import operator_of
from remediator.actions.traffic.backends import pods_with, ready_endpoints, ready_pods, selector_of, slices_of
from remediator.actions.traffic.route_weight import checked_labels
from remediator.actions.view import View, Wanted
from remediator.objects import dig, uid_of

SELECTOR_PATH = ("spec", "selector")


class SwitchServiceParams(Params):
    """The whole new selector, and how many ready pods it must match beforehand."""

    selector: dict[str, str] = Field(min_length=1, max_length=10)
    min_ready: int = Field(ge=1, le=1000)

    @field_validator("selector")
    @classmethod
    def _labels(cls, selector: dict[str, str]) -> dict[str, str]:
        return checked_labels(selector)


class SwitchService:
    """The selector is replaced whole: merged, old labels would stay in it. Undo puts the old one back."""

    name = "switch_service"
    kinds: tuple[str, ...] = ("Service",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights: tuple[Right, ...] = (Right("patch", "Service"), Right("list", "EndpointSlice"), Right("list", "Pod"))
    params = SwitchServiceParams

    def resolve(self, params: SwitchServiceParams, view: View) -> SwitchServiceParams:
        return params

    def wants(self, params: SwitchServiceParams, view: View) -> Mapping[str, Wanted]:
        return {
            "pods": pods_with(view.ref.namespace, params.selector),
            "endpoints": slices_of(view.ref.namespace, view.ref.name),
        }

    def plan(self, params: SwitchServiceParams, view: View) -> Change:
        """Raises: NotPossible; a hold while too few pods of the new selector are ready."""
        refuse_wrong(view, self.kinds)
        _refuse_unfit(view)
        before, after = dict(dig(view.target, *SELECTOR_PATH)), dict(params.selector)
        if before == after:
            raise NotPossible(f"{view.ref} selects {selector_of(after)} already")
        ready = ready_pods(view.found["pods"], _named_ports(view))
        if ready < params.min_ready:
            raise NotPossible(
                f"{selector_of(after)} matches {ready} ready pods with the ports of {view.ref}, "
                f"{params.min_ready} wanted: start them first",
                hold=True,
            )
        serving = ready_endpoints(view.found["endpoints"])
        change = FieldChange(path=SELECTOR_PATH, before=before, after=after)
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), replace=True),),
            summary=f"selector {selector_of(before)} -> {selector_of(after)} ({serving} -> {ready} ready pods)",
            reduces_capacity=ready < serving,
            notes=("open connections stay with the old pods",),
        )


def _refuse_unfit(view: View) -> None:
    if owner := operator_of(view.target):
        raise NotPossible(f"{owner} decides about the selector of {view.ref}: act on that", guardrail="ownership")
    spec = view.target.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise NotPossible(f"{view.ref} is an ExternalName: it selects no pods")
    if spec.get("clusterIP") == "None":
        raise NotPossible(f"{view.ref} is headless: its pods find each other by it, so it is not switched")
    if not spec.get("selector"):
        raise NotPossible(f"{view.ref} has no selector: somebody else writes its endpoints")


def _named_ports(view: View) -> frozenset[str]:
    """Target ports that are names: a pod without them would be no endpoint."""
    targets = [port.get("targetPort") for port in dig(view.target, "spec", "ports") or ()]
    return frozenset(target for target in targets if isinstance(target, str) and not target.isdigit())
