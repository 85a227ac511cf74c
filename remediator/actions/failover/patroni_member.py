"""`patroni_restart` and `patroni_reload`: PostgreSQL of one member, by Patroni's own REST API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from remediator.actions.change import Change, NotPossible
from remediator.actions.databases.parts import InstanceName
from remediator.actions.failover.patroni_standing import (
    KINDS,
    RUNNING,
    OfCluster,
    call,
    member_of,
    pods_of,
    read_cluster,
    refuse_busy,
)
from remediator.actions.view import Ask, View


class OfMember(OfCluster):
    member: InstanceName


class PatroniRestartParams(OfMember):
    """`role`: what the member has to be; a leader's restart is an outage, and a switchover before it is not."""

    role: Literal["replica", "leader"] = "replica"


class PatroniRestart:
    """PostgreSQL of one member, without its pod. A restart has no inverse."""

    name = "patroni_restart"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    rights = ()
    params = PatroniRestartParams

    def wants(self, params: PatroniRestartParams, view: View) -> Mapping[str, Ask]:
        return {"cluster": Ask("patroni", params.patroni, {"about": "member", "member": params.member})}

    def resolve(self, params: PatroniRestartParams, view: View) -> PatroniRestartParams:
        return params

    def plan(self, params: PatroniRestartParams, view: View) -> Change:
        """Raises: NotPossible."""
        cluster = read_cluster(view, params)
        refuse_busy(cluster, params.patroni)
        member = member_of(cluster, params.member)
        leads = cluster["leader"] == params.member
        if leads != (params.role == "leader"):
            raise NotPossible(f"{params.member} is a {member['role']}, not a {params.role}")
        if not cluster["leader"]:
            raise NotPossible(f"{params.patroni} has no leader: nothing is restarted meanwhile", hold=True)
        others = [name for name, one in cluster["members"].items() if name != params.member]
        if unwell := [name for name in others if cluster["members"][name]["state"] not in RUNNING]:
            raise NotPossible(f"{unwell[0]} is not running: one member at a time", hold=True)
        request = {"do": "restart", "member": params.member, "role": params.role, "started": str(cluster["started"])}
        alone_sync = member["sync"] and sum(one["sync"] for one in cluster["members"].values()) == 1
        return Change(
            effects=(call(view, params, request, f"restart PostgreSQL of {params.member} ({params.role})"),),
            takes=1,
            summary=f"restart {params.member}",
            reduces_capacity=True,
            needs_approval=f"{params.patroni} takes no writes while its leader restarts"
            if leads
            else "it is the only synchronous standby: commits may wait for it"
            if alone_sync
            else "",
            notes=("open connections to it are dropped",),
            touches=pods_of(view, params.member),
        )


class PatroniReload:
    """Reading the settings again twice is as good as once. What needs a restart waits for one."""

    name = "patroni_reload"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = OfMember

    def wants(self, params: OfMember, view: View) -> Mapping[str, Ask]:
        return {"cluster": Ask("patroni", params.patroni, {"about": "cluster"})}

    def resolve(self, params: OfMember, view: View) -> OfMember:
        return params

    def plan(self, params: OfMember, view: View) -> Change:
        """Raises: NotPossible."""
        member_of(read_cluster(view, params), params.member)
        says = f"reload the settings of {params.member}"
        reload = call(view, params, {"do": "reload", "member": params.member}, says, repeatable=True)
        return Change(effects=(reload,), summary=says, notes=("settings that need a restart wait for one",))
