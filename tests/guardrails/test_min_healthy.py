"""min_healthy: enough of a fleet are healthy before one more of it is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.guardrails import min_healthy
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.verdict import Answer
from tests.guardrails.make import facts, fleet


def limits(keep: str | int = "51%") -> EffectiveLimits:
    return EffectiveLimits(min_healthy=keep)


@pytest.mark.parametrize(
    ("healthy", "total", "keep", "answer"),
    [
        pytest.param(3, 3, "51%", Answer.PASS, id="all of 3"),
        pytest.param(2, 3, "51%", Answer.PASS, id="51 % of 3 is 1.53: 2 suffice"),
        pytest.param(1, 3, "51%", Answer.HOLD, id="1 of 3 is too few"),
        pytest.param(1, 2, "51%", Answer.HOLD, id="51 % of 2 is 1.02: both"),
        pytest.param(2, 2, "51%", Answer.PASS, id="both"),
        pytest.param(1, 1, "51%", Answer.PASS, id="the only one, healthy"),
        pytest.param(0, 1, "51%", Answer.HOLD, id="the only one, sick"),
        pytest.param(51, 100, "51%", Answer.PASS, id="exactly"),
        pytest.param(50, 100, "51%", Answer.HOLD, id="one less"),
        pytest.param(2, 5, 2, Answer.PASS, id="copies"),
        pytest.param(1, 5, 2, Answer.HOLD, id="copies, one less"),
        pytest.param(3, 3, 4, Answer.HOLD, id="more than there are"),
        pytest.param(0, 0, "51%", Answer.HOLD, id="an empty fleet is never healthy enough"),
    ],
)
def test_min_healthy(healthy, total, keep, answer):
    asked = facts(fleet=fleet(healthy, *["not ready"] * (total - healthy)), limits=limits(keep))
    assert min_healthy.check(asked).answer is answer


def test_the_operators_floor_counts_too():
    asked = facts(fleet=fleet(2, "x", "x"), limits=EffectiveLimits(min_healthy="10%", min_healthy_floor="75%"))
    assert min_healthy.check(asked).answer is Answer.HOLD
    assert min_healthy.check(replace(asked, fleet=fleet(3, "x"))).answer is Answer.PASS
    assert min_healthy.check(replace(asked, fleet=fleet(0))).answer is Answer.HOLD, "a share of nothing is nothing"


def test_only_where_a_fleet_was_asked_for():
    assert min_healthy.check(facts()).answer is Answer.NOT_APPLICABLE


def test_losing_members_does_not_lower_the_bar():
    """Ten at the start, four of the six that are left are healthy: 6 of 10 must be."""
    asked = facts(fleet=fleet(4, "not ready", "not ready", total=10), limits=limits())
    verdict = min_healthy.check(asked)
    assert verdict.answer is Answer.HOLD
    assert verdict.facts == {"healthy": 4, "total": 10, "keep": 6}
    assert min_healthy.check(replace(asked, fleet=fleet(4, "x", "x"))).answer is Answer.PASS


def test_it_says_who_is_not():
    sick = fleet(1, "0 of 3 available", "KubePodCrashLooping")
    assert explain([min_healthy.check(facts(fleet=sick, limits=limits()))]) == (
        "HELD: min_healthy. 1 of 3 healthy, 2 must be (Deployment/shop/sick-0: 0 of 3 available, "
        "Deployment/shop/sick-1: KubePodCrashLooping). Passes when healthy >= 2."
    )
    many = fleet(0, *["x"] * 4, total=6)
    verdict = min_healthy.check(facts(fleet=many, limits=limits(7)))
    assert verdict.reason.endswith("Deployment/shop/sick-2: x and 2 more)")
    assert verdict.changes == "it never passes with these limits"
    gone = min_healthy.check(facts(fleet=fleet(1, total=3), limits=limits()))
    assert gone.reason == "1 of 3 healthy, 2 must be (2 gone)"
    assert min_healthy.check(facts(fleet=fleet(3), limits=limits())).reason == "3 of 3 healthy, 2 must be"
    assert min_healthy.check(facts(fleet=fleet(0), limits=limits())).reason == "0 of 0 healthy, 1 must be"


@given(total=st.integers(0, 60), healthy=st.integers(0, 60), keep=st.integers(1, 100))
def test_never_below_the_share(total, healthy, keep):
    healthy = min(healthy, total)
    asked = facts(fleet=fleet(healthy, *["x"] * (total - healthy)), limits=limits(f"{keep}%"))
    passed = min_healthy.check(asked).answer is Answer.PASS
    assert passed is (healthy >= 1 and 100 * healthy >= keep * total)
