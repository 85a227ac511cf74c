"""cnpg_switchover: a planned move, only while everything is well."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from remediator.actions.change import NotPossible
from remediator.actions.databases.cnpg_promote import CnpgSwitchover, CnpgSwitchoverParams
from remediator.actions.render import render, still_before
from remediator.guardrails import failover_fence
from remediator.guardrails.verdict import Answer
from tests.actions.databases.make import LAG, cluster, instance, nodes, planned, samples
from tests.actions.make import NOW, deployment
from tests.guardrails.make import facts
from tests.guardrails.make import target as facts_target

PODS = tuple(instance(name) for name in ("db-1", "db-2", "db-3"))
LAGS = samples({"db-2": 0.2, "db-3": 0.1})


def switch(obj: Any = None, params: dict[str, Any] | None = None, **found: Any) -> Any:
    read = {"pods": PODS, "nodes": nodes(), "lag": LAGS, **found}
    return planned(CnpgSwitchover(), {"lag": LAG, **(params or {})}, obj or cluster(), **read)


def test_a_healthy_cluster_moves_its_primary():
    change = switch()
    assert change.summary == "primary db-1 -> db-3, switchover"
    assert (change.goes, change.takes, change.reduces_capacity) == ("failover", 1, True)
    assert change.needs_approval == "Cluster shop/db takes no writes until db-3 is its primary"
    assert "db-1 may take up to 3600 s to shut down (switchoverDelay)" in change.notes
    (effect,) = change.effects
    assert (effect.subresource, effect.undoable) == ("status", False)
    assert effect.changes[0].after == "db-3"


def test_the_fence_is_not_asked():
    """It forbids whatever runs; the operator stops the old primary itself, and that takes a person's yes."""
    verdict = failover_fence.check(facts(facts_target(cluster(), switch())))
    assert verdict.answer is Answer.NOT_APPLICABLE


def test_what_goes_on_the_wire():
    """The other conditions stay as they are, and the write is bound to what was looked at."""
    obj = cluster()
    (effect,) = switch(obj).effects
    assert still_before(effect, obj) is None
    request = render(effect, obj, effect_id="r-1/0", now=NOW)
    assert (request.subresource, request.content_type) == ("status", "application/json-patch+json")
    sent = {operation["path"]: operation["value"] for operation in json.loads(request.body)}
    assert sent["/metadata/resourceVersion"] == "4711"
    assert sent["/status/targetPrimary"] == "db-3"
    assert sent["/status/phaseReason"] == "Switching over to db-3"
    assert sent["/status/conditions/1/status"] == "False"
    assert not [path for path in sent if path.startswith("/status/conditions/0")]


def test_another_primary_since_is_noticed():
    (effect,) = switch().effects
    assert "status.targetPrimary is db-2 now" in (still_before(effect, cluster(target="db-2")) or "")


@pytest.mark.parametrize(
    ("obj", "params", "found", "reason", "hold"),
    [
        pytest.param(cluster(phase="Upgrading cluster"), {}, {}, "is in phase Upgrading", True, id="busy"),
        pytest.param(cluster(target="pending"), {}, {}, "is choosing a new primary", True, id="pending"),
        pytest.param(cluster(target="db-2"), {}, {}, "moves its primary from db-1 to db-2", True, id="moves"),
        pytest.param(cluster(target="db-3"), {}, {}, "db-3 is the primary", False, id="moves there already"),
        pytest.param(
            cluster(phase="Creating a new replica"), {}, {}, "not healthy: phase Creating", True, id="one is made"
        ),
        pytest.param(cluster(ready=2), {}, {}, "2 of 3 ready", True, id="one is missing"),
        pytest.param(cluster(fenced='["db-2"]'), {}, {}, "fenced instances (db-2)", False, id="one is fenced"),
        pytest.param(cluster(fenced='["<b>"]'), {}, {}, "fenced instances (others)", False, id="hostile fence"),
        pytest.param(cluster(spec={"replica": {"enabled": True}}), {}, {}, "replica cluster", False, id="replica"),
        pytest.param(
            cluster(instances=1, names=("db-1",)), {}, {}, "no standby to promote", True, id="a single instance"
        ),
        pytest.param(cluster(), {"candidate": "db-1"}, {}, "db-1 is the primary", False, id="the primary"),
        pytest.param(cluster(), {"candidate": "db-7"}, {}, "db-7 is no instance", False, id="a stranger"),
        pytest.param(
            cluster(),
            {"candidate": "db-2"},
            {"nodes": nodes(db_2={"cordoned": True})},
            "the node of db-2 is cordoned",
            False,
            id="cordoned",
        ),
        pytest.param(
            cluster(),
            {"candidate": "db-2"},
            {"lag": samples({"db-2": 5.1})},
            "lags 5.1 s, at most 5 s",
            True,
            id="lags",
        ),
        pytest.param(
            cluster(),
            {"candidate": "db-2"},
            {"lag": samples({"db-2": math.nan})},
            "CANNOT SEE: the lag of db-2",
            True,
            id="lag is NaN",
        ),
        pytest.param(deployment(), {}, {}, "is no Cluster.postgresql.cnpg.io", False, id="another kind"),
    ],
)
def test_refused(obj, params, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        switch(obj, params, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_as_far_behind_as_it_may_be():
    assert switch(None, {"candidate": "db-2"}, lag=samples({"db-2": 5.0})).effects[0].changes[0].after == "db-2"
    assert CnpgSwitchoverParams(lag=LAG).max_lag.total_seconds() == 5
