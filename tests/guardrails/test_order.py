"""All guardrails together: the order, totality, and facts that could not be read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remediator.guardrails.order import FACTS, NAMES, ORDER, Guard, evaluate
from remediator.guardrails.verdict import Answer, Verdict, gravest
from tests.guardrails.make import facts, run, target

SHIPPED = (
    "pause",
    "silenced",
    "store_history",
    "max_alert_age",
    "plan_age",
    "max_targets",
    "project",
    "protect",
    "mode",
    "change_gate",
    "windows",
    "storm",
    "blockers",
    "overload",
    "notify_first",
    "failover_fence",
    "rollout_in_progress",
    "min_available",
    "min_healthy",
    "disruption_budget",
    "failure_domain",
    "last_good_revision",
    "ownership",
    "cooldown",
    "circuit_breaker",
    "max_attempts",
    "rate_limit",
    "in_flight",
)


def test_the_order():
    assert tuple(guard.name for guard in ORDER) == SHIPPED
    assert (*SHIPPED, FACTS) == NAMES


def test_a_quiet_world_passes_all_of_them():
    verdicts = evaluate(facts())
    assert [v.guardrail for v in verdicts] == list(SHIPPED)
    assert gravest(verdicts) is Answer.PASS


def test_none_keeps_the_others_from_being_asked():
    """Every verdict carries its own name, a reason and JSON numbers, also when an earlier one denies."""
    verdicts = evaluate(
        facts(target(), unknown_marker="x", runs=(run(ended=None),), protected_namespaces=frozenset({"shop"}))
    )
    assert [v.guardrail for v in verdicts] == list(SHIPPED)
    assert gravest(verdicts) is Answer.DENY
    assert {v.guardrail for v in verdicts if v.answer is Answer.HOLD} == {"store_history", "in_flight"}
    for verdict in verdicts:
        assert verdict.reason
        json.dumps(dict(verdict.facts), allow_nan=False)


@pytest.mark.parametrize("guard", ORDER, ids=lambda guard: guard.name)
def test_a_guardrail_that_fails_denies(guard):
    def broken(_):
        raise KeyError("status")

    order = tuple(Guard(g.name, g.reads, broken) if g is guard else g for g in ORDER)
    verdicts = evaluate(facts(), order)
    (failed,) = [v for v in verdicts if v.guardrail == guard.name]
    assert failed.answer is Answer.DENY
    assert "KeyError" in failed.reason
    assert len(verdicts) == len(ORDER)


def test_cancellation_is_no_verdict():
    def cancelled(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(facts(), (Guard("x", frozenset(), cancelled),))


@pytest.mark.parametrize(
    ("fact", "guards"),
    [
        pytest.param("pauses", {"pause"}, id="pauses"),
        pytest.param("silences", {"silenced"}, id="silences"),
        pytest.param(
            "runs", {"rollout_in_progress", "failure_domain", "cooldown", "rate_limit", "in_flight"}, id="runs"
        ),
        pytest.param("arrivals", {"storm"}, id="arrivals"),
        pytest.param("ladders", {"max_attempts"}, id="ladders"),
        pytest.param("unknown_marker", {"store_history"}, id="marker"),
        pytest.param("planned_at", {"plan_age"}, id="plan"),
        pytest.param("something_else", {FACTS}, id="a fact that no guardrail claims"),
    ],
)
def test_an_unreadable_fact_holds_whoever_needs_it(fact, guards):
    """Unknown is never a go-ahead, even where the empty value would pass."""
    verdicts = evaluate(facts(unknown={fact: "no answer"}))
    blind = {v.guardrail for v in verdicts if v.cannot_see}
    assert blind == guards
    assert all(v.answer is Answer.HOLD and v.reason == "no answer" for v in verdicts if v.cannot_see)


def test_every_fact_is_claimed_by_somebody():
    """So that `facts` stays the exception: what the planner may fail to read has a guardrail that says so."""
    claimed = {name for guard in ORDER for name in guard.reads}
    assert claimed >= {"pauses", "silences", "runs", "ladders", "alerts", "targets", "limits", "unknown_marker"}


def test_no_target_denies_and_no_guardrail_lets_it_through():
    verdicts = evaluate(replace(facts(), targets=()))
    (counted,) = [v for v in verdicts if v.guardrail == "max_targets"]
    assert counted.answer is Answer.DENY
    assert "never everything" in counted.reason


def test_the_gravest_answer_counts():
    def verdict(answer: Answer) -> Verdict:
        return Verdict(guardrail="x", answer=answer)

    ranks = [Answer.NOT_APPLICABLE, Answer.PASS, Answer.ASK, Answer.SUGGEST, Answer.HOLD, Answer.DENY]
    for index, answer in enumerate(ranks):
        assert gravest(tuple(verdict(a) for a in ranks[: index + 1])) is answer
    assert gravest(()) is Answer.PASS
