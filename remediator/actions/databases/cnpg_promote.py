"""`cnpg_promote` and `cnpg_switchover`: another instance of a CloudNativePG Cluster becomes the primary.

Both write what the operator's own command line tool writes into the status; the instances do the rest. They differ in
what must hold before: a promotion is for a primary that is proven stopped (guardrail `failover_fence`), a switchover is
for a Cluster in which everything is well, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, Failover, FieldChange, NotPossible, Patch
from remediator.actions.databases.cnpg import (
    CLUSTER,
    UNRECOVERABLE,
    PgCluster,
    instance_pods,
    pods_by_name,
    read_cluster,
    refuse_fenced,
    refuse_replica_cluster,
    refuse_unhealthy,
)
from remediator.actions.databases.cnpg_primary import (
    choose_candidate,
    confirms_fence,
    failing_since,
    lag_of,
    nodes_by_name,
    regions,
    state_by_kubernetes,
    state_by_query,
    unfit,
)
from remediator.actions.databases.parts import InstanceName, Promql, condition_of
from remediator.actions.paths import value_at
from remediator.actions.view import ListOf, Query, View, Wanted
from remediator.objects import Object, ObjectRef, dig
from remediator.playbooks.fields import Duration

LEAST_LAG = "least_lag"
MOST_LAG = timedelta(hours=1)
READY = "[type=Ready]"

RIGHTS = (
    Right("patch", CLUSTER, "status"),
    Right("list", "Pod"),
    Right("list", "Node"),
)

Candidate = InstanceName | Annotated[str, Field(pattern=f"^{LEAST_LAG}$")]
MaxLag = Annotated[Duration, Field(ge=timedelta(0), le=MOST_LAG)]


class CnpgPromoteParams(Params):
    """`candidate` is an instance, or the fit standby with the least lag.

    `primary_unreachable` is the second vantage point: PromQL that gives 1 while the primary is bad and 0 otherwise, by
    the label `pod` or as one single value. `lag` gives seconds by the label `pod`. `fence_confirmed` gives 1 by `pod`
    for an instance that reports its own fence; without it a fenced primary whose container runs counts as running.
    """

    candidate: Candidate = LEAST_LAG
    max_lag: MaxLag
    debounce: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(hours=1))] = timedelta(minutes=1)
    primary_unreachable: Promql
    lag: Promql
    fence_confirmed: Promql | None = None
    cross_region: bool = False


class CnpgPromote:
    """No inverse: the old primary has to be healthy again first, and then `cnpg_switchover` goes back."""

    name = "cnpg_promote"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    changes_data = True
    rights = RIGHTS
    params = CnpgPromoteParams

    def wants(self, params: CnpgPromoteParams, view: View) -> Mapping[str, Wanted]:
        wanted: dict[str, Wanted] = {**_surroundings(view, params.lag), "primary": Query(params.primary_unreachable)}
        if params.fence_confirmed is not None:
            wanted["fence"] = Query(params.fence_confirmed)
        return wanted

    def resolve(self, params: CnpgPromoteParams, view: View) -> CnpgPromoteParams:
        """`least_lag` as a name, so that people agree to one instance and to no other. Raises: NotPossible."""
        return params.model_copy(update={"candidate": _candidate(params.candidate, read_cluster(view), view)})

    def plan(self, params: CnpgPromoteParams, view: View) -> Change:
        """What the primary is doing is measured here and judged by `failover_fence`. Raises: NotPossible."""
        cluster = read_cluster(view)
        refuse_replica_cluster(view.target, view.ref)
        if cluster.phase == UNRECOVERABLE:
            raise NotPossible(f"{view.ref} says that it is unrecoverable: restore it beside from a backup instead")
        if dig(view.target, "spec", "postgresql", "synchronous", "failoverQuorum"):
            raise NotPossible(
                f"{view.ref} fails over by quorum (failoverQuorum), which a promotion from outside would skip: "
                "a person decides whether commits may be lost"
            )
        candidate = _candidate(params.candidate, cluster, view)
        if cluster.target == candidate:
            raise NotPossible(f"{candidate} is becoming the primary of {view.ref} already")
        _refuse_unfit(candidate, cluster, view)
        return Change(
            effects=(_new_primary(cluster, candidate, view),),
            summary=f"primary {cluster.current} -> {candidate}",
            direction="failover",
            needs_approval=f"a promotion loses what {cluster.current} has not sent to {candidate}",
            notes=(
                "open connections are dropped",
                f"lag is what {candidate} measures of what it has received; what never left {cluster.current} is "
                "not in it",
                f"no undo: when {cluster.current} is a healthy standby again, cnpg_switchover goes back",
            ),
            failover=self._facts(params, cluster, candidate, view),
            touches=_pods_of(view, cluster.current, candidate),
        )

    def _facts(self, params: CnpgPromoteParams, cluster: PgCluster, candidate: str, view: View) -> Failover:
        pods, nodes, lags = _found(view, cluster)
        old = pods.get(cluster.current)
        fenced = cluster.is_fenced(cluster.current) and confirms_fence(view.found.get("fence") or (), cluster.current)
        # The operator waits this long before it fails over by itself.
        patience = timedelta(seconds=int(dig(view.target, "spec", "failoverDelay", default=0)))
        return Failover(
            old_primary={
                "kubernetes": state_by_kubernetes(old, nodes, fence_confirmed=fenced),
                "prometheus": state_by_query(view.found["primary"], cluster.current),
            },
            candidate=candidate,
            lag_s=lag_of(lags, candidate),
            max_lag_s=params.max_lag.total_seconds(),
            failing_since=failing_since(old),
            debounce=max(params.debounce, patience),
            operator_busy=cluster.moving,
            regions=regions(old, pods.get(candidate), nodes),
            cross_region=params.cross_region,
        )


class CnpgSwitchoverParams(Params):
    """`candidate` is an instance, or the fit standby with the least lag. `lag` gives seconds by the label `pod`."""

    candidate: Candidate = LEAST_LAG
    max_lag: MaxLag = timedelta(seconds=5)
    lag: Promql


class CnpgSwitchover:
    """A planned move of a healthy primary. Going back is another switchover, with its own approval."""

    name = "cnpg_switchover"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = RIGHTS
    params = CnpgSwitchoverParams

    def wants(self, params: CnpgSwitchoverParams, view: View) -> Mapping[str, Wanted]:
        return _surroundings(view, params.lag)

    def resolve(self, params: CnpgSwitchoverParams, view: View) -> CnpgSwitchoverParams:
        """`least_lag` as a name. Raises: NotPossible."""
        return params.model_copy(update={"candidate": _candidate(params.candidate, read_cluster(view), view)})

    def plan(self, params: CnpgSwitchoverParams, view: View) -> Change:
        """Only while every instance is ready: `failover_fence` is for the other case. Raises: NotPossible."""
        cluster = read_cluster(view)
        refuse_replica_cluster(view.target, view.ref)
        refuse_fenced(cluster)
        candidate = _candidate(params.candidate, cluster, view)
        if cluster.target == candidate:
            raise NotPossible(f"{candidate} is the primary of {view.ref} already, or becomes it")
        refuse_unhealthy(cluster)
        _refuse_unfit(candidate, cluster, view)
        _refuse_behind(candidate, params, view)
        delay = int(dig(view.target, "spec", "switchoverDelay", default=3600))
        return Change(
            effects=(_new_primary(cluster, candidate, view),),
            takes=1,
            summary=f"primary {cluster.current} -> {candidate}, switchover",
            direction="failover",
            reduces_capacity=True,
            needs_approval=f"{view.ref} takes no writes until {candidate} is its primary",
            notes=(
                "open connections are dropped",
                f"{cluster.current} may take up to {delay} s to shut down (switchoverDelay)",
            ),
            touches=_pods_of(view, cluster.current, candidate),
        )


def _surroundings(view: View, lag: str) -> Mapping[str, Wanted]:
    return {
        "pods": instance_pods(view.ref.name, view.ref.namespace),
        "nodes": ListOf(kind="Node"),
        "lag": Query(lag),
    }


def _found(view: View, cluster: PgCluster) -> tuple[Mapping[str, Object], Mapping[str, Object], Any]:
    """Pods and nodes by name, and the samples of lag."""
    return pods_by_name(view.found["pods"], cluster), nodes_by_name(view.found["nodes"]), view.found["lag"]


def _candidate(wish: str, cluster: PgCluster, view: View) -> str:
    return choose_candidate(cluster, *_found(view, cluster)) if wish == LEAST_LAG else wish


def _refuse_unfit(candidate: str, cluster: PgCluster, view: View) -> None:
    pods, nodes, _ = _found(view, cluster)
    if problem := unfit(candidate, cluster, pods, nodes):
        raise NotPossible(f"{problem}: choose another candidate")


def _refuse_behind(candidate: str, params: CnpgSwitchoverParams, view: View) -> None:
    lag, most = lag_of(view.found["lag"], candidate), params.max_lag.total_seconds()
    if lag is None:
        raise NotPossible(
            f"CANNOT SEE: the lag of {candidate} is unknown: the query `lag` must give seconds by pod", hold=True
        )
    if lag > most:
        raise NotPossible(f"{candidate} lags {lag:g} s, at most {most:g} s", hold=True)


def _new_primary(cluster: PgCluster, candidate: str, view: View) -> Patch:
    """The status as the operator's tool writes it. Read-modify-write of one condition: a merge would drop the others.

    The operator expects microseconds in the time but uses it only to log how long a promotion took.
    """
    wished: list[tuple[tuple[str, ...], Any]] = [
        (("status", "targetPrimary"), candidate),
        (("status", "targetPrimaryTimestamp"), GENERATED_TIME),
        (("status", "phase"), "Switchover in progress"),
        (("status", "phaseReason"), f"Switching over to {candidate}"),
    ]
    ready = condition_of(view.target, "Ready")
    if ready is not None:
        path = ("status", "conditions", READY)
        wished += [
            ((*path, "status"), "False"),
            ((*path, "reason"), "ClusterIsNotReady"),
            ((*path, "message"), "Cluster Is Not Ready"),
        ]
        if ready.get("status") != "False":
            wished.append(((*path, "lastTransitionTime"), GENERATED_TIME))
    changes = tuple(
        FieldChange(path=path, before=before, after=after)
        for path, after in wished
        if (before := value_at(view.target, path)) != after
    )
    return Patch(ref=view.ref, uid=cluster.uid, changes=changes, subresource="status", undoable=False)


def _pods_of(view: View, *names: str) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef("Pod", view.ref.namespace, name) for name in names)
