"""airflow against Airflow itself, version 3 and 2: what it says, what it does, and what it did with what we sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from remediator.actions.change import Call, NotPossible
from remediator.actions.outside.airflow import AirflowClearTasks, ClearParams
from remediator.adapters.callers.airflow import AirflowCaller
from remediator.errors import Forbidden, NotFound, Refused, Unavailable
from remediator.outside import Airflow
from remediator.remediation.collectors.airflow import kind_of_failure
from tests.actions.make import deployment, view
from tests.support import airflow_server
from tests.support.airflow_server import PASSWORD, READER, READER_PASSWORD, USER, Running

pytestmark = pytest.mark.controlplane

WRITE = {"task": "write", "map_index": -1, "state": "failed", "try": 2, "max_tries": 1, "retries": 1}
REPORT = {"task": "report", "map_index": -1, "state": "upstream_failed", "try": 0, "max_tries": 0, "retries": 0}


@pytest.fixture(scope="module", params=["v2", "v1"])
def airflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With three runs that have failed: `once` and `always` of `load`, and `half` of `parts`."""
    with airflow_server.started(tmp_path_factory.mktemp("airflow"), request.param) as running:
        running.start("load", "once")
        running.start("load", "always", failures=99)
        running.start("parts", "half")
        for dag, run in (("load", "once"), ("load", "always"), ("parts", "half")):
            running.wait(dag, run, "failed")
        yield running


def settings(airflow: Running, username: str = USER, password: str = PASSWORD) -> Airflow:
    login = {"username": username, "password_file": {"value": password}}
    return Airflow.model_validate(
        {"name": "real", "base_url": airflow.address, "api": airflow.api, "timeout": "60s", **login}
    )


@pytest.fixture
async def caller(airflow: Running) -> AsyncIterator[AirflowCaller]:
    made = AirflowCaller((settings(airflow),))
    yield made
    await made.close()


# Questions


async def test_a_run_with_what_failed_in_it(caller: AirflowCaller) -> None:
    found = await caller.ask("real", {"about": "run", "dag": "load", "run": "always"})
    tasks = sorted(found.pop("failed"), key=lambda task: str(task["task"]))
    assert tasks == [REPORT, WRITE]
    assert found == {
        "dag": "load",
        "run": "always",
        "state": "failed",
        "tags": ["retry_safe"],
        "paused": False,
        "import_errors": False,
    }


async def test_the_last_failed_run_and_its_mapped_task(caller: AirflowCaller) -> None:
    found = await caller.ask("real", {"about": "run", "dag": "parts", "run": "last_failed"})
    assert (found["run"], found["tags"]) == ("half", [])
    assert found["failed"] == [
        {"task": "part", "map_index": 1, "state": "failed", "try": 1, "max_tries": 0, "retries": 0}
    ]
    idle = await caller.ask("real", {"about": "run", "dag": "idle", "run": "last_failed"})
    assert (idle["run"], idle["paused"]) == ("", True)


@pytest.mark.parametrize(
    ("asked", "tried", "error", "kind"),
    [
        pytest.param({"dag": "load", "run": "always", "task": "write", "try": 1}, 1, "reset by peer", "transient"),
        pytest.param({"dag": "load", "run": "always", "task": "write", "try": 0}, 2, "reset by peer", "transient"),
        pytest.param({"dag": "parts", "run": "half", "task": "part", "map_index": 1}, 1, "part 1", "permanent"),
    ],
    ids=["a try", "the last try", "a mapped task"],
)
async def test_a_log_says_what_went_wrong(
    caller: AirflowCaller, asked: dict[str, Any], tried: int, error: str, kind: str
) -> None:
    found = await caller.ask("real", {"about": "log", **asked})
    assert error in found["text"]
    assert (found["try"], found["cut"], kind_of_failure(found["text"])) == (tried, False, kind)


async def test_files_that_cannot_be_imported(caller: AirflowCaller) -> None:
    found = await caller.ask("real", {"about": "import_errors"})
    (error,) = found["errors"]
    assert found["total"] == 1
    assert error["file"].endswith("broken.py")
    assert error["at"]
    assert "a_module_that_nobody_has" in error["trace"]


async def test_health_and_pools(airflow: Running, caller: AirflowCaller) -> None:
    found = await caller.ask("real", {"about": "status"})
    running = {"metadatabase", "scheduler"} | ({"dag_processor"} if airflow.api == "v2" else set())
    assert found["health"] == dict.fromkeys(running, "healthy")  # and nothing of a triggerer, as there is none
    (pool,) = found["pools"]
    assert (pool["name"], pool["slots"]) == ("default_pool", 128)
    assert {"open", "queued", "running", "scheduled"} < set(pool)


async def test_what_there_is_not(caller: AirflowCaller) -> None:
    for request in (
        {"about": "dag", "dag": "nobody"},
        {"about": "run", "dag": "load", "run": "nobody"},
        {"about": "log", "dag": "load", "run": "always", "task": "nobody"},
        {"about": "log", "dag": "load", "run": "always", "task": "report"},  # it was never tried
    ):
        with pytest.raises(NotFound):
            await caller.ask("real", request)


# Clearing


def planned(found: dict[str, Any]) -> dict[str, Any]:
    """What the action would send, from what Airflow says. Raises: NotPossible."""
    here = view(deployment(), found={"run": found})
    action = AirflowClearTasks()
    params = action.resolve(ClearParams(airflow="real", dag=found["dag"], run=found["run"]), here)
    (call,) = action.plan(params, here).effects
    assert isinstance(call, Call)
    return dict(call.request)


async def test_cleared_once_and_then_it_succeeds(airflow: Running, caller: AirflowCaller) -> None:
    request = planned(await caller.ask("real", {"about": "run", "dag": "load", "run": "once"}))
    note = await caller.rehearse("real", request)
    assert note.startswith("real would clear 2 task instances: ")
    assert await caller.find("real", request, key="e-1") == "unknown"
    assert airflow.state("load", "once") == "failed"  # a rehearsal has done nothing

    said = await caller.send("real", request, key="e-1")
    assert sorted(said["cleared"]) == ["report", "write"]
    assert await caller.find("real", request, key="e-1") == "happened"
    airflow.wait("load", "once", "success")
    assert await caller.find("real", request, key="e-1") == "happened"
    with pytest.raises(Refused, match="would clear nothing"):
        await caller.rehearse("real", request)
    with pytest.raises(Refused, match="cleared nothing"):
        await caller.send("real", request, key="e-1")


async def test_what_fails_again_is_its_owners(airflow: Running, caller: AirflowCaller) -> None:
    """The trace that the action looks for is there: Airflow gave the mapped task more tries than its DAG does."""
    about = {"about": "run", "dag": "parts", "run": "half"}
    request = planned(await caller.ask("real", about))
    assert request["tries"] == {"part[1]": 0}
    assert (await caller.send("real", request, key="e-1"))["cleared"] == ["part"]  # not part[0], which went well
    assert await caller.find("real", request, key="e-1") == "happened"
    airflow.wait("parts", "half", "failed")
    with pytest.raises(NotPossible, match="has been cleared before and failed again"):
        planned(await caller.ask("real", about))


@pytest.mark.parametrize("missing", [{"dag": "nobody"}, {"run": "nobody"}, {"tasks": ["nobody"]}])
async def test_clearing_what_there_is_not(caller: AirflowCaller, missing: dict[str, Any]) -> None:
    request = {"do": "clear", "dag": "load", "run": "always", "tasks": ["write"], "tries": {"write": 1}, **missing}
    with pytest.raises(Refused):
        await caller.rehearse("real", request)
    with pytest.raises(Refused):
        await caller.send("real", request, key="e-1")


# Triggering


async def test_a_trigger_sent_twice_is_one_run(airflow: Running, caller: AirflowCaller) -> None:
    request = {"do": "trigger", "dag": "idle", "run": "remediator__0123456789", "conf": {"day": "2025-06-01"}}
    assert await caller.rehearse("real", request) == ""
    assert await caller.find("real", request, key="e-1") == "unknown"
    first = await caller.send("real", request, key="e-1")
    again = await caller.send("real", request, key="e-1")
    assert (first["run"], again["run"], again.get("already")) == (request["run"], request["run"], True)
    assert await caller.find("real", request, key="e-1") == "happened"
    runs = airflow.call("GET", "/dags/idle/dagRuns")["dag_runs"]
    assert [(run["dag_run_id"], run["conf"]) for run in runs] == [(request["run"], request["conf"])]
    assert (await caller.ask("real", {"about": "dag", "dag": "idle"}))["active"] == 1  # it waits: the DAG is paused
    with pytest.raises(Refused, match="404"):
        await caller.send("real", {**request, "dag": "nobody"}, key="e-1")


# Pausing


@pytest.mark.parametrize(("do", "paused"), [("pause", True), ("unpause", False)])
async def test_switching_a_dag(airflow: Running, caller: AirflowCaller, do: str, paused: bool) -> None:
    request = {"do": do, "dag": "parts"}
    assert await caller.rehearse("real", request) == ""
    assert await caller.find("real", request, key="e-1") == "unknown"
    assert (await caller.send("real", request, key="e-1"))["paused"] is paused
    assert await caller.find("real", request, key="e-1") == "happened"
    assert airflow.call("GET", "/dags/parts")["is_paused"] is paused
    assert (await caller.send("real", request, key="e-1"))["paused"] is paused  # it may be sent again


# Who may


async def test_one_who_may_only_read(airflow: Running) -> None:
    caller = AirflowCaller((settings(airflow, READER, READER_PASSWORD),))
    assert (await caller.ask("real", {"about": "dag", "dag": "load"}))["dag"] == "load"
    request = {"do": "clear", "dag": "load", "run": "always", "tasks": ["write"], "tries": {"write": 1}}
    with pytest.raises(Forbidden):
        await caller.rehearse("real", request)
    for sent in (request, {"do": "pause", "dag": "load"}, {"do": "trigger", "dag": "load", "run": "of-a-reader"}):
        with pytest.raises(Refused) as refused:
            await caller.send("real", sent, key="e-1")
        assert refused.value.forbidden
    await caller.close()
    assert airflow.state("load", "always") == "failed"


async def test_nothing_is_done_with_a_wrong_password(airflow: Running) -> None:
    caller = AirflowCaller((settings(airflow, USER, "something-else"),))
    with pytest.raises(Forbidden):
        await caller.ask("real", {"about": "dag", "dag": "load"})
    with pytest.raises((Refused, Unavailable)) as caught:
        await caller.send("real", {"do": "pause", "dag": "load"}, key="e-1")
    await caller.close()
    assert "something-else" not in str(caught.value)
    assert airflow.call("GET", "/dags/load")["is_paused"] is False


async def test_a_token_that_is_not_taken_any_more_is_renewed(airflow: Running, caller: AirflowCaller) -> None:
    """As after a restart with another key: Airflow 3 answers 403, and 401 to one that has only run out."""
    api = caller._places["real"]
    if not api.v2:
        pytest.skip("v1 has no tokens")
    api._token = "eyJhbGciOiJIUzI1NiJ9.e30.of-another-key"
    assert (await caller.ask("real", {"about": "dag", "dag": "load"}))["dag"] == "load"
    api._token = "eyJhbGciOiJIUzI1NiJ9.e30.of-another-key"
    request = {"do": "clear", "dag": "load", "run": "always", "tasks": ["write"], "tries": {"write": 1}}
    assert "would clear 1 task instances: write" in await caller.rehearse("real", request)
