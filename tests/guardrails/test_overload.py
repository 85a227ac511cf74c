"""overload: capacity is taken away under load with a person's yes only (invariant 23)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.guardrails import overload
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import EffectiveLimits, Overload
from remediator.guardrails.order import evaluate
from remediator.guardrails.verdict import Answer, gravest
from tests.actions.make import deployment
from tests.guardrails.make import evict, facts, restart, scale, target

QUERY = 'sum(rate(http_requests_total{code="503"}[5m])) > 10'
BUSY, IDLE = Overload(query=QUERY, says="12.5"), Overload(query=QUERY)
D = deployment(5)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        pytest.param(restart(D, takes=1), Answer.ASK, id="a restart that takes a copy"),
        pytest.param(restart(D, takes=0), Answer.NOT_APPLICABLE, id="a restart that surges"),
        pytest.param(scale(D, 5, 3, takes=2), Answer.ASK, id="scale down"),
        pytest.param(scale(D, 5, 8), Answer.NOT_APPLICABLE, id="scale up helps"),
        pytest.param(
            replace(scale(D, 5, 3), reduces_capacity=False), Answer.ASK, id="down is enough: an autoscaler's bound"
        ),
        pytest.param(replace(restart(D), reduces_capacity=True), Answer.ASK, id="an action's own word is enough"),
        pytest.param(evict(1), Answer.ASK, id="evict a ready pod"),
        pytest.param(evict(0), Answer.NOT_APPLICABLE, id="evict a broken pod"),
    ],
)
def test_only_what_takes_capacity_away_asks(change, answer):
    asked = facts(target(D, change), overload=BUSY)
    assert overload.check(asked).answer is answer
    quiet = overload.check(replace(asked, overload=IDLE)).answer
    assert quiet is (Answer.PASS if answer is Answer.ASK else Answer.NOT_APPLICABLE)


def test_one_target_of_several_is_enough():
    asked = facts(target(D, restart(D)), target(D, evict(1)), overload=BUSY)
    assert overload.check(asked).answer is Answer.ASK


def test_it_is_said_when_nothing_is_configured():
    asked = facts(target(D, evict(1)))
    assert overload.check(asked).answer is Answer.NOT_APPLICABLE
    assert overload.check(asked).reason == "no overload query is configured for this environment"
    there = replace(asked, limits=EffectiveLimits(environment="production"))
    assert overload.check(there).reason == "no overload query is configured for environment production"


def test_a_query_that_nobody_asked_is_not_seen():
    asked = facts(target(D, evict(1)), limits=EffectiveLimits(overload=QUERY))
    assert overload.check(asked).cannot_see
    assert overload.check(replace(asked, targets=(target(D, evict(0)),))).answer is Answer.NOT_APPLICABLE


def test_a_person_may_say_yes():
    asked = facts(target(D, evict(1)), overload=BUSY, approved=True)
    assert overload.check(asked).answer is Answer.PASS


def test_auto_becomes_a_question():
    """Also as the whole of all guardrails: nothing is done before somebody has agreed."""
    verdicts = evaluate(facts(target(D, restart(D, takes=1)), overload=BUSY))
    assert gravest(verdicts) is Answer.ASK
    assert explain(verdicts) == (
        "NEEDS APPROVAL: overload. Overloaded (12.5), and this may take 1 ready copy away. "
        "Runs once it is approved, or the overload is over."
    )


def test_an_unreadable_answer_is_no_idle_one():
    asked = facts(target(D, evict(1)), overload=None, unknown={"overload": "Prometheus answered NaN"})
    (verdict,) = [v for v in evaluate(asked) if v.guardrail == "overload"]
    assert (verdict.answer, verdict.cannot_see) == (Answer.HOLD, True)


def test_the_numbers():
    two = facts(target(D, evict(1)), target(D, scale(D, 5, 3, takes=2)), overload=BUSY)
    assert overload.check(two).facts == {"query": QUERY, "takes": 3}
