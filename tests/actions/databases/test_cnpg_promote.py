"""cnpg_promote: what is measured of the primary, what the guardrail makes of it, and what is sent."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_TIME, FieldChange, NotPossible, Patch
from remediator.actions.databases.cnpg_primary import (
    confirms_fence,
    failing_since,
    lag_of,
    state_by_kubernetes,
    state_by_query,
)
from remediator.actions.databases.cnpg_promote import CnpgPromote, CnpgPromoteParams
from remediator.actions.diff import diff_lines
from remediator.actions.times import parse_time
from remediator.actions.view import ListOf, Query
from remediator.guardrails import failover_fence
from remediator.guardrails.verdict import Answer
from remediator.objects import ObjectRef
from tests.actions.databases.make import DOWN, LAG, LONG_AGO, cluster, instance, node, nodes, planned, samples
from tests.actions.make import NOW, deployment, view
from tests.guardrails.make import facts
from tests.guardrails.make import target as facts_target

PARAMS: dict[str, Any] = {"max_lag": "5s", "primary_unreachable": DOWN, "lag": LAG}
WAITING = "Waiting for the instances to become active"
DEAD = (instance("db-1", ready=False, state="terminated"), instance("db-2"), instance("db-3"))
BAD = samples({"db-1": 1.0, "db-2": 0.0, "db-3": 0.0})
LAGS = samples({"db-1": 0.0, "db-2": 2.5, "db-3": 0.5})


def promote(obj: Any = None, params: dict[str, Any] | None = None, **found: Any) -> Any:
    """A primary whose container has ended five minutes ago, unless said."""
    read = {"pods": DEAD, "nodes": nodes(), "lag": LAGS, "primary": BAD, "fence": (), **found}
    return planned(CnpgPromote(), {**PARAMS, **(params or {})}, obj or cluster(phase=WAITING, ready=2), **read)


def judged(change: Any) -> Any:
    return failover_fence.check(facts(facts_target(cluster(), change)))


def test_it_sends_what_the_operators_tool_sends():
    change = promote(cluster(ready=2))
    assert change.effects == (
        Patch(
            ref=ObjectRef("Cluster.postgresql.cnpg.io", "shop", "db"),
            uid="uid-cluster-db",
            subresource="status",
            undoable=False,
            changes=(
                FieldChange(("status", "targetPrimary"), "db-1", "db-3"),
                FieldChange(("status", "targetPrimaryTimestamp"), "2025-05-01T09:59:00.000000Z", GENERATED_TIME),
                FieldChange(("status", "phase"), "Cluster in healthy state", "Switchover in progress"),
                FieldChange(("status", "phaseReason"), None, "Switching over to db-3"),
                FieldChange(("status", "conditions", "[type=Ready]", "status"), "True", "False"),
                FieldChange(("status", "conditions", "[type=Ready]", "reason"), "ClusterIsReady", "ClusterIsNotReady"),
                FieldChange(
                    ("status", "conditions", "[type=Ready]", "message"), "Cluster is Ready", "Cluster Is Not Ready"
                ),
                FieldChange(("status", "conditions", "[type=Ready]", "lastTransitionTime"), LONG_AGO, GENERATED_TIME),
            ),
        ),
    )
    assert change.summary == "primary db-1 -> db-3"
    assert (change.direction, change.goes, change.takes) == ("failover", "failover", 0)
    assert "loses what db-1 has not sent to db-3" in change.needs_approval
    assert set(change.touches) == {ObjectRef("Pod", "shop", "db-1"), ObjectRef("Pod", "shop", "db-3")}
    assert CnpgPromote.changes_data
    lines = diff_lines(change, change.effects[0].ref)
    assert "status.targetPrimary db-1 -> db-3" in lines
    assert "status.targetPrimaryTimestamp 2025-05-01T09:59:00.000000Z -> time of sending" in lines


def test_a_condition_that_says_so_already_is_left_alone():
    paths = [change.path for change in promote().effects[0].changes]
    assert paths == [
        ("status", "targetPrimary"),
        ("status", "targetPrimaryTimestamp"),
        ("status", "phase"),
        ("status", "phaseReason"),
    ]
    assert len(promote(cluster(conditions=(), ready=2)).effects[0].changes) == 4


# --- judged by the real guardrail -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "params", "found", "answer", "blind"),
    [
        pytest.param(None, {}, {}, Answer.PASS, False, id="its container has ended, Prometheus does not reach it"),
        pytest.param(
            None,
            {},
            {"pods": (instance("db-1", ready=False), *DEAD[1:]), "nodes": nodes(db_1={"ready": "Unknown"})},
            Answer.PASS,
            False,
            id="its node is lost",
        ),
        pytest.param(
            None, {}, {"pods": (instance("db-1", ready=False), *DEAD[1:])}, Answer.DENY, False, id="runs, not ready"
        ),
        pytest.param(None, {}, {"pods": (instance("db-1"), *DEAD[1:])}, Answer.DENY, False, id="runs and is ready"),
        pytest.param(None, {}, {"primary": samples({"db-1": 0.0})}, Answer.DENY, False, id="Prometheus reaches it"),
        pytest.param(None, {}, {"primary": ()}, Answer.HOLD, True, id="Prometheus says nothing"),
        pytest.param(None, {}, {"primary": samples({"db-1": math.nan})}, Answer.HOLD, True, id="Prometheus says NaN"),
        pytest.param(None, {}, {"pods": DEAD[1:]}, Answer.HOLD, True, id="its pod is gone, perhaps by force"),
        pytest.param(None, {}, {"nodes": nodes()[1:]}, Answer.HOLD, True, id="its node is gone"),
        pytest.param(
            None,
            {"candidate": "db-2"},
            {"lag": samples({"db-2": 5.1, "db-3": 0.5})},
            Answer.DENY,
            False,
            id="the named candidate lags",
        ),
        pytest.param(None, {"candidate": "db-2"}, {"lag": samples({"db-3": 0.5})}, Answer.HOLD, True, id="lag unknown"),
        pytest.param(
            None,
            {"candidate": "db-2"},
            {"lag": samples([("db-2", 1.0), ("db-2", math.nan)])},
            Answer.HOLD,
            True,
            id="one of two answers about the lag is none",
        ),
        pytest.param(None, {"debounce": "6m"}, {}, Answer.HOLD, False, id="not for long enough"),
        pytest.param(None, {"debounce": "5m"}, {}, Answer.PASS, False, id="just long enough"),
        pytest.param(
            cluster(phase=WAITING, ready=2, spec={"failoverDelay": 301}),
            {},
            {},
            Answer.HOLD,
            False,
            id="the operator itself still waits",
        ),
        pytest.param(
            cluster(phase="Failing over", target="pending", ready=2), {}, {}, Answer.HOLD, False, id="pending"
        ),
        pytest.param(
            cluster(phase="Failing over", target="db-2", ready=2), {}, {}, Answer.HOLD, False, id="moves to another"
        ),
        pytest.param(cluster(phase="Upgrading cluster", ready=2), {}, {}, Answer.HOLD, False, id="is being upgraded"),
        pytest.param(cluster(phase="Brand new phase", ready=2), {}, {}, Answer.HOLD, False, id="a phase nobody knows"),
        pytest.param(None, {}, {"nodes": nodes(db_3={"region": "us"})}, Answer.DENY, False, id="another region"),
        pytest.param(None, {}, {"nodes": nodes(db_3={"region": ""})}, Answer.HOLD, True, id="region unknown"),
        pytest.param(
            None,
            {"cross_region": True},
            {"nodes": nodes(db_3={"region": "us"})},
            Answer.PASS,
            False,
            id="another region, allowed",
        ),
    ],
)
def test_what_the_guardrail_makes_of_it(obj, params, found, answer, blind):
    verdict = judged(promote(obj, params, **found))
    assert (verdict.answer, verdict.cannot_see) == (answer, blind), verdict.reason


@pytest.mark.parametrize(
    ("fenced", "ready", "confirmed", "answer"),
    [
        pytest.param('["db-1"]', False, samples({"db-1": 1.0}), Answer.PASS, id="fenced, confirmed, not ready"),
        pytest.param('["*"]', False, samples({"db-1": 1.0}), None, id="everybody is fenced: no candidate"),
        pytest.param('["db-1"]', False, (), Answer.DENY, id="fenced, not confirmed"),
        pytest.param('["db-1"]', False, samples({"db-1": 0.0}), Answer.DENY, id="the fence is not closed yet"),
        pytest.param('["db-1"]', False, samples({"db-2": 1.0}), Answer.DENY, id="another one confirms"),
        pytest.param('["db-1"]', False, samples({"": 1.0}), Answer.DENY, id="nobody says who confirms"),
        pytest.param('["db-1"]', True, samples({"db-1": 1.0}), Answer.DENY, id="still ready"),
        pytest.param(None, False, samples({"db-1": 1.0}), Answer.DENY, id="not fenced"),
    ],
)
def test_a_primary_that_was_fenced_first(fenced, ready, confirmed, answer):
    """The container of a fenced instance runs; only its own word proves that PostgreSQL in it does not."""
    obj = cluster(phase=WAITING, ready=2, fenced=fenced)
    pods = (instance("db-1", ready=ready), *DEAD[1:])
    params = {"fence_confirmed": "cnpg_collector_fencing_on"}
    if answer is None:
        with pytest.raises(NotPossible, match="db-2 is fenced; db-3 is fenced"):
            promote(obj, params, pods=pods, fence=confirmed)
        return
    assert judged(promote(obj, params, pods=pods, fence=confirmed)).answer is answer


def test_the_facts_are_what_was_measured():
    failover = promote().failover
    assert failover.old_primary == {"kubernetes": "stopped", "prometheus": "unreachable"}
    assert (failover.candidate, failover.lag_s, failover.max_lag_s) == ("db-3", 0.5, 5.0)
    assert failover.failing_since == NOW - timedelta(minutes=5)
    assert failover.debounce == timedelta(minutes=1)
    assert failover.regions == ("eu", "eu")
    assert failover.operator_busy == ""
    said = promote(cluster(phase="Failing over", target="pending", ready=2)).failover.operator_busy
    assert said == "Cluster shop/db is choosing a new primary (targetPrimary is pending)"


# --- who is promoted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        pytest.param({}, "db-3", id="least lag"),
        pytest.param({"lag": samples({"db-2": 0.5, "db-3": 0.5})}, "db-2", id="the lower number among equals"),
        pytest.param({"pods": (*DEAD[:2], instance("db-3", ready=False))}, "db-2", id="the other is not ready"),
        pytest.param({"nodes": nodes(db_3={"cordoned": True})}, "db-2", id="the other's node is cordoned"),
        pytest.param({"lag": samples({"db-2": 2.0, "db-3": math.nan})}, "db-2", id="the other's lag is unknown"),
        pytest.param({"lag": samples({"db-1": 0.0, "db-2": 2.0})}, "db-2", id="never the primary itself"),
        pytest.param(
            {"lag": samples({"db-2": 2.0, "other-1": 0.0}), "pods": (*DEAD, instance("other-1"))},
            "db-2",
            id="never what is no instance",
        ),
    ],
)
def test_the_candidate_is_chosen(found, chosen):
    assert promote(**found).failover.candidate == chosen


def test_the_choice_is_made_once():
    """What people agreed to is one instance: when another one lags less later, it stays with the first."""
    action, params = CnpgPromote(), CnpgPromoteParams(**PARAMS)
    read = {"pods": DEAD, "nodes": nodes(), "primary": BAD}
    first = view(cluster(ready=2), found={**read, "lag": LAGS})
    resolved = action.resolve(params, first)
    assert resolved.candidate == "db-3"
    later = view(cluster(ready=2), found={**read, "lag": samples({"db-2": 0.0, "db-3": 9.0})})
    failover = action.plan(resolved, later).failover
    assert failover is not None
    assert failover.lag_s == 9.0


@pytest.mark.parametrize(
    ("obj", "params", "found", "reason", "hold"),
    [
        pytest.param(None, {"candidate": "db-9"}, {}, "db-9 is no instance of Cluster shop/db", False, id="stranger"),
        pytest.param(None, {"candidate": "db-1"}, {}, "db-1 is becoming the primary", False, id="the primary"),
        pytest.param(
            cluster(phase="Failing over", target="db-3", ready=2),
            {},
            {},
            "db-3 is becoming the primary of Cluster shop/db already",
            False,
            id="it is on its way",
        ),
        pytest.param(
            cluster(fenced='["db-2"]', ready=2), {"candidate": "db-2"}, {}, "db-2 is fenced", False, id="fenced"
        ),
        pytest.param(None, {"candidate": "db-2"}, {"pods": DEAD[:1]}, "pod db-2 does not exist", False, id="no pod"),
        pytest.param(
            None,
            {"candidate": "db-2"},
            {"pods": (DEAD[0], instance("db-2", leaving=True))},
            "pod db-2 is not ready",
            False,
            id="leaves",
        ),
        pytest.param(
            None, {"candidate": "db-2"}, {"nodes": ()}, "the node of db-2 is unknown", False, id="on an unknown node"
        ),
        pytest.param(None, {}, {"lag": ()}, "CANNOT SEE: the lag of db-2, db-3 is unknown", True, id="no lag at all"),
        pytest.param(
            None,
            {},
            {"pods": DEAD[:1]},
            "has no standby to promote: pod db-2 does not exist; pod db-3 does not exist",
            True,
            id="nobody",
        ),
        pytest.param(
            cluster(names=("db-1",), instances=1, ready=0),
            {},
            {},
            "has no standby to promote: it has only its primary",
            True,
            id="a single instance",
        ),
        pytest.param(
            cluster(phase="Cluster is unrecoverable and needs manual intervention", ready=0),
            {},
            {},
            "restore it beside",
            False,
            id="unrecoverable",
        ),
        pytest.param(
            cluster(spec={"postgresql": {"synchronous": {"failoverQuorum": True, "number": 1}}}, ready=2),
            {},
            {},
            "fails over by quorum",
            False,
            id="quorum",
        ),
        pytest.param(
            cluster(spec={"replica": {"enabled": True, "source": "far"}}),
            {},
            {},
            "replica cluster",
            False,
            id="replica",
        ),
        pytest.param(
            cluster(spec={"replica": {"primary": "far", "source": "far"}}), {}, {}, "replica cluster", False, id="far"
        ),
        pytest.param(cluster(annotations={"cnpg.io/hibernation": "on"}), {}, {}, "hibernates", False, id="hibernates"),
        pytest.param(
            cluster(annotations={"cnpg.io/reconciliationLoop": "disabled"}), {}, {}, "not looked after", False, id="off"
        ),
        pytest.param(cluster(status={"currentPrimary": ""}), {}, {}, "has no primary yet", False, id="no primary"),
        pytest.param({**cluster(), "status": {}}, {}, {}, "see whether CloudNativePG", False, id="no operator"),
        pytest.param(
            cluster(metadata={"deletionTimestamp": LONG_AGO}), {}, {}, "is being deleted", False, id="being deleted"
        ),
        pytest.param(cluster(fenced="db-1"), {}, {}, "is no JSON list", False, id="a fence that is no list"),
        pytest.param(cluster(fenced='{"db-1": 1}'), {}, {}, "is no JSON list", False, id="a fence that is a mapping"),
        pytest.param(cluster(fenced='["db-1", 3]'), {}, {}, "is no JSON list", False, id="a fence of other things"),
        pytest.param(
            deployment(), {}, {}, "Deployment shop/api is no Cluster.postgresql.cnpg.io", False, id="another kind"
        ),
    ],
)
def test_refused(obj, params, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        promote(obj, params, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_a_replica_cluster_that_leads_itself_may_be_promoted():
    obj = cluster(spec={"replica": {"primary": "db", "source": "far"}}, ready=2)
    assert promote(obj).failover.candidate == "db-3"


def test_what_it_wants_to_know():
    params = CnpgPromoteParams(**PARAMS)
    assert CnpgPromote().wants(params, view(cluster())) == {
        "pods": ListOf(kind="Pod", namespace="shop", labels="cnpg.io/cluster=db"),
        "nodes": ListOf(kind="Node"),
        "lag": Query(LAG),
        "primary": Query(DOWN),
    }
    fenced = params.model_copy(update={"fence_confirmed": "x"})
    assert CnpgPromote().wants(fenced, view(cluster()))["fence"] == Query("x")


# --- the vantage points one by one ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "place", "confirmed", "state"),
    [
        pytest.param(None, {}, False, "unknown", id="gone"),
        pytest.param(instance("db-1"), {}, False, "running", id="runs"),
        pytest.param(instance("db-1", ready=False), {}, False, "running", id="runs, not ready"),
        pytest.param(instance("db-1", ready=False), {}, True, "stopped", id="fenced"),
        pytest.param(instance("db-1", ready=True), {}, True, "running", id="fenced, but ready"),
        pytest.param(instance("db-1", leaving=True), {}, False, "running", id="leaves, still runs"),
        pytest.param(instance("db-1", ready=False, state="terminated"), {}, False, "stopped", id="ended"),
        pytest.param(instance("db-1", ready=False, state="waiting"), {}, False, "stopped", id="crash loop"),
        pytest.param(instance("db-1", ready=False, state=""), {}, False, "unknown", id="a state of nothing"),
        pytest.param(instance("db-1", ready=False, state="none"), {}, False, "unknown", id="no word of postgres"),
        pytest.param(
            instance("db-1", ready=False, state="none", phase="Pending", node=""), {}, False, "stopped", id="pending"
        ),
        pytest.param(instance("db-1", ready=False, phase="Failed"), {}, False, "stopped", id="failed"),
        pytest.param(instance("db-1"), {"ready": "Unknown"}, False, "unreachable", id="node lost, said it ran"),
        pytest.param(instance("db-1", ready=False), {"ready": "False"}, False, "running", id="node there"),
        pytest.param(instance("db-1", node="elsewhere"), {}, False, "unknown", id="a node that nobody knows"),
    ],
)
def test_what_kubernetes_says(pod, place, confirmed, state):
    known = {"node-db-1": node("node-db-1", **place)}
    assert state_by_kubernetes(pod, known, fence_confirmed=confirmed) == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        pytest.param([("db-1", 1.0)], "unreachable", id="1"),
        pytest.param([("db-1", 0.0)], "running", id="0"),
        pytest.param([("db-1", 1.0), ("db-1", 0.0)], "running", id="two ports disagree"),
        pytest.param([("db-1", 1.0), ("db-1", 1.0)], "unreachable", id="two ports agree"),
        pytest.param([("db-1", 0.5)], "unknown", id="neither"),
        pytest.param([("db-1", math.nan)], "unknown", id="NaN"),
        pytest.param([("db-1", 1.0), ("db-1", math.nan)], "unknown", id="1 and NaN"),
        pytest.param([], "unknown", id="nothing"),
        pytest.param([("db-2", 1.0)], "unknown", id="about another pod"),
        pytest.param([("", 1.0)], "unreachable", id="one value without a pod"),
        pytest.param([("", 1.0), ("", 1.0)], "unknown", id="two values without a pod"),
        pytest.param([("", 1.0), ("db-1", 0.0)], "running", id="its own counts"),
    ],
)
def test_what_prometheus_says(values, state):
    assert state_by_query(samples(values), "db-1") == state


@pytest.mark.parametrize(
    ("values", "lag"),
    [
        pytest.param([("db-2", 1.5)], 1.5, id="one"),
        pytest.param([("db-2", 1.5), ("db-2", 4.0)], 4.0, id="the worst of two"),
        pytest.param([("db-2", 0.0)], 0.0, id="none"),
        pytest.param([("db-2", -1.0)], None, id="less than none"),
        pytest.param([("db-2", math.inf)], None, id="infinite"),
        pytest.param([("db-2", 1.0), ("db-2", math.nan)], None, id="one of two is NaN"),
        pytest.param([("", 1.0)], None, id="nobody's"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_lag(values, lag):
    assert lag_of(samples(values), "db-2") == lag


def test_only_its_own_word_confirms_a_fence():
    assert confirms_fence(samples({"db-1": 1.0}), "db-1")
    assert not confirms_fence(samples([("db-1", 1.0), ("db-1", 0.0)]), "db-1")
    assert not confirms_fence((), "db-1")


def test_since_when_it_fails():
    assert failing_since(instance("db-1", ready=False)) == NOW - timedelta(minutes=5)
    assert failing_since(instance("db-1")) is None
    assert failing_since(None) is None
    undated = instance("db-1", ready=False)
    del undated["status"]["conditions"][0]["lastTransitionTime"]
    assert failing_since(undated) is None
    undated["status"]["conditions"][0]["lastTransitionTime"] = "yesterday"
    assert failing_since(undated) is None
    assert parse_time(LONG_AGO) < NOW


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"candidate": "db-1; drop"}, id="hostile candidate"),
        pytest.param({"candidate": "most_lag"}, id="another word"),
        pytest.param({"max_lag": "2h"}, id="lag too long"),
        pytest.param({"debounce": "5s"}, id="no debounce worth the name"),
        pytest.param({"primary_unreachable": ""}, id="no second vantage point"),
        pytest.param({"lag": "x" * 2001}, id="a novel"),
        pytest.param({"force": True}, id="no such thing"),
    ],
)
def test_bad_params(wrong):
    with pytest.raises(ValidationError):
        CnpgPromoteParams(**{**PARAMS, **wrong})


@pytest.mark.parametrize("missing", ["max_lag", "primary_unreachable", "lag"])
def test_what_must_be_said(missing):
    with pytest.raises(ValidationError):
        CnpgPromoteParams(**{name: value for name, value in PARAMS.items() if name != missing})
