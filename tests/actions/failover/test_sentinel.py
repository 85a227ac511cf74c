"""Sentinel failover: every Sentinel is a vantage point, and they have to agree on what is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.failover.sentinel import SentinelFailover, SentinelFailoverParams
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import NOW, deployment, view

REDIS = deployment()


def replica(address: str = "10.0.0.2:6379", **more: Any) -> dict[str, Any]:
    given = {"address": address, "usable": True, "priority": 100, "offset": 500, "run_id": "b", "link_down_s": 90.0}
    return {**given, **more}


def sentinel(name: str, *replicas: Any, **more: Any) -> dict[str, Any]:
    return {
        "sentinel": f"{name}:26379",
        "identity": f"id-{name}",
        "state": "unreachable",
        "master": "10.0.0.1:6379",
        "epoch": 4,
        "quorum": 2,
        "down_for_s": 120.0,
        "silent_for_s": 88.0,
        "busy": "",
        "able": "",
        "replicas": list(replicas) or [replica()],
        **more,
    }


def standing(*sentinels: Any, **more: Any) -> dict[str, Any]:
    listed = list(sentinels) or [sentinel("a"), sentinel("b"), sentinel("c")]
    return {"master": "orders", "stands_for": [], "sentinels": listed, "silent": {}, **more}


def plan(found: Any) -> Any:
    here = view(REDIS, found={"redis": found})
    action = SentinelFailover()
    given = SentinelFailoverParams(redis="cache", max_lag=timedelta(seconds=10))
    return action.plan(action.resolve(given, here), here)


def test_what_is_sent_and_measured():
    change = plan(standing(sentinel("a"), sentinel("b", down_for_s=100.0), silent={"c:26379": "no answer"}))
    assert change.effects == (
        Call(
            ref=ref_of(REDIS),
            uid="uid-deployment-api",
            via="redis",
            place="cache",
            request={"do": "failover", "from": "10.0.0.1:6379", "epoch": 4},
            says="SENTINEL FAILOVER orders (redis cache): 10.0.0.1:6379 -> 10.0.0.2:6379, as far as known",
        ),
    )
    assert diff_lines(change) == (change.effects[0].says,)
    facts = change.failover
    assert facts.old_primary == {"sentinel a:26379": "unreachable", "sentinel b:26379": "unreachable"}
    assert (facts.lag_s, facts.max_lag_s, facts.debounce) == (2.0, 10.0, timedelta(minutes=1))
    assert facts.failing_since == NOW - timedelta(seconds=100)
    assert (change.goes, bool(change.needs_approval)) == ("failover", True)
    assert "no answer from 1 Sentinels: c:26379" in change.notes


def test_what_it_asks_before():
    asked = SentinelFailover().wants(SentinelFailoverParams(redis="cache", max_lag=timedelta(0)), view(REDIS))
    assert asked == {"redis": Ask("redis", "cache", {"about": "standing"})}


def test_one_that_sees_it_running_is_said():
    facts = plan(standing(sentinel("a"), sentinel("b", state="running", down_for_s=None))).failover
    assert facts.old_primary["sentinel b:26379"] == "running"
    assert facts.failing_since is None


def test_one_that_is_failing_over_is_said():
    assert plan(standing(sentinel("a"), sentinel("b", busy="at it"))).failover.operator_busy == "at it"


@pytest.mark.parametrize(
    ("replicas", "chosen", "lag_s"),
    [
        pytest.param([replica("x:1"), replica("y:1", priority=10, offset=1)], "y:1", 2.0, id="by priority"),
        pytest.param([replica("x:1"), replica("y:1", offset=501)], "y:1", 2.0, id="by what it received"),
        pytest.param([replica("x:1"), replica("y:1", offset=900, usable=False)], "x:1", 2.0, id="not an unusable one"),
        pytest.param([replica("x:1", link_down_s=None)], "x:1", None, id="old news"),
        pytest.param([replica("x:1", link_down_s=0.0)], "x:1", 0.0, id="in touch"),
        pytest.param([replica("x:1", link_down_s=400.0)], "x:1", 312.0, id="long without its master"),
    ],
)
def test_the_candidate(replicas, chosen, lag_s):
    facts = plan(standing(sentinel("a", *replicas), sentinel("b", *replicas))).failover
    assert (facts.candidate, facts.lag_s) == (chosen, lag_s)


def test_the_worst_measurement_counts():
    others = [replica(link_down_s=200.0)]
    assert plan(standing(sentinel("a"), sentinel("b", *others))).failover.lag_s == 112.0
    assert plan(standing(sentinel("a"), sentinel("b", replica("other:1")))).failover.lag_s is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(standing(sentinel("a")), "1 Sentinels of redis cache answer, 2 have to", id="one"),
        pytest.param(
            standing(sentinel("a", quorum=3), sentinel("b")), "2 Sentinels of redis cache answer, 3", id="quorum"
        ),
        pytest.param(standing(sentinel("a"), sentinel("b", identity="id-a")), "the same Sentinel", id="one twice"),
        pytest.param(standing(sentinel("a"), sentinel("b", master="10.0.0.9:6379")), "have to agree", id="discord"),
        pytest.param(standing(sentinel("a"), sentinel("b", epoch=5)), "have to agree", id="two elections"),
        pytest.param(standing(sentinel("a", able="NOQUORUM 1 usable"), sentinel("b")), "NOQUORUM", id="no majority"),
        pytest.param(
            standing(sentinel("a", replica(usable=False)), sentinel("b")), "no replica", id="nobody to promote"
        ),
        pytest.param(standing(stands_for=["StatefulSet/shop/redis"]), "not for Deployment", id="another target"),
    ],
)
def test_not_possible(found, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(found)


@pytest.mark.parametrize("params", [{"max_lag": "2h"}, {"debounce": "1s"}, {"redis": "A B"}, {"master": "x"}])
def test_bad_parameters(params):
    with pytest.raises(ValidationError):
        SentinelFailoverParams(**{"redis": "cache", "max_lag": "1s", **params})
