"""`set_pooler`, `pooler_pause` and `pooler_resume`: PgBouncer in front of a CloudNativePG Cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, Direction, NotPossible
from remediator.actions.databases.cnpg import CLUSTER
from remediator.actions.databases.parts import (
    autoscalers,
    refuse_autoscaled,
    refuse_leaving,
    refuse_other_kind,
    set_by_others,
    set_fields,
)
from remediator.actions.render import brief
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import JSON, Object, ObjectRef, dig, ref_of

POOLER = "Pooler.postgresql.cnpg.io"
POOL_MODE = ("spec", "pgbouncer", "poolMode")
PAUSED = ("spec", "pgbouncer", "paused")
PARAMETERS = ("spec", "pgbouncer", "parameters")
INSTANCES = ("spec", "instances")

DEFAULTS = {"default_pool_size": 20, "max_client_conn": 100, "reserve_pool_size": 0}
"""PgBouncer's own."""

MAX_CONNECTIONS = 100
"""PostgreSQL's own, where the Cluster does not say."""

SIDES: Mapping[str, frozenset[str]] = {
    "rw": frozenset({"primary"}),
    "ro": frozenset({"standby"}),
    "r": frozenset({"primary", "standby"}),
}
"""Whom a pooler of each type may connect to."""


class SetPoolerParams(Params):
    """At least one of the first four. `pools` is how many pairs of user and database go through one pooler, `keep` how
    many connections of PostgreSQL stay for everybody else."""

    pool_mode: Literal["session", "transaction"] | None = None
    default_pool_size: int | None = Field(None, ge=1, le=1000)
    max_client_conn: int | None = Field(None, ge=1, le=100_000)
    instances: int | None = Field(None, ge=1, le=50)
    pools: int = Field(1, ge=1, le=1000)
    keep: int = Field(10, ge=3, le=1000)

    @model_validator(mode="after")
    def _something(self) -> SetPoolerParams:
        if not any((self.pool_mode, self.default_pool_size, self.max_client_conn, self.instances)):
            raise ValueError("give at least one of pool_mode, default_pool_size, max_client_conn and instances")
        return self


class SetPooler:
    """Undo puts the recorded values back, compare-and-set."""

    name = "set_pooler"
    kinds: tuple[str, ...] = (POOLER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights = (
        Right("patch", POOLER),
        Right("list", POOLER),
        Right("get", CLUSTER),
        Right("list", "HorizontalPodAutoscaler"),
    )
    params = SetPoolerParams

    def wants(self, params: SetPoolerParams, view: View) -> Mapping[str, Wanted]:
        cluster = str(dig(view.target, "spec", "cluster", "name", default=""))
        wanted: dict[str, Wanted] = {
            "poolers": ListOf(kind=POOLER, namespace=view.ref.namespace),
            "hpas": autoscalers(view),
        }
        if cluster:
            wanted["cluster"] = Get(ObjectRef(CLUSTER, view.ref.namespace, cluster))
        return wanted

    def resolve(self, params: SetPoolerParams, view: View) -> SetPoolerParams:
        return params

    def plan(self, params: SetPoolerParams, view: View) -> Change:
        """Raises: NotPossible when nothing would change, or PostgreSQL could not take the connections."""
        refuse_other_kind(view, POOLER)
        refuse_leaving(view)
        if params.instances is not None:
            refuse_autoscaled(view, view.found["hpas"])
        patch = set_fields(view, _fields(params))
        if not patch.changes:
            raise NotPossible(f"{view.ref} is set so already")
        before, after = _connections(view.target, None, params.pools), _connections(view.target, params, params.pools)
        if after > before:
            _refuse_too_many(after, params, view)
        copies = int(dig(view.target, *INSTANCES, default=1))
        fewer = max(0, copies - (params.instances or copies))
        return Change(
            effects=(patch,),
            takes=fewer,
            summary=_summary(params, view.target),
            direction=_direction(before, after),
            reduces_capacity=after < before or fewer > 0,
            needs_approval=_changes_sessions(params, view),
            notes=_notes(params, view.target, fewer),
        )


class PoolerPauseParams(Params):
    """None."""


class PoolerPause:
    """Undo resumes it."""

    name = "pooler_pause"
    kinds: tuple[str, ...] = (POOLER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = PoolerPauseParams

    def resolve(self, params: PoolerPauseParams, view: View) -> PoolerPauseParams:
        return params

    def plan(self, params: PoolerPauseParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_other_kind(view, POOLER)
        refuse_leaving(view)
        if dig(view.target, *PAUSED):
            raise NotPossible(f"{view.ref} is paused already")
        copies = int(dig(view.target, *INSTANCES, default=1))
        return Change(
            effects=(set_fields(view, [(PAUSED, True)]),),
            takes=copies,
            summary="pause: clients wait",
            reduces_capacity=True,
            needs_approval=f"every client of {view.ref} waits until pooler_resume",
            notes=("it waits for running queries first; in session mode for every client to leave",),
        )


class PoolerResume:
    """No undo: to make clients wait again is another decision."""

    name = "pooler_resume"
    kinds: tuple[str, ...] = (POOLER,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = PoolerPauseParams

    def resolve(self, params: PoolerPauseParams, view: View) -> PoolerPauseParams:
        return params

    def plan(self, params: PoolerPauseParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_other_kind(view, POOLER)
        refuse_leaving(view)
        if not dig(view.target, *PAUSED):
            raise NotPossible(f"{view.ref} is not paused")
        by = set_by_others(view.target, PAUSED)
        return Change(
            effects=(set_fields(view, [(PAUSED, False)], undoable=False),),
            summary="resume: clients go on",
            needs_approval=f"{view.ref} was paused by {by}" if by else "",
        )


def _fields(params: SetPoolerParams) -> list[tuple[tuple[str, ...], JSON]]:
    """PgBouncer's own parameters are texts."""
    fields: list[tuple[tuple[str, ...], JSON]] = []
    if params.pool_mode is not None:
        fields.append((POOL_MODE, params.pool_mode))
    for name in ("default_pool_size", "max_client_conn"):
        if (value := getattr(params, name)) is not None:
            fields.append(((*PARAMETERS, name), str(value)))
    if params.instances is not None:
        fields.append((INSTANCES, params.instances))
    return fields


def _parameter(pooler: Object, name: str) -> int:
    text = dig(pooler, *PARAMETERS, name)
    if text is None:
        return DEFAULTS[name]
    try:
        return int(text)
    except (TypeError, ValueError):
        raise NotPossible(f"the parameter {name} of {ref_of(pooler)} is no number: a person has to mend it") from None


def _connections(pooler: Object, params: SetPoolerParams | None, pools: int) -> int:
    """The most connections that it may open to one PostgreSQL: copies x pools x the size of each."""
    size = _parameter(pooler, "default_pool_size")
    copies = int(dig(pooler, *INSTANCES, default=1))
    if params is not None:
        size, copies = params.default_pool_size or size, params.instances or copies
    return copies * pools * (size + _parameter(pooler, "reserve_pool_size"))


def _sides(pooler: Object) -> frozenset[str]:
    return SIDES.get(str(dig(pooler, "spec", "type", default="rw")), SIDES["r"])


def _refuse_too_many(ours: int, params: SetPoolerParams, view: View) -> None:
    cluster = view.found.get("cluster")
    if cluster is None:
        name = dig(view.target, "spec", "cluster", "name")
        raise NotPossible(f"Cluster {view.ref.namespace}/{name} of {view.ref} does not exist")
    others = sum(_connections(pooler, None, params.pools) for pooler in _beside(view.found["poolers"], view))
    most = _max_connections(cluster)
    if ours + others + params.keep > most:
        raise NotPossible(
            f"{view.ref} could open {ours} connections, other poolers {others}, {params.keep} are kept: more than "
            f"max_connections {most} of {ref_of(cluster)}; choose a smaller pool or fewer instances"
        )


def _beside(poolers: Sequence[Object], view: View) -> list[Object]:
    """The other poolers that connect to the same instances."""
    name = dig(view.target, "spec", "cluster", "name")
    return [
        pooler
        for pooler in poolers
        if ref_of(pooler) != view.ref
        and dig(pooler, "spec", "cluster", "name") == name
        and _sides(pooler) & _sides(view.target)
    ]


def _max_connections(cluster: Object) -> int:
    text = dig(cluster, "spec", "postgresql", "parameters", "max_connections")
    try:
        return MAX_CONNECTIONS if text is None else int(text)
    except (TypeError, ValueError):
        raise NotPossible(f"max_connections of {ref_of(cluster)} is no number: a person has to mend it") from None


def _direction(before: int, after: int) -> Direction:
    return "" if before == after else "up" if after > before else "down"


def _changes_sessions(params: SetPoolerParams, view: View) -> str:
    present = brief(str(dig(view.target, *POOL_MODE, default="session")))
    if params.pool_mode in (None, present):
        return ""
    return f"pool mode {present} -> {params.pool_mode} changes what sessions keep between transactions"


def _summary(params: SetPoolerParams, pooler: Object) -> str:
    said: list[str] = []
    for name, before in (
        ("pool_mode", brief(str(dig(pooler, *POOL_MODE, default="session")))),
        ("default_pool_size", _parameter(pooler, "default_pool_size")),
        ("max_client_conn", _parameter(pooler, "max_client_conn")),
        ("instances", dig(pooler, *INSTANCES, default=1)),
    ):
        after: Any = getattr(params, name)
        if after is not None and after != before:
            said.append(f"{name} {before} -> {after}")
    return ", ".join(said) or "write the defaults down"


def _notes(params: SetPoolerParams, pooler: Object, fewer: int) -> tuple[str, ...]:
    notes = []
    if params.pool_mode == "transaction" and dig(pooler, *POOL_MODE, default="session") != "transaction":
        notes.append("in transaction mode SET, LISTEN, advisory locks and temporary tables of a session are lost")
    if params.max_client_conn is not None and params.max_client_conn < _parameter(pooler, "max_client_conn"):
        notes.append(f"clients above {params.max_client_conn} on each pooler are turned away")
    if fewer:
        notes.append(f"clients of {fewer} removed poolers are disconnected")
    return tuple(notes)
