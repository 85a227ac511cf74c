"""Evidence and checks that ask Airflow, or a program in a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from remediator.errors import CannotSee, Forbidden
from remediator.playbooks.model import Check, Collect
from remediator.ports import Found
from remediator.remediation.checks.base import CheckContext, Unknown
from remediator.remediation.checks.exec_check import ExecCheckArgs, sample
from remediator.remediation.checks.registry import parse_check
from remediator.remediation.collectors.airflow import kind_of_failure
from remediator.remediation.evidence import Evidence, collect_all
from tests.checks.fakes import FakeCluster, context, deployment, pod, replicaset

RUN = {
    "dag": "load",
    "run": "scheduled__1",
    "state": "failed",
    "failed": [
        {"task": "write", "map_index": -1, "state": "failed", "try": 3},
        {"task": "report", "map_index": -1, "state": "upstream_failed", "try": 0},
    ],
}
LOG = {"text": "start\npsycopg2.OperationalError: server closed the connection\n", "cut": False, "try": 3}


@dataclass
class FakeCaller:
    """Answers by what is asked about; remembers place and request."""

    answers: dict[str, Any]
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        self.asked.append((place, request))
        said = self.answers[str(request["about"])]
        if isinstance(said, Exception):
            raise said
        return said

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        raise AssertionError("evidence changes nothing")

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        raise AssertionError("evidence changes nothing")

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        raise AssertionError("evidence changes nothing")

    async def close(self) -> None: ...


def calling(at: CheckContext | None = None, **callers: FakeCaller) -> CheckContext:
    return replace(at or context(), callers=callers)


async def collect(at: CheckContext, kind: str, **args: Any) -> Evidence:
    (found,) = await collect_all([Collect(kind=kind, args=args)], at)
    return found


async def test_the_log_of_what_failed() -> None:
    airflow = FakeCaller({"run": RUN, "log": LOG})
    found = await collect(calling(airflow=airflow), "airflow_task_log", airflow="prod", dag="load")
    assert found.error == ""
    assert found.text.splitlines()[0] == "--- write, try 3"
    assert found.data["failures"] == ["transient"]
    assert found.summary == "run scheduled__1 is failed, 1 tasks failed: transient"
    assert found.private
    assert airflow.asked[1][1]["task"] == "write"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({**RUN, "run": ""}, "has no failed run", id="no run"),
        pytest.param({**RUN, "state": "success", "failed": []}, "has no failed task", id="no failed task"),
        pytest.param(CannotSee("503"), "503", id="no answer"),
    ],
)
async def test_no_log_is_an_error_and_not_an_empty_one(said: Any, problem: str) -> None:
    airflow = FakeCaller({"run": said, "log": LOG})
    found = await collect(calling(airflow=airflow), "airflow_task_log", airflow="prod", dag="load")
    assert problem in found.error
    assert found.text == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("TimeoutError: timed out", "transient"),
        ("Task received SIGTERM signal", "transient"),
        ("KeyError: 'day'", "permanent"),
        ('relation "x" does not exist', "permanent"),
        ("ValueError after connection reset", "unclear"),
        ("it went wrong", "unclear"),
        ("", "unclear"),
    ],
)
def test_kinds_of_failure(text: str, kind: str) -> None:
    assert kind_of_failure(text) == kind


async def test_import_errors() -> None:
    errors = [{"file": "/dags/a.py", "at": "2025-06-01T10:00:00Z", "trace": "Traceback\npassword=hunter22x"}]
    airflow = FakeCaller({"import_errors": {"total": 3, "errors": errors}})
    found = await collect(calling(airflow=airflow), "airflow_import_errors", airflow="prod")
    assert found.text.splitlines() == [
        "--- /dags/a.py at 2025-06-01T10:00:00Z",
        "Traceback",
        "password=[redacted]",
    ]
    assert (found.truncated, found.summary) == (True, "3 DAG files with import errors")


async def test_status() -> None:
    pools = [
        {"name": "default_pool", "slots": 16, "open": 0, "running": 10, "queued": 6, "scheduled": 1},
        {"name": "any", "slots": -1, "open": -1, "running": 0, "queued": 0, "scheduled": 0},
    ]
    health = {"scheduler": "unhealthy", "metadatabase": "healthy"}
    airflow = FakeCaller({"status": {"health": health, "pools": pools}})
    found = await collect(calling(airflow=airflow), "airflow_status", airflow="prod")
    assert found.summary == "scheduler not healthy; 6 tasks queued; 1 pools without a free slot"
    assert found.data["full"] == ["default_pool"]
    assert "pool default_pool: 16 slots, 0 open, 10 running, 6 queued, 1 scheduled" in found.text


async def test_nothing_configured_is_said() -> None:
    found = await collect(context(), "airflow_status", airflow="prod")
    assert "nothing is configured that can be asked by airflow" in found.error


# exec_check

READY = pod("api-7d9f-ccccc")
SICK = pod("api-7d9f-bbbbb", ready=False)


def with_pods(*pods: Any) -> CheckContext:
    return context(cluster=FakeCluster([deployment(), replicaset(), *pods]))


def output(**more: Any) -> dict[str, Any]:
    return {"output": {"exit_code": 0, "stdout": "OK\n", "stderr": "", "cut": False, **more}}


@pytest.mark.parametrize(
    ("said", "verdict", "words"),
    [
        pytest.param(output(), "good", "db-check is well in api-7d9f-ccccc", id="well"),
        pytest.param(output(stdout="no"), "bad", "did not say 'OK'", id="other words"),
        pytest.param(output(exit_code=1, stderr="refused\n"), "bad", "ended with exit code 1: refused", id="failed"),
    ],
)
async def test_what_a_program_says(said: Any, verdict: str, words: str) -> None:
    runs = FakeCaller(said)
    found = await sample(ExecCheckArgs(command="db-check", expect="OK"), calling(with_pods(SICK, READY), exec=runs))
    assert (found.answer, words in found.detail) == (verdict, True)
    ((place, request),) = runs.asked
    assert place == "shop/api-7d9f-ccccc/app"
    assert request == {"about": "output", "command": "db-check", "args": [], "uid": READY["metadata"]["uid"]}


async def test_another_workload_may_be_asked() -> None:
    """The application of a database says whether it opens its connection."""
    runs = FakeCaller(output())
    elsewhere = replace(with_pods(READY), targets=())
    target = {"kind": "Deployment", "namespace": "shop", "name": "api"}
    args = ExecCheckArgs.model_validate({"command": "db-check", "target": target})
    assert (await sample(args, calling(elsewhere, exec=runs))).answer == "good"


@pytest.mark.parametrize(
    ("pods", "said", "error"),
    [
        pytest.param((SICK,), output(), Unknown, id="no ready pod"),
        pytest.param((READY,), {"output": Forbidden("not read_only")}, Forbidden, id="not allowed"),
        pytest.param((READY,), {"output": CannotSee("lost")}, CannotSee, id="lost"),
        pytest.param((READY,), output(stdout="x", cut=True), Unknown, id="cut before the word"),
    ],
)
async def test_what_could_not_be_run_says_nothing(pods: Any, said: Any, error: type[Exception]) -> None:
    runs = FakeCaller(said)
    with pytest.raises(error):
        await sample(ExecCheckArgs(command="db-check", expect="OK"), calling(with_pods(*pods), exec=runs))


def test_exec_check_is_a_check() -> None:
    assert parse_check(Check(kind="exec_check", args={"command": "db-check"})).kind == "exec_check"


async def test_the_heap_of_a_jvm() -> None:
    runs = FakeCaller(output(stdout=" garbage-first heap   total 2097152K, used 1900000K\n"))
    found = await collect(calling(with_pods(READY), exec=runs), "jvm_heap_info")
    assert found.error == ""
    assert "used 1900000K" in found.text
    failed = FakeCaller(output(exit_code=1))
    assert "exit code 1" in (await collect(calling(with_pods(READY), exec=failed), "jvm_heap_info")).error
