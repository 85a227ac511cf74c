"""Reads the snapshot that actions and guardrails look at: the target and what stands around it, concurrently.

Every part that cannot be read is named in `View.unreadable`; an empty tuple then says nothing. All parts are always
read, at once: the guardrails look at them, whatever the action needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import TypeVar

from remediator.actions.eviction import selector_text
from remediator.actions.view import Revision, View
from remediator.errors import JournalUnavailable, NotFound, ReadError
from remediator.guardrails.disruption_budget import covers
from remediator.objects import WORKLOADS, Object, ObjectRef, controller_of, dig, uid_of
from remediator.ports import Cluster
from remediator.remediation.journal import Journal

T = TypeVar("T")


async def read_view(
    cluster: Cluster,
    journal: Journal,
    ref: ObjectRef,
    root: ObjectRef,
    now: datetime,
    *,
    alert_pod: str = "",
) -> View:
    """One moment's view of `ref`. Raises: ReadError when the target itself cannot be read, JournalUnavailable."""
    unreadable: dict[str, str] = {}

    async def part(name: str, read: Awaitable[T], empty: T) -> T:
        try:
            return await read
        except ReadError as exc:
            unreadable[name] = str(exc) or type(exc).__name__
            return empty

    namespace = _namespace(cluster, ref)
    if ref.kind not in WORKLOADS:
        target, ns = await asyncio.gather(cluster.get(ref), part("namespace", namespace, None))
        return View(
            target=target, ref=ref, root=root, read_at=now, namespace=ns, alert_pod=alert_pod, unreadable=unreadable
        )

    ns, pdbs, hpas, target = await asyncio.gather(
        part("namespace", namespace, None),
        part("pdbs", _items(cluster, "PodDisruptionBudget", ref.namespace), ()),
        part("hpas", _items(cluster, "HorizontalPodAutoscaler", ref.namespace), ()),
        cluster.get(ref),
    )
    # By selector, one round trip later: a namespace of 300 services has too many pods to read them all.
    selector = selector_text(target)
    kind = "ReplicaSet" if ref.kind == "Deployment" else "ControllerRevision"
    revisions, pods = await asyncio.gather(
        part("revisions", _items(cluster, kind, ref.namespace, selector), ()),
        part("pods", _items(cluster, "Pod", ref.namespace, selector), ()),
    )
    mine = tuple(r for r in revisions if _controlled_by(r, {uid_of(target)}))
    owners = {uid_of(target)} | {uid_of(r) for r in mine}
    own = tuple(p for p in pods if _controlled_by(p, owners))
    observed: tuple[Revision, ...] = ()
    try:
        observed = await journal.revisions(cluster.name, uid_of(target))
    except JournalUnavailable as exc:
        unreadable["observed"] = str(exc)
    return View(
        target=target,
        ref=ref,
        root=root,
        read_at=now,
        namespace=ns,
        pods=own,
        revisions=mine,
        pdbs=tuple(p for p in pdbs if covers(p, target, own)),
        hpas=tuple(h for h in hpas if _scales(h, ref)),
        observed=observed,
        alert_pod=alert_pod,
        unreadable=unreadable,
    )


async def _namespace(cluster: Cluster, ref: ObjectRef) -> Object | None:
    if not ref.namespace:
        return None
    try:
        return await cluster.get(ObjectRef("Namespace", "", ref.namespace))
    except NotFound:
        return None


async def _items(cluster: Cluster, kind: str, namespace: str, labels: str = "") -> tuple[Object, ...]:
    return (await cluster.list(kind, namespace, labels=labels)).items


def _controlled_by(obj: Object, uids: set[str]) -> bool:
    owner = controller_of(obj)
    return owner is not None and owner.get("uid") in uids


def _scales(hpa: Object, ref: ObjectRef) -> bool:
    target = dig(hpa, "spec", "scaleTargetRef") or {}
    group = str(target.get("apiVersion", "")).partition("/")[0]
    return target.get("kind") == ref.kind and target.get("name") == ref.name and group in ("apps", "")
