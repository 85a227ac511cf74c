"""`drain`: cordon a node and evict its pods through the Eviction API, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, Effect, Evict, NotPossible, PodRule
from remediator.actions.nodes.budgets import allows_none, budgets_of
from remediator.actions.nodes.cordon import cordon_patch
from remediator.actions.nodes.drain_filters import Sorted, Surroundings, sort_pods, uids
from remediator.actions.nodes.node import (
    copies,
    cordoned_by_us,
    is_cordoned,
    is_server,
    ready_of,
    refuse_leaving,
    refuse_too_many,
    some,
    who_cordoned,
)
from remediator.actions.nodes.standing import full_name, is_primary, most_taken, moves_primaries, pods_on, roots_of
from remediator.actions.pods import name_of, pod_has_finished
from remediator.actions.view import ListOf, View, Wanted
from remediator.objects import Object, controller_of, dig, ref_of, uid_of
from remediator.playbooks.fields import NAME_PATTERN, Flag

NamespaceName = Annotated[str, Field(pattern=NAME_PATTERN)]


class DrainParams(Params):
    """What may be lost, and how much may be moved. The defaults are those of `kubectl drain`, except that DaemonSets
    are left alone."""

    ignore_daemonsets: Flag = True
    """Leave pods of DaemonSets; false refuses a node that has any."""
    delete_emptydir: Flag = False
    """Also take pods that keep data in an emptyDir, which is lost."""
    force: Flag = False
    """Also take pods that no controller makes again."""
    max_pods: int = Field(50, ge=1, le=250)
    """More pods than this, and nothing is done."""
    max_unavailable: int = Field(1, ge=1, le=10)
    """Nodes that may be out of service at once, this one included: cordoned, or not ready."""
    also_in: tuple[NamespaceName, ...] = Field((), max_length=10)
    """Protected namespaces whose pods are evicted as well, spelled out. Asked by the guardrail `protect`."""
    cordon: Flag = True
    """False where a step before has cordoned it: then an uncordoned node is waited for."""


class Drain:
    """Undo is an uncordon; the pods do not come back by themselves."""

    name = "drain"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (
        Right("patch", "Node"),
        Right("list", "Node"),
        Right("list", "Pod"),
        Right("get", "Pod"),
        Right("create", "Pod", "eviction"),
        Right("list", "DaemonSet"),
        Right("list", "PodDisruptionBudget"),
        Right("list", "Namespace"),
    )
    params = DrainParams

    def resolve(self, params: DrainParams, view: View) -> DrainParams:
        return params

    def wants(self, params: DrainParams, view: View) -> Mapping[str, Wanted]:
        return {
            "nodes": ListOf(kind="Node"),
            "pods": pods_on(view.ref.name),
            "daemonsets": ListOf(kind="DaemonSet"),
            "pdbs": ListOf(kind="PodDisruptionBudget"),
            "namespaces": ListOf(kind="Namespace"),
        }

    def plan(self, params: DrainParams, view: View) -> Change:
        """Raises: NotPossible, naming every pod that forbids it: nothing is evicted then."""
        refuse_leaving(view)
        cordoned = is_cordoned(view.target)
        if not cordoned and not params.cordon:
            raise NotPossible(
                f"{view.ref} is not cordoned, and `cordon: false` leaves that to a step before", hold=True
            )
        refuse_too_many(view, view.found["nodes"], params.max_unavailable)
        pods = sort_pods(view.found["pods"], _surroundings(params, view))
        if pods.refused:
            said = some([f"{name} {why}" for name, why in pods.refused])
            raise NotPossible(f"{copies(len(pods.refused), 'pod')} of {view.ref} cannot be moved: {said}")
        if len(pods.taken) > params.max_pods:
            raise NotPossible(f"{view.ref} has {len(pods.taken)} pods to evict, max_pods is {params.max_pods}")
        if not pods.taken and cordoned:  # as `kubectl drain`, which is done at once: the steps after it go on
            return Change(effects=(), summary=f"drain: no pod to evict{_staying(pods)}", notes=tuple(_going(pods)))
        return _change(view, pods, cordoned)


def _surroundings(params: DrainParams, view: View) -> Surroundings:
    return Surroundings(
        ignore_daemonsets=params.ignore_daemonsets,
        delete_emptydir=params.delete_emptydir,
        force=params.force,
        daemonsets=uids(view.found["daemonsets"]),
        pdbs=view.found["pdbs"],
        namespaces={ref_of(namespace).name: namespace for namespace in view.found["namespaces"]},
    )


def _change(view: View, pods: Sorted, cordoned: bool) -> Change:
    # Primaries last: the cordon has started their switchover, which is better than an eviction.
    ordered = sorted(pods.taken, key=lambda pod: (is_primary(pod), full_name(pod)))
    effects: tuple[Effect, ...] = tuple(Evict(pod=_rule(pod)) for pod in ordered)
    if not cordoned:
        effects = (cordon_patch(view), *effects)
    return Change(
        effects=effects,
        takes=most_taken(ordered),
        summary=f"{'' if cordoned else 'cordon and '}drain: evict {copies(len(ordered), 'pod')}{_staying(pods)}",
        reduces_capacity=True,
        needs_approval="; ".join(_reasons(view, pods)),
        notes=tuple(_notes(view, pods, cordoned)),
        touches=roots_of(ordered),
    )


def _staying(pods: Sorted) -> str:
    return f", {len(pods.left)} stay" if pods.left else ""


def _rule(pod: Object) -> PodRule:
    namespace = str(dig(pod, "metadata", "namespace"))
    return PodRule(namespace=namespace, select="named", name=name_of(pod), uid=uid_of(pod))


def _reasons(view: View, pods: Sorted) -> list[str]:
    reasons = [moves_primaries(pods.taken)]
    if is_server(view.target):
        reasons.append(f"{view.ref} runs the control plane")
    return [reason for reason in reasons if reason]


def _notes(view: View, pods: Sorted, cordoned: bool) -> list[str]:
    notes = []
    if cordoned and not cordoned_by_us(view.target):
        notes.append(f"{who_cordoned(view.target)} has cordoned it: it stays cordoned, also when this is undone")
    if blocked := _blocked(pods.taken, view.found["pdbs"]):
        notes.append(f"disruption budgets allow no disruption of {some(blocked)} now: waited for, never bypassed")
    if lost := [full_name(p) for p in pods.taken if _has_empty_dir(p)]:
        notes.append(f"the emptyDir data of {some(lost)} is lost")
    if bare := [full_name(p) for p in pods.taken if controller_of(p) is None and not pod_has_finished(p)]:
        notes.append(f"nobody makes {some(bare)} again")
    notes += _going(pods)
    if ready_of(view.target).status != "True":
        notes.append("the node is not ready: what is evicted stays Terminating until its kubelet answers")
    return notes


def _going(pods: Sorted) -> list[str]:
    going = [name for name, why in pods.left if why.startswith("going")]
    return [f"{some(going)} {'is' if len(going) == 1 else 'are'} going away already"] if going else []


def _blocked(pods: Sequence[Object], pdbs: Sequence[Object]) -> list[str]:
    return [full_name(pod) for pod in pods if any(allows_none(pdb) for pdb in budgets_of(pod, pdbs))]


def _has_empty_dir(pod: Object) -> bool:
    return not pod_has_finished(pod) and any("emptyDir" in v for v in dig(pod, "spec", "volumes") or ())
