"""`airflow_task_log`, `airflow_import_errors`, `airflow_status`: what Airflow says of a run, its files and itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from remediator.playbooks.fields import NAME_PATTERN
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import MAX_TEXT, CollectArgs, CollectorKind, Evidence, bounded
from remediator.remediation.outside_asking import ask

MOST_TASKS = 3

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~:+-]{1,250}$")]

TRANSIENT = re.compile(
    r"timed? ?out|connection (refused|reset|aborted|closed|lost)|server closed the connection|could not connect"
    r"|temporar(y|ily) (failure|unavailable)|too many connections|SIGTERM|evicted|preempted|zombie|heartbeat"
    r"|OperationalError|ConnectionError|503 Service|429 Too Many",
    re.IGNORECASE,
)
PERMANENT = re.compile(
    r"SyntaxError|ImportError|ModuleNotFoundError|NameError|AttributeError|TypeError|KeyError|ValueError"
    r"|does not exist|permission denied|access denied|ProgrammingError|IntegrityError|No such file"
)


def kind_of_failure(text: str) -> Literal["transient", "permanent", "unclear"]:
    """By the words of a log; both kinds of words, or neither, is unclear."""
    passing, lasting = TRANSIENT.search(text) is not None, PERMANENT.search(text) is not None
    if passing == lasting:
        return "unclear"
    return "transient" if passing else "permanent"


class TaskLogArgs(CollectArgs):
    """`run`: an id, or the last failed one. `task`: by default the failed ones, at most three. `try` 0 = the last."""

    airflow: Annotated[str, Field(pattern=NAME_PATTERN)]
    dag: Id
    run: Id = "last_failed"
    task: Id | Literal[""] = ""
    try_: Annotated[int, Field(ge=0, le=1000, alias="try")] = 0
    lines: Annotated[int, Field(ge=1, le=1000)] = 100


async def task_log(args: TaskLogArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    run = await ask(context, "airflow", args.airflow, {"about": "run", "dag": args.dag, "run": args.run})
    if not run["run"]:
        raise Unknown(f"DAG {args.dag} has no failed run")
    failed = [task for task in run["failed"] if task["state"] == "failed"]
    wanted = [{"task": args.task, "map_index": -1, "try": args.try_}] if args.task else failed[:MOST_TASKS]
    if not wanted:
        raise Unknown(f"run {run['run']} of DAG {args.dag} is {run['state']} and has no failed task")
    parts, kinds, cut = [], [], len(failed) > len(wanted) and not args.task
    for task in wanted:
        text, shortened, kind = await _one(args, context, run["run"], task, MAX_TEXT // len(wanted))
        parts.append(text)
        kinds.append(kind)
        cut = cut or shortened
    names = [str(task["task"]) for task in wanted]
    return Evidence(
        kind="airflow_task_log",
        title=f"logs of {', '.join(names)} in run {run['run']} of DAG {args.dag}",
        text="\n\n".join(parts),
        data={"dag": args.dag, "run": run["run"], "state": run["state"], "tasks": names, "failures": kinds},
        taken_at=context.now,
        truncated=cut,
        summary=f"run {one_line(run['run'], 80)} is {run['state']}, {len(failed)} tasks failed: {_kinds(kinds)}",
        private=True,
    )


def _kinds(kinds: Sequence[str]) -> str:
    return ", ".join(sorted(set(kinds)))


async def _one(
    args: TaskLogArgs, context: CheckContext, run: str, task: Mapping[str, Any], room: int
) -> tuple[str, bool, str]:
    """The end of one log with its heading, whether there was more, and what kind of failure it looks like."""
    request = {
        "about": "log",
        "dag": args.dag,
        "run": run,
        "task": task["task"],
        "map_index": task["map_index"],
        "try": args.try_ or task["try"],
    }
    log = await ask(context, "airflow", args.airflow, request)
    lines = str(log["text"]).splitlines()[-args.lines :]
    heading = f"--- {task['task']}, try {log['try']}"
    text, cut = bounded(lines, limit=room - len(heading) - 1)
    return f"{heading}\n{text}", cut or bool(log["cut"]), kind_of_failure("\n".join(lines))


class OneAirflowArgs(CollectArgs):
    """`airflow` is a name of `outside.airflow`."""

    airflow: Annotated[str, Field(pattern=NAME_PATTERN)]


async def import_errors(args: OneAirflowArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    found = await ask(context, "airflow", args.airflow, {"about": "import_errors"})
    errors: Sequence[Mapping[str, Any]] = found["errors"]
    lines = [line for one in errors for line in (f"--- {one['file']} at {one['at']}", *one["trace"].splitlines())]
    text, cut = bounded(lines, keep="begin")
    return Evidence(
        kind="airflow_import_errors",
        title=f"{found['total']} DAG files cannot be imported",
        text=text,
        data={"total": found["total"], "files": [one["file"] for one in errors]},
        taken_at=context.now,
        truncated=cut or found["total"] > len(errors),
        summary=f"{found['total']} DAG files with import errors",
        private=True,
    )


async def status(args: OneAirflowArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    found = await ask(context, "airflow", args.airflow, {"about": "status"})
    ill = sorted(part for part, said in found["health"].items() if said != "healthy")
    full = sorted(pool["name"] for pool in found["pools"] if pool["open"] == 0)
    queued = sum(pool["queued"] for pool in found["pools"])
    lines = [f"{part}: {said}" for part, said in found["health"].items()]
    lines += [
        f"pool {pool['name']}: {pool['slots']} slots, {pool['open']} open, {pool['running']} running, "
        f"{pool['queued']} queued, {pool['scheduled']} scheduled"
        for pool in found["pools"]
    ]
    text, cut = bounded(lines, keep="begin")
    slots = f"{len(full)} pools without a free slot" if full else "free slots in all pools"
    return Evidence(
        kind="airflow_status",
        title=f"Airflow {args.airflow}: {', '.join(ill) + ' not healthy' if ill else 'healthy'}",
        text=text,
        data={"health": dict(found["health"]), "queued": queued, "full": full, "pools": list(found["pools"])[:50]},
        taken_at=context.now,
        truncated=cut or len(found["pools"]) > 50,
        summary=f"{', '.join(ill) + ' not healthy; ' if ill else ''}{queued} tasks queued; {slots}",
    )


TASK_LOG = CollectorKind("airflow_task_log", TaskLogArgs, task_log)
IMPORT_ERRORS = CollectorKind("airflow_import_errors", OneAirflowArgs, import_errors)
STATUS = CollectorKind("airflow_status", OneAirflowArgs, status)
