"""Defaults, ceilings, and what a playbook is told when it asks for more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import InvalidPlaybook
from remediator.guardrails.ceilings import OverCeiling, effective_limits, policy_problems
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.policy import Policy, limits_in_force
from remediator.playbooks.limits import CircuitBreaker, Cooldown, FailureDomain, InFlight, RateLimit
from remediator.playbooks.limits_table import LIMITS, Limit
from remediator.playbooks.model import Limits, Mode
from tests.guardrails.make import playbook

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SHIPPED = Policy()


def limits_of(policy: Policy = SHIPPED, mode: str = "approve", **guardrails: Any) -> EffectiveLimits:
    return effective_limits(playbook(mode=mode, guardrails=guardrails), policy)


def problems_of(policy: Policy = SHIPPED, mode: str = "approve", **guardrails: Any) -> tuple[str, ...]:
    with pytest.raises(OverCeiling) as refused:
        limits_of(policy, mode, **guardrails)
    assert isinstance(refused.value, InvalidPlaybook)
    assert "playbook restart-api" in str(refused.value)
    return refused.value.problems


def test_a_silent_playbook_has_the_shipped_defaults():
    assert limits_of() == EffectiveLimits(mode=Mode.APPROVE, mode_ceiling=Mode.APPROVE)


def test_every_limit_is_in_the_table_and_has_a_default_within_its_ceiling():
    fields = {limit.field for limit in LIMITS}
    beside = {"mode", "mode_ceiling", "auto", "min_available_floor", "min_healthy_floor", "rate_window"}
    beside |= {"failure_domain_label", "environment", "windows", "blockers", "overload"}
    assert fields | beside == set(EffectiveLimits.__dataclass_fields__)
    for limit in LIMITS:
        assert getattr(EffectiveLimits(), limit.field) == limit.default


def only(limit: Limit, value: Any) -> Limits:
    """Limits with this one number, unchecked by the model."""
    return unchecked(limit.key, value)


def unchecked(path: str, value: Any) -> Limits:
    name, _, key = path.partition(".")
    group: Any = {"in_flight": InFlight, "cooldown": Cooldown, "rate_limit": RateLimit}
    group |= {"failure_domain": FailureDomain, "circuit_breaker": CircuitBreaker}
    written: dict[str, Any] = {name: group[name].model_construct(**{key: value}) if key else value}
    return Limits.model_construct(**written)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.key)
def test_from_the_nearest_sensible_value_to_the_ceiling_all_is_allowed(limit):
    for value in (limit.nearest, limit.default, limit.ceiling):
        asked = playbook(mode="approve").model_copy(update={"guardrails": only(limit, value)})
        assert getattr(effective_limits(asked, SHIPPED), limit.field) == value


def test_the_shipped_ceilings():
    """The table of the documentation, spelled out: whoever changes one here changes it there."""
    assert {limit.key: limit.ceiling for limit in LIMITS} == {
        "max_targets": 10,
        "max_alert_age": 24 * HOUR,
        "in_flight.target": 1,
        "in_flight.playbook": 5,
        "in_flight.cluster": 20,
        "in_flight.everywhere": 50,
        "cooldown.success": 2 * MINUTE,
        "cooldown.failure": 2 * MINUTE,
        "rate_limit.target": 6,
        "rate_limit.playbook": 20,
        "rate_limit.namespace": 30,
        "rate_limit.cluster": 60,
        "min_healthy": 1,
        "min_available": 1,
        "failure_domain.max": 2,
        "circuit_breaker.failures": 5,
        "circuit_breaker.open": HOUR,
        "max_attempts": 3,
        "plan_age": 10 * MINUTE,
    }


def test_a_playbook_moves_freely_below_the_ceiling():
    found = limits_of(
        rate_limit={"playbook": 20, "target": 1}, cooldown={"success": "2m"}, min_available=1, max_targets=10
    )
    assert (found.rate_playbook, found.rate_target, found.rate_namespace) == (20, 1, 10)
    assert (found.cooldown_success, found.cooldown_failure) == (2 * MINUTE, HOUR)
    assert (found.min_available, found.max_targets) == (1, 10)


@pytest.mark.parametrize(
    ("guardrails", "said"),
    [
        pytest.param(
            {"max_targets": 11}, "guardrails.max_targets: 11 is above the ceiling, which is at most 10", id="targets"
        ),
        pytest.param(
            {"max_alert_age": "25h"}, "max_alert_age: 1d1h is above the ceiling, which is at most 1d", id="age"
        ),
        pytest.param(
            {"in_flight": {"target": 2}}, "in_flight.target: 2 is above the ceiling, which is at most 1", id="target"
        ),
        pytest.param({"in_flight": {"playbook": 6}}, "in_flight.playbook: 6 is above", id="in_flight playbook"),
        pytest.param({"in_flight": {"cluster": 21}}, "in_flight.cluster: 21 is above", id="in_flight cluster"),
        pytest.param({"in_flight": {"everywhere": 51}}, "in_flight.everywhere: 51 is above", id="in_flight everywhere"),
        pytest.param(
            {"cooldown": {"success": "119s"}},
            "cooldown.success: 1m59s is not allowed; the nearest allowed value is 2m",
            id="cooldown success",
        ),
        pytest.param(
            {"rate_limit": {"target": 7}}, "rate_limit.target: 7 per hour is above the ceiling", id="rate target"
        ),
        pytest.param({"rate_limit": {"playbook": 21}}, "at most 20; write 20", id="rate playbook"),
        pytest.param({"rate_limit": {"namespace": 31}}, "rate_limit.namespace: 31 per hour", id="rate namespace"),
        pytest.param({"rate_limit": {"cluster": 61}}, "rate_limit.cluster: 61 per hour", id="rate cluster"),
        pytest.param({"max_attempts": 4}, "max_attempts: 4 is above the ceiling, which is at most 3", id="attempts"),
        pytest.param({"plan_age": "11m"}, "plan_age: 11m is above the ceiling, which is at most 10m", id="plan age"),
        pytest.param(
            {"plan_age": "1s"}, "plan_age: 1s is not allowed; the nearest allowed value is 5s", id="plan age, too low"
        ),
        pytest.param({"max_alert_age": "1s"}, "the nearest allowed value is 1m", id="alert age, too low"),
    ],
)
def test_asking_for_more_names_the_ceiling(guardrails, said):
    (problem,) = problems_of(**guardrails)
    assert said in problem


def test_every_problem_is_said_at_once():
    assert len(problems_of(mode="auto", max_targets=11, rate_limit={"target": 7, "cluster": 99})) == 4


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        pytest.param(("max_targets", 0), "max_targets: 0 is not allowed; the nearest allowed value is 1", id="zero"),
        pytest.param(("rate_limit.target", -1), "rate_limit.target: -1 is not allowed", id="less than zero"),
        pytest.param(
            ("min_available", "0%"), "min_available: 0% is not allowed; the nearest allowed value is 1", id="0 %"
        ),
        pytest.param(("min_available", 0), "min_available: 0 is not allowed", id="no copy"),
    ],
)
def test_zero_and_less_never_mean_no_limit(limits, said):
    """The model refuses them first; should it ever let one through, this does not."""
    through = playbook(mode="approve").model_copy(update={"guardrails": unchecked(*limits)})
    with pytest.raises(OverCeiling) as refused:
        effective_limits(through, SHIPPED)
    assert said in refused.value.problems[0]


@pytest.mark.parametrize(
    ("mode", "ceiling", "fine"),
    [
        pytest.param("approve", Mode.APPROVE, True, id="at the ceiling"),
        pytest.param("auto", Mode.APPROVE, False, id="above"),
        pytest.param("auto", Mode.AUTO, True, id="auto where auto is allowed"),
        pytest.param("approve", Mode.OBSERVE, False, id="a ceiling of observe"),
    ],
)
def test_the_mode_has_a_ceiling(mode, ceiling, fine):
    policy = Policy(mode_ceiling=ceiling)
    if fine:
        assert limits_of(policy, mode).mode == mode
    else:
        assert problems_of(policy, mode) == (f"mode: {mode} is above the ceiling {ceiling}; write mode: {ceiling}",)


def test_the_operator_sets_defaults_and_ceilings():
    policy = Policy(
        defaults=Limits(max_targets=3, cooldown=Cooldown(success=5 * MINUTE)),
        ceilings=Limits(max_targets=4, cooldown=Cooldown(success=10 * MINUTE), min_available="50%"),
    )
    found = limits_of(policy)
    assert found.max_targets == 3
    assert found.cooldown_success == 10 * MINUTE  # a ceiling holds for the operator's own default too
    assert found.min_available_floor == "50%"
    assert "at most 4" in problems_of(policy, max_targets=5)[0]
    assert "at least 10m" in problems_of(policy, cooldown={"success": "9m"})[0]
    assert "below the ceiling, which is at least 50%" in problems_of(policy, min_available="40%")[0]


def test_a_share_and_copies_cannot_be_compared_so_both_hold():
    found = limits_of(Policy(ceilings=Limits(min_available="50%")), min_available=2)
    assert (found.min_available, found.min_available_floor) == (2, "50%")


def test_a_remediation_under_way_is_brought_back_to_a_lowered_ceiling():
    wide = playbook(mode="auto", guardrails={"rate_limit": {"playbook": 20}, "max_targets": 9})
    narrow = Policy(mode_ceiling=Mode.SUGGEST, ceilings=Limits(max_targets=2, rate_limit=RateLimit(playbook=3)))
    found = limits_in_force(wide, narrow)
    assert (found.mode, found.max_targets, found.rate_playbook) == (Mode.SUGGEST, 2, 3)


def test_an_operators_nonsense_is_told():
    policy = Policy(
        defaults=Limits(plan_age=timedelta(seconds=1)),
        ceilings=Limits(cooldown=Cooldown(failure=MINUTE), max_targets=11),
    )
    assert [problem.partition(":")[0] for problem in policy_problems(policy)] == [
        "defaults.plan_age",
        "ceilings.max_targets",
        "ceilings.cooldown.failure",
    ]
    assert policy_problems(SHIPPED) == ()


@pytest.mark.parametrize("said", [(), ("monitoring",)])
def test_the_control_plane_stays_protected_whatever_else_is_listed(said):
    policy = Policy.model_validate({"protected_namespaces": said})
    assert policy.protected_namespaces == {"kube-system", *said}
