"""Airflow itself: a program of its own environment, as what it is built on does not fit our pins.

Skipped unless `AIRFLOW` (version 3) or `AIRFLOW_2` says where its program `airflow` is; `REQUIRE_AIRFLOW=1` and
`REQUIRE_AIRFLOW_2=1` turn that into a failure. Install `requirements/airflow.txt` or `requirements/airflow-2.txt` into
an environment of its own. A scheduler runs, so what is started or cleared is done as in earnest, and fails as told.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.controlplane.process import Server, free_port, wait_until
from tests.support.openapi import Document

USER, PASSWORD = "remediator", "airflow-password-1"
READER, READER_PASSWORD = "reader", "airflow-password-2"
PATIENCE_S = 600.0
"""Seconds on an idle machine, minutes on one that does a lot besides."""

DAGS = '''
from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task


def dag(name, **more):
    at_once = {"retry_delay": timedelta(0)}
    return DAG(name, schedule=None, start_date=datetime(2025, 1, 1), default_args=at_once, catchup=False, **more)


with dag("load", tags=["retry_safe"], is_paused_upon_creation=False):

    @task(retries=1)
    def write(ti=None, dag_run=None):
        """The third try succeeds, unless the run says how many are to fail."""
        if ti.try_number <= dag_run.conf.get("failures", 2):
            raise ConnectionError("connection reset by peer")

    @task
    def report():
        print("all is written")

    write() >> report()

with dag("parts", is_paused_upon_creation=False):

    @task
    def part(number):
        if number == 1:
            raise PermissionError("permission denied for part 1")

    part.expand(number=[0, 1])

with dag("idle", is_paused_upon_creation=True):

    @task
    def nothing():
        pass

    nothing()
'''
BROKEN = "from airflow import DAG\nimport a_module_that_nobody_has\n"


@dataclass(frozen=True, slots=True)
class Running:
    """`api` is how remediator calls it: v2 is the API of Airflow 3, v1 that of Airflow 2."""

    address: str
    api: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Past our client, to see what is really so. Raises: urllib.error.HTTPError."""
        return _json(method, f"{self.address}/api/{self.api}{path}", body, self._login())

    def state(self, dag: str, run: str) -> str:
        return str(self.call("GET", f"/dags/{dag}/dagRuns/{run}")["state"])

    def start(self, dag: str, run: str, **conf: Any) -> None:
        body = {"dag_run_id": run, "conf": conf} | ({"logical_date": None} if self.api == "v2" else {})
        self.call("POST", f"/dags/{dag}/dagRuns", body)

    def wait(self, dag: str, run: str, state: str) -> None:
        wait_until(
            lambda: self.state(dag, run) == state,
            timeout_s=PATIENCE_S,
            interval_s=0.5,
            what=f"run {run} of {dag} is {state}",
        )

    def answers(self) -> bool:
        return bool(_json("GET", f"{self.address}/api/{self.api}/health"))

    def is_ready(self) -> bool:
        """All files of DAGs have been read."""
        dags = self.call("GET", "/dags?limit=10")["total_entries"]
        return bool(dags == 3 and self.call("GET", "/importErrors")["total_entries"] == 1)

    def _login(self) -> str:
        if self.api == "v1":
            return "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        who = {"username": USER, "password": PASSWORD}
        return f"Bearer {_json('POST', f'{self.address}/auth/token', who)['access_token']}"


@cache
def document(api: str) -> Document | None:
    """What Airflow says of its API; None where it is not installed. Raises: FileNotFoundError where it has to be."""
    version_3, version_2 = "api_fastapi/core_api/openapi/v2-rest-api-generated.yaml", "api_connexion/openapi/v1.yaml"
    pattern = f"lib/python3*/site-packages/airflow/{version_3 if api == 'v2' else version_2}"
    program = _program(api)
    for path in Path(program).parent.parent.glob(pattern) if program else ():
        content = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        return Document(content, "" if api == "v2" else "/api/v1")
    if _required(api):
        raise FileNotFoundError(f"{_variable(api)}={program}: no {pattern} beside it")
    return None


def _variable(api: str) -> str:
    return "AIRFLOW" if api == "v2" else "AIRFLOW_2"


def _program(api: str) -> str:
    return os.environ.get(_variable(api), "")


def _required(api: str) -> bool:
    return os.environ.get(f"REQUIRE_{_variable(api)}") == "1"


@contextmanager
def started(folder: Path, api: str) -> Iterator[Running]:
    program = _program(api)
    if not program:
        missing = f"{_variable(api)} does not say where Airflow is"
        if _required(api):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    port = free_port()
    running = Running(f"http://127.0.0.1:{port}", api)
    environment = _common(folder, program) | (_version_3(folder, port) if api == "v2" else _version_2())
    _write(folder)
    with ExitStack() as servers:

        def start(name: str, *arguments: str) -> Server:
            said = [f"{key}={value}" for key, value in environment.items()]
            server = Server(name, ["env", *said, program, *arguments], folder / f"{name}.log")
            server.start()
            servers.callback(server.stop, grace_s=30.0)
            return server

        _run(program, environment, "db", "migrate")
        if api == "v2":
            web = start("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port))
            start("dag-processor", "dag-processor")
            start("scheduler", "scheduler", "--skip-serve-logs")
        else:
            web = start("webserver", "webserver", "--hostname", "127.0.0.1", "--port", str(port), "--workers", "1")
            start("scheduler", "scheduler", "--skip-serve-logs")
            web.wait_ready(running.answers, timeout_s=PATIENCE_S)  # it makes the roles
            _run(program, environment, "users", "create", *_person(USER, PASSWORD, "User"))
            _run(program, environment, "users", "create", *_person(READER, READER_PASSWORD, "Viewer"))
        wait_until(
            lambda: web.exited() or running.is_ready(), timeout_s=PATIENCE_S, interval_s=0.5, what="Airflow is ready"
        )
        web.wait_ready(lambda: True)
        yield running


def _common(folder: Path, program: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(program).parent}:{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
        # A scheduler that takes a slow task for a lost one would fail it for a reason of its own.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(PATIENCE_S),
        "PYTHONWARNINGS": "ignore",
    }


def _version_3(folder: Path, port: int) -> dict[str, str]:
    return {
        "AIRFLOW__API__SECRET_KEY": "0" * 64,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "1" * 64,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:user,{READER}:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
    }


def _version_2() -> dict[str, str]:
    return {
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
        "AIRFLOW__WEBSERVER__SECRET_KEY": "0" * 64,
        "AIRFLOW__WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": str(int(PATIENCE_S)),
        "AIRFLOW__WEBSERVER__WEB_SERVER_WORKER_TIMEOUT": str(int(PATIENCE_S)),
        "AIRFLOW__WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
    }


def _write(folder: Path) -> None:
    (folder / "dags").mkdir()
    (folder / "dags" / "dags.py").write_text(DAGS)
    (folder / "dags" / "broken.py").write_text(BROKEN)
    (folder / "passwords.json").write_text(json.dumps({USER: PASSWORD, READER: READER_PASSWORD}))


def _person(name: str, password: str, role: str) -> list[str]:
    said = {"username": name, "firstname": name, "lastname": name, "email": f"{name}@example.com"}
    options = [f"--{key}={value}" for key, value in said.items()]
    return [*options, f"--password={password}", f"--role={role}"]


def _run(program: str, environment: Mapping[str, str], *arguments: str) -> None:
    """Raises: RuntimeError with the end of what it says."""
    done = subprocess.run(
        [program, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout[-3000:]}")


def _json(method: str, url: str, body: Any = None, login: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": login} if login else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())
