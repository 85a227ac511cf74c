"""`restarts`: how often the target's containers have restarted, and how the last run of each ended."""

from __future__ import annotations

from typing import Any

from remediator.actions.pods import name_of
from remediator.objects import dig
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, bounded, target_pods

NAME = "restarts"


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
    return Evidence(
        kind=NAME,
        title=f"{total} restarts",
        text=text,
        data={"total": total, "containers": rows[:50]},
        taken_at=context.now,
        truncated=cut or len(rows) > 50,
        summary=f"{total} restarts in {len({row['pod'] for row in rows})} pods",
    )


def _line(row: dict[str, Any]) -> str:
    line = f"{row['pod']} / {row['container']}: {row['restarts']} restarts"
    if row["exit_code"] is not None:
        when = row["finished_at"] or "at an unknown time"
        line += f", last ended {when}: {row['reason']}, exit code {row['exit_code']}"
    return line


KIND = CollectorKind(NAME, RestartsArgs, collect)
