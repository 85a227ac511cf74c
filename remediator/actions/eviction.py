"""Evictions of a workload's pods as effects: pods are chosen late, by a rule, one effect each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from remediator.actions.change import Change, Delete, Evict, NotPossible, PodRule
from remediator.actions.pods import name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import View
from remediator.actions.workload import Workload, broken_pods
from remediator.objects import Object, dig, uid_of

MOST_PODS = 100
"""One effect a pod: beyond this a rollout is the better restart."""


def evict_by_rule(view: View, select: Literal["oldest", "unready"], most: int | None) -> Change:
    """Evict pods that the target controls, one effect for each that fits now, at most `most`.

    It takes one copy at a time: the guardrails are asked again, on fresh facts, before each pod.
    Raises: NotPossible when no pod fits.
    """
    fitting = [
        pod
        for pod in view.pods
        if not pod_is_leaving(pod) and not pod_has_finished(pod) and (select == "oldest" or not pod_is_ready(pod))
    ]
    if not fitting:
        raise NotPossible(f"{view.ref} has no {'' if select == 'oldest' else 'unready '}pod to evict")
    count = len(fitting) if most is None else min(most, len(fitting))
    if count > MOST_PODS:
        raise NotPossible(f"{view.ref} has {count} pods, more than {MOST_PODS} are not evicted one by one")
    rule = PodRule(
        namespace=view.ref.namespace, select=select, owner_uids=owner_uids(view), selector=selector_text(view.target)
    )
    which = "pods" if select == "oldest" else "unready pods"
    return Change(
        effects=(Evict(pod=rule),) * count,
        takes=1 if select == "oldest" and any(pod_is_ready(pod) for pod in fitting) else 0,
        summary=f"evict {count} of {len(fitting)} {which}, one at a time",
        reduces_capacity=select == "oldest",
    )


def evict_named(view: View, pod: Object) -> Change:
    """Evict this very pod, bound to its uid. Raises: NotPossible when it is going already."""
    if pod_is_leaving(pod):
        raise NotPossible(f"pod {name_of(pod)} is going away already")
    ready = pod_is_ready(pod)
    return Change(
        effects=(Evict(pod=named_rule(view, pod, "named")),),
        takes=1 if ready else 0,
        summary=f"evict pod {name_of(pod)} ({'ready' if ready else 'not ready'})",
        reduces_capacity=ready,
    )


def blocking_pods(workload: Workload, view: View) -> tuple[Object, ...]:
    """Broken pods for which an OrderedReady StatefulSet waits before it moves at all; none for other workloads.

    Measured: with pod 0 broken, a new template updates no pod. The controller makes a deleted one again from the new
    template, then goes on. Raises: NotPossible when the pods could not be read.
    """
    if not workload.ordered:
        return ()
    refuse_unreadable(view, "pods")
    return broken_pods(view)


def and_delete(pods: Sequence[Object]) -> str:
    """The end of a summary: `, delete broken db-0`, or nothing."""
    return f", delete broken {', '.join(name_of(pod) for pod in pods)}" if pods else ""


def delete_broken(view: View, pod: Object) -> Delete:
    """Delete a pod that its StatefulSet waits for, while it is unready: nothing healthy goes, so no PDB is asked."""
    return Delete(pod=named_rule(view, pod, "unready"))


def named_rule(view: View, pod: Object, select: Literal["named", "unready"]) -> PodRule:
    return PodRule(
        namespace=view.ref.namespace,
        select=select,
        owner_uids=owner_uids(view),
        selector=selector_text(view.target),
        name=name_of(pod),
        uid=uid_of(pod),
    )


def owner_uids(view: View) -> tuple[str, ...]:
    """Uids of what controls the pods: a Deployment's ReplicaSets, otherwise the workload itself.

    All ReplicaSets, not only those with pods: how many each has is status, and the approval must survive it.
    """
    own = uid_of(view.target)
    if view.ref.kind != "Deployment":
        return (own,)
    return tuple(sorted(uid_of(revision) for revision in view.revisions if revision.get("kind") == "ReplicaSet"))


def selector_text(workload: Object) -> str:
    """The workload's `spec.selector` in the syntax of list calls; it only narrows the list, the owner decides."""
    selector = dig(workload, "spec", "selector") or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    terms += [_term(expression) for expression in selector.get("matchExpressions") or ()]
    return ",".join(terms)


def _term(expression: Mapping[str, Any]) -> str:
    key, values = expression["key"], ",".join(expression.get("values") or ())
    match expression["operator"]:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return str(key)
        case _:
            return f"!{key}"
