"""The caller `airflow`: what becomes of runs and DAGs. Questions are in `airflow_questions`.

send  {"do": "clear", "dag", "run", "tasks": [...], "tries": {task: max_tries}}   failed tasks of one run, again
      {"do": "trigger", "dag", "run", "conf": {...}}                              a run under this very id
      {"do": "pause"} / {"do": "unpause"} with "dag"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.adapters.callers.airflow_api import AirflowApi, named
from remediator.adapters.callers.airflow_questions import QUESTIONS, instances, key_of, told
from remediator.adapters.callers.http_wire import Answered, read_failure, send_failure
from remediator.errors import CannotSee, Forbidden, NotFound, ReadError, Refused, Uncertain
from remediator.outside import Airflow
from remediator.ports import Found

Request = Mapping[str, Any]


class AirflowCaller:
    """`place` is the name of an Airflow in the configuration."""

    def __init__(self, places: tuple[Airflow, ...]) -> None:
        """Raises: InvalidConfig."""
        self._places = {one.name: AirflowApi(one) for one in places}

    async def close(self) -> None:
        for api in self._places.values():
            await api.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        api, about = self._api(place), str(request.get("about", ""))
        question = QUESTIONS.get(about)
        if question is None:
            raise NotFound(f"{about!r:.40} cannot be asked; {', '.join(sorted(QUESTIONS))} can")
        return await question(api, request)

    async def rehearse(self, place: str, request: Request) -> str:
        """Clearing: which task instances Airflow would take; otherwise whether the DAG is there. Raises: Refused,
        ReadError."""
        api = self._api(place)
        if request.get("do") != "clear":
            await api.get(f"/dags/{named('DAG', request.get('dag'))}")
            return ""
        answer = await api.ask_by_post(_path(request, "clearTaskInstances"), _clear_body(request, dry_run=True))
        if answer.status in (404, 422, 400):
            raise Refused(api.wire.said(answer))
        if answer.status != 200:
            raise read_failure(api.wire, answer)
        taken = _taken(answer)
        if not taken:
            raise Refused(f"{api.name} would clear nothing: the tasks are not failed any more")
        return f"{api.name} would clear {len(taken)} task instances: {', '.join(taken[:10])}"

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            api = self._api(place)
            match request.get("do"):
                case "clear":
                    return await _clear(api, request)
                case "trigger":
                    return await _trigger(api, request, key)
                case "pause" | "unpause" as what:
                    return await _pause(api, request, paused=what == "pause")
                case other:
                    raise Refused(f"airflow cannot do {other!r:.40}")
        except (NotFound, Forbidden) as exc:  # before anything was sent
            raise Refused(str(exc)) from exc

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """What is there now proves that it happened; what is not there yet may still come. Raises: ReadError."""
        api = self._api(place)
        base = f"/dags/{named('DAG', request.get('dag'))}"
        match request.get("do"):
            case "trigger":
                return "happened" if await _run_exists(api, request) else "unknown"
            case "pause" | "unpause" as what:
                return "happened" if (await api.get(base)).get("is_paused") is (what == "pause") else "unknown"
            case _:
                path = f"{base}/dagRuns/{named('run', request.get('run'))}"
                return "happened" if _all_raised(request, await instances(api, path)) else "unknown"

    def _api(self, place: str) -> AirflowApi:
        """Raises: NotFound."""
        found = self._places.get(place)
        if found is None:
            known = ", ".join(sorted(self._places)) or "none"
            raise NotFound(f"outside.airflow has no {place!r:.80}; there are: {known}")
        return found


def _path(request: Request, what: str) -> str:
    """Raises: NotFound."""
    return f"/dags/{named('DAG', request.get('dag'))}/{what}"


def _clear_body(request: Request, *, dry_run: bool) -> dict[str, Any]:
    """Everything said, because Airflow's defaults are not ours: without `dry_run` it answers 200 and does nothing.

    Raises: Refused without tasks: Airflow would take all of them.
    """
    tasks = [str(task) for task in request.get("tasks") or ()]
    if not tasks:
        raise Refused("no tasks to clear are named")
    return {
        "dry_run": dry_run,
        "dag_run_id": str(request.get("run") or ""),
        "task_ids": tasks,
        "only_failed": True,
        "only_running": False,
        "reset_dag_runs": True,
        "include_upstream": False,
        "include_downstream": False,
        "include_future": False,
        "include_past": False,
    }


async def _clear(api: AirflowApi, request: Request) -> Mapping[str, Any]:
    """Raises: EffectError, NotFound."""
    named("run", request.get("run"))
    answer = await api.send("POST", _path(request, "clearTaskInstances"), _clear_body(request, dry_run=False))
    if answer.status != 200:
        raise send_failure(api.wire, answer)
    taken = _cleared(answer)
    if not taken:
        raise Refused(f"{api.name} cleared nothing: the tasks are not failed any more")
    return {"cleared": taken[:100], "says": f"cleared {len(taken)} task instances"}


def _cleared(answer: Answered) -> list[str]:
    try:
        return _taken(answer)
    except CannotSee as exc:
        raise Uncertain(str(exc)) from exc


def _taken(answer: Answered) -> list[str]:
    """The task instances of an answer to clearing. Raises: CannotSee."""
    content = answer.json()
    found = content.get("task_instances") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise CannotSee("Airflow's answer does not say what it cleared")
    return [str(one.get("task_id", "")) for one in found if isinstance(one, Mapping)]


async def _trigger(api: AirflowApi, request: Request, key: str) -> Mapping[str, Any]:
    """409: this id is taken, by an earlier sending of the same. Raises: EffectError, NotFound."""
    named("run", request.get("run"))
    body: dict[str, Any] = {"dag_run_id": request["run"], "conf": dict(request.get("conf") or {})}
    if api.v2:  # it must be said, also that there is none
        body |= {"logical_date": None, "note": f"started by remediator, effect {key}"[:1000]}
    answer = await api.send("POST", _path(request, "dagRuns"), body)
    if answer.status in (200, 201):
        return {"run": request["run"], "says": f"run {request['run']} was started"}
    if answer.status != 409:
        raise send_failure(api.wire, answer)
    try:
        there = await _run_exists(api, request)
    except ReadError as exc:
        raise Uncertain(f"{api.wire.said(answer)}; whether the run is there cannot be seen: {exc}") from exc
    if not there:
        raise Refused(api.wire.said(answer))
    return {"run": request["run"], "already": True, "says": f"run {request['run']} was started already"}


async def _run_exists(api: AirflowApi, request: Request) -> bool:
    """Raises: ReadError."""
    try:
        await api.get(f"{_path(request, 'dagRuns')}/{named('run', request.get('run'))}")
    except NotFound:
        return False
    return True


async def _pause(api: AirflowApi, request: Request, *, paused: bool) -> Mapping[str, Any]:
    """Raises: EffectError, NotFound."""
    answer = await api.send(
        "PATCH", f"/dags/{named('DAG', request.get('dag'))}?update_mask=is_paused", {"is_paused": paused}
    )
    if answer.status != 200:
        raise send_failure(api.wire, answer)
    content = answer.json()
    if not isinstance(content, dict) or content.get("is_paused") is not paused:
        raise Uncertain(f"{api.name} answered 200, but not that the DAG is {'paused' if paused else 'on'}")
    return {"paused": paused, "says": f"the DAG is {'paused' if paused else 'on'}"}


def _all_raised(request: Request, tasks: list[Mapping[str, Any]]) -> bool:
    """Clearing gives a task that ran more tries: all of those that had failed have more than when we looked."""
    before = request.get("tries")
    if not isinstance(before, Mapping) or not before:
        return False
    now = {key_of(task): task["max_tries"] for task in map(told, tasks)}
    return all(now.get(task, -1) > tries for task, tries in before.items())
