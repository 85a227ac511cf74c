"""An Airflow that keeps to its API's documents: what they require, refuse and do when they are not told otherwise."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer
from tests.support.openapi import Document

USER, PASSWORD = "remediator", "airflow-password-1"

TRIGGER_KEYS = {
    "dag_run_id",
    "data_interval_start",
    "data_interval_end",
    "logical_date",
    "run_after",
    "conf",
    "note",
    "partition_key",
}
CLEAR_KEYS = {
    "dry_run",
    "start_date",
    "end_date",
    "only_failed",
    "only_running",
    "reset_dag_runs",
    "task_ids",
    "dag_run_id",
    "include_upstream",
    "include_downstream",
    "include_future",
    "include_past",
}
"""What both versions take."""


def task(name: str, state: str, *, tries: int = 3, max_tries: int = 2, map_index: int = -1) -> dict[str, Any]:
    """A task instance; by default its retries (2) are used up."""
    return {
        "task_id": name,
        "state": state,
        "try_number": tries,
        "max_tries": max_tries,
        "map_index": map_index,
        "operator": "PythonOperator",
    }


class FakeAirflow(FakeServer):
    """One DAG `load` with retries 2. `v2` says which API it speaks, `document` what may be said in it."""

    def __init__(self, *, v2: bool = True, document: Document | None = None) -> None:
        super().__init__()
        self.document = document
        self.v2 = v2
        self.token = "jwt-0"
        self.no_token = (401, "Token Expired")
        self.tokens = 0
        self.dag: dict[str, Any] = {
            "dag_id": "load",
            "is_paused": False,
            "has_import_errors": False,
            "tags": [{"name": "retry_safe"}],
        }
        self.runs: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.retries: dict[str, float] = {"extract": 2.0, "write": 2.0, "report": 0.0}
        self.log: Any = [
            {"event": "::group::Log message source details"},
            {
                "timestamp": "2025-06-01T10:00:00Z",
                "level": "error",
                "event": "Task failed with exception",
                "error_detail": [
                    raised("ConnectionError", "connection reset by peer", "load.py", is_cause=False),
                    raised("TimeoutError", "timed out", "client.py", is_cause=True),
                ],
            },
        ]
        self.import_errors: list[dict[str, Any]] = []
        self.pools: list[dict[str, Any]] = []
        self.bodies: list[Any] = []
        self.page_limit = 100

    def failed_run(self, run: str, *tasks: Mapping[str, Any], start: str = "2025-06-01T10:00:00Z") -> None:
        self.runs[run] = {"dag_run_id": run, "dag_id": "load", "state": "failed", "start_date": start}
        self.tasks[run] = [dict(one) for one in tasks]

    def app(self) -> web.Application:
        app = web.Application()
        base = "/api/v2" if self.v2 else "/api/v1"
        one = f"{base}/dags/{{dag}}/dagRuns/{{run}}"
        routes = {
            ("GET", f"{base}/dags/{{dag}}"): self._dag,
            ("PATCH", f"{base}/dags/{{dag}}"): self._patch,
            ("GET", f"{base}/dags/{{dag}}/tasks"): self._structure,
            ("GET", f"{base}/dags/{{dag}}/dagRuns"): self._runs,
            ("POST", f"{base}/dags/{{dag}}/dagRuns"): self._trigger,
            ("POST", f"{base}/dags/{{dag}}/clearTaskInstances"): self._clear,
            ("GET", one): self._run,
            ("GET", f"{one}/taskInstances"): self._instances,
            ("GET", f"{one}/taskInstances/{{task}}"): self._instance,
            ("GET", f"{one}/taskInstances/{{task}}/logs/{{try}}"): self._log,
            ("GET", f"{base}/importErrors"): self._import_errors,
            ("GET", f"{base}/pools"): self._pools,
            ("GET", f"{base}/monitor/health" if self.v2 else f"{base}/health"): self._health,
        }
        for (method, path), handler in routes.items():
            app.router.add_route(method, path, self._guard(f"{method} {path.removeprefix(base)}", handler))
        if self.v2:
            app.router.add_post("/auth/token", self._token)
        return app

    def _guard(self, call: str, handler: Any) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            wanted = f"Bearer {self.token}"
            if not self.v2:
                wanted = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if (given := request.headers.get("Authorization")) != wanted:
                self.calls.append("401")
                return _detail(*self.no_token) if self.v2 and given else _detail(401, "Not authenticated")
            if "dag" in request.match_info and request.match_info["dag"] != "load":
                return _detail(404, f"The Dag with ID: `{request.match_info['dag']}` was not found")
            return await self.guarded(call, request, checked, lambda error: _detail(400, error))

        async def checked(request: web.Request) -> web.Response:
            answer: web.Response = await handler(request)
            if self.document is not None:
                self.violations += _violations(self.document, request, await request.read(), answer)
            return answer

        return answer

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body != {"username": USER, "password": PASSWORD}:
            return _detail(401, "Invalid credentials")
        self.tokens += 1
        self.token = f"jwt-{self.tokens}"
        return web.json_response({"access_token": self.token}, status=201)

    async def _dag(self, request: web.Request) -> web.Response:
        return web.json_response(self.dag)

    async def _patch(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if set(body) != {"is_paused"}:
            return self._invalid("extra fields not permitted")
        self.dag["is_paused"] = body["is_paused"]
        return web.json_response(self.dag)

    async def _structure(self, request: web.Request) -> web.Response:
        tasks = [{"task_id": name, "retries": count} for name, count in self.retries.items()]
        return web.json_response({"tasks": tasks} | ({"total_entries": len(tasks)} if self.v2 else {}))

    async def _runs(self, request: web.Request) -> web.Response:
        states = request.query.getall("state", [])
        found = [run for run in self.runs.values() if run["state"] in states]
        if request.query.get("order_by") == "-start_date":
            found.sort(key=lambda run: str(run["start_date"]), reverse=True)
        page = found[: int(request.query.get("limit", "50"))]
        return web.json_response({"dag_runs": page, "total_entries": len(found)})

    async def _run(self, request: web.Request) -> web.Response:
        run = self.runs.get(request.match_info["run"])
        return _detail(404, "The DagRun was not found") if run is None else web.json_response(run)

    async def _instances(self, request: web.Request) -> web.Response:
        found = self.tasks.get(request.match_info["run"], [])
        start, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "50"))
        page = found[start : start + min(limit, self.page_limit)]
        return web.json_response({"task_instances": page, "total_entries": len(found)})

    async def _instance(self, request: web.Request) -> web.Response:
        for one in self.tasks.get(request.match_info["run"], []):
            if one["task_id"] == request.match_info["task"]:
                return web.json_response(one)
        return _detail(404, "Task instance not found")

    async def _log(self, request: web.Request) -> web.Response:
        if not self.v2:
            if request.headers["Accept"] != "text/plain":
                return _detail(406, "text/plain")
            return web.Response(text=str(self.log))
        return web.json_response({"content": self.log, "continuation_token": None})

    async def _trigger(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if self.v2 and (set(body) - TRIGGER_KEYS or "logical_date" not in body):
            return self._invalid("logical_date is required, other keys are not permitted")
        run = body["dag_run_id"]
        if run in self.runs:
            said = f"DAGRun with DAG ID: 'load' and DAGRun ID: '{run}' already exists"
            return _detail(409, {"reason": "Unique constraint violation", "message": "hidden"} if self.v2 else said)
        self.runs[run] = {"dag_run_id": run, "dag_id": "load", "state": "queued", "start_date": "2025-06-02T00:00:00Z"}
        return web.json_response(self.runs[run])

    async def _clear(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if set(body) - CLEAR_KEYS or body.get("task_ids") == []:
            return self._invalid("this body is not valid")
        if body.get("only_failed", True) and body.get("only_running", False):
            return self._invalid("only_failed and only_running both are set to True")
        run = body["dag_run_id"]
        if run not in self.runs:
            return _detail(404, f"Dag Run id {run} not found in dag load")
        wanted = body.get("task_ids")
        taken = [
            one
            for one in self.tasks[run]
            if (wanted is None or one["task_id"] in wanted)
            and (not body.get("only_failed", True) or one["state"] in ("failed", "upstream_failed"))
        ]
        if not body.get("dry_run", True):
            for one in taken:
                one["max_tries"] = one["try_number"] + int(self.retries.get(one["task_id"], 0))
                one["state"] = None
            if taken and body.get("reset_dag_runs", True):
                self.runs[run]["state"] = "queued"
        if not self.v2:  # references, and no count
            keys = {"dag_id": "load", "dag_run_id": run, "execution_date": "2025-06-01T10:00:00+00:00"}
            return web.json_response({"task_instances": [{"task_id": one["task_id"], **keys} for one in taken]})
        return web.json_response({"task_instances": taken, "total_entries": len(taken)})

    async def _import_errors(self, request: web.Request) -> web.Response:
        page = self.import_errors[: int(request.query["limit"])]
        return web.json_response({"import_errors": page, "total_entries": len(self.import_errors)})

    async def _pools(self, request: web.Request) -> web.Response:
        return web.json_response({"pools": self.pools, "total_entries": len(self.pools)})

    async def _health(self, request: web.Request) -> web.Response:
        """There has never been a triggerer."""
        health = {"metadatabase": "healthy", "scheduler": "unhealthy", "triggerer": None, "dag_processor": "healthy"}
        return web.json_response({part: {"status": status} for part, status in health.items()})

    def _invalid(self, text: str) -> web.Response:
        return _detail(422 if self.v2 else 400, text)


def _violations(document: Document, request: web.Request, body: bytes, answer: web.Response) -> list[str]:
    """What we sent counts only when the fake took it: tests also send what it has to refuse."""
    said = json.loads(answer.text or "") if answer.content_type == "application/json" else answer.text
    found = list(document.answer(request.method, request.path, answer.status, answer.content_type, said))
    if answer.status < 400:
        query = list(request.query.items())
        found += document.request(request.method, request.path, query, json.loads(body) if body else None)
    return found


def _detail(status: int, said: Any) -> web.Response:
    return web.json_response({"detail": said}, status=status)


def raised(kind: str, text: str, file: str, *, is_cause: bool) -> dict[str, Any]:
    """An exception as Airflow 3 logs it: what was raised last comes first, then what it was raised from."""
    frames = [{"filename": file, "lineno": n, "name": "call"} for n in range(1, 31)]
    return {"exc_type": kind, "exc_value": text, "exc_notes": [], "is_cause": is_cause, "frames": frames}


def pool(name: str, slots: int, *, running: int = 0, queued: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "slots": slots,
        "occupied_slots": running + queued,
        "running_slots": running,
        "queued_slots": queued,
        "scheduled_slots": 0,
        "open_slots": slots - running - queued,
        "deferred_slots": 0,
        "include_deferred": False,
    }
