"""`restarts`: how often the target's containers have restarted, and how the last run of each ended.

A pod counts its own restarts only; Prometheus knows those of the last day, also of pods that are gone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from remediator.actions.pods import name_of
from remediator.objects import dig
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.checks.workload import metric_matchers
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, bounded, target_pods
from remediator.remediation.collectors.reading import ask
from remediator.remediation.promql import select

NAME = "restarts"

METRIC = "kube_pod_container_status_restarts_total"
DAY = timedelta(hours=24)


class RestartsArgs(CollectArgs):
    """No arguments."""


async def collect(args: RestartsArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    rows: list[dict[str, Any]] = []
    for pod in await target_pods(context):
        for status in dig(pod, "status", "containerStatuses") or ():
            ended = dig(status, "lastState", "terminated") or {}
            rows.append(
                {
                    "pod": name_of(pod),
                    "container": str(status.get("name", "")),
                    "restarts": int(status.get("restartCount") or 0),
                    "reason": one_line(str(ended.get("reason") or ""), 60),
                    "exit_code": ended.get("exitCode"),
                    "finished_at": ended.get("finishedAt"),
                }
            )
    rows.sort(key=lambda row: (-row["restarts"], row["pod"], row["container"]))
    text, cut = bounded([_line(row) for row in rows], keep="begin")
    total = sum(row["restarts"] for row in rows)
    day, problem = await _last_day(context)
    return Evidence(
        kind=NAME,
        title=f"{total} restarts",
        text=f"{text}\nlast day: {day} restarts" if day is not None else text,
        data={"total": total, "containers": rows[:50], **({"last_day": day} if day is not None else {})},
        taken_at=context.now,
        truncated=cut or len(rows) > 50,
        error=problem,
        summary=f"{total} restarts in {len({row['pod'] for row in rows})} pods"
        + (f", {day} in the last day" if day is not None else ""),
    )


async def _last_day(context: CheckContext) -> tuple[int | None, str]:
    """Restarts of the target's pods in a day, None where Prometheus does not say; and why it could not be asked."""
    if context.queries is None:
        return None, ""
    try:
        scope = metric_matchers(context, context.labels)
    except Unknown:
        return None, ""
    found, problem = await ask(context, f"sum(increase({select(METRIC, *scope, window=DAY)}))")
    return (round(found[0].value) if len(found) == 1 else None), problem


def _line(row: dict[str, Any]) -> str:
    line = f"{row['pod']} / {row['container']}: {row['restarts']} restarts"
    if row["exit_code"] is not None:
        when = row["finished_at"] or "at an unknown time"
        line += f", last ended {when}: {row['reason']}, exit code {row['exit_code']}"
    return line


KIND = CollectorKind(NAME, RestartsArgs, collect)
