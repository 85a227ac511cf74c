"""failover_fence: no promotion unless the old primary is proven stopped (invariant 24)."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import pytest

from remediator.guardrails import failover_fence
from remediator.guardrails.explain import explain
from remediator.guardrails.order import evaluate
from remediator.guardrails.verdict import Answer, gravest
from tests.actions.make import NOW, deployment, statefulset
from tests.guardrails.make import MINUTE, facts, promote, restart, target

SECOND = timedelta(seconds=1)
DB = statefulset(3)


@pytest.mark.parametrize(
    ("changes", "answer", "blind"),
    [
        pytest.param({}, Answer.PASS, False, id="fenced"),
        # the old primary
        pytest.param({"old_primary": {}}, Answer.DENY, False, id="nobody has looked"),
        pytest.param({"old_primary": {"a": "stopped"}}, Answer.DENY, False, id="one vantage point"),
        pytest.param({"old_primary": {"a": "unreachable", "b": "unreachable"}}, Answer.PASS, False, id="unreachable"),
        pytest.param({"old_primary": {"a": "stopped", "b": "running"}}, Answer.DENY, False, id="runs, says one of two"),
        pytest.param(
            {"old_primary": {"a": "stopped", "b": "stopped", "c": "running"}}, Answer.DENY, False, id="one of three"
        ),
        pytest.param({"old_primary": {"a": "running"}}, Answer.DENY, False, id="runs, says the only one"),
        pytest.param({"old_primary": {"a": "stopped", "b": "unknown"}}, Answer.HOLD, True, id="one cannot tell"),
        pytest.param({"old_primary": {"a": "unknown", "b": "running"}}, Answer.DENY, False, id="one can"),
        pytest.param({"old_primary": {"a": "unknown"}}, Answer.DENY, False, id="the only one cannot tell"),
        pytest.param({"old_primary": {"a": "stopped", "b": "Stopped"}}, Answer.HOLD, True, id="a word nobody knows"),
        # the candidate
        pytest.param({"lag_s": 5.0}, Answer.PASS, False, id="lags as far as it may"),
        pytest.param({"lag_s": 5.01}, Answer.DENY, False, id="lags too far"),
        pytest.param({"lag_s": 0.0, "max_lag_s": 0.0}, Answer.PASS, False, id="no lag at all"),
        pytest.param({"lag_s": None}, Answer.HOLD, True, id="lag not measured"),
        pytest.param({"lag_s": math.nan}, Answer.HOLD, True, id="lag is NaN"),
        pytest.param({"lag_s": math.inf}, Answer.HOLD, True, id="lag is infinite"),
        pytest.param({"lag_s": -1.0}, Answer.HOLD, True, id="lag is less than nothing"),
        pytest.param({"max_lag_s": math.nan}, Answer.DENY, False, id="a limit that is no number"),
        # the signal
        pytest.param({"failing_since": NOW - MINUTE}, Answer.PASS, False, id="has just outlived its debounce"),
        pytest.param({"failing_since": NOW - MINUTE + SECOND}, Answer.HOLD, False, id="not yet"),
        pytest.param({"failing_since": NOW + SECOND}, Answer.HOLD, False, id="from the future: a clock jumped"),
        pytest.param(
            {"failing_since": NOW + SECOND, "debounce": timedelta(0)}, Answer.HOLD, False, id="the same, no debounce"
        ),
        pytest.param({"failing_since": None}, Answer.HOLD, True, id="nobody knows since when"),
        # the region
        pytest.param({"regions": ("eu", "eu")}, Answer.PASS, False, id="same region"),
        pytest.param({"regions": ("eu", "us")}, Answer.DENY, False, id="another region"),
        pytest.param({"regions": ("eu", "us"), "cross_region": True}, Answer.PASS, False, id="which is allowed"),
        pytest.param({"regions": ("eu", "")}, Answer.HOLD, True, id="nobody knows which region"),
        pytest.param({"regions": ("", "eu"), "cross_region": True}, Answer.PASS, False, id="nor has to"),
        # the operator
        pytest.param({"operator_busy": "phase: Failing over"}, Answer.HOLD, False, id="an operator is at it"),
    ],
)
def test_failover_fence(changes, answer, blind):
    verdict = failover_fence.check(facts(target(DB, promote(**changes))))
    assert (verdict.answer, verdict.cannot_see) == (answer, blind)


STATES = ("running", "stopped", "unreachable", "unknown")


def test_every_combination_of_three_vantage_points():
    """It passes when all of at least two say stopped or unreachable, and never otherwise."""
    for count in range(4):
        for states in itertools.product(STATES, repeat=count):
            seen = {f"v{n}": state for n, state in enumerate(states)}
            answer = failover_fence.check(facts(target(DB, promote(old_primary=seen)))).answer
            proven = count >= 2 and all(state in ("stopped", "unreachable") for state in states)
            assert (answer is Answer.PASS) is proven, states
            assert (answer is Answer.DENY) is ("running" in states or count < 2), states


def test_a_definite_no_is_graver_than_not_yet():
    both = promote(operator_busy="failing over", failing_since=None, old_primary={"a": "running", "b": "stopped"})
    assert failover_fence.check(facts(target(DB, both))).answer is Answer.DENY


def test_nothing_else_is_its_matter():
    assert failover_fence.check(facts(target(DB, restart(DB)))).answer is Answer.NOT_APPLICABLE


def test_one_failover_among_other_targets_is_found():
    api = deployment()
    asked = facts(target(api, restart(api)), target(DB, promote(old_primary={"a": "running", "b": "running"})))
    verdict = failover_fence.check(asked)
    assert verdict.answer is Answer.DENY
    assert gravest(evaluate(asked)) is Answer.DENY


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"old_primary": {"probe": "running", "operator": "stopped"}},
            "DENIED: failover_fence. The old primary is running, say 1 of 2 vantage points (probe); two primaries "
            "would lose data. Stop the old primary first, or switch over through its operator.",
            id="running",
        ),
        pytest.param(
            {"old_primary": {"probe": "stopped"}},
            "DENIED: failover_fence. Only 1 vantage point of 2 say that the old primary is stopped. Give the action at "
            "least 2 vantage points; one alone may be the one that is cut off.",
            id="one vantage point",
        ),
        pytest.param(
            {"old_primary": {"probe": "unknown", "operator": "stopped"}},
            "CANNOT SEE: 1 of 2 vantage points cannot tell (probe). Nothing was done, because whether the old primary "
            "of StatefulSet shop/db is stopped is unknown.",
            id="unknown",
        ),
        pytest.param(
            {"lag_s": 42.0},
            "DENIED: failover_fence. db-2 lags 42 s, at most 5 s; the rest would be lost. A person decides whether "
            "that loss is worth it.",
            id="lag",
        ),
        pytest.param(
            {"failing_since": NOW - 43 * SECOND},
            "HELD: failover_fence. The primary has failed for 43s, less than 1m. Over at 12:00 UTC if it still fails "
            "then.",
            id="too early",
        ),
        pytest.param(
            {"regions": ("eu", "us")},
            "DENIED: failover_fence. From region eu to us: 2 regions, and the playbook allows 1. The playbook may "
            "allow cross_region.",
            id="region",
        ),
        pytest.param(
            {"operator_busy": "Cluster db is in phase Failing over"},
            "HELD: failover_fence. An operator is already failing over to 1 of its replicas: Cluster db is in phase "
            "Failing over. Passes when it is done and the primary still fails.",
            id="operator",
        ),
    ],
)
def test_it_explains_itself(changes, said):
    assert explain([failover_fence.check(facts(target(DB, promote(**changes))))]) == said


def test_a_pass_says_what_was_proven():
    verdict = failover_fence.check(facts(target(DB, promote())))
    assert verdict.reason == (
        "the old primary is stopped (operator), unreachable (probe), db-2 lags 0.5 s (at most 5), failing for 3m "
        "(at least 1m)"
    )
    assert verdict.facts == {"vantage_points": 2, "lag_s": 0.5, "failing_since": "2025-06-01T11:57:00+00:00"}
