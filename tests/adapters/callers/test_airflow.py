"""airflow: what is asked, what is sent, and what each answer means, with both APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.airflow import AirflowCaller
from remediator.errors import CannotSee, Forbidden, NotFound, Refused, RemediatorError, Unavailable, Uncertain
from remediator.outside import Airflow
from tests.adapters.callers.fake_airflow import PASSWORD, USER, FakeAirflow, pool, task
from tests.support.airflow_server import document
from tests.support.fake_http import Fault

RUN = "scheduled__2025-06-01T10:00:00+00:00"
CLEAR = {"do": "clear", "dag": "load", "run": RUN, "tasks": ["report", "write"], "tries": {"write": 2}}
TRIGGER = {"do": "trigger", "dag": "load", "run": "remediator__0123456789", "conf": {"day": "2025-06-01"}}


@pytest.fixture(params=["v2", "v1"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[FakeAirflow]:
    """Where Airflow is installed, the fake is held to its document."""
    async with FakeAirflow(v2=request.param == "v2", document=document(request.param)) as fake:
        fake.failed_run(
            RUN,
            task("extract", "success", tries=1),
            task("write", "failed"),
            task("report", "upstream_failed", tries=0, max_tries=0),
        )
        yield fake
        assert fake.violations == []


def settings(server: FakeAirflow, **more: Any) -> Airflow:
    login = {"username": USER, "password_file": {"value": PASSWORD}}
    return Airflow.model_validate(
        {"name": "prod", "base_url": server.root, "api": "v2" if server.v2 else "v1", "timeout": "2s", **login, **more}
    )


@pytest.fixture
async def caller(server: FakeAirflow) -> AsyncIterator[AirflowCaller]:
    made = AirflowCaller((settings(server),))
    yield made
    await made.close()


async def test_a_run_is_told_with_what_failed_in_it(caller: AirflowCaller) -> None:
    found = await caller.ask("prod", {"about": "run", "dag": "load", "run": RUN})
    assert found == {
        "dag": "load",
        "run": RUN,
        "state": "failed",
        "tags": ["retry_safe"],
        "paused": False,
        "import_errors": False,
        "failed": [
            {"task": "write", "map_index": -1, "state": "failed", "try": 3, "max_tries": 2, "retries": 2},
            {"task": "report", "map_index": -1, "state": "upstream_failed", "try": 0, "max_tries": 0, "retries": 0},
        ],
    }


async def test_the_last_failed_run_is_the_one_that_started_last(server: FakeAirflow, caller: AirflowCaller) -> None:
    server.failed_run("manual__later", task("write", "failed"), start="2025-06-01T12:00:00Z")
    about = {"about": "run", "dag": "load", "run": "last_failed"}
    assert (await caller.ask("prod", about))["run"] == "manual__later"
    for run in server.runs.values():
        run["state"] = "success"
    assert (await caller.ask("prod", about))["run"] == ""


async def test_all_pages_of_tasks_are_read_or_none(server: FakeAirflow, caller: AirflowCaller) -> None:
    server.page_limit = 40
    server.tasks[RUN] = [task("write", "failed", map_index=n) for n in range(130)]
    about = {"about": "run", "dag": "load", "run": RUN}
    found = await caller.ask("prod", about)
    assert [one["map_index"] for one in found["failed"]] == list(range(130))
    server.tasks[RUN] *= 4
    with pytest.raises(CannotSee, match="at most 500"):
        await caller.ask("prod", about)
    server.page_limit = 0
    server.tasks[RUN] = [task("write", "failed")]
    with pytest.raises(CannotSee, match="0 of 1"):
        await caller.ask("prod", about)


@pytest.mark.parametrize("missing", ["is_paused", "tags"])
async def test_half_an_answer_is_none(server: FakeAirflow, caller: AirflowCaller, missing: str) -> None:
    server.document = None  # it would not answer so
    server.dag[missing] = "?"
    with pytest.raises(CannotSee):
        await caller.ask("prod", {"about": "dag", "dag": "load"})


async def test_a_dag_with_its_active_runs(server: FakeAirflow, caller: AirflowCaller) -> None:
    server.runs["a"] = {"dag_run_id": "a", "state": "running"}
    server.runs["b"] = {"dag_run_id": "b", "state": "queued"}
    found = await caller.ask("prod", {"about": "dag", "dag": "load"})
    assert (found["active"], found["paused"], found["tags"]) == (2, False, ["retry_safe"])


async def test_the_log_of_the_last_try(server: FakeAirflow, caller: AirflowCaller) -> None:
    if not server.v2:
        server.log = "connection reset by peer"
    found = await caller.ask("prod", {"about": "log", "dag": "load", "run": RUN, "task": "write", "try": 0})
    assert found["try"] == 3
    assert found["text"].endswith("connection reset by peer")
    assert not found["cut"]


async def test_a_log_has_what_was_raised_with_its_cause_first(server: FakeAirflow, caller: AirflowCaller) -> None:
    if not server.v2:
        pytest.skip("a log of v1 is one text")
    server.document = None  # it would not answer so
    server.log += [None, "a line", {"error_detail": "?"}, {"event": "x", "error_detail": [None, {"frames": [7]}]}]
    found = await caller.ask("prod", {"about": "log", "dag": "load", "run": RUN, "task": "write", "try": 1})
    assert found["text"].splitlines() == [
        "::group::Log message source details",
        "2025-06-01T10:00:00Z error Task failed with exception",
        *(f"  File client.py, line {n}, in call" for n in range(21, 31)),
        "TimeoutError: timed out",
        *(f"  File load.py, line {n}, in call" for n in range(21, 31)),
        "ConnectionError: connection reset by peer",
        "",
        "a line",
        "",
        "x",
        "None: None",
    ]


async def test_import_errors_and_pools(server: FakeAirflow, caller: AirflowCaller) -> None:
    trace = "\n".join(f"line {n}" for n in range(100))
    server.import_errors = [
        {"import_error_id": n, "filename": f"/dags/{n}.py", "timestamp": "2025-06-01T10:00:00Z", "stack_trace": trace}
        for n in range(30)
    ]
    found = await caller.ask("prod", {"about": "import_errors"})
    assert (found["total"], len(found["errors"])) == (30, 20)
    assert found["errors"][0]["trace"].splitlines() == [f"line {n}" for n in range(80, 100)]
    server.pools = [pool("default_pool", 16, running=10, queued=6), pool("slow", -1)]
    assert await caller.ask("prod", {"about": "status"}) == {
        "health": {"metadatabase": "healthy", "scheduler": "unhealthy", "dag_processor": "healthy"},
        "pools": [
            {"name": "default_pool", "open": 0, "queued": 6, "running": 10, "scheduled": 0, "slots": 16},
            {"name": "slow", "open": -1, "queued": 0, "running": 0, "scheduled": 0, "slots": -1},
        ],
    }


# Clearing


async def test_clearing_says_everything_and_happens_once(server: FakeAirflow, caller: AirflowCaller) -> None:
    said = await caller.send("prod", CLEAR, key="e-1")
    assert said == {"cleared": ["write", "report"], "says": "cleared 2 task instances"}
    (body,) = server.bodies
    assert (body["dry_run"], body["only_failed"], body["dag_run_id"]) == (False, True, RUN)
    assert [one["state"] for one in server.tasks[RUN]] == ["success", None, None]
    assert server.runs[RUN]["state"] == "queued"


async def test_a_rehearsal_clears_nothing(server: FakeAirflow, caller: AirflowCaller) -> None:
    note = await caller.rehearse("prod", CLEAR)
    assert note == "prod would clear 2 task instances: write, report"
    assert server.runs[RUN]["state"] == "failed"
    server.tasks[RUN] = [task("write", "success")]
    with pytest.raises(Refused, match="would clear nothing"):
        await caller.rehearse("prod", CLEAR)


async def test_clearing_what_is_not_failed_any_more_is_refused(server: FakeAirflow, caller: AirflowCaller) -> None:
    server.tasks[RUN] = [task("write", "success")]
    with pytest.raises(Refused, match="cleared nothing"):
        await caller.send("prod", CLEAR, key="e-1")


@pytest.mark.parametrize("tasks", [[], None])
async def test_no_tasks_would_be_all_of_them(server: FakeAirflow, caller: AirflowCaller, tasks: Any) -> None:
    with pytest.raises(Refused, match="no tasks"):
        await caller.send("prod", {**CLEAR, "tasks": tasks}, key="e-1")
    assert server.bodies == []


async def test_what_became_of_clearing(server: FakeAirflow, caller: AirflowCaller) -> None:
    assert await caller.find("prod", CLEAR, key="e-1") == "unknown"
    await caller.send("prod", CLEAR, key="e-1")
    assert await caller.find("prod", CLEAR, key="e-1") == "happened"
    assert await caller.find("prod", {**CLEAR, "tries": {}}, key="e-1") == "unknown"


# Triggering


async def test_a_trigger_sent_twice_is_one_run(server: FakeAirflow, caller: AirflowCaller) -> None:
    assert await caller.find("prod", TRIGGER, key="e-1") == "unknown"
    first = await caller.send("prod", TRIGGER, key="e-1")
    again = await caller.send("prod", TRIGGER, key="e-1")
    assert (first["run"], again["run"], again["already"]) == (TRIGGER["run"], TRIGGER["run"], True)
    assert list(server.runs) == [RUN, TRIGGER["run"]]
    assert server.bodies[0]["conf"] == {"day": "2025-06-01"}
    if server.v2:
        assert server.bodies[0]["logical_date"] is None
    assert await caller.find("prod", TRIGGER, key="e-1") == "happened"


async def test_a_conflict_about_something_else_is_refused(server: FakeAirflow, caller: AirflowCaller) -> None:
    server.fail("POST /dags/{dag}/dagRuns", Fault(status=409, body="another logical date"))
    with pytest.raises(Refused, match="409"):
        await caller.send("prod", TRIGGER, key="e-1")


# Pausing


@pytest.mark.parametrize(("do", "paused"), [("pause", True), ("unpause", False)])
async def test_switching_a_dag(server: FakeAirflow, caller: AirflowCaller, do: str, paused: bool) -> None:
    server.dag["is_paused"] = not paused
    request = {"do": do, "dag": "load"}
    assert await caller.rehearse("prod", request) == ""
    assert await caller.find("prod", request, key="e-1") == "unknown"
    assert (await caller.send("prod", request, key="e-1"))["paused"] is paused
    assert server.dag["is_paused"] is paused
    assert await caller.find("prod", request, key="e-1") == "happened"


# What can go wrong


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=500), Uncertain, id="500"),
        pytest.param(Fault(status=503), Uncertain, id="503"),
        pytest.param(Fault(drop=True), Uncertain, id="dropped"),
        pytest.param(Fault(hang="after"), Uncertain, id="done, and no answer"),
        pytest.param(Fault(status=303), Uncertain, id="redirected to a page"),
        pytest.param(Fault(status=429, retry_after="7"), Unavailable, id="busy"),
        pytest.param(Fault(status=403), Refused, id="not allowed"),
        pytest.param(Fault(status=422), Refused, id="not valid"),
        pytest.param(Fault(status=200, body="<html>"), Uncertain, id="no JSON"),
    ],
)
async def test_what_an_answer_means(server: FakeAirflow, fault: Fault, error: type[RemediatorError]) -> None:
    caller = AirflowCaller((settings(server, timeout="0.3s"),))
    call = "POST /dags/{dag}/clearTaskInstances"
    server.fail(call, fault)
    with pytest.raises(error) as caught:
        await caller.send("prod", CLEAR, key="e-1")
    await caller.close()
    assert type(caught.value) is error
    assert server.calls.count(call) == 1
    assert PASSWORD not in str(caught.value)


async def test_nothing_is_sent_without_a_way_in(server: FakeAirflow) -> None:
    wrong = {"username": USER, "password_file": {"value": "something-else"}}
    caller = AirflowCaller((settings(server, **wrong),))
    with pytest.raises((Unavailable, Refused)) as caught:
        await caller.send("prod", TRIGGER, key="e-1")
    with pytest.raises(Forbidden):
        await caller.ask("prod", {"about": "dag", "dag": "load"})
    await caller.close()
    assert server.bodies == []
    assert "something-else" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [pytest.param((401, "Token Expired"), id="run out"), pytest.param((403, "Invalid JWT token"), id="of an old key")],
)
async def test_an_old_token_is_renewed_for_a_question_and_never_used_to_send(
    server: FakeAirflow, answer: tuple[int, str]
) -> None:
    if not server.v2:
        pytest.skip("v1 has no tokens")
    server.no_token = answer
    caller = AirflowCaller((settings(server),))
    await caller.ask("prod", {"about": "dag", "dag": "load"})
    server.token = "jwt-expired-meanwhile"
    await caller.ask("prod", {"about": "dag", "dag": "load"})
    server.token = "jwt-expired-again"
    server.calls.clear()
    await caller.rehearse("prod", CLEAR)
    server.token = "jwt-expired-once-more"
    await caller.send("prod", TRIGGER, key="e-1")
    await caller.close()
    assert "401" not in server.calls


@pytest.mark.parametrize("name", ["../pools", "a/b", "a b", "", "..", 'a"b', "x" * 251, None])
async def test_names_do_not_change_the_path(server: FakeAirflow, caller: AirflowCaller, name: Any) -> None:
    with pytest.raises(NotFound, match="no id of a"):
        await caller.ask("prod", {"about": "run", "dag": "load", "run": name})
    with pytest.raises(Refused, match="no id of a"):
        await caller.send("prod", {"do": "pause", "dag": name}, key="e-1")
    assert server.bodies == []


async def test_places_and_questions_that_there_are_not(caller: AirflowCaller) -> None:
    with pytest.raises(NotFound, match="there are: prod"):
        await caller.ask("test", {"about": "dag", "dag": "load"})
    with pytest.raises(NotFound, match="can"):
        await caller.ask("prod", {"about": "variables"})
    with pytest.raises(NotFound):
        await caller.ask("prod", {"about": "dag", "dag": "other"})
    with pytest.raises(Refused, match="cannot do"):
        await caller.send("prod", {"do": "delete", "dag": "load"}, key="e-1")


@pytest.mark.parametrize(
    "login",
    [
        pytest.param({}, id="none"),
        pytest.param({"username": "x"}, id="no password"),
        pytest.param({"username": "x", "password_file": "/s/p", "token_file": "/s/t"}, id="both"),
    ],
)
def test_one_way_in(login: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give"):
        Airflow.model_validate({"name": "prod", "base_url": "https://airflow.example.com", **login})
