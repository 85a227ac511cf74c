"""What a storm's targets have in common: whether they stand on one node, in one zone, or belong to one release.

Asked only for a remediation whose own target is such a thing, and only while a storm lasts. Every look is a consistent
read; what cannot be read is no answer (the guardrail then holds). A target that is gone stands on nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.eviction import selector_text
from remediator.actions.view import View
from remediator.errors import CannotSee, NotFound
from remediator.guardrails.facts import Parent
from remediator.objects import KINDS, WORKLOADS, Object, ObjectRef, annotations_of, dig, labels_of
from remediator.ports import Cluster

NODE, ZONE, RELEASE = "Node", "Zone", "Release"
PARENTS = frozenset({NODE, ZONE, RELEASE})
"""Kinds of target that others can stand on. A zone and a release are no objects of Kubernetes: a zone is a label of
nodes, a release is what its objects say of themselves."""

ZONE_LABEL = "topology.kubernetes.io/zone"
RELEASE_LABEL = "app.kubernetes.io/instance"
RELEASE_NAME, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"

MOST_MEMBERS = 200
"""Members that are looked at, two reads each. A storm of more is not judged by a part of it."""
READERS = 16


def target_of(views: Sequence[View]) -> ObjectRef | None:
    """The one target of these views, where others can stand on it."""
    refs = {view.ref for view in views}
    return refs.pop() if len(refs) == 1 and all(ref.kind in PARENTS for ref in refs) else None


async def read_parent(cluster: Cluster, views: Sequence[View], members: Sequence[ObjectRef]) -> Parent | None:
    """How many of the storm's `members` stand on the one target of these views; None where nothing can stand on it.

    The target itself is no member of what it stands under. Raises: ReadError.
    """
    if (target := target_of(views)) is None:
        return None
    others = [member for member in dict.fromkeys(members) if member != target]
    if len(others) > MOST_MEMBERS:
        raise CannotSee(f"the storm has {len(others)} targets, at most {MOST_MEMBERS} are looked at")
    nodes = await _nodes(cluster, target)
    gate = asyncio.Semaphore(READERS)

    async def stands(member: ObjectRef) -> bool:
        async with gate:
            return await _stands_on(cluster, member, target, nodes)

    found = await asyncio.gather(*map(stands, others))
    return Parent(what=str(target), members=sum(found), of=len(others))


async def _nodes(cluster: Cluster, target: ObjectRef) -> frozenset[str]:
    """Names of the nodes that the target means."""
    if target.kind == ZONE:
        listed = await cluster.list("Node", labels=f"{ZONE_LABEL}={target.name}")
        return frozenset(str(dig(node, "metadata", "name")) for node in listed.items)
    return frozenset({target.name} if target.kind == NODE else ())


async def _stands_on(cluster: Cluster, member: ObjectRef, target: ObjectRef, nodes: frozenset[str]) -> bool:
    if member.kind not in KINDS:
        return False  # an alert whose target is not known
    try:
        found = await cluster.get(member)
    except NotFound:
        return False
    if target.kind == RELEASE:
        return belongs_to(found, target)
    return bool(nodes & await _runs_on(cluster, found, member))


async def _runs_on(cluster: Cluster, found: Object, ref: ObjectRef) -> frozenset[str]:
    """Nodes with a pod of it, also one that is being taken away: a node that fails loses its pods."""
    if ref.kind in WORKLOADS:
        pods = (await cluster.list("Pod", ref.namespace, labels=selector_text(found))).items
    else:
        pods = (found,) if ref.kind == "Pod" else ()
    return frozenset(str(name) for pod in pods if (name := dig(pod, "spec", "nodeName")))


def belongs_to(found: Object, release: ObjectRef) -> bool:
    """Whether an object says that it is part of this release: Helm's own annotations, else the common label."""
    said: Mapping[str, str] = annotations_of(found)
    if RELEASE_NAME in said:
        where = said.get(RELEASE_NAMESPACE) or str(dig(found, "metadata", "namespace", default=""))
        return (said[RELEASE_NAME], where) == (release.name, release.namespace)
    here = dig(found, "metadata", "namespace", default="") == release.namespace
    return bool(here and labels_of(found).get(RELEASE_LABEL) == release.name)
