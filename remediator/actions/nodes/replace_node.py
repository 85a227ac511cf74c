"""`replace_node`: delete the machine behind a node, so that whoever made it makes another one.

Cluster API and Karpenter both drain before they stop the machine, and honour disruption budgets while they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible, Remove
from remediator.actions.nodes.node import copies, is_server, refuse_leaving, refuse_too_many, some
from remediator.actions.nodes.standing import full_name, most_taken, pods_on, primaries, roots_of
from remediator.actions.pods import pod_has_finished
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import Object, ObjectRef, annotations_of, controller_of, dig, labels_of, ref_of, uid_of
from remediator.playbooks.fields import Flag

MACHINE, NODE_CLAIM = "Machine.cluster.x-k8s.io", "NodeClaim.karpenter.sh"

MACHINE_ANNOTATION = "cluster.x-k8s.io/machine"
MACHINE_NAMESPACE = "cluster.x-k8s.io/cluster-namespace"
NODE_POOL = "karpenter.sh/nodepool"
HOSTNAME = "kubernetes.io/hostname"

_KEEPERS = ("MachineSet", "MachinePool")
"""What makes a Machine again. A control plane's machines are replaced by people, one after the other."""


class ReplaceNodeParams(Params):
    """What may be lost with the machine."""

    max_unavailable: int = Field(1, ge=1, le=10)
    """Nodes that may be out of service at once, this one included: cordoned, or not ready."""
    lose_local_volumes: Flag = False
    """Also where volumes lie on the node's own disk: what is in them is gone with the machine."""


class ReplaceNode:
    """Cannot be taken back, and is never done without a person's yes."""

    name = "replace_node"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    changes_data = True
    rights = (
        Right("get", MACHINE),
        Right("delete", MACHINE),
        Right("get", NODE_CLAIM),
        Right("list", NODE_CLAIM),
        Right("delete", NODE_CLAIM),
        Right("list", "Node"),
        Right("list", "Pod"),
        Right("list", "PersistentVolume"),
    )
    params = ReplaceNodeParams

    def resolve(self, params: ReplaceNodeParams, view: View) -> ReplaceNodeParams:
        return params

    def wants(self, params: ReplaceNodeParams, view: View) -> Mapping[str, Wanted]:
        """Only what the node itself says there is: a list of a kind that nobody installed would hold for ever."""
        wanted: dict[str, Wanted] = {
            "nodes": ListOf(kind="Node"),
            "pods": pods_on(view.ref.name),
            "volumes": ListOf(kind="PersistentVolume"),
        }
        if (machine := _machine_ref(view.target)) is not None:
            wanted["machine"] = Get(machine)
        elif NODE_POOL in labels_of(view.target):
            wanted["claims"] = ListOf(kind=NODE_CLAIM)
        return wanted

    def plan(self, params: ReplaceNodeParams, view: View) -> Change:
        """Raises: NotPossible where nobody would make a new machine, or data would go with the old one."""
        refuse_leaving(view)
        if is_server(view.target):
            raise NotPossible(f"{view.ref} runs the control plane: people replace it, one server at a time")
        machine, holds = _behind(view)
        refuse_too_many(view, view.found["nodes"], params.max_unavailable)
        local = _local_volumes(view)
        if local and not params.lose_local_volumes:
            raise NotPossible(
                f"volumes {some(local)} lie on {view.ref.name} itself and would be lost: move them, or say "
                "`lose_local_volumes: true`"
            )
        pods = [pod for pod in view.found["pods"] if not pod_has_finished(pod)]
        return Change(
            effects=(Remove(ref=ref_of(machine), uid=uid_of(machine), holds=(holds,)),),
            takes=most_taken(pods),
            summary=f"replace: delete {ref_of(machine)}, {copies(len(pods), 'pod')} move",
            reduces_capacity=True,
            needs_approval="the machine and everything on its disks are gone for good",
            notes=tuple(_notes(pods, local)),
            touches=(ref_of(machine), *roots_of(pods)),
        )


def _machine_ref(node: Object) -> ObjectRef | None:
    said = annotations_of(node)
    name, namespace = said.get(MACHINE_ANNOTATION, ""), said.get(MACHINE_NAMESPACE, "")
    return ObjectRef(MACHINE, namespace, name) if name and namespace else None


def _behind(view: View) -> tuple[Object, tuple[tuple[str, ...], Any]]:
    """The machine, and what must still be so at the last look: that it is this node's. Raises: NotPossible."""
    path: tuple[str, ...]
    if "machine" in view.found:
        machine, path = view.found["machine"], ("status", "nodeRef", "name")
        if machine is None:
            raise NotPossible(f"the Machine that {view.ref} names does not exist here: it may lie in another cluster")
        owner = controller_of(machine) or {}
        if owner.get("kind") not in _KEEPERS:
            whose = f"{owner.get('kind')} {owner.get('name')}" if owner else "nobody"
            raise NotPossible(f"{ref_of(machine)} belongs to {whose}, which makes no new one", guardrail="ownership")
    elif "claims" in view.found:
        path = ("status", "nodeName")
        machine = next((claim for claim in view.found["claims"] if dig(claim, *path) == view.ref.name), None)
        if machine is None:
            raise NotPossible(f"no NodeClaim of Karpenter says that {view.ref} is its node")
    else:
        raise NotPossible(
            f"{view.ref} names neither a Machine of Cluster API ({MACHINE_ANNOTATION}) nor a node pool of Karpenter "
            f"({NODE_POOL}): whoever made it has to replace it"
        )
    if dig(machine, "metadata", "deletionTimestamp"):
        raise NotPossible(f"{ref_of(machine)} is being deleted already")
    if dig(machine, *path) != view.ref.name:
        raise NotPossible(f"{ref_of(machine)} is the machine of another node")
    return machine, (path, view.ref.name)


def _local_volumes(view: View) -> list[str]:
    """Names of volumes on this node's own disk: only its host name is allowed for them."""
    host = labels_of(view.target).get(HOSTNAME, view.ref.name)
    found = []
    for volume in view.found["volumes"]:
        spec = volume.get("spec") or {}
        if ("local" in spec or "hostPath" in spec) and host in _hosts(spec):
            claim = spec.get("claimRef") or {}
            found.append(f"{claim.get('namespace')}/{claim.get('name')}" if claim else ref_of(volume).name)
    return sorted(found)


def _hosts(spec: Mapping[str, Any]) -> set[str]:
    terms = dig(spec, "nodeAffinity", "required", "nodeSelectorTerms") or ()
    return {
        str(value)
        for term in terms
        for expression in (*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ()))
        if expression.get("key") in (HOSTNAME, "metadata.name") and expression.get("operator") == "In"
        for value in expression.get("values") or ()
    }


def _notes(pods: Sequence[Object], local: Sequence[str]) -> list[str]:
    notes = ["cannot be undone; the new node has another name"]
    if local:
        notes.append(f"volumes {some(local)} are lost")
    if found := primaries(pods):
        notes.append(f"{some(found)} takes writes and is switched over")
    if bare := [full_name(pod) for pod in pods if controller_of(pod) is None]:
        notes.append(f"nobody makes {some(bare)} again")
    if temporary := [full_name(p) for p in pods if any("emptyDir" in v for v in dig(p, "spec", "volumes") or ())]:
        notes.append(f"the emptyDir data of {some(temporary)} is lost")
    return notes
