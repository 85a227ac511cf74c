"""`hpa_status`, `failed_rollouts`, `audit_workloads`: autoscalers at their bounds, rollouts that stand still, workloads
that a single failure takes down."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.workload import Workload, read_workload
from remediator.objects import WORKLOADS, Object, dig, labels_of
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    age,
    condition,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    said,
    where,
    word,
)

HPA, FAILED, AUDIT = "hpa_status", "failed_rollouts", "audit_workloads"


class ListArgs(ScopedArgs):
    """`limit`: how many, those in trouble first."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


# --- autoscalers


async def hpa_status(args: ListArgs, context: CheckContext) -> Evidence:
    """Copies, bounds, and what keeps each back."""
    spaces = namespaces_of(args, context)
    part = await read(context, "HorizontalPodAutoscaler", spaces)
    rows = [_hpa(obj) for obj in part.items]
    rows.sort(key=lambda r: (not r["blind"], not r["at_max"], r["hpa"]))
    at_max, blind = sum(r["at_max"] for r in rows), sum(r["blind"] for r in rows)
    return hand_over(
        HPA,
        context,
        title=f"autoscalers {place_of(spaces)}",
        lines=[line for r in rows[: args.limit] for line in _hpa_lines(r)],
        summary=f"{count(len(rows), 'autoscaler')}, {at_max} at the maximum, {blind} without metrics",
        parts=(part,),
        rows=rows,
        private=True,
    )


def _hpa(obj: Object) -> dict[str, Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    current, most = int(status.get("currentReplicas") or 0), int(spec.get("maxReplicas") or 0)
    aim = spec.get("scaleTargetRef") or {}
    limited = condition(obj, "ScalingLimited")
    return {
        "hpa": where(obj),
        "of": f"{word(aim.get('kind'))} {word(aim.get('name'), 253)}",
        "current": current,
        "desired": int(status.get("desiredReplicas") or 0),
        "min": int(spec.get("minReplicas") or 1),
        "max": most,
        "at_max": bool(most) and current >= most,
        "blind": condition(obj, "ScalingActive").get("status") == "False",
        "metrics": [_metric(m, status.get("currentMetrics") or ()) for m in spec.get("metrics") or ()][:10],
        "limited": word(limited.get("reason")) if limited.get("status") == "True" else "",
        "notes": [
            f"{word(c.get('type'), 40)}={word(c.get('status'), 10)} {word(c.get('reason'))}{said(c.get('message'))}"
            for c in status.get("conditions") or ()
            if (c.get("type") == "ScalingLimited") == (c.get("status") == "True")
        ],
    }


def _metric(metric: Mapping[str, Any], current: Sequence[Mapping[str, Any]]) -> str:
    """`cpu 93/80 %`; the present value stands in the status under the same name."""
    part = str(metric.get("type") or "")
    key = part[:1].lower() + part[1:]
    name = dig(metric, key, "name") or dig(metric, key, "metric", "name")
    now = next(
        (m for m in current if m.get("type") == part and name in (dig(m, key, "name"), dig(m, key, "metric", "name"))),
        None,
    )
    return f"{word(name)} {_value(dig(now, key, 'current'))}/{_value(dig(metric, key, 'target'))}"


def _value(one: Any) -> str:
    for key, unit in (("averageUtilization", " %"), ("averageValue", " each"), ("value", "")):
        if (found := dig(one, key)) is not None:
            return f"{word(found, 30)}{unit}"
    return "unknown"


def _hpa_lines(row: Mapping[str, Any]) -> list[str]:
    numbers = f"{row['current']} copies, {row['desired']} desired, {row['min']} to {row['max']}"
    flags = ", at the maximum" if row["at_max"] else ""
    head = f"{row['hpa']} of {row['of']}: {numbers}{flags}; {', '.join(row['metrics']) or 'no metrics'}"
    return [head, *(f"  {note}" for note in row["notes"])]


# --- rollouts that stand


async def failed_rollouts(args: ListArgs, context: CheckContext) -> Evidence:
    """Workloads whose present template has not come up, with the reason that Kubernetes gives."""
    spaces = namespaces_of(args, context)
    parts = await asyncio.gather(*(read(context, kind, spaces) for kind in (*WORKLOADS, "Rollout.argoproj.io")))
    total = sum(len(p.items) for p in parts)
    rows = [row for p in parts for obj in p.items if (row := _stands(obj, context))]
    rows.sort(key=lambda r: (not r["failed"], r["workload"]))
    failed = sum(r["failed"] for r in rows)
    shown = [p for p in parts if p.installed]  # Argo Rollouts is one of many ways to roll out
    return hand_over(
        FAILED,
        context,
        title=f"rollouts that are not complete {place_of(spaces)}",
        lines=[f"{r['workload']}: {r['state']}, {r['numbers']}{r['said']}" for r in rows[: args.limit]],
        summary=f"{failed} failed and {len(rows) - failed} unfinished rollouts of {count(total, 'workload')}",
        parts=shown,
        rows=rows,
        private=True,
    )


def _stands(obj: Object, context: CheckContext) -> dict[str, Any] | None:
    """A row for a workload that is not through; None when it is."""
    if obj.get("kind") == "Rollout":
        return _argo_rollout(obj)
    workload = read_workload(obj)
    complete = workload.observed and workload.updated >= workload.desired and workload.available >= workload.desired
    if complete and workload.current <= workload.desired:
        return None
    gave_up = workload.progress_reason == "ProgressDeadlineExceeded"
    progressing = condition(obj, "Progressing")
    state = "failed" if gave_up else "paused" if workload.paused else "not complete"
    since = age(context.now, progressing.get("lastUpdateTime")) if progressing else ""
    return {
        "workload": str(workload.ref),
        "failed": gave_up,
        "state": f"{state} for {since}" if since else state,
        "numbers": _numbers(workload),
        "said": said(progressing.get("message")) if gave_up else "",
    }


def _numbers(workload: Workload) -> str:
    return f"{workload.updated} of {workload.desired} updated, {workload.available} available"


def _argo_rollout(obj: Object) -> dict[str, Any] | None:
    status = obj.get("status") or {}
    if status.get("phase") == "Healthy":
        return None
    wanted = int(dig(obj, "spec", "replicas", default=1))
    return {
        "workload": f"Rollout {where(obj)}",
        "failed": status.get("phase") == "Degraded",
        "state": word(status.get("phase")),
        "numbers": f"{int(status.get('updatedReplicas') or 0)} of {wanted} updated, "
        f"{int(status.get('availableReplicas') or 0)} available",
        "said": said(status.get("message")),
    }


# --- audit


async def audit_workloads(args: ListArgs, context: CheckContext) -> Evidence:
    """What a node drain or a bad release would find: one copy, no probes, no requests, no budget, Recreate."""
    spaces = namespaces_of(args, context)
    budgets, *parts = await asyncio.gather(
        read(context, "PodDisruptionBudget", spaces), *(read(context, kind, spaces) for kind in WORKLOADS)
    )
    known = None if budgets.problem else budgets.items
    rows = [
        {"workload": str(read_workload(obj).ref), "findings": found}
        for p in parts
        for obj in p.items
        if (found := audit(obj, known))
    ]
    rows.sort(key=lambda r: (-len(r["findings"]), str(r["workload"])))
    counted = Counter(finding for row in rows for finding in row["findings"])
    total = sum(len(p.items) for p in parts)
    told = ", ".join(f"{n} x {what}" for what, n in counted.most_common(4))
    return hand_over(
        AUDIT,
        context,
        title=f"audit of {count(total, 'workload')} {place_of(spaces)}",
        lines=[
            *(f"{n} x {what}" for what, n in counted.most_common()),
            *(f"{r['workload']}: {', '.join(r['findings'])}" for r in rows[: args.limit]),
        ],
        summary=f"{len(rows)} of {count(total, 'workload')} with findings" + (f": {told}" if told else ""),
        parts=(*parts, budgets),
        rows=rows,
        data={"counted": dict(counted), "workloads": total},
    )


def audit(obj: Object, budgets: Sequence[Object] | None) -> list[str]:
    """Findings of one workload, in words of our own. `budgets` None: they could not be read."""
    workload = read_workload(obj)
    containers = dig(obj, "spec", "template", "spec", "containers") or ()
    daemon = obj.get("kind") == "DaemonSet"
    found = []
    if not daemon and workload.desired == 1:
        found.append("a single copy")
    if not daemon and workload.desired == 0:
        return ["no copies"]
    for key, words in (("readinessProbe", "no readiness probe"), ("livenessProbe", "no liveness probe")):
        if any(key not in c for c in containers):
            found.append(words)
    for resource in ("cpu", "memory"):
        if any(not dig(c, "resources", "requests", resource) for c in containers):
            found.append(f"no {resource} request")
    if any(not dig(c, "resources", "limits", "memory") for c in containers):
        found.append("no memory limit")
    if workload.strategy in ("Recreate", "OnDelete"):
        found.append(f"strategy {workload.strategy}")
    if any(_is_floating(str(c.get("image") or "")) for c in containers):
        found.append("image without a fixed tag")
    if not daemon and budgets is not None:
        found += _budget(obj, workload, budgets)
    return found


def _is_floating(image: str) -> bool:
    last = image.rpartition("/")[2]
    return "@" not in last and (":" not in last or last.endswith(":latest"))


def _budget(obj: Object, workload: Workload, budgets: Sequence[Object]) -> list[str]:
    template = {"metadata": {"labels": dig(obj, "spec", "template", "metadata", "labels") or {}}}
    mine = [b for b in budgets if _namespace(b) == workload.ref.namespace and _selects(b, template)]
    if not mine:
        return ["no disruption budget"] if workload.desired > 1 else []
    stuck = any(dig(b, "status", "disruptionsAllowed") == 0 and workload.available >= workload.desired for b in mine)
    return ["its budget allows no disruption"] if stuck else []


def _namespace(obj: Object) -> str:
    return str(dig(obj, "metadata", "namespace", default=""))


def _selects(budget: Object, template: Object) -> bool:
    """matchLabels and matchExpressions of a budget against the labels of a pod template."""
    labels, selector = labels_of(template), dig(budget, "spec", "selector") or {}
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    has, value = one.get("key") in labels, labels.get(str(one.get("key")))
    match one.get("operator"):
        case "In":
            return value in (one.get("values") or ())
        case "NotIn":
            return value not in (one.get("values") or ())
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
        case _:
            return False


KINDS_OF_EVIDENCE = (
    CollectorKind(HPA, ListArgs, hpa_status),
    CollectorKind(FAILED, ListArgs, failed_rollouts),
    CollectorKind(AUDIT, ListArgs, audit_workloads),
)
