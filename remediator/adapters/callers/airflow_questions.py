"""What is asked of Airflow, each answer in few words: a run with what failed in it, a log, import errors, free slots.

Whatever is missing from an answer, or more than we read, is CannotSee: half a list of failed tasks is no list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from remediator.adapters.callers.airflow_api import MOST_TASKS, PAGE, AirflowApi, named
from remediator.errors import CannotSee, NotFound
from remediator.objects import dig

LAST_FAILED = "last_failed"
FAILED = ("failed", "upstream_failed")
"""States that clearing only what has failed takes in."""
NEEDED = ("metadatabase", "scheduler")
MAX_LOG = 32 * 1024
MOST_ERRORS = 20
TRACE_LINES = 20
MOST_FRAMES = 10
"""Of a traceback in a log, the innermost."""

Request = Mapping[str, Any]


async def dag(api: AirflowApi, request: Request) -> dict[str, Any]:
    """`{"dag", "tags", "paused", "import_errors", "active"}`: how many runs are queued or running."""
    path = f"/dags/{named('DAG', request.get('dag'))}"
    found, active = await asyncio.gather(
        api.get(path), api.get(f"{path}/dagRuns", [("state", "running"), ("state", "queued"), ("limit", "1")])
    )
    return {**_dag(found), "active": _count(active)}


async def run(api: AirflowApi, request: Request) -> dict[str, Any]:
    """A run and what failed in it; `run: last_failed` is the one that started last of those that failed.

    `{"dag", "run", "state", "tags", "paused", "import_errors", "failed"}`, and of what failed `{"task", "map_index",
    "state", "try", "max_tries", "retries"}`.
    `retries` is what the DAG says now, None for a task that it has no more.
    """
    base = f"/dags/{named('DAG', request.get('dag'))}"
    wanted = request.get("run")
    if wanted == LAST_FAILED:
        query = [("state", "failed"), ("order_by", "-start_date"), ("limit", "1")]
        runs = dig(await api.get(f"{base}/dagRuns", query), "dag_runs")
        if not isinstance(runs, list):
            raise CannotSee(f"{api.name} gave no list of runs")
        if not runs:
            return {**_dag(await api.get(base)), "run": ""}
        wanted = runs[0].get("dag_run_id")
    path = f"{base}/dagRuns/{named('run', wanted)}"
    found, one, tasks, structure = await asyncio.gather(
        api.get(base), api.get(path), instances(api, path), api.get(f"{base}/tasks")
    )
    retries = _retries(structure)
    failed = [
        {**task, "retries": retries.get(task["task"])} for task in map(_instance, tasks) if task["state"] in FAILED
    ]
    return {**_dag(found), "run": wanted, "state": _text(one, "state"), "failed": failed}


async def log(api: AirflowApi, request: Request) -> dict[str, Any]:
    """The end of a task's log: `{"text", "cut"}`. `try` 0 is its last try."""
    path = (
        f"/dags/{named('DAG', request.get('dag'))}/dagRuns/{named('run', request.get('run'))}"
        f"/taskInstances/{named('task', request.get('task'))}"
    )
    index = int(request.get("map_index", -1))
    number = int(request.get("try") or 0)
    if number < 1:
        where = path if index < 0 else f"{path}/{index}"
        number = int(dig(await api.get(where), "try_number") or 0)
        if number < 1:
            raise NotFound("the task has not been tried yet, so it has no log")
    params = [("map_index", str(index))] if index >= 0 else []
    accept = {} if api.v2 else {"Accept": "text/plain"}
    answer = await api.read(f"{path}/logs/{number}", [*params, ("full_content", "false")], accept)
    text = _log_text(answer.json()) if api.v2 else answer.body.decode("utf-8", "replace")
    if text is None or (answer.cut and api.v2):
        raise CannotSee(f"the log is longer than we read, or of a form that we do not know: see {api.name}")
    return {"text": text[-MAX_LOG:], "cut": len(text) > MAX_LOG or answer.cut, "try": number}


async def import_errors(api: AirflowApi, request: Request) -> dict[str, Any]:
    """`{"total", "errors": [{"file", "at", "trace"}]}`, at most 20 of them."""
    answer = await api.get("/importErrors", [("limit", str(MOST_ERRORS))])
    errors = dig(answer, "import_errors")
    if not isinstance(errors, list):
        raise CannotSee(f"{api.name} gave no list of import errors")
    told = [
        {
            "file": str(one.get("filename") or "")[:300],
            "at": str(one.get("timestamp") or "")[:40],
            "trace": "\n".join(str(one.get("stack_trace") or "").splitlines()[-TRACE_LINES:])[:4000],
        }
        for one in errors[:MOST_ERRORS]
    ]
    return {"total": _count(answer), "errors": told}


async def status(api: AirflowApi, request: Request) -> dict[str, Any]:
    """`{"health": {"scheduler": "healthy"}, "pools": [{"name", "slots", "open", "queued", "running", "scheduled"}]}`.

    `open` -1 is a pool without a limit. A triggerer or a DAG processor that has never been there has no status.
    """
    health, pools = await asyncio.gather(
        api.get("/monitor/health" if api.v2 else "/health"), api.get("/pools", [("limit", str(PAGE))])
    )
    found = dig(pools, "pools")
    if not isinstance(found, list) or len(found) < min(_count(pools), PAGE):
        raise CannotSee(f"{api.name} gave no list of pools")
    return {
        "health": {
            part: str(dig(health, part, "status") or "unknown")[:40]
            for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
            if part in NEEDED or dig(health, part, "status") is not None
        },
        "pools": [
            {"name": str(one["name"])[:250]}
            | {
                key: int(one[f"{key}_slots"])
                for key in ("open", "queued", "running", "scheduled")
                if f"{key}_slots" in one
            }
            | {"slots": int(one["slots"])}
            for one in found
        ],
    }


QUESTIONS: Mapping[str, Callable[[AirflowApi, Request], Awaitable[dict[str, Any]]]] = {
    "dag": dag,
    "run": run,
    "log": log,
    "import_errors": import_errors,
    "status": status,
}


async def instances(api: AirflowApi, run_path: str) -> list[Mapping[str, Any]]:
    """All task instances of a run. Raises: CannotSee also for more than 500."""
    found: list[Mapping[str, Any]] = []
    while True:
        page = await api.get(f"{run_path}/taskInstances", [("limit", str(PAGE)), ("offset", str(len(found)))])
        items, total = dig(page, "task_instances"), _count(page)
        if not isinstance(items, list) or total > MOST_TASKS:
            raise CannotSee(f"{api.name}: {total} task instances, at most {MOST_TASKS} are read")
        found += items
        if len(found) >= total:
            return found
        if not items:
            raise CannotSee(f"{api.name}: {len(found)} of {total} task instances were given")


def key_of(task: Mapping[str, Any]) -> str:
    """`load`, or `load[3]` of a mapped task."""
    return task["task"] if task["map_index"] < 0 else f"{task['task']}[{task['map_index']}]"


def told(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task instance in our words."""
    return _instance(task)


def _instance(task: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {
            "task": str(task["task_id"]),
            "map_index": int(task.get("map_index", -1)),
            "state": str(task.get("state") or ""),
            "try": int(task.get("try_number") or 0),
            "max_tries": int(task["max_tries"]),
        }
    except (KeyError, TypeError, ValueError) as exc:
        raise CannotSee(f"a task instance cannot be read: {type(exc).__name__}") from exc


def _dag(found: Mapping[str, Any]) -> dict[str, Any]:
    tags = found.get("tags") or []
    paused = found.get("is_paused")
    if not isinstance(tags, list) or not isinstance(paused, bool):
        raise CannotSee("the DAG's tags, or whether it is paused, cannot be read")
    return {
        "dag": _text(found, "dag_id"),
        "tags": [str(tag.get("name") if isinstance(tag, Mapping) else tag) for tag in tags],
        "paused": paused,
        "import_errors": bool(found.get("has_import_errors")),
    }


def _retries(structure: Mapping[str, Any]) -> dict[str, int]:
    tasks = structure.get("tasks")
    if not isinstance(tasks, list):
        raise CannotSee("the DAG's tasks cannot be read")
    return {str(task["task_id"]): int(task.get("retries") or 0) for task in tasks}


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value:
        raise CannotSee(f"Airflow's answer has no {key}")
    return value


def _count(page: Mapping[str, Any]) -> int:
    total = page.get("total_entries")
    if not isinstance(total, int) or isinstance(total, bool):
        raise CannotSee("Airflow's answer does not say how many there are")
    return total


def _log_text(content: Any) -> str | None:
    """v2: a list of lines, or of events with a time; older ones have one text."""
    lines = dig(content, "content")
    if isinstance(lines, str):
        return lines
    if not isinstance(lines, list):
        return None
    return "\n".join(line if isinstance(line, str) else _event(line) for line in lines)


def _event(line: Any) -> str:
    if not isinstance(line, Mapping):
        return ""
    parts = (line.get("timestamp"), line.get("level"), line.get("event"))
    return "\n".join((" ".join(str(part) for part in parts if part), *_raised(line.get("error_detail"))))


def _raised(detail: Any) -> Iterator[str]:
    """What went wrong, which is beside the event that only says so; its cause first, as Python writes it."""
    for error in reversed(_mappings(detail)):
        for frame in _mappings(error.get("frames"))[-MOST_FRAMES:]:
            yield f"  File {frame.get('filename')}, line {frame.get('lineno')}, in {frame.get('name')}"
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"


def _mappings(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
