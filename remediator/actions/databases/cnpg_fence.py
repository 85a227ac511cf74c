"""`cnpg_fence` and `cnpg_unfence`: PostgreSQL of an instance is shut down while its pod stays, and started again.

Fencing the primary is an outage, and the operator does not fail over for it. It is also how a primary that is bad but
runs is stopped before a promotion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible, Patch
from remediator.actions.databases.cnpg import (
    CLUSTER,
    EVERYBODY,
    FENCED,
    PENDING,
    PgCluster,
    instance_pods,
    pods_by_name,
    read_cluster,
)
from remediator.actions.databases.parts import InstanceName, annotate, set_by_others
from remediator.actions.pods import pod_is_ready
from remediator.actions.view import View, Wanted
from remediator.objects import Object

PRIMARY = "primary"
"""In `instances`: whoever is the primary when the plan is made."""

Names = Annotated[tuple[InstanceName, ...], Field(min_length=1, max_length=100)]


class CnpgFenceParams(Params):
    """`instances` are names, `primary` among them means the present primary. `all_standbys` allows that no ready
    standby stays unfenced."""

    instances: Names
    all_standbys: bool = False


class CnpgFence:
    """Undo puts the annotation of before back, which starts PostgreSQL again."""

    name = "cnpg_fence"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (Right("patch", CLUSTER), Right("list", "Pod"))
    params = CnpgFenceParams

    def wants(self, params: CnpgFenceParams, view: View) -> Mapping[str, Wanted]:
        return {"pods": instance_pods(view.ref.name, view.ref.namespace)}

    def resolve(self, params: CnpgFenceParams, view: View) -> CnpgFenceParams:
        """`primary` as a name: after a failover it would be another one. Raises: NotPossible."""
        return params.model_copy(update={"instances": _named(params.instances, read_cluster(view))})

    def plan(self, params: CnpgFenceParams, view: View) -> Change:
        """Raises: NotPossible."""
        cluster = read_cluster(view)
        if cluster.target == PENDING or cluster.target != cluster.current:
            raise NotPossible(f"{cluster.moving}: a fence now would stop it half way", hold=True)
        names = _named(params.instances, cluster)
        new = [name for name in names if not cluster.is_fenced(name)]
        if not new:
            raise NotPossible(f"{', '.join(names)} of {view.ref}: fenced already")
        pods = pods_by_name(view.found["pods"], cluster)
        if not params.all_standbys:
            _refuse_no_standby(new, cluster, pods)
        ready = sum(1 for name in new if name in pods and pod_is_ready(pods[name]))
        return Change(
            effects=(_fence(view, {*cluster.fenced, *new}, undoable=True),),
            takes=ready,
            summary=f"fence {', '.join(new)}",
            reduces_capacity=True,
            needs_approval=_why(new, cluster, view),
            notes=(
                "PostgreSQL is shut down and its pod stays; a restart does not start it again, only cnpg_unfence does",
            ),
        )


class CnpgUnfenceParams(Params):
    """`instances` are names, `primary` among them means the present primary."""

    instances: Names


class CnpgUnfence:
    """No undo: to stop PostgreSQL again is another decision."""

    name = "cnpg_unfence"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = CnpgUnfenceParams

    def resolve(self, params: CnpgUnfenceParams, view: View) -> CnpgUnfenceParams:
        """Raises: NotPossible."""
        return params.model_copy(update={"instances": _named(params.instances, read_cluster(view))})

    def plan(self, params: CnpgUnfenceParams, view: View) -> Change:
        """Raises: NotPossible."""
        cluster = read_cluster(view)
        names = _named(params.instances, cluster)
        if EVERYBODY in cluster.fenced:
            raise NotPossible(
                f"all of {view.ref} is fenced ({EVERYBODY}): the operator cannot unfence one of them, "
                "a person removes the annotation"
            )
        lifted = [name for name in names if name in cluster.fenced]
        if not lifted:
            raise NotPossible(f"{', '.join(names)} of {view.ref}: not fenced")
        by = set_by_others(view.target, ("metadata", "annotations", FENCED))
        return Change(
            effects=(_fence(view, cluster.fenced - set(lifted), undoable=False),),
            summary=f"unfence {', '.join(lifted)}",
            needs_approval=f"{', '.join(lifted)} was fenced by {by}" if by else "",
            notes=(
                "PostgreSQL starts again on the data as it was left",
                *(["it starts as the primary again"] if cluster.current in lifted else []),
            ),
        )


def _named(wished: Iterable[str], cluster: PgCluster) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(cluster.current if name == PRIMARY else name for name in wished))
    unknown = [name for name in names if name not in cluster.names]
    if unknown:
        raise NotPossible(f"{', '.join(unknown)} is no instance of {cluster.ref} (it has {', '.join(cluster.names)})")
    return names


def _refuse_no_standby(new: Iterable[str], cluster: PgCluster, pods: Mapping[str, Object]) -> None:
    left = [
        name
        for name, pod in pods.items()
        if name != cluster.current and name not in set(new) and not cluster.is_fenced(name) and pod_is_ready(pod)
    ]
    if not left:
        raise NotPossible(f"no ready standby of {cluster.ref} would stay unfenced: `all_standbys: true` allows it")


def _fence(view: View, names: Iterable[str], *, undoable: bool) -> Patch:
    after: Any = json.dumps(sorted(names)) if names else None
    return annotate(view.target, FENCED, after, undoable=undoable)


def _why(new: Iterable[str], cluster: PgCluster, view: View) -> str:
    if cluster.current in new:
        return f"{cluster.current} is the primary: {view.ref} takes no writes until it is unfenced or another promoted"
    return f"PostgreSQL of {', '.join(new)} is shut down"
