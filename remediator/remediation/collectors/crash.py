"""`crash_report`: how the target's containers ended last, how often, and the end of the log from before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.pods import name_of
from remediator.errors import ReadError
from remediator.objects import Object, dig, ref_of
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import MAX_TEXT, CollectArgs, CollectorKind, Evidence, bounded, target_pods
from remediator.remediation.collectors.reading import age, count, one_word, said, time_of, word

NAME = "crash_report"

SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
"""What exit codes above 128 mean."""


class CrashArgs(CollectArgs):
    """`pods`: how many, the most troubled ones. `lines`: of the log before the last crash."""

    pods: Annotated[int, Field(ge=1, le=5)] = 2
    lines: Annotated[int, Field(ge=0, le=300)] = 40


async def collect(args: CrashArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError (pods cannot be listed). A log that cannot be read is said in its place."""
    pods = await target_pods(context)
    crashed = [(pod, status) for pod in pods for status in _statuses(pod) if _last(status)]
    named = list(dict.fromkeys(name_of(pod) for pod, _ in crashed))[: args.pods]
    shown = [(pod, status) for pod, status in crashed if name_of(pod) in named]
    if not pods:
        raise Unknown("the target has no pods")
    room = MAX_TEXT // max(1, len(shown)) - 400
    parts = await asyncio.gather(*(_one(args, context, pod, status, room) for pod, status in shown))
    rows = [_row(pod, status) for pod, status in crashed]
    killed = sum(1 for row in rows if row["reason"] == "OOMKilled")
    reasons = sorted({str(row["told"]) for row in rows})
    return Evidence(
        kind=NAME,
        title=f"crashes of {count(len(rows), 'container')}",
        text="\n\n".join(text for text, _ in parts) or "no container has ended before",
        data={"containers": rows[:50], "oom_killed": killed},
        taken_at=context.now,
        truncated=any(cut for _, cut in parts) or len(rows) > len(shown),
        summary=f"{count(len(rows), 'container')} crashed: {', '.join(reasons[:4])}" if rows else "no crashes",
        private=True,
    )


def _statuses(pod: Object) -> list[Mapping[str, Any]]:
    return [*(dig(pod, "status", "initContainerStatuses") or ()), *(dig(pod, "status", "containerStatuses") or ())]


def _last(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """How it ended: this run, where that is over with an error, else the one before."""
    now = dig(status, "state", "terminated") or {}
    return dict(now) if now and now.get("exitCode") != 0 else dict(dig(status, "lastState", "terminated") or {})


def _row(pod: Object, status: Mapping[str, Any]) -> dict[str, Any]:
    ended = _last(status)
    reason, code = one_word(ended.get("reason")), ended.get("exitCode")
    return {
        "pod": name_of(pod),
        "container": str(status.get("name", "")),
        "restarts": int(status.get("restartCount") or 0),
        "reason": reason,
        "exit_code": code,
        "told": f"{reason} (exit code {code}{_signal(code)})",
        "finished_at": ended.get("finishedAt"),
        "waiting": word(dig(status, "state", "waiting", "reason")),
    }


def _signal(code: object) -> str:
    name = SIGNALS.get(code) if isinstance(code, int) else None
    return f", {name}" if name else ""


async def _one(
    args: CrashArgs, context: CheckContext, pod: Object, status: Mapping[str, Any], room: int
) -> tuple[str, bool]:
    """One container: its end in a line, its limits, and the log from before."""
    row, ended = _row(pod, status), _last(status)
    lived = f", after {age(time_of(ended.get('finishedAt')) or context.now, ended.get('startedAt'))}" if ended else ""
    lines = [
        f"--- {row['pod']} / {row['container']}: {row['told']} {age(context.now, row['finished_at'])} ago{lived}, "
        f"{row['restarts']} restarts, now {'waiting: ' + row['waiting'] if row['waiting'] != '-' else 'started'}",
    ]
    if row["reason"] == "OOMKilled":
        lines.append(f"memory limit {word(_limit(pod, row['container']))}")
    if ended.get("message"):
        lines.append(f"it said{said(ended['message'], 400)}")
    log, why = await _log(args, context, pod, row["container"]) if args.lines else ([], "")
    if why:
        lines.append(f"previous log: {why}")
    heading, _ = bounded(lines, keep="begin")
    text, cut = bounded(log, limit=max(200, room - len(heading)))
    return (f"{heading}\n{text}" if text else heading), cut


def _limit(pod: Object, container: str) -> str:
    for one in dig(pod, "spec", "containers") or ():
        if one.get("name") == container:
            return str(dig(one, "resources", "limits", "memory", default="not set"))
    return "not known"


async def _log(args: CrashArgs, context: CheckContext, pod: Object, container: str) -> tuple[list[str], str]:
    """The end of the log before the last crash, or why it cannot be read."""
    try:
        text = await context.cluster.logs(
            ref_of({"kind": "Pod", **pod}), container=container, previous=True, lines=args.lines, limit_bytes=MAX_TEXT
        )
    except ReadError as exc:
        return [], one_line(str(exc) or type(exc).__name__, 200)
    return text.splitlines()[-args.lines :], ""


KIND = CollectorKind(NAME, CrashArgs, collect)
