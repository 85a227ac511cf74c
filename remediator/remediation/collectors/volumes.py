"""`pvc_status` and `unused_pvcs`: claims, how full they are, and those that nobody mounts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, dig
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration
from remediator.playbooks.quantity import parse_quantity
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    age,
    ask,
    count,
    hand_over,
    metric_scope,
    namespaces_of,
    place_of,
    read,
    said,
    size,
    time_of,
    where,
    word,
)
from remediator.remediation.promql import select

STATUS, UNUSED = "pvc_status", "unused_pvcs"
CLAIM = "PersistentVolumeClaim"
FULL = 0.8


class PvcArgs(ScopedArgs):
    """`limit`: how many claims are shown, those in trouble and the fullest first."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class UnusedArgs(ScopedArgs):
    """`older_than`: younger claims may still get their pod."""

    older_than: Duration = timedelta(days=1)


async def pvc_status(args: PvcArgs, context: CheckContext) -> Evidence:
    """Phase, size, class, and how full the kubelets say they are."""
    spaces = namespaces_of(args, context)
    part = await read(context, CLAIM, spaces)
    scope = metric_scope(context, spaces)
    used = f"max by (namespace, persistentvolumeclaim) ({select('kubelet_volume_stats_used_bytes', *scope)}"
    ratio = f"{used} / {select('kubelet_volume_stats_capacity_bytes', *scope)})"
    samples, problem = await ask(context, ratio)
    fill = {(s.labels.get("namespace", ""), s.labels.get("persistentvolumeclaim", "")): s.value for s in samples}
    rows = [_row(claim, fill, context) for claim in part.items]
    rows.sort(key=lambda r: (r["phase"] == "Bound", -(r["used"] or 0.0), r["claim"]))
    unbound = [r for r in rows if r["phase"] != "Bound"]
    full = [r for r in rows if (r["used"] or 0.0) >= FULL]
    return hand_over(
        STATUS,
        context,
        title=f"claims {place_of(spaces)}",
        lines=[_line(r) for r in rows[: args.limit]],
        summary=f"{count(len(rows), 'claim')}, {len(unbound)} not bound, {len(full)} above {FULL:.0%}",
        parts=(part,),
        problems=(f"how full: {problem}" if problem else "",),
        rows=rows,
        private=True,
    )


def _row(claim: Object, fill: Mapping[tuple[str, str], float], context: CheckContext) -> dict[str, Any]:
    meta = claim["metadata"]
    resizing = [c for c in dig(claim, "status", "conditions") or () if c.get("status") == "True"]
    return {
        "claim": where(claim),
        "phase": word(dig(claim, "status", "phase"), 30),
        "size": word(dig(claim, "status", "capacity", "storage") or "-"),
        "wanted": word(dig(claim, "spec", "resources", "requests", "storage")),
        "class": word(dig(claim, "spec", "storageClassName") or "default class"),
        "used": fill.get((str(meta.get("namespace", "")), str(meta.get("name", "")))),
        "age": age(context.now, meta.get("creationTimestamp")),
        "conditions": [f"{word(c.get('type'), 40)}{said(c.get('message'), 150)}" for c in resizing],
    }


def _line(row: Mapping[str, Any]) -> str:
    used = "" if row["used"] is None else f", {row['used']:.0%} full"
    grown = f", {row['wanted']} wanted" if row["wanted"] not in (row["size"], "-") else ""
    more = f"; {'; '.join(row['conditions'])}" if row["conditions"] else ""
    return f"{row['claim']}: {row['phase']}, {row['size']}{grown}{used}, {row['class']}, {row['age']} old{more}"


async def unused_pvcs(args: UnusedArgs, context: CheckContext) -> Evidence:
    """Claims that no pod names, and that no StatefulSet, Job or CronJob would name again. Nothing is deleted here."""
    spaces = namespaces_of(args, context)
    claims, pods, sets, crons = await asyncio.gather(
        *(read(context, kind, spaces) for kind in (CLAIM, "Pod", "StatefulSet", "CronJob"))
    )
    others = (pods, sets, crons)
    named = {name for part in others for obj in part.items for name in _mounted(obj)}
    prefixes = tuple(prefix for obj in sets.items for prefix in _templates(obj))
    blind = any(part.problem for part in others)
    unused = [] if blind else [c for c in claims.items if _is_unused(c, named, prefixes, args, context)]
    total = sum(_bytes(c) for c in unused)
    by_class = Counter(word(dig(c, "spec", "storageClassName") or "default class") for c in unused)
    lines = ["without all of these nothing can be said to be unused"] if blind else []
    lines += [
        f"{where(c)}: {word(dig(c, 'status', 'capacity', 'storage'))}, {age(context.now, _born(c))} old, "
        f"{word(dig(c, 'spec', 'storageClassName') or 'default class')}"
        for c in sorted(unused, key=lambda c: -_bytes(c))
    ]
    return hand_over(
        UNUSED,
        context,
        title=f"claims {place_of(spaces)} that nothing mounts, older than {format_duration(args.older_than)}",
        lines=lines,
        summary="not known" if blind else f"{count(len(unused), 'unused claim')}, {size(total)}",
        parts=(claims, *others),
        rows=[{"claim": where(c), "bytes": _bytes(c)} for c in unused],
        data={"bytes": total, "classes": dict(by_class)},
    )


def _is_unused(
    claim: Object, named: set[str], prefixes: tuple[str, ...], args: UnusedArgs, context: CheckContext
) -> bool:
    born = time_of(_born(claim))
    if born is None or context.now - born < args.older_than:
        return False
    # A StatefulSet scaled down leaves its claims on purpose: `data-db-2` belongs to the template `data` of `db`.
    return where(claim) not in named and not where(claim).startswith(prefixes or ("\0",))


def _born(claim: Object) -> object:
    return dig(claim, "metadata", "creationTimestamp")


def _mounted(obj: Object) -> list[str]:
    """Claims that a pod or a pod template names, as `namespace/name`."""
    namespace = str(dig(obj, "metadata", "namespace", default=""))
    paths: Sequence[tuple[str, ...]] = (
        ("spec",),
        ("spec", "template", "spec"),
        ("spec", "jobTemplate", "spec", "template", "spec"),
    )
    found = []
    for path in paths:
        for volume in dig(obj, *path, "volumes") or ():
            if name := dig(volume, "persistentVolumeClaim", "claimName"):
                found.append(f"{namespace}/{name}")
            if "ephemeral" in volume:
                found.append(f"{namespace}/{dig(obj, 'metadata', 'name')}-{volume.get('name')}")
    return found


def _templates(obj: Object) -> list[str]:
    names = [dig(t, "metadata", "name", default="") for t in dig(obj, "spec", "volumeClaimTemplates") or ()]
    namespace, name = dig(obj, "metadata", "namespace", default=""), dig(obj, "metadata", "name", default="")
    return [f"{namespace}/{template}-{name}-" for template in names]


def _bytes(claim: Object) -> float:
    text = dig(claim, "status", "capacity", "storage") or dig(claim, "spec", "resources", "requests", "storage")
    try:
        return parse_quantity(str(text))
    except ValueError:
        return 0.0


KINDS_OF_EVIDENCE = (CollectorKind(STATUS, PvcArgs, pvc_status), CollectorKind(UNUSED, UnusedArgs, unused_pvcs))
