"""`set_route_weight`: send more or less of a route's traffic to one backend, in steps that the playbook bounds.

The sum of a rule's weights stays, so no share grows that nobody mentioned, and never are all of them zero: clients
would get errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong, said
from remediator.actions.owners import managers_of, operator_of
from remediator.actions.traffic.backends import pods_with, ready_endpoints, ready_pods, selector_of, slices_of
from remediator.actions.traffic.routes import HTTP_ROUTE, VIRTUAL_SERVICE, Backend, Rule, choose_rule
from remediator.actions.view import View, Wanted
from remediator.objects import dig, generation_of, uid_of
from remediator.playbooks.names import is_label_key, is_label_value
from remediator.ports import FIELD_MANAGER

_PODS = "pods"


class SetRouteWeightParams(Params):
    """`backend` by Service name (Istio also `host/subset` or the subset), `weight` in the units of its rule.

    `max_step` is how far the weight moves at once; what is left is for the next step. `rule` by name or number, where
    several have the backend. What gets more traffic needs `min_ready` ready endpoints; `pods` are the labels to find
    the pods of `backend` by, for a subset, whose pods cannot be found otherwise.
    """

    backend: str = Field(min_length=1, max_length=253)
    weight: int = Field(ge=0, le=1_000_000)
    max_step: int = Field(ge=1, le=1_000_000)
    rule: str = Field("", max_length=63)
    min_ready: int = Field(1, ge=1, le=1000)
    pods: dict[str, str] = Field(default_factory=dict, max_length=10)

    @field_validator("pods")
    @classmethod
    def _labels(cls, pods: dict[str, str]) -> dict[str, str]:
        return checked_labels(pods)


def checked_labels(labels: dict[str, str]) -> dict[str, str]:
    """Raises: ValueError for what Kubernetes would not take: a comma in a value would be another requirement."""
    for key, value in labels.items():
        if not is_label_key(key):
            raise ValueError(f"{key!r:.80} is no label name")
        if not value or not is_label_value(value):
            raise ValueError(f"{value!r:.80} is no value for the label {key}")
    return labels


class SetRouteWeight:
    """Undo puts all the old weights of the rule back."""

    name = "set_route_weight"
    kinds: tuple[str, ...] = (HTTP_ROUTE, VIRTUAL_SERVICE)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights: tuple[Right, ...] = (
        Right("patch", HTTP_ROUTE),
        Right("patch", VIRTUAL_SERVICE),
        Right("list", "EndpointSlice"),
        Right("list", "Pod"),
    )
    params = SetRouteWeightParams

    def resolve(self, params: SetRouteWeightParams, view: View) -> SetRouteWeightParams:
        """The weight that one step reaches. Raises: NotPossible."""
        _, backend = choose_rule(view, params.backend, params.rule)
        step = max(-params.max_step, min(params.max_step, params.weight - backend.weight))
        return params.model_copy(update={"weight": backend.weight + step})

    def wants(self, params: SetRouteWeightParams, view: View) -> Mapping[str, Wanted]:
        """The endpoints of every backend of the rule; none where there is no such rule, which `plan` says."""
        try:
            rule, chosen = choose_rule(view, params.backend, params.rule)
        except NotPossible:
            return {}
        found: dict[str, Wanted] = {_key(b.service): slices_of(*b.service) for b in rule.backends if b.service}
        if params.pods:
            found[_PODS] = pods_with(chosen.service[0] if chosen.service else view.ref.namespace, params.pods)
        return found

    def plan(self, params: SetRouteWeightParams, view: View) -> Change:
        """Raises: NotPossible; a hold where a gateway has not seen it, or what gets more traffic is not ready."""
        refuse_wrong(view, self.kinds)
        if owner := operator_of(view.target):
            raise NotPossible(f"{owner} decides about the weights of {view.ref}: act on that", guardrail="ownership")
        _refuse_unaccepted(view)
        rule, chosen = choose_rule(view, params.backend, params.rule)
        after = _shifted(rule, chosen, params, view)
        more = [b for b, weight in zip(rule.backends, after, strict=True) if weight > b.weight]
        doubts = [doubt for b in more if (doubt := _refuse_unready(b, chosen, params, view))]
        return Change(
            effects=(_patch(rule, after, view),),
            summary=f"rule {said(rule.name)}: {_shares(rule, after)}",
            needs_approval="; ".join(doubts),
            notes=tuple(_notes(rule, after, view)),
        )


def _key(service: tuple[str, str]) -> str:
    return f"endpoints of {service[0]}/{service[1]}"


def _refuse_unaccepted(view: View) -> None:
    """Only a gateway says whether it took a route; a VirtualService has no such status."""
    if view.ref.kind != HTTP_ROUTE:
        return
    parents = dig(view.target, "status", "parents") or ()
    if not parents:
        raise NotPossible(f"no gateway has taken {view.ref} yet: look at its parentRefs", hold=True)
    generation = generation_of(view.target) or 0
    for parent in parents:
        gateway = said(dig(parent, "parentRef", "name"))
        for condition in parent.get("conditions") or ():
            if condition.get("type") not in ("Accepted", "ResolvedRefs"):
                continue
            if int(condition.get("observedGeneration") or 0) < generation:
                raise NotPossible(f"gateway {gateway} has not seen the present {view.ref} yet: wait for it", hold=True)
            if condition.get("status") != "True":
                raise NotPossible(
                    f"gateway {gateway} does not serve {view.ref}: {condition['type']} is "
                    f"{said(condition.get('status'))} ({said(condition.get('reason'))})",
                    hold=True,
                )


def _shifted(rule: Rule, chosen: Backend, params: SetRouteWeightParams, view: View) -> Sequence[int]:
    """The weights of all backends, in order; the others share what is left as they do now. Raises: NotPossible."""
    now = [b.weight for b in rule.backends]
    total, others = sum(now), sum(now) - chosen.weight
    at = rule.backends.index(chosen)
    name = f"{chosen.called[0]} of {view.ref}"
    if len(now) == 1:
        raise NotPossible(f"{name} is the only backend of its rule: there is nothing to send traffic to instead")
    if params.weight == chosen.weight:
        raise NotPossible(f"{name} has the weight {chosen.weight} already")
    if abs(params.weight - chosen.weight) > params.max_step:
        raise NotPossible(f"{name} has the weight {chosen.weight} now: {params.weight} is more than one step away")
    if params.weight > total:
        raise NotPossible(
            f"the weights of rule {said(rule.name)} of {view.ref} add up to {total}, so {params.weight} is more than "
            f"all: let them add up to 100, or give less"
        )
    rest = total - params.weight
    if others == 0 and rest > 0 and len(now) > 2:
        raise NotPossible(
            f"{name} has all traffic, and which of {len(now) - 1} others gets it is not said: name that one"
        )
    shares = _shared([w for i, w in enumerate(now) if i != at], rest)
    return [*shares[:at], params.weight, *shares[at:]]


def _shared(weights: Sequence[int], rest: int) -> list[int]:
    """`rest` in the proportions of `weights`, whole numbers that add up; the largest remainders are rounded up."""
    total = sum(weights)
    if total == 0:
        return [rest] + [0] * (len(weights) - 1)
    whole = [w * rest // total for w in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(weights[i] * rest % total), i))
    for i in order[: rest - sum(whole)]:
        whole[i] += 1
    return whole


def _refuse_unready(backend: Backend, chosen: Backend, params: SetRouteWeightParams, view: View) -> str:
    """Raises: NotPossible when too little stands behind it. The doubt of a person, where nobody can tell."""
    name = backend.called[0]
    if backend is chosen and params.pods:
        ready, where = ready_pods(view.found[_PODS]), f"pods with {selector_of(params.pods)}"
    elif backend.service is None:
        return f"what stands behind {said(name)} is no Service of this cluster: nobody looked whether it is ready"
    else:
        ready, where = ready_endpoints(view.found[_key(backend.service)]), f"endpoints of {'/'.join(backend.service)}"
    if ready < params.min_ready:
        raise NotPossible(
            f"{name} would get more traffic with {ready} ready {where}, {params.min_ready} wanted: make it ready first",
            hold=True,
        )
    if backend.subset and not (backend is chosen and params.pods):
        return f"the pods of subset {said(name)} cannot be told apart: say pods, or agree"
    return ""


def _patch(rule: Rule, after: Sequence[int], view: View) -> Patch:
    changes = [*rule.guards]
    for backend, weight in zip(rule.backends, after, strict=True):
        changes += backend.guards
        if weight != backend.weight:
            changes.append(FieldChange(path=backend.path, before=backend.written, after=weight))
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=tuple(changes), replace=True)


def _shares(rule: Rule, after: Sequence[int]) -> str:
    return ", ".join(
        f"{said(b.called[0])} {b.weight} -> {weight}"
        for b, weight in zip(rule.backends, after, strict=True)
        if weight != b.weight
    )


def _notes(rule: Rule, after: Sequence[int], view: View) -> list[str]:
    notes = ["open connections stay where they are"]
    none = [said(b.called[0]) for b, weight in zip(rule.backends, after, strict=True) if weight == 0]
    if none:
        notes.append(f"no traffic goes to {', '.join(none)} any more")
    list_path = ("spec", "rules" if view.ref.kind == HTTP_ROUTE else "http")
    others = [m.name for m in managers_of(view.target, list_path) if m.name != FIELD_MANAGER]
    return notes + ([f"its rules were last set by {said(others[0])}"] if others else [])
