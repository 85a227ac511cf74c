"""`airflow_clear_tasks`, `airflow_trigger_dag`, `airflow_pause_dag`, `airflow_unpause_dag`.

A task that is not made for it writes twice when it runs twice. So what has failed is cleared once for each run, and a
DAG without the tag that says that its tasks may be repeated is a person's decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator

from remediator.actions.base import Params
from remediator.actions.canonical import canonical_json
from remediator.actions.change import GENERATED_ID, Call, Change, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, uid_of

KINDS = (*WORKLOADS, "Namespace")
"""What an alert of Airflow is about: its scheduler, a worker, or where it lives."""

LAST_FAILED = "last_failed"
MOST_CONF = 8 * 1024

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_~:+-][A-Za-z0-9_.~:+-]{0,249}$")]
"""Of a DAG, run or task."""


class OfDag(Params):
    """`airflow` is a name of `outside.airflow`."""

    airflow: Name
    dag: Id


class ClearParams(OfDag):
    """`run`: an id, or the run that started last of those that failed. `task_ids`: only these failed tasks (and what
    waited for them). `max_tasks`: more failed task instances than that are a person's. `tag`: the DAG's word that its
    tasks may run twice."""

    run: Id = LAST_FAILED
    task_ids: tuple[Id, ...] = Field((), max_length=50)
    max_tasks: int = Field(20, ge=1, le=100)
    tag: str = Field("retry_safe", min_length=1, max_length=100)


class AirflowClearTasks:
    """What has run cannot be taken back."""

    name = "airflow_clear_tasks"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = ()
    params = ClearParams

    def wants(self, params: ClearParams, view: View) -> Mapping[str, Ask]:
        return {"run": Ask("airflow", params.airflow, {"about": "run", "dag": params.dag, "run": params.run})}

    def resolve(self, params: ClearParams, view: View) -> ClearParams:
        """The last failed run by its id. Raises: NotPossible when there is none."""
        if params.run != LAST_FAILED:
            return params
        run = view.found["run"]["run"]
        if not run:
            raise NotPossible(f"DAG {params.dag} has no failed run")
        return params.model_copy(update={"run": run})

    def plan(self, params: ClearParams, view: View) -> Change:
        """Raises: NotPossible unless the run failed and none of these tasks has been cleared in it before."""
        found = view.found["run"]
        where = f"run {params.run} of DAG {params.dag}"
        if found["run"] != params.run:
            raise NotPossible(
                f"the last failed run of DAG {params.dag} is {found['run'] or 'none'} now, not {params.run}"
            )
        if found["state"] != "failed":
            raise NotPossible(f"{where} is {found['state']}: only a failed run is cleared")
        _runs(found, params.dag)
        taken = _taken(params, found["failed"], where)
        names = sorted({task["task"] for task in taken})
        failed = sorted({task["task"] for task in taken if task["state"] == "failed"})
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via="airflow",
            place=params.airflow,
            request={
                "do": "clear",
                "dag": params.dag,
                "run": params.run,
                "tasks": names,
                "tries": {_key(task): task["max_tries"] for task in taken if task["state"] == "failed"},
            },
            says=f"clear {len(taken)} failed task instances ({_some(names)}) in {where}",
        )
        return Change(
            effects=(call,),
            summary=f"clear {_some(failed)} in {where}",
            needs_approval=_untagged(found, params.dag, params.tag),
            notes=("once for each run; a task that is not made to run twice writes twice",),
        )


def _taken(params: ClearParams, failed: Sequence[Mapping[str, Any]], where: str) -> list[Mapping[str, Any]]:
    """The task instances to clear, those that waited for them included. Raises: NotPossible."""
    taken = [
        task
        for task in failed
        if task["state"] == "upstream_failed" or not params.task_ids or task["task"] in params.task_ids
    ]
    own = [task for task in taken if task["state"] == "failed"]
    if not own:
        raise NotPossible(f"{where} has no failed task{' of those named' if params.task_ids else ''}")
    if gone := sorted({task["task"] for task in own if task["retries"] is None}):
        raise NotPossible(f"{_some(gone)} of {where} are not in the DAG any more: it has changed since")
    # Clearing raises max_tries above what the DAG says: the trace of an earlier clearing, ours or somebody's.
    if before := sorted({task["task"] for task in own if task["max_tries"] > task["retries"]}):
        raise NotPossible(f"{_some(before)} of {where} has been cleared before and failed again: its owner has to look")
    if len(taken) > params.max_tasks:
        raise NotPossible(f"{len(taken)} task instances of {where} failed, max_tasks is {params.max_tasks}")
    return taken


class TriggerParams(OfDag):
    """`conf` is handed to the run. `only_if_idle`: wait while another run is queued or running."""

    conf: Mapping[str, Any] = Field(default_factory=dict)
    only_if_idle: bool = True
    tag: str = Field("retry_safe", min_length=1, max_length=100)

    @field_validator("conf")
    @classmethod
    def _small(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if (size := len(canonical_json(value))) > MOST_CONF:
            raise ValueError(f"conf: {size} bytes, at most {MOST_CONF}")
        return value


class AirflowTriggerDag:
    """The run's id is the same however often it is sent, so there is one run at most."""

    name = "airflow_trigger_dag"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = ()
    params = TriggerParams

    def wants(self, params: TriggerParams, view: View) -> Mapping[str, Ask]:
        return {"dag": _about_dag(params)}

    def resolve(self, params: TriggerParams, view: View) -> TriggerParams:
        return params

    def plan(self, params: TriggerParams, view: View) -> Change:
        """Raises: NotPossible."""
        found = view.found["dag"]
        _runs(found, params.dag)
        if params.only_if_idle and found["active"]:
            raise NotPossible(f"DAG {params.dag} has {found['active']} runs queued or running", hold=True)
        conf = f" with {canonical_json(params.conf).decode()[:300]}" if params.conf else ""
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via="airflow",
            place=params.airflow,
            request={
                "do": "trigger",
                "dag": params.dag,
                "run": f"remediator__{GENERATED_ID}",
                "conf": dict(params.conf),
            },
            says=f"trigger DAG {params.dag}{conf}",
            repeatable=True,  # Airflow refuses a second run with this id
        )
        return Change(
            effects=(call,),
            summary=f"trigger DAG {params.dag}",
            needs_approval=_untagged(found, params.dag, params.tag),
            notes=("what the run writes cannot be taken back",),
        )


class AirflowPauseDag:
    """No new runs; those under way go on. Undo switches it on again."""

    name = "airflow_pause_dag"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = OfDag

    def wants(self, params: OfDag, view: View) -> Mapping[str, Ask]:
        return {"dag": _about_dag(params)}

    def resolve(self, params: OfDag, view: View) -> OfDag:
        return params

    def plan(self, params: OfDag, view: View) -> Change:
        """Raises: NotPossible."""
        return _switch(
            params, view, "pause", "runs that are under way go on; none is scheduled until it is switched on"
        )


class AirflowUnpauseDag:
    """Undo pauses it again, but what it has started meanwhile goes on."""

    name = "airflow_unpause_dag"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = OfDag

    def wants(self, params: OfDag, view: View) -> Mapping[str, Ask]:
        return {"dag": _about_dag(params)}

    def resolve(self, params: OfDag, view: View) -> OfDag:
        return params

    def plan(self, params: OfDag, view: View) -> Change:
        """Raises: NotPossible."""
        return _switch(params, view, "unpause", "a DAG with catch-up starts every run that it has missed")


def _switch(params: OfDag, view: View, do: str, note: str) -> Change:
    """Raises: NotPossible when it is so already."""
    if view.found["dag"]["paused"] is (do == "pause"):
        raise NotPossible(f"DAG {params.dag} is {'paused' if do == 'pause' else 'on'} already")
    back = "unpause" if do == "pause" else "pause"
    call = Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="airflow",
        place=params.airflow,
        request={"do": do, "dag": params.dag},
        says=f"{do} DAG {params.dag}",
        repeatable=True,
        inverse={"do": back, "dag": params.dag},
    )
    return Change(effects=(call,), summary=f"{do} DAG {params.dag}", notes=(note,))


def _about_dag(params: OfDag) -> Ask:
    return Ask("airflow", params.airflow, {"about": "dag", "dag": params.dag})


def _runs(found: Mapping[str, Any], dag: str) -> None:
    """Raises: NotPossible for a DAG that would not run."""
    if found["paused"]:
        raise NotPossible(f"DAG {dag} is paused: what is started only waits. Switch it on first")
    if found["import_errors"]:
        raise NotPossible(f"DAG {dag} has import errors: its owner has to mend it first")


def _untagged(found: Mapping[str, Any], dag: str, tag: str) -> str:
    return "" if tag in found["tags"] else f"DAG {dag} has no tag {tag}: its tasks may write twice"


def _key(task: Mapping[str, Any]) -> str:
    """As the caller names a task instance."""
    return str(task["task"]) if task["map_index"] < 0 else f"{task['task']}[{task['map_index']}]"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
