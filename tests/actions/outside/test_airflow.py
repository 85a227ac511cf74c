"""Airflow: what has failed is cleared once, and only where its DAG says that twice does no harm."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.outside.airflow import (
    AirflowClearTasks,
    AirflowPauseDag,
    AirflowTriggerDag,
    AirflowUnpauseDag,
    ClearParams,
    OfDag,
    TriggerParams,
)
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import deployment, view

SCHEDULER = deployment()
RUN = "scheduled__2025-06-01T10:00:00+00:00"


def task(
    name: str, state: str = "failed", *, tries: int = 3, most: int = 2, retries: int | None = 2, index: int = -1
) -> Any:
    return {"task": name, "map_index": index, "state": state, "try": tries, "max_tries": most, "retries": retries}


WRITE, REPORT = task("write"), task("report", "upstream_failed", tries=0, most=0, retries=0)


def run(*failed: Any, **more: Any) -> dict[str, Any]:
    return {
        "dag": "load",
        "run": RUN,
        "state": "failed",
        "tags": ["retry_safe", "daily"],
        "paused": False,
        "import_errors": False,
        "failed": list(failed) or [WRITE, REPORT],
        **more,
    }


def clear(found: Any, **params: Any) -> Any:
    here = view(SCHEDULER, found={"run": found})
    action = AirflowClearTasks()
    return action.plan(action.resolve(ClearParams(**{"airflow": "prod", "dag": "load", **params}), here), here)


def test_failed_tasks_and_what_waited_for_them():
    change = clear(run())
    assert change.effects == (
        Call(
            ref=ref_of(SCHEDULER),
            uid="uid-deployment-api",
            via="airflow",
            place="prod",
            request={"do": "clear", "dag": "load", "run": RUN, "tasks": ["report", "write"], "tries": {"write": 2}},
            says=f"clear 2 failed task instances (report, write) in run {RUN} of DAG load",
        ),
    )
    assert diff_lines(change) == (change.effects[0].says,)
    assert change.summary == f"clear write in run {RUN} of DAG load"
    assert (change.needs_approval, change.effects[0].undoable, change.effects[0].repeatable) == ("", False, False)


def test_what_it_asks_before():
    asked = ClearParams(airflow="prod", dag="load")
    request = {"about": "run", "dag": "load", "run": "last_failed"}
    assert AirflowClearTasks().wants(asked, view(SCHEDULER)) == {"run": Ask("airflow", "prod", request)}


def test_mapped_tasks_are_told_apart():
    (call,) = clear(run(task("load", index=0), task("load", index=1, most=1))).effects
    assert call.request["tasks"] == ["load"]
    assert call.request["tries"] == {"load[0]": 2, "load[1]": 1}


def test_a_dag_without_the_tag_asks():
    assert clear(run(tags=["daily"])).needs_approval == "DAG load has no tag retry_safe: its tasks may write twice"
    assert clear(run(tags=["safe"]), tag="safe").needs_approval == ""


def test_only_some_of_the_tasks():
    (call,) = clear(run(WRITE, task("extract"), REPORT), task_ids=("extract",)).effects
    assert call.request["tasks"] == ["extract", "report"]
    assert call.request["tries"] == {"extract": 2}


@pytest.mark.parametrize(
    ("found", "params", "reason"),
    [
        pytest.param(run(run=""), {}, "no failed run", id="none failed"),
        pytest.param(run(state="running"), {}, "is running: only a failed run", id="running"),
        pytest.param(run(state="success"), {}, "is success", id="well"),
        pytest.param(run(), {"run": "manual__1"}, "now, not manual__1", id="another run"),
        pytest.param(run(paused=True), {}, "is paused", id="paused"),
        pytest.param(run(import_errors=True), {}, "import errors", id="a file that cannot be imported"),
        pytest.param(run(REPORT), {}, "no failed task", id="only what waited"),
        pytest.param(run(), {"task_ids": ("extract",)}, "no failed task of those named", id="none of those named"),
        pytest.param(run(task("write", most=5)), {}, "has been cleared before", id="cleared before"),
        pytest.param(run(task("write", most=1, retries=0)), {}, "has been cleared before", id="cleared, no retries"),
        pytest.param(run(WRITE, task("x", most=9)), {}, "x of .* has been cleared before", id="one was cleared before"),
        pytest.param(run(task("write", retries=None)), {}, "not in the DAG any more", id="task gone"),
        pytest.param(run(*(task(f"t{n}") for n in range(3))), {"max_tasks": 2}, "max_tasks is 2", id="too many"),
    ],
)
def test_what_is_not_cleared(found, params, reason):
    with pytest.raises(NotPossible, match=reason):
        clear(found, **params)


def test_the_run_is_named_once():
    here = view(SCHEDULER, found={"run": run()})
    chosen = AirflowClearTasks().resolve(ClearParams(airflow="prod", dag="load"), here)
    assert chosen.run == RUN
    later = view(SCHEDULER, found={"run": run(run="manual__later")})
    with pytest.raises(NotPossible, match="is manual__later now"):
        AirflowClearTasks().plan(ClearParams.model_validate(chosen.model_dump(mode="json")), later)


DAG = {"dag": "load", "tags": ["retry_safe"], "paused": False, "import_errors": False, "active": 0}


def trigger(found: Any, **params: Any) -> Any:
    here = view(SCHEDULER, found={"dag": {**DAG, **found}})
    return AirflowTriggerDag().plan(TriggerParams(**{"airflow": "prod", "dag": "load", **params}), here)


def test_a_run_of_our_own_name():
    change = trigger({}, conf={"day": "2025-06-01"})
    (call,) = change.effects
    assert call.request == {
        "do": "trigger",
        "dag": "load",
        "run": f"remediator__{GENERATED_ID}",
        "conf": {"day": "2025-06-01"},
    }
    assert call.repeatable
    assert call.says == 'trigger DAG load with {"day":"2025-06-01"}'
    assert change.needs_approval == ""
    assert trigger({"tags": []}).needs_approval


@pytest.mark.parametrize(
    ("found", "params", "reason", "hold"),
    [
        pytest.param({"paused": True}, {}, "is paused", False, id="paused"),
        pytest.param({"import_errors": True}, {}, "import errors", False, id="import errors"),
        pytest.param({"active": 1}, {}, "1 runs queued or running", True, id="busy"),
    ],
)
def test_what_is_not_triggered(found, params, reason, hold):
    with pytest.raises(NotPossible, match=reason) as caught:
        trigger(found, **params)
    assert caught.value.hold is hold
    if hold:
        assert trigger(found, only_if_idle=False).effects


@pytest.mark.parametrize(
    ("action", "paused", "do", "back"),
    [(AirflowPauseDag(), False, "pause", "unpause"), (AirflowUnpauseDag(), True, "unpause", "pause")],
)
def test_switching_has_a_way_back(action, paused, do, back):
    asked = OfDag(airflow="prod", dag="load")
    here = view(SCHEDULER, found={"dag": {**DAG, "paused": paused}})
    (call,) = action.plan(action.resolve(asked, here), here).effects
    assert (call.request, call.inverse) == ({"do": do, "dag": "load"}, {"do": back, "dag": "load"})
    assert call.undoable
    assert action.wants(asked, here) == {"dag": Ask("airflow", "prod", {"about": "dag", "dag": "load"})}
    there = view(SCHEDULER, found={"dag": {**DAG, "paused": not paused}})
    with pytest.raises(NotPossible, match="already"):
        action.plan(asked, there)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        pytest.param(ClearParams, {"dag": "../x"}, id="a path"),
        pytest.param(ClearParams, {"dag": "a b"}, id="a space"),
        pytest.param(ClearParams, {"run": "a/b"}, id="a run with a slash"),
        pytest.param(ClearParams, {"max_tasks": 101}, id="too many tasks"),
        pytest.param(ClearParams, {"dry_run": True}, id="dry run"),
        pytest.param(ClearParams, {"only_failed": False}, id="not only what failed"),
        pytest.param(ClearParams, {"tag": ""}, id="no tag"),
        pytest.param(TriggerParams, {"conf": {"x": "y" * 9000}}, id="a long conf"),
        pytest.param(OfDag, {"airflow": "https://x"}, id="an address"),
    ],
)
def test_params_that_are_wrong(model, more):
    with pytest.raises(ValidationError):
        model.model_validate({"airflow": "prod", "dag": "load", **more})
