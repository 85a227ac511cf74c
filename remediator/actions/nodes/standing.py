"""What stands on a node: its pods, whose they are, and what losing them would take. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from remediator.actions.nodes.node import some
from remediator.actions.pods import name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.view import ListOf
from remediator.kinds import KINDS, kind_name
from remediator.objects import Object, ObjectRef, controller_of, dig, labels_of, uid_of

_PRIMARY_LABELS = {
    "cnpg.io/instanceRole": ("primary",),
    "role": ("primary", "master"),
    "spilo-role": ("primary", "master"),
}
"""How operators of databases mark the pod that takes writes: CloudNativePG (new, old), Patroni."""


def pods_on(name: str) -> ListOf:
    """All pods of a node, in all namespaces."""
    return ListOf(kind="Pod", fields=f"spec.nodeName={name}")


def full_name(pod: Object) -> str:
    """`shop/api-1`."""
    return f"{dig(pod, 'metadata', 'namespace', default='')}/{name_of(pod)}"


def is_primary(pod: Object) -> bool:
    labels = labels_of(pod)
    return any(labels.get(key) in roles for key, roles in _PRIMARY_LABELS.items())


def primaries(pods: Iterable[Object]) -> tuple[str, ...]:
    """Full names of database primaries that run, sorted."""
    return tuple(
        sorted(full_name(p) for p in pods if is_primary(p) and not pod_has_finished(p) and not pod_is_leaving(p))
    )


def moves_primaries(pods: Iterable[Object]) -> str:
    """Why a person should agree, or empty: operators move a primary away as soon as its node is cordoned."""
    found = primaries(pods)
    return f"cordoning starts a switchover of {some(found)}, which takes writes" if found else ""


def root_of(pod: Object) -> ObjectRef | None:
    """The workload that makes this pod again; None for a bare pod, and for a kind that we do not know.

    A Deployment's ReplicaSet is named after it and the hash that its pods carry, so nothing more has to be read.
    """
    owner = controller_of(pod)
    if owner is None:
        return None
    kind = kind_name(str(owner.get("apiVersion", "")), str(owner.get("kind", "")))
    name = str(owner.get("name", ""))
    namespace = str(dig(pod, "metadata", "namespace", default=""))
    pod_hash = labels_of(pod).get("pod-template-hash")
    if kind == "ReplicaSet" and pod_hash and name.endswith(f"-{pod_hash}"):
        return ObjectRef("Deployment", namespace, name.removesuffix(f"-{pod_hash}"))
    return ObjectRef(kind, namespace if KINDS[kind].namespaced else "", name) if kind in KINDS else None


def roots_of(pods: Iterable[Object]) -> tuple[ObjectRef, ...]:
    """Whatever must not be changed by somebody else while these pods go, sorted."""
    return tuple(sorted({root for pod in pods if (root := root_of(pod)) is not None}))


def most_taken(pods: Sequence[Object]) -> int:
    """Ready pods of the workload that loses most. A pod without a known controller stands for itself."""
    ready = (pod for pod in pods if pod_is_ready(pod))
    return max(Counter(_group(pod) for pod in ready).values(), default=0)


def _group(pod: Object) -> str:
    root = root_of(pod)
    if root is not None:
        return root.key
    owner = controller_of(pod)
    return str(owner.get("uid", "")) if owner else uid_of(pod)
