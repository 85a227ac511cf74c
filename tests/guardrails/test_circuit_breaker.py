"""circuit_breaker: failures in a row open the playbook; the same failure on several targets opens it everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.guardrails import circuit_breaker
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import EffectiveLimits, Outcome
from remediator.guardrails.verdict import Answer
from tests.actions.make import NOW
from tests.guardrails.make import HOUR, MINUTE, facts, outcome

SECOND = timedelta(seconds=1)
LIMITS = EffectiveLimits(breaker_failures=3, breaker_open=4 * HOUR)


def row(*hows: str, latest: timedelta = MINUTE, **extra: Any) -> tuple[Outcome, ...]:
    """Newest first, a minute apart, all on one target."""
    return tuple(outcome(f"r-{n}", ago=latest + n * MINUTE, how=how, **extra) for n, how in enumerate(hows))


def check(outcomes: tuple[Outcome, ...], **changes: Any) -> Answer:
    return circuit_breaker.check(facts(outcomes=outcomes, limits=LIMITS, **changes)).answer


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        pytest.param((), Answer.PASS, id="never run"),
        pytest.param(row("failed", "failed"), Answer.PASS, id="one too few"),
        pytest.param(row("failed", "failed", "failed"), Answer.DENY, id="three in a row"),
        pytest.param(row("failed", "undone", "inconclusive"), Answer.DENY, id="however they failed"),
        pytest.param(row("uncertain", "undo_failed", "failed"), Answer.DENY, id="nor how badly"),
        pytest.param(row("failed", "failed", "succeeded", "failed"), Answer.PASS, id="a success in between"),
        pytest.param(row("succeeded", "failed", "failed", "failed"), Answer.PASS, id="a success since"),
        pytest.param(row("failed", "failed", "failed", "succeeded"), Answer.DENY, id="a success before"),
        pytest.param(row("failed", "failed", "failed", cluster="test"), Answer.PASS, id="another cluster, one target"),
        pytest.param(
            (*row("failed", "failed"), outcome("r-t", cluster="test")),
            Answer.PASS,
            id="2 here, 1 there, one target each",
        ),
        pytest.param(
            (*row("failed", "failed", "failed"), outcome("r-t", cluster="test", how="succeeded", ago=SECOND)),
            Answer.DENY,
            id="a success elsewhere does not close it here",
        ),
        pytest.param(tuple(reversed(row("succeeded", "failed", "failed", "failed"))), Answer.PASS, id="in any order"),
    ],
)
def test_in_a_row_in_this_cluster(outcomes, answer):
    assert check(outcomes) is answer


def test_the_limit_is_the_operators():
    limits = replace(LIMITS, breaker_failures=5)
    for count, answer in ((4, Answer.PASS), (5, Answer.DENY)):
        assert circuit_breaker.check(facts(outcomes=row(*["failed"] * count), limits=limits)).answer is answer


@pytest.mark.parametrize(
    ("latest", "approved", "answer"),
    [
        pytest.param(4 * HOUR - SECOND, False, Answer.DENY, id="just open"),
        pytest.param(4 * HOUR - SECOND, True, Answer.DENY, id="open: not with a yes either"),
        pytest.param(4 * HOUR, False, Answer.ASK, id="just half-open"),
        pytest.param(4 * HOUR, True, Answer.PASS, id="half-open, with a yes"),
        pytest.param(90 * 24 * HOUR, False, Answer.ASK, id="half-open until a success, however long"),
        pytest.param(-HOUR, False, Answer.DENY, id="failed in the future: a clock jumped"),
    ],
)
def test_open_then_half_open(latest, approved, answer):
    assert check(row("failed", "failed", "failed", latest=latest), approved=approved) is answer


def test_a_failure_in_half_open_opens_it_at_once():
    old = row("failed", "failed", "failed", latest=5 * HOUR)
    assert check(old) is Answer.ASK
    assert check((outcome("r-new", how="undone"), *old)) is Answer.DENY
    assert check((outcome("r-new", how="succeeded"), *old)) is Answer.PASS


def on_targets(*places: tuple[str, str, str]) -> tuple[Outcome, ...]:
    """(cluster, name, how), newest first."""
    return tuple(
        outcome(
            f"r-{n}", ago=(n + 1) * MINUTE, how=how, cluster=cluster, target_key=f"{cluster}/Deployment/shop/{name}"
        )
        for n, (cluster, name, how) in enumerate(places)
    )


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        pytest.param(
            on_targets(("a", "x", "undone"), ("b", "x", "undone"), ("c", "x", "undone")),
            Answer.DENY,
            id="three clusters",
        ),
        pytest.param(
            on_targets(("a", "x", "undone"), ("a", "x", "undone"), ("b", "x", "undone")), Answer.PASS, id="two targets"
        ),
        pytest.param(
            on_targets(("a", "x", "undone"), ("b", "x", "failed"), ("c", "x", "undone")), Answer.PASS, id="two failures"
        ),
        pytest.param(
            on_targets(("a", "x", "undone"), ("b", "x", "failed"), ("c", "x", "undone"), ("c", "y", "undone")),
            Answer.DENY,
            id="another failure in between changes nothing",
        ),
        pytest.param(
            on_targets(("a", "x", "undone"), ("b", "x", "succeeded"), ("c", "x", "undone"), ("c", "y", "undone")),
            Answer.PASS,
            id="a success in between",
        ),
        pytest.param(
            on_targets(("b", "x", "failed"), ("b", "y", "failed"), ("b", "z", "failed")),
            Answer.DENY,
            id="all in another",
        ),
    ],
)
def test_the_same_failure_on_several_targets_opens_it_everywhere(outcomes, answer):
    """Invariant 11: a cure that spreads the disease. We are in a fourth cluster, where nothing has failed."""
    assert check(outcomes) is answer


def test_everywhere_is_half_open_and_closed_like_here():
    spread = on_targets(("a", "x", "undone"), ("b", "x", "undone"), ("c", "x", "undone"))
    later = NOW + 4 * HOUR - MINUTE
    assert check(spread, now=later - SECOND) is Answer.DENY
    assert check(spread, now=later) is Answer.ASK
    again = outcome("r-n", ago=-3 * HOUR, how="failed", cluster="d", target_key="d/x")
    assert check((again, *spread), now=later) is Answer.DENY
    assert check((replace(again, good=True), *spread), now=later) is Answer.PASS


def test_it_says_which_runs_and_when_it_is_half_open():
    verdict = circuit_breaker.check(facts(outcomes=row("failed", "undone", "failed", "failed"), limits=LIMITS))
    assert explain([verdict]) == (
        "DENIED: circuit_breaker. It is open: the last 4 runs in prod did not help (r-0 failed, r-1 undone, r-2 failed "
        "and 1 more; limit 3). It is half-open at 15:59 UTC: then a person's yes allows a run, and a success closes it."
    )
    assert verdict.facts == {"failures": 4, "limit": 3, "half_open": "2025-06-01T15:59:00+00:00"}


def test_it_says_what_closes_it():
    verdict = circuit_breaker.check(facts(outcomes=row(*["failed"] * 3, latest=5 * HOUR), limits=LIMITS))
    assert explain([verdict]) == (
        "NEEDS APPROVAL: circuit_breaker. It is half-open since 11:00 UTC: the last 3 runs in prod did not help (r-0 "
        "failed, r-1 failed, r-2 failed; limit 3). Runs once it is approved; a success closes it, a failure opens it "
        "for 4h again."
    )


def test_it_says_on_how_many_targets():
    spread = on_targets(("a", "x", "undone"), ("b", "x", "undone"), ("c", "x", "undone"))
    verdict = circuit_breaker.check(facts(outcomes=spread, limits=LIMITS))
    assert verdict.reason.startswith(
        "it is open: undone on 3 targets in all clusters together, and no success since (r-0"
    )


def test_closed_it_counts():
    verdict = circuit_breaker.check(facts(outcomes=row("failed"), limits=LIMITS))
    assert (verdict.reason, verdict.facts) == ("1 failure in a row, it opens at 3", {"failures": 1, "limit": 3})


HOWS = st.sampled_from(["succeeded", "failed", "undone", "inconclusive"])


@given(hows=st.lists(HOWS, max_size=8), limit=st.integers(1, 5), hours=st.integers(0, 9))
def test_against_a_plain_count(hows, limit, hours):
    """Oracle: walk from the oldest, reset at each success."""
    in_a_row = 0
    for how in reversed(hows):
        in_a_row = 0 if how == "succeeded" else in_a_row + 1
    limits = replace(LIMITS, breaker_failures=limit)
    answer = circuit_breaker.check(facts(outcomes=row(*hows, latest=hours * HOUR), limits=limits)).answer
    if in_a_row < limit:
        assert answer is Answer.PASS
    else:
        assert answer is (Answer.DENY if hours < 4 else Answer.ASK)
