"""What has been done already and how much at once: rate_limit, in_flight, cooldown, max_attempts, and the ages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.guardrails import cooldown, in_flight, max_alert_age, max_attempts, max_targets, plan_age, rate_limit
from remediator.guardrails.facts import EffectiveLimits, Facts, Run
from remediator.guardrails.verdict import Answer
from tests.actions.make import NOW, deployment
from tests.guardrails.make import HOUR, MINUTE, alert, facts, promote, restart, run, scale, target

SECOND = timedelta(seconds=1)

# --- rate_limit -------------------------------------------------------------------------------------------------------

WIDE = EffectiveLimits(rate_target=9, rate_playbook=9, rate_namespace=9, rate_cluster=9)
ELSEWHERE: dict[str, Any] = {"target_key": "prod/Deployment/shop/web"}
OTHER_PLAYBOOK: dict[str, Any] = {**ELSEWHERE, "playbook": "other"}
OTHER_NAMESPACE: dict[str, Any] = {**OTHER_PLAYBOOK, "namespace": "web"}
OTHER_CLUSTER: dict[str, Any] = {"target_key": "test/Deployment/shop/api", "cluster": "test"}


def runs(count: int, **fields: Any) -> tuple[Run, ...]:
    return tuple(run(f"r-x{n}", **fields) for n in range(count))


@pytest.mark.parametrize(
    ("limits", "done", "answer"),
    [
        pytest.param(replace(WIDE, rate_target=2), runs(1), Answer.PASS, id="target: one left"),
        pytest.param(replace(WIDE, rate_target=2), runs(2), Answer.HOLD, id="target: used up"),
        pytest.param(replace(WIDE, rate_target=2), runs(2, **ELSEWHERE), Answer.PASS, id="target: another one"),
        pytest.param(replace(WIDE, rate_target=2), runs(2, playbook="other"), Answer.HOLD, id="target: any playbook"),
        pytest.param(replace(WIDE, rate_playbook=2), runs(2, **ELSEWHERE), Answer.HOLD, id="playbook: used up"),
        pytest.param(
            replace(WIDE, rate_playbook=2), runs(2, **OTHER_PLAYBOOK), Answer.PASS, id="playbook: another one"
        ),
        pytest.param(
            replace(WIDE, rate_playbook=2),
            runs(2, **ELSEWHERE, namespace="web"),
            Answer.PASS,
            id="playbook: per namespace",
        ),
        pytest.param(replace(WIDE, rate_namespace=2), runs(2, **OTHER_PLAYBOOK), Answer.HOLD, id="namespace: used up"),
        pytest.param(
            replace(WIDE, rate_namespace=2), runs(2, **OTHER_NAMESPACE), Answer.PASS, id="namespace: another one"
        ),
        pytest.param(replace(WIDE, rate_cluster=2), runs(2, **OTHER_NAMESPACE), Answer.HOLD, id="cluster: used up"),
        pytest.param(
            EffectiveLimits(rate_target=1, rate_playbook=1, rate_namespace=1, rate_cluster=1),
            runs(2, **OTHER_CLUSTER),
            Answer.PASS,
            id="another cluster counts for itself",
        ),
    ],
)
def test_rate_limit_scopes(limits, done, answer):
    assert rate_limit.check(facts(limits=limits, runs=done)).answer is answer


ONE = replace(WIDE, rate_target=1)


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        pytest.param(run(reserved=HOUR - SECOND), Answer.HOLD, id="just inside the window"),
        pytest.param(run(reserved=HOUR), Answer.PASS, id="just out of the window"),
        pytest.param(run(reserved=-MINUTE), Answer.HOLD, id="from the future: a clock jumped, it counts"),
        pytest.param(run(tokens_back=True), Answer.PASS, id="refunded"),
        pytest.param(run("r-1"), Answer.PASS, id="our own reservation"),
        pytest.param(run(ended=None), Answer.HOLD, id="still running"),
    ],
)
def test_what_counts(one, answer):
    assert rate_limit.check(facts(limits=ONE, runs=(one,))).answer is answer


def test_a_remediation_that_had_to_begin_twice_counts_once_by_its_latest():
    twice = (run("r-x", reserved=50 * MINUTE), run("r-x", reserved=20 * MINUTE), run("r-x", reserved=40 * MINUTE))
    assert rate_limit.check(facts(limits=replace(WIDE, rate_target=2), runs=twice)).answer is Answer.PASS
    assert rate_limit.check(facts(limits=ONE, runs=twice)).changes == "next token at 12:40 UTC"


def test_between_rungs_the_rate_still_counts():
    assert rate_limit.check(facts(limits=ONE, runs=(run(),), between_rungs=True)).answer is Answer.HOLD


def test_the_next_token():
    done = tuple(run(f"r-{m}", reserved=m * MINUTE) for m in (50, 40, 30))
    verdict = rate_limit.check(facts(limits=replace(WIDE, rate_playbook=2), runs=done, zone="Europe/Berlin"))
    # NOW is 14:00 in Berlin: with 3 of 2 used, two have to leave the window, the second one at 14:20
    assert verdict.reason == "playbook 3/2 in 1h"
    assert verdict.changes == "next token at 14:20 Europe/Berlin"
    assert verdict.brief == "rate_limit playbook 3/2 in 1h (next token 14:20)"


@given(
    limit=st.integers(1, 4),
    window=st.integers(1, 60),
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=25),
    refunds=st.sets(st.integers(0, 24)),
)
def test_no_sliding_window_ever_holds_more(limit, window, gaps, refunds):
    """Oracle: brute force over every window [t, t + length) that begins at an admitted reservation.

    The case that refutes fixed buckets, gaps of 35, 35 and 60 against 60 minutes, is among what is generated.
    """
    limits = replace(WIDE, rate_target=limit, rate_window=window * MINUTE)
    admitted: list[Run] = []
    now = NOW
    for index, gap in enumerate(gaps):
        now += gap * MINUTE
        asked = facts(limits=limits, runs=tuple(admitted), now=now)
        if rate_limit.check(asked).answer is Answer.PASS:
            made = run(f"r-{index + 10}", reserved=NOW - now)
            admitted.append(replace(made, tokens_back=index in refunds))
        else:
            counted = [r for r in admitted if not r.tokens_back and now - r.reserved_at < window * MINUTE]
            assert len(counted) >= limit, "refused although there was a token"
    kept = [r.reserved_at for r in admitted if not r.tokens_back]
    for start in kept:
        assert sum(1 for at in kept if start <= at < start + window * MINUTE) <= limit


# --- in_flight --------------------------------------------------------------------------------------------------------

BROAD = EffectiveLimits(in_flight_target=9, in_flight_playbook=9, in_flight_cluster=9, in_flight_everywhere=9)


@pytest.mark.parametrize(
    ("limits", "others", "answer"),
    [
        pytest.param(replace(BROAD, in_flight_target=1), runs(1, ended=None), Answer.HOLD, id="target"),
        pytest.param(
            replace(BROAD, in_flight_target=1),
            runs(1, ended=None, playbook="other"),
            Answer.HOLD,
            id="target: any playbook",
        ),
        pytest.param(replace(BROAD, in_flight_target=1), runs(1), Answer.PASS, id="target: it has ended"),
        pytest.param(
            replace(BROAD, in_flight_target=1), runs(1, ended=None, **ELSEWHERE), Answer.PASS, id="another target"
        ),
        pytest.param(replace(BROAD, in_flight_target=1), (run("r-1", ended=None),), Answer.PASS, id="ourselves"),
        pytest.param(
            replace(BROAD, in_flight_playbook=1), runs(1, ended=None, **ELSEWHERE), Answer.HOLD, id="playbook"
        ),
        pytest.param(
            replace(BROAD, in_flight_playbook=1),
            runs(1, ended=None, **OTHER_PLAYBOOK),
            Answer.PASS,
            id="another playbook",
        ),
        pytest.param(
            replace(BROAD, in_flight_playbook=1),
            runs(1, ended=None, **ELSEWHERE, namespace="web"),
            Answer.PASS,
            id="playbook: per namespace",
        ),
        pytest.param(
            replace(BROAD, in_flight_cluster=3), runs(3, ended=None, **OTHER_NAMESPACE), Answer.HOLD, id="cluster"
        ),
        pytest.param(
            replace(BROAD, in_flight_cluster=3), runs(2, ended=None, **OTHER_NAMESPACE), Answer.PASS, id="room"
        ),
        pytest.param(
            replace(BROAD, in_flight_cluster=3), runs(3, ended=None, **OTHER_CLUSTER), Answer.PASS, id="another cluster"
        ),
        pytest.param(
            replace(BROAD, in_flight_everywhere=3), runs(3, ended=None, **OTHER_CLUSTER), Answer.HOLD, id="everywhere"
        ),
    ],
)
def test_in_flight(limits, others, answer):
    assert in_flight.check(facts(limits=limits, runs=others)).answer is answer


def test_between_rungs_the_target_is_ours_already():
    held = facts(limits=replace(BROAD, in_flight_target=1), runs=runs(1, ended=None))
    assert in_flight.check(held).answer is Answer.HOLD
    assert in_flight.check(replace(held, between_rungs=True)).answer is Answer.PASS
    full = facts(limits=replace(BROAD, in_flight_cluster=1), runs=runs(1, ended=None), between_rungs=True)
    assert in_flight.check(full).answer is Answer.HOLD


@pytest.mark.parametrize(
    ("count", "named"),
    [(1, "r-x0"), (3, "r-x0, r-x1, r-x2"), (4, "r-x0, r-x1, r-x2, ...")],
    ids=["one", "three", "four"],
)
def test_in_flight_names_what_it_waits_for(count, named):
    verdict = in_flight.check(facts(limits=replace(BROAD, in_flight_target=1), runs=runs(count, ended=None)))
    assert verdict.reason == f"target {count}/1 running ({named})"
    assert verdict.brief == f"in_flight target {count}/1 ({named})"


# --- cooldown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        pytest.param(run(ended=15 * MINUTE - SECOND), Answer.HOLD, id="after success, just under 15 min"),
        pytest.param(run(ended=15 * MINUTE), Answer.PASS, id="after success, just over"),
        pytest.param(run(ended=HOUR - SECOND, outcome="undone"), Answer.HOLD, id="after anything else, just under 1 h"),
        pytest.param(run(ended=HOUR, outcome="failed"), Answer.PASS, id="after anything else, just over"),
        pytest.param(run(ended=MINUTE, outcome=""), Answer.HOLD, id="ended, nobody knows how"),
        pytest.param(run(ended=MINUTE, **ELSEWHERE), Answer.PASS, id="another target"),
        pytest.param(run(ended=MINUTE, **OTHER_CLUSTER), Answer.PASS, id="another cluster"),
        pytest.param(run(ended=MINUTE, playbook="other"), Answer.HOLD, id="any playbook"),
        pytest.param(run(ended=MINUTE, tokens_back=True), Answer.PASS, id="refunded: it has done nothing"),
        pytest.param(run("r-1", ended=MINUTE), Answer.PASS, id="ourselves"),
        pytest.param(run(ended=None), Answer.PASS, id="running is in_flight's matter"),
        pytest.param(run(ended=-MINUTE), Answer.HOLD, id="ended in the future: a clock jumped"),
    ],
)
def test_cooldown(one, answer):
    assert cooldown.check(facts(runs=(one,))).answer is answer


@pytest.mark.parametrize(
    ("before", "now", "answer"),
    [
        pytest.param("up", "down", Answer.HOLD, id="up, then down"),
        pytest.param("down", "up", Answer.HOLD, id="down, then up"),
        pytest.param("up", "up", Answer.PASS, id="the same again"),
        pytest.param("", "up", Answer.PASS, id="no direction"),
    ],
)
def test_the_opposite_action_waits_longest(before, now, answer):
    """30 minutes after a success: over for the same action, not for the one that takes it back."""
    obj = deployment()
    change = scale(obj, 3, 5 if now == "up" else 2)
    asked = facts(target(obj, change), runs=(run(ended=30 * MINUTE, direction=before),))
    verdict = cooldown.check(asked)
    assert verdict.answer is answer
    assert ("the opposite action" in verdict.reason) is (answer is Answer.HOLD)


@pytest.mark.parametrize(
    ("before", "change", "ended", "answer"),
    [
        pytest.param("failover", promote(), 30 * MINUTE, Answer.HOLD, id="the next failover goes back"),
        pytest.param("failover", promote(), HOUR, Answer.PASS, id="after an hour it may"),
        pytest.param("failover", restart(deployment()), 30 * MINUTE, Answer.PASS, id="a restart does not"),
        pytest.param("up", promote(), 30 * MINUTE, Answer.PASS, id="nor is scaling up its opposite"),
        pytest.param("", promote(), 30 * MINUTE, Answer.PASS, id="nor a restart"),
    ],
)
def test_two_failovers_are_there_and_back_again(before, change, ended, answer):
    """Over for a success, not for the way back: it waits as long as after a failure."""
    asked = facts(target(deployment(), change), runs=(run(ended=ended, direction=before),))
    assert cooldown.check(asked).answer is answer


def test_one_opposite_change_among_several_targets_is_enough():
    one, two = deployment(), deployment(metadata={"name": "web"})
    asked = facts(
        target(one, scale(one, 3, 5)), target(two, restart(two)), runs=(run(ended=30 * MINUTE, direction="down"),)
    )
    assert cooldown.check(asked).answer is Answer.HOLD


def test_the_last_to_be_over_counts_not_the_last_to_have_ended():
    done = (run("r-a", ended=20 * MINUTE, outcome="failed"), run("r-b", ended=5 * MINUTE))
    verdict = cooldown.check(facts(runs=done))
    assert verdict.reason == "last r-a 20m ago, failed"
    assert verdict.changes == "over at 12:40 UTC"


def test_between_rungs_there_is_no_cooldown():
    assert cooldown.check(facts(runs=(run(ended=MINUTE),), between_rungs=True)).answer is Answer.NOT_APPLICABLE


def test_how_far_back_the_facts_must_reach():
    assert EffectiveLimits().history == HOUR
    assert EffectiveLimits(cooldown_failure=5 * HOUR).history == 5 * HOUR


# --- max_attempts, max_targets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "rung", "answer"),
    [
        pytest.param(0, False, Answer.PASS, id="the first"),
        pytest.param(1, False, Answer.DENY, id="one is enough"),
        pytest.param(1, True, Answer.NOT_APPLICABLE, id="a rung of the ladder that has begun"),
    ],
)
def test_max_attempts(done, rung, answer):
    assert max_attempts.check(facts(ladders=done, between_rungs=rung)).answer is answer


def named(name: str) -> Any:
    obj = deployment(metadata={"name": name, "uid": f"u-{name}"})
    return target(obj, restart(obj))


@pytest.mark.parametrize(
    ("targets", "limit", "answer"),
    [
        pytest.param((), 1, Answer.DENY, id="none is nothing, not everything"),
        pytest.param((named("a"),), 1, Answer.PASS, id="one"),
        pytest.param((named("a"), named("b")), 1, Answer.DENY, id="two of one"),
        pytest.param((named("a"), named("b")), 2, Answer.PASS, id="two of two"),
        pytest.param((named("a"), named("a")), 1, Answer.PASS, id="two steps on one object"),
    ],
)
def test_max_targets(targets, limit, answer):
    asked = replace(facts(limits=EffectiveLimits(max_targets=limit)), targets=targets)
    assert max_targets.check(asked).answer is answer


# --- ages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alerts", "answer"),
    [
        pytest.param((alert(HOUR + MINUTE, MINUTE),), Answer.PASS, id="an hour old when first seen"),
        pytest.param((alert(HOUR + MINUTE + SECOND, MINUTE),), Answer.SUGGEST, id="just older"),
        pytest.param((alert(9 * HOUR, 9 * HOUR - MINUTE),), Answer.PASS, id="old, but seen when it was young"),
        pytest.param((alert(9 * HOUR, MINUTE), alert(MINUTE, MINUTE)), Answer.PASS, id="a fresh one among old ones"),
        pytest.param((alert(9 * HOUR, MINUTE), alert(8 * HOUR, MINUTE)), Answer.SUGGEST, id="all old"),
        pytest.param((), Answer.NOT_APPLICABLE, id="a person asked"),
    ],
)
def test_max_alert_age(alerts, answer):
    assert max_alert_age.check(facts(alerts=alerts)).answer is answer


@pytest.mark.parametrize(
    ("age", "answer"),
    [
        pytest.param(MINUTE, Answer.PASS, id="60 s"),
        pytest.param(MINUTE + SECOND, Answer.HOLD, id="61 s"),
        pytest.param(-SECOND, Answer.HOLD, id="from the future"),
        pytest.param(None, Answer.NOT_APPLICABLE, id="not planned"),
    ],
)
def test_plan_age(age, answer):
    planned: Facts = facts(planned_at=None if age is None else NOW - age)
    assert plan_age.check(planned).answer is answer
