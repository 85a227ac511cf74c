"""`argocd_apps`, `cnpg_status`, `longhorn_status`: operators' objects in a line each.

An operator that is not there says "not installed", which is another thing than "nothing wrong".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, dig, ref_of
from remediator.playbooks.quantity import parse_quantity
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.checks.replication import judge_cnpg
from remediator.remediation.checks.workload import CNPG, OF_CLUSTER
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    age,
    condition,
    count,
    hand_over,
    namespaces_of,
    one_word,
    place_of,
    read,
    said,
    size,
    where,
    word,
)

ARGOCD, CLUSTERS, LONGHORN = "argocd_apps", "cnpg_status", "longhorn_status"


class EverywhereArgs(ScopedArgs):
    """These live in namespaces of their own, so all are asked by default. `limit`: how many, those in trouble first."""

    namespace: Annotated[str, Field(max_length=63)] = "*"
    limit: Annotated[int, Field(ge=1, le=200)] = 50


# --- Argo CD


async def argocd_apps(args: EverywhereArgs, context: CheckContext) -> Evidence:
    """Sync, health and the last operation of every Application."""
    spaces = namespaces_of(args, context)
    part = await read(context, "Application.argoproj.io", spaces)
    rows = [_app(obj, context) for obj in part.items]
    rows.sort(key=lambda r: (r["sync"] == "Synced" and r["health"] == "Healthy", r["app"]))
    sync, health = Counter(r["sync"] for r in rows), Counter(r["health"] for r in rows)
    ill = [r for r in rows if r["sync"] != "Synced" or r["health"] != "Healthy"]
    return hand_over(
        ARGOCD,
        context,
        title=f"Argo CD Applications {place_of(spaces)}",
        lines=[f"{r['app']}: {r['told']}" for r in rows[: args.limit]],
        summary=f"{len(ill)} of {count(len(rows), 'Application')} not Synced and Healthy",
        parts=(part,),
        rows=rows,
        data={"sync": dict(sync), "health": dict(health)},
        private=True,
    )


def _app(obj: Object, context: CheckContext) -> dict[str, Any]:
    status = obj.get("status") or {}
    sync, health = word(dig(status, "sync", "status"), 30), word(dig(status, "health", "status"), 30)
    operation = status.get("operationState") or {}
    told = [f"{sync}, {health}{said(dig(status, 'health', 'message'), 150)}"]
    told.append(f"revision {word(dig(status, 'sync', 'revision'), 12)}")
    if operation:
        ended = operation.get("finishedAt") or operation.get("startedAt")
        phase = word(operation.get("phase"), 30)
        why = said(operation.get("message"), 150) if phase not in ("Succeeded", "Running") else ""
        told.append(f"last operation {phase} {age(context.now, ended)} ago{why}")
    automated = dig(obj, "spec", "syncPolicy", "automated")
    told.append("syncs by itself" if automated is not None else "synced by hand")
    conditions = [f"{word(c.get('type'), 60)}{said(c.get('message'), 150)}" for c in status.get("conditions") or ()]
    return {"app": where(obj), "sync": sync, "health": health, "told": "; ".join([*told, *conditions[:3]])}


# --- CloudNativePG


async def cnpg_status(args: EverywhereArgs, context: CheckContext) -> Evidence:
    """Instances, primary, phase, archiving and the last backup of every cluster."""
    spaces = namespaces_of(args, context)
    part, pods = await asyncio.gather(read(context, CNPG, spaces), read(context, "Pod", spaces, labels=OF_CLUSTER))
    rows = [_cnpg(obj, None if pods.problem else pods.items, context) for obj in part.items]
    rows.sort(key=lambda r: (r["answer"] == "good", r["cluster"]))
    ill = [r for r in rows if r["answer"] != "good"]
    return hand_over(
        CLUSTERS,
        context,
        title=f"CloudNativePG clusters {place_of(spaces)}",
        lines=[f"{r['told']}" for r in rows[: args.limit]],
        summary=f"{len(ill)} of {count(len(rows), 'PostgreSQL cluster')} not healthy",
        parts=(part, *((pods,) if part.items else ())),
        rows=rows,
        private=True,
    )


def _cnpg(obj: Object, pods: tuple[Object, ...] | None, context: CheckContext) -> dict[str, Any]:
    status, name = obj.get("status") or {}, dig(obj, "metadata", "name")
    if pods is None:
        answer = "unknown"
        told = (
            f"{ref_of(obj)}: {status.get('readyInstances', 0)} ready by its own count, {word(status.get('phase'), 100)}"
        )
    else:
        mine = [
            p
            for p in pods
            if dig(p, "metadata", "labels", OF_CLUSTER) == name
            and dig(p, "metadata", "namespace") == dig(obj, "metadata", "namespace")
        ]
        found = judge_cnpg(obj, tuple(mine))
        answer, told = found.answer, found.detail
    archiving = condition(obj, "ContinuousArchiving")
    parts = [told]
    if archiving and archiving.get("status") != "True":
        parts.append(f"archiving fails{said(archiving.get('message'))}")
    if dig(obj, "spec", "backup") or status.get("lastSuccessfulBackup"):
        parts.append(f"last backup {age(context.now, status.get('lastSuccessfulBackup'))} ago")
    if certificates := dig(status, "certificates", "expirations"):
        parts.append(f"{count(len(certificates), 'certificate')} of its own")
    return {"cluster": where(obj), "answer": answer, "phase": word(status.get("phase"), 100), "told": ", ".join(parts)}


# --- Longhorn


async def longhorn_status(args: EverywhereArgs, context: CheckContext) -> Evidence:
    """Volumes that are not healthy, and where backups go."""
    spaces = namespaces_of(args, context)
    volumes, targets = await asyncio.gather(
        read(context, "Volume.longhorn.io", spaces), read(context, "BackupTarget.longhorn.io", spaces)
    )
    rows = [_volume(obj, context) for obj in volumes.items]
    rank = {"faulted": 0, "unknown": 1, "degraded": 2}
    rows.sort(key=lambda r: (rank.get(str(r["robustness"]), 3), r["volume"]))
    counted = Counter(str(r["robustness"]) for r in rows)
    away = [t for t in targets.items if dig(t, "spec", "backupTargetURL") and not dig(t, "status", "available")]
    told = ", ".join(f"{n} {state}" for state, n in sorted(counted.items()))
    return hand_over(
        LONGHORN,
        context,
        title="Longhorn volumes",
        lines=[
            *(f"backup target {where(t)} is not available" for t in away),
            *(str(r["told"]) for r in rows[: args.limit]),
        ],
        summary=f"{count(len(rows), 'volume')}" + (f": {told}" if told else ""),
        parts=(volumes, targets),
        rows=rows,
        data={"robustness": dict(counted), "backup_targets_away": len(away)},
    )


def _volume(obj: Object, context: CheckContext) -> dict[str, Any]:
    state, robustness = (one_word(dig(obj, "status", key)) for key in ("state", "robustness"))
    last = dig(obj, "status", "lastBackupAt")
    told = (
        f"{where(obj)}: {state}, {robustness}, {_bytes(dig(obj, 'spec', 'size'))}, "
        f"{int(dig(obj, 'spec', 'numberOfReplicas') or 0)} replicas, "
        f"{'last backup ' + age(context.now, last) + ' ago' if last else 'no backup'}, "
        f"claim {_claim(dig(obj, 'status', 'kubernetesStatus') or {})}"
    )
    return {"volume": where(obj), "state": state, "robustness": robustness, "told": told}


def _claim(status: Mapping[str, Any]) -> str:
    name = status.get("pvcName")
    return f"{word(status.get('namespace'), 63)}/{word(name, 253)}" if name else "none"


def _bytes(text: object) -> str:
    try:
        return size(parse_quantity(str(text)))
    except ValueError:
        return "no size"


KINDS_OF_EVIDENCE = (
    CollectorKind(ARGOCD, EverywhereArgs, argocd_apps),
    CollectorKind(CLUSTERS, EverywhereArgs, cnpg_status),
    CollectorKind(LONGHORN, EverywhereArgs, longhorn_status),
)
