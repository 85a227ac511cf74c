"""Facts of a CloudNativePG Cluster, read from the raw object. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediator.actions.change import NotPossible
from remediator.actions.databases.parts import refuse_leaving, refuse_other_kind
from remediator.actions.pods import name_of
from remediator.actions.render import brief
from remediator.actions.view import ListOf, View
from remediator.objects import Object, ObjectRef, annotations_of, dig, uid_of

CLUSTER = "Cluster.postgresql.cnpg.io"
FENCED = "cnpg.io/fencedInstances"
HIBERNATION = "cnpg.io/hibernation"
RECONCILIATION = "cnpg.io/reconciliationLoop"

PENDING = "pending"
"""What the operator writes into targetPrimary while it fails over and has not chosen yet."""

EVERYBODY = "*"
"""In the list of fenced instances: all of them."""

HEALTHY = "Cluster in healthy state"
UNRECOVERABLE = "Cluster is unrecoverable and needs manual intervention"

QUIET = frozenset(
    {HEALTHY, "Waiting for the instances to become active", "Creating a new replica", "Waiting for user action"}
)
"""Phases in which the operator moves no primary. Every other one, also one that we do not know, is its business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PgCluster:
    """One Cluster in numbers and names. `instances` is wanted, `ready` is what the operator counts.

    `current` is the primary, `target` the one that shall be: different while a primary moves, or PENDING. `fenced` may
    hold EVERYBODY.
    """

    ref: ObjectRef
    uid: str
    instances: int
    ready: int
    phase: str
    current: str
    target: str
    names: tuple[str, ...]
    fenced: frozenset[str]

    def is_fenced(self, name: str) -> bool:
        return EVERYBODY in self.fenced or name in self.fenced

    @property
    def moving(self) -> str:
        """What the operator is doing to the primary, for people; empty when nothing."""
        if self.target == PENDING:
            return f"{self.ref} is choosing a new primary (targetPrimary is {PENDING})"
        if self.target != self.current:
            return f"{self.ref} moves its primary from {self.current or 'none'} to {self.target or 'none'}"
        if self.phase not in QUIET:
            return f"{self.ref} is in phase {self.phase or 'unknown'}"
        return ""


def read_cluster(view: View) -> PgCluster:
    """Raises: NotPossible for another kind, and for a Cluster that its operator does not or shall not look after."""
    refuse_other_kind(view, CLUSTER)
    refuse_leaving(view)
    obj = view.target
    status = obj.get("status") or {}
    if not status.get("instanceNames") or not status.get("currentPrimary"):
        raise NotPossible(f"{view.ref} has no primary yet: see whether CloudNativePG's operator runs and has set it up")
    noted = annotations_of(obj)
    if noted.get(HIBERNATION) == "on":
        raise NotPossible(f"{view.ref} hibernates ({HIBERNATION}): wake it up first")
    if noted.get(RECONCILIATION) == "disabled":
        raise NotPossible(f"{view.ref} is not looked after by its operator ({RECONCILIATION}): somebody has stopped it")
    return PgCluster(
        ref=view.ref,
        uid=uid_of(obj),
        instances=int(dig(obj, "spec", "instances", default=1)),
        ready=int(status.get("readyInstances") or 0),
        phase=brief(str(status.get("phase") or "")),
        current=str(status["currentPrimary"]),
        target=str(status.get("targetPrimary") or ""),
        names=tuple(str(name) for name in status["instanceNames"]),
        fenced=fenced_in(obj, view.ref),
    )


def fenced_in(obj: Object, ref: ObjectRef) -> frozenset[str]:
    """The fenced instances of the annotation. Raises: NotPossible when it is no list: the operator ignores it then."""
    text = annotations_of(obj).get(FENCED)
    if text is None:
        return frozenset()
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NotPossible(f"the annotation {FENCED} of {ref} is no JSON list: a person has to mend it")
    return frozenset(names)


def refuse_moving(cluster: PgCluster) -> None:
    """Raises: NotPossible, a hold, while the operator moves the primary or rolls the instances."""
    if cluster.moving:
        raise NotPossible(f"{cluster.moving}: wait until it is done", hold=True)


def refuse_unhealthy(cluster: PgCluster) -> None:
    """Raises: NotPossible, a hold, unless every instance is ready and the operator says so."""
    refuse_moving(cluster)
    if cluster.phase != HEALTHY:
        raise NotPossible(f"{cluster.ref} is not healthy: phase {cluster.phase or 'unknown'}", hold=True)
    if cluster.ready != cluster.instances:
        raise NotPossible(f"{cluster.ref} is not healthy: {cluster.ready} of {cluster.instances} ready", hold=True)


def refuse_fenced(cluster: PgCluster) -> None:
    """Raises: NotPossible while any instance is fenced: a person has stopped it for a reason."""
    if cluster.fenced:
        known = sorted(name for name in cluster.fenced if name == EVERYBODY or name in cluster.names)
        raise NotPossible(f"{cluster.ref} has fenced instances ({', '.join(known) or 'others'}): unfence them first")


def refuse_replica_cluster(obj: Object, ref: ObjectRef) -> None:
    """Raises: NotPossible for a Cluster that follows another one: its primary takes no writes and is chosen there."""
    replica = dig(obj, "spec", "replica") or {}
    primary = replica.get("primary")
    itself = primary in (None, "", replica.get("self") or ref.name)
    if replica.get("enabled") or (replica.get("enabled") is None and not itself):
        raise NotPossible(f"{ref} is a replica cluster: promote it where its source is decided, not here")


def instance_pods(cluster_name: str, namespace: str) -> ListOf:
    """The pods of a Cluster, poolers and jobs among them: `pods_by_name` keeps those that are asked for by name."""
    return ListOf(kind="Pod", namespace=namespace, labels=f"cnpg.io/cluster={cluster_name}")


def pods_by_name(pods: Sequence[Object], cluster: PgCluster) -> Mapping[str, Object]:
    """The pods of the instances that the Cluster's status names."""
    return {name_of(pod): pod for pod in pods if name_of(pod) in cluster.names}
