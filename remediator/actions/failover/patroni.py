"""`patroni_switchover` and `patroni_failover`: another member leads, by Patroni's own REST API.

A switchover is for a cluster in which all is well; Patroni itself makes sure that nothing is lost. A failover is for
one without a leader, which Patroni does not end by itself because each member lacks something: it may lose commits, so
the old primary has to be proven stopped (guardrail `failover_fence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.base import Right
from remediator.actions.change import Change, Failover, NotPossible
from remediator.actions.databases.cnpg_primary import (
    failing_since,
    lag_of,
    nodes_by_name,
    regions,
    state_by_kubernetes,
    state_by_query,
)
from remediator.actions.databases.parts import InstanceName, Promql
from remediator.actions.failover.patroni_standing import (
    KINDS,
    RUNNING,
    OfCluster,
    call,
    pods_of,
    read_cluster,
    refuse_busy,
    refuse_unfit,
)
from remediator.actions.pods import name_of
from remediator.actions.view import Ask, ListOf, Query, View, Wanted
from remediator.playbooks.fields import Duration

STOPPED = frozenset({"stopped", "crashed", "start failed"})

LEAST_LAG = "least_lag"

Candidate = InstanceName | Annotated[str, Field(pattern=f"^{LEAST_LAG}$")]
MaxLag = Annotated[Duration, Field(ge=timedelta(0), le=timedelta(hours=1))]


class PatroniSwitchoverParams(OfCluster):
    """`candidate` is a member, or the fit replica with the least lag. `max_lag_bytes`: how far it may be behind."""

    candidate: Candidate = LEAST_LAG
    max_lag_bytes: int = Field(1024 * 1024, ge=0, le=1024**3)


class PatroniSwitchover:
    """Going back is another switchover, with its own approval."""

    name = "patroni_switchover"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    rights = ()
    params = PatroniSwitchoverParams

    def wants(self, params: PatroniSwitchoverParams, view: View) -> Mapping[str, Ask]:
        return {"cluster": Ask("patroni", params.patroni, {"about": "cluster"})}

    def resolve(self, params: PatroniSwitchoverParams, view: View) -> PatroniSwitchoverParams:
        """`least_lag` as a name, so that people agree to one member and to no other. Raises: NotPossible."""
        if params.candidate != LEAST_LAG:
            return params
        return params.model_copy(update={"candidate": _least_lag(read_cluster(view, params), params.patroni)})

    def plan(self, params: PatroniSwitchoverParams, view: View) -> Change:
        """Raises: NotPossible."""
        cluster = read_cluster(view, params)
        leader = str(cluster["leader"])
        if not leader:
            raise NotPossible(f"{params.patroni} has no leader: a switchover is for a cluster that is well", hold=True)
        if leader == params.candidate:
            raise NotPossible(f"{leader} leads {params.patroni} already")
        refuse_busy(cluster, params.patroni)
        refuse_unfit(cluster, params.candidate)
        if cluster["members"][leader]["state"] not in RUNNING:
            raise NotPossible(f"{leader} is {cluster['members'][leader]['state']}, not running", hold=True)
        lag = cluster["members"][params.candidate]["lag"]
        if lag is None:
            raise NotPossible(f"CANNOT SEE: how far {params.candidate} is behind", hold=True)
        if lag > params.max_lag_bytes:
            raise NotPossible(
                f"{params.candidate} is {lag} bytes behind, max_lag_bytes is {params.max_lag_bytes}", hold=True
            )
        request = {"do": "switchover", "leader": leader, "candidate": params.candidate}
        says = f"Patroni switchover of {params.patroni}: {leader} -> {params.candidate}"
        return Change(
            effects=(call(view, params, request, says),),
            takes=1,
            summary=f"leader {leader} -> {params.candidate}, switchover",
            direction="failover",
            reduces_capacity=True,
            needs_approval=f"{params.patroni} takes no writes until {params.candidate} leads",
            notes=("open connections are dropped", "Patroni may choose another member when this one fails meanwhile"),
            touches=pods_of(view, leader, params.candidate),
        )


class PatroniFailoverParams(OfCluster):
    """`old_primary` and `candidate` are members. `primary_unreachable` is the second vantage point: PromQL that gives 1
    while the old primary is bad and 0 otherwise, by the label `pod` or as one value. `lag` gives seconds by `pod`."""

    old_primary: InstanceName
    candidate: InstanceName
    max_lag: MaxLag
    debounce: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(hours=1))] = timedelta(minutes=1)
    primary_unreachable: Promql
    lag: Promql
    cross_region: bool = False


class PatroniFailover:
    """No inverse: when the old primary is a healthy replica again, `patroni_switchover` goes back."""

    name = "patroni_failover"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pods", "pdbs"})
    disruptive = True
    changes_data = True
    rights = (Right("list", "Node"),)
    params = PatroniFailoverParams

    def wants(self, params: PatroniFailoverParams, view: View) -> Mapping[str, Wanted]:
        return {
            "cluster": Ask("patroni", params.patroni, {"about": "cluster"}),
            "nodes": ListOf(kind="Node"),
            "primary": Query(params.primary_unreachable),
            "lag": Query(params.lag),
        }

    def resolve(self, params: PatroniFailoverParams, view: View) -> PatroniFailoverParams:
        return params

    def plan(self, params: PatroniFailoverParams, view: View) -> Change:
        """What the old primary is doing is measured here and judged by `failover_fence`. Raises: NotPossible."""
        cluster = read_cluster(view, params)
        if cluster["leader"]:
            raise NotPossible(f"{cluster['leader']} leads {params.patroni}: patroni_switchover moves a leader")
        if params.candidate == params.old_primary:
            raise NotPossible(f"{params.candidate} is the old primary: choose another candidate")
        refuse_busy(cluster, params.patroni)
        refuse_unfit(cluster, params.candidate)
        pods = {name_of(pod): pod for pod in view.pods}
        for member in (params.old_primary, params.candidate):
            if member not in pods:
                raise NotPossible(f"{view.ref} has no pod {member}: two primaries would be worse than none", hold=True)
        nodes, old = nodes_by_name(view.found["nodes"]), pods[params.old_primary]
        request = {"do": "failover", "candidate": params.candidate}
        says = f"Patroni failover of {params.patroni} (no leader) to {params.candidate}"
        return Change(
            effects=(call(view, params, request, says),),
            summary=f"leader none -> {params.candidate}, failover from {params.old_primary}",
            direction="failover",
            needs_approval=f"commits that {params.old_primary} has not sent to {params.candidate} are lost",
            notes=(
                "open connections are dropped",
                f"no undo: when {params.old_primary} is a healthy replica again, patroni_switchover goes back",
            ),
            failover=Failover(
                old_primary={
                    "patroni": _state_by_patroni(cluster, params.old_primary),
                    "kubernetes": state_by_kubernetes(old, nodes, fence_confirmed=False),
                    "prometheus": state_by_query(view.found["primary"], params.old_primary),
                },
                candidate=params.candidate,
                lag_s=lag_of(view.found["lag"], params.candidate),
                max_lag_s=params.max_lag.total_seconds(),
                failing_since=failing_since(old),
                debounce=params.debounce,
                regions=regions(old, pods[params.candidate], nodes),
                cross_region=params.cross_region,
            ),
            touches=pods_of(view, params.old_primary, params.candidate),
        )


def _least_lag(cluster: Mapping[str, Any], name: str) -> str:
    """Raises: NotPossible."""
    synchronous = any(one["sync"] for one in cluster["members"].values())
    fit = [
        (one["lag"], member)
        for member, one in cluster["members"].items()
        if member != cluster["leader"]
        and one["lag"] is not None
        and one["state"] in RUNNING
        and not one["nofailover"]
        and (one["sync"] or not synchronous)
    ]
    if not fit:
        raise NotPossible(f"{name} has no replica that runs and whose lag is known", hold=True)
    return str(min(fit)[1])


def _state_by_patroni(cluster: Mapping[str, Any], name: str) -> Any:
    """A member that has vanished from the cluster has told nobody for as long as the leader's lock lasts."""
    member = cluster["members"].get(name)
    if member is None:
        return "unreachable"
    if member["state"] in STOPPED:
        return "stopped"
    return "running" if member["state"] in RUNNING else "unknown"
