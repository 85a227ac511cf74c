"""Patroni: a switchover where all is well, a failover where nobody leads, one member at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.failover.patroni import (
    PatroniFailover,
    PatroniFailoverParams,
    PatroniSwitchover,
    PatroniSwitchoverParams,
)
from remediator.actions.failover.patroni_member import PatroniReload, PatroniRestart, PatroniRestartParams
from remediator.actions.view import Ask, Query
from remediator.objects import ObjectRef, ref_of
from remediator.ports import Sample
from tests.actions.make import NOW, view

SET: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "shop", "uid": "uid-db"},
}


def member(role: str = "replica", state: str = "streaming", **more: Any) -> dict[str, Any]:
    given = {"role": role, "state": state, "lag": 0, "timeline": 1, "sync": False, "nofailover": False}
    return {**given, "pending_restart": False, **more}


def cluster(leader: str = "db-0", **more: Any) -> dict[str, Any]:
    members = {f"db-{n}": member() for n in range(3)}
    members["db-2"]["lag"] = 500
    if leader:
        members[leader] = member("leader", "running", lag=None)
    members |= more.pop("members", {})
    found = {"leader": leader, "members": members, "standby": False, "paused": False, "scheduled": False}
    return {**found, "source": "db-0", "stands_for": [], "started": "ten", **more}


def switchover(found: Any = None, **params: Any) -> Any:
    here = view(SET, found={"cluster": found or cluster()})
    action = PatroniSwitchover()
    return action.plan(action.resolve(PatroniSwitchoverParams(**{"patroni": "orders", **params}), here), here)


def test_a_switchover_to_the_nearest():
    change = switchover()
    assert change.effects == (
        Call(
            ref=ref_of(SET),
            uid="uid-db",
            via="patroni",
            place="orders",
            request={"do": "switchover", "leader": "db-0", "candidate": "db-1"},
            says="Patroni switchover of orders: db-0 -> db-1",
        ),
    )
    assert diff_lines(change) == (change.effects[0].says,)
    assert (change.goes, change.takes, bool(change.needs_approval)) == ("failover", 1, True)
    assert change.touches == (ObjectRef("Pod", "shop", "db-0"), ObjectRef("Pod", "shop", "db-1"))
    assert switchover(candidate="db-2").effects[0].request["candidate"] == "db-2"


def test_a_synchronous_standby_comes_first():
    found = cluster(members={"db-2": member(lag=9, sync=True)})
    assert switchover(found).effects[0].request["candidate"] == "db-2"
    with pytest.raises(NotPossible, match="db-1 is no synchronous standby"):
        switchover(found, candidate="db-1")


@pytest.mark.parametrize(
    ("found", "params", "reason", "hold"),
    [
        pytest.param(cluster(""), {"candidate": "db-1"}, "has no leader", True, id="nobody leads"),
        pytest.param(cluster(), {"candidate": "db-0"}, "db-0 leads orders already", False, id="leads already"),
        pytest.param(cluster(), {"candidate": "db-9"}, "there is no member db-9", False, id="no such member"),
        pytest.param(cluster(paused=True), {}, "Patroni is paused", False, id="paused"),
        pytest.param(cluster(scheduled=True), {}, "scheduled already", True, id="scheduled"),
        pytest.param(cluster(standby=True), {}, "a standby cluster", False, id="a standby cluster"),
        pytest.param(cluster(stands_for=["Service/shop/x"]), {}, "not for StatefulSet", False, id="another target"),
        pytest.param(cluster(), {"candidate": "db-2", "max_lag_bytes": 499}, "500 bytes behind", True, id="behind"),
        pytest.param(
            cluster(members={"db-1": member(lag=None)}), {"candidate": "db-1"}, "CANNOT SEE", True, id="unknown lag"
        ),
        pytest.param(
            cluster(members={"db-1": member(nofailover=True)}), {"candidate": "db-1"}, "nofailover", False, id="tag"
        ),
        pytest.param(
            cluster(members={"db-1": member(state="starting")}), {"candidate": "db-1"}, "is starting", True, id="starts"
        ),
        pytest.param(
            cluster(members={f"db-{n}": member(lag=None) for n in (1, 2)}), {}, "no replica", True, id="nobody"
        ),
        pytest.param(
            cluster(members={"db-0": member("leader", "stopping")}), {}, "db-0 is stopping", True, id="ill leader"
        ),
    ],
)
def test_no_switchover(found, params, reason, hold):
    with pytest.raises(NotPossible, match=reason) as refused:
        switchover(found, **params)
    assert refused.value.hold == hold


def spilo(patroni_4: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Zalando's operator makes: a StatefulSet named as the cluster, whose pods are Patroni's members."""
    labels = {"application": "spilo", "cluster-name": "acid-db", "team": "acid"}
    stateful_set = {
        **SET,
        "metadata": {"name": "acid-db", "namespace": "shop", "uid": "uid-acid", "labels": labels},
        "spec": {
            "replicas": 3,
            "serviceName": "acid-db",
            "selector": {"matchLabels": {"application": "spilo", "cluster-name": "acid-db"}},
            "template": {"metadata": {"labels": labels}},
        },
    }
    members = {
        "acid-db-0": member("leader", "running", lag=None),
        "acid-db-1": member(state="streaming" if patroni_4 else "running", lag=16),
        "acid-db-2": member(state="streaming" if patroni_4 else "running"),
    }
    told = {**cluster("", source="acid-db-0", stands_for=["StatefulSet/shop/acid-db"]), "leader": "acid-db-0"}
    return stateful_set, {**told, "members": members}


@pytest.mark.parametrize(
    ("patroni_4", "params", "candidate"),
    [
        pytest.param(True, {}, "acid-db-2", id="the nearest"),
        pytest.param(True, {"candidate": "acid-db-1"}, "acid-db-1", id="named"),
        pytest.param(False, {}, "acid-db-2", id="before Patroni 4"),
    ],
)
def test_a_switchover_of_zalandos_stateful_set(patroni_4, params, candidate):
    stateful_set, found = spilo(patroni_4)
    here = view(stateful_set, found={"cluster": found})
    action = PatroniSwitchover()
    change = action.plan(action.resolve(PatroniSwitchoverParams(patroni="acid-db", **params), here), here)
    (call,) = change.effects
    assert isinstance(call, Call)
    assert (call.ref, call.uid, call.place) == (ref_of(stateful_set), "uid-acid", "acid-db")
    assert call.request == {"do": "switchover", "leader": "acid-db-0", "candidate": candidate}
    assert ObjectRef("Pod", "shop", candidate) in change.touches


def test_only_the_stateful_set_that_it_stands_for():
    stateful_set, found = spilo()
    other = {**stateful_set, "metadata": {**stateful_set["metadata"], "name": "acid-other"}}
    params = PatroniSwitchoverParams(patroni="acid-db", candidate="acid-db-1")
    with pytest.raises(NotPossible, match="stands for StatefulSet/shop/acid-db, not for StatefulSet shop/acid-other"):
        PatroniSwitchover().plan(params, view(other, found={"cluster": found}))


def pod(name: str, *, ready: bool = True, running: bool = True) -> dict[str, Any]:
    state = {"running": {}} if running else {"terminated": {"exitCode": 1}}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2025-06-01T11:50:00Z"}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"nodeName": f"node-{name}"},
        "status": {
            "phase": "Running",
            "conditions": [condition],
            "containerStatuses": [{"name": "postgres", "state": state}],
        },
    }


def node(name: str, ready: str = "True") -> dict[str, Any]:
    labels = {"topology.kubernetes.io/region": "eu"}
    condition = {"type": "Ready", "status": ready}
    return {"metadata": {"name": f"node-{name}", "labels": labels}, "status": {"conditions": [condition]}}


FAILOVER: dict[str, Any] = {
    "patroni": "orders",
    "old_primary": "db-0",
    "candidate": "db-1",
    "max_lag": timedelta(seconds=5),
    "primary_unreachable": "up == bool 0",
    "lag": "lag",
}


def failover(found: Any = None, *, bad: float = 1.0, **more: Any) -> Any:
    stopped = cluster("", members={"db-0": member(state="stopped")})
    seen = {
        "cluster": found or stopped,
        "nodes": tuple(node(f"db-{n}") for n in range(3)),
        "primary": (Sample({"pod": "db-0"}, bad, NOW),),
        "lag": (Sample({"pod": "db-1"}, 2.0, NOW),),
    }
    pods = more.pop("pods", (pod("db-0", ready=False, running=False), pod("db-1"), pod("db-2")))
    here = view(SET, found=seen, pods=pods)
    action = PatroniFailover()
    return action.plan(action.resolve(PatroniFailoverParams(**{**FAILOVER, **more}), here), here)


def test_a_failover_measures_three_ways():
    change = failover()
    assert change.effects[0].request == {"do": "failover", "candidate": "db-1"}
    facts = change.failover
    assert facts.old_primary == {"patroni": "stopped", "kubernetes": "stopped", "prometheus": "unreachable"}
    assert (facts.candidate, facts.lag_s, facts.max_lag_s, facts.regions) == ("db-1", 2.0, 5.0, ("eu", "eu"))
    assert facts.failing_since == NOW - timedelta(minutes=10)
    assert change.needs_approval.startswith("commits that db-0 has not sent to db-1 are lost")


@pytest.mark.parametrize(
    ("state", "said"),
    [("running", "running"), ("streaming", "running"), ("crashed", "stopped"), ("starting", "unknown")],
)
def test_what_patroni_says_of_the_old_primary(state, said):
    found = cluster("", members={"db-0": member(state=state)})
    assert failover(found).failover.old_primary["patroni"] == said


def test_a_member_that_has_vanished_is_unreachable():
    found = cluster("")
    del found["members"]["db-0"]
    assert failover(found).failover.old_primary["patroni"] == "unreachable"


def test_a_primary_that_answers_is_said_to_run():
    assert failover(bad=0.0).failover.old_primary["prometheus"] == "running"
    ready = (pod("db-0"), pod("db-1"))
    facts = failover(pods=ready).failover
    assert (facts.old_primary["kubernetes"], facts.failing_since) == ("running", None)


def test_a_container_that_runs_may_still_write():
    facts = failover(pods=(pod("db-0", ready=False), pod("db-1"))).failover
    assert facts.old_primary["kubernetes"] == "running"


@pytest.mark.parametrize(
    ("found", "more", "reason"),
    [
        pytest.param(cluster(), {}, "db-0 leads orders: patroni_switchover", id="somebody leads"),
        pytest.param(None, {"candidate": "db-0"}, "db-0 is the old primary", id="to itself"),
        pytest.param(None, {"pods": (pod("db-1"),)}, "no pod db-0", id="its pod is gone"),
        pytest.param(cluster("", paused=True), {}, "paused", id="paused"),
    ],
)
def test_no_failover(found, more, reason):
    with pytest.raises(NotPossible, match=reason):
        failover(found, **more)


def restart(found: Any = None, **params: Any) -> Any:
    here = view(SET, found={"cluster": found or cluster()})
    action = PatroniRestart()
    given = PatroniRestartParams(**{"patroni": "orders", "member": "db-1", **params})
    return action.plan(action.resolve(given, here), here)


def test_a_restart_names_since_when_it_ran():
    change = restart()
    assert change.effects[0].request == {"do": "restart", "member": "db-1", "role": "replica", "started": "ten"}
    assert change.needs_approval == ""
    assert "takes no writes" in restart(member="db-0", role="leader").needs_approval
    only = cluster(members={"db-1": member("sync_standby", sync=True)})
    assert "only synchronous standby" in restart(only).needs_approval


@pytest.mark.parametrize(
    ("found", "params", "reason"),
    [
        pytest.param(cluster(), {"member": "db-0"}, "db-0 is a leader, not a replica", id="a leader unasked"),
        pytest.param(cluster(), {"role": "leader"}, "db-1 is a replica, not a leader", id="a replica"),
        pytest.param(cluster(""), {}, "has no leader", id="nobody leads"),
        pytest.param(cluster(members={"db-2": member(state="starting")}), {}, "one member at a time", id="another"),
        pytest.param(cluster(paused=True), {}, "paused", id="paused"),
    ],
)
def test_no_restart(found, params, reason):
    with pytest.raises(NotPossible, match=reason):
        restart(found, **params)


def test_a_reload_may_be_sent_again():
    here = view(SET, found={"cluster": cluster()})
    action = PatroniReload()
    params = action.params(patroni="orders", member="db-1")
    (call,) = action.plan(action.resolve(params, here), here).effects
    assert isinstance(call, Call)
    assert (call.request, call.repeatable) == ({"do": "reload", "member": "db-1"}, True)


def test_what_they_ask_before():
    here = view(SET)
    about = Ask("patroni", "orders", {"about": "cluster"})
    assert PatroniSwitchover().wants(PatroniSwitchoverParams(patroni="orders"), here) == {"cluster": about}
    wanted = PatroniFailover().wants(PatroniFailoverParams(**FAILOVER), here)
    assert (wanted["cluster"], wanted["primary"]) == (about, Query("up == bool 0"))
    asked = PatroniRestart().wants(PatroniRestartParams(patroni="orders", member="db-1"), here)
    assert asked == {"cluster": Ask("patroni", "orders", {"about": "member", "member": "db-1"})}


@pytest.mark.parametrize("more", [{"debounce": "1s"}, {"max_lag": "2h"}, {"candidate": "DB 1"}, {"lag": ""}])
def test_bad_parameters(more):
    with pytest.raises(ValidationError):
        PatroniFailoverParams(**{**FAILOVER, **more})
