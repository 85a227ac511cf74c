"""failure_domain: what is changed at the same time lies in one zone (invariant 9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.guardrails import failure_domain
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import EffectiveLimits, TargetFacts
from remediator.guardrails.verdict import Answer
from tests.actions.make import deployment
from tests.guardrails.make import MINUTE, facts, run, target

A, B, AB, SPREAD = frozenset("a"), frozenset("b"), frozenset("ab"), frozenset[str]()


def at(domains: frozenset[str] | None, name: str = "api", step: int = 0) -> TargetFacts:
    return target(deployment(metadata={"name": name}), domains=domains, step=step)


def busy(domains: frozenset[str], **extra: Any) -> Any:
    return run("r-other", ended=None, domains=domains, target_key="prod/Deployment/shop/web", **extra)


@pytest.mark.parametrize(
    ("targets", "runs", "answer"),
    [
        pytest.param((at(A),), (), Answer.PASS, id="one target"),
        pytest.param((at(SPREAD),), (), Answer.PASS, id="spread by design"),
        pytest.param((at(None),), (), Answer.NOT_APPLICABLE, id="no labelled node"),
        pytest.param((at(None), at(None, "web")), (), Answer.NOT_APPLICABLE, id="none of either"),
        pytest.param((at(AB),), (), Answer.PASS, id="one workload's own rollout is not judged"),
        pytest.param((at(A), at(A, "web")), (), Answer.PASS, id="two targets, one zone"),
        pytest.param((at(A), at(B, "web")), (), Answer.HOLD, id="two targets, two zones"),
        pytest.param((at(A), at(SPREAD, "web")), (), Answer.PASS, id="one of two is spread"),
        pytest.param((at(A), at(None, "web")), (), Answer.PASS, id="one of two has no label"),
        pytest.param((at(A), at(B, "web", step=1)), (), Answer.PASS, id="two zones, step by step"),
        pytest.param((at(A), at(A, "web", step=1), at(B, "db", step=1)), (), Answer.HOLD, id="two in a later step"),
        pytest.param((at(A),), (busy(A),), Answer.PASS, id="somebody else in the same zone"),
        pytest.param((at(B),), (busy(A),), Answer.HOLD, id="somebody else in another zone"),
        pytest.param((at(SPREAD),), (busy(A),), Answer.PASS, id="we are nowhere in particular"),
        pytest.param((at(B),), (busy(SPREAD),), Answer.PASS, id="they are nowhere in particular"),
        pytest.param((at(None),), (busy(A),), Answer.NOT_APPLICABLE, id="nobody knows where we are"),
        pytest.param((at(B),), (busy(A, cluster="test"),), Answer.PASS, id="another cluster"),
        pytest.param((at(B),), (run("r-other", ended=MINUTE, domains=A),), Answer.PASS, id="it has ended"),
        pytest.param((at(B),), (run("r-1", ended=None, domains=A),), Answer.PASS, id="our own reservation"),
        pytest.param((at(AB),), (busy(A),), Answer.HOLD, id="two zones count against others"),
        pytest.param((at(A, step=0), at(B, "web", step=1)), (busy(A),), Answer.HOLD, id="a later step in another zone"),
    ],
)
def test_failure_domain(targets, runs, answer):
    assert failure_domain.check(facts(*targets, runs=runs)).answer is answer


def test_the_limit_is_the_operators():
    two = EffectiveLimits(failure_domain_max=2)
    asked = facts(at(A), at(B, "web"), limits=two)
    assert failure_domain.check(asked).answer is Answer.PASS
    third = facts(at(A), at(B, "web"), limits=two, runs=(busy(frozenset("c")),))
    assert failure_domain.check(third).answer is Answer.HOLD


def test_a_finished_one_of_the_same_episode_does_not_count():
    assert failure_domain.check(facts(at(B), runs=(run("r-p", episode_id="e-1", domains=A),))).answer is Answer.PASS


def test_it_says_who_and_where():
    side_by_side = failure_domain.check(facts(at(B), runs=(busy(A),)))
    assert explain([side_by_side]) == (
        "HELD: failure_domain. 2 values of topology.kubernetes.io/zone at the same time, at most 1 (Deployment "
        "shop/api in b, r-other in a). Passes when r-other ended."
    )
    assert side_by_side.facts == {"domains": ["a", "b"], "limit": 1}
    together = failure_domain.check(facts(at(A), at(B, "web")))
    assert explain([together]) == (
        "HELD: failure_domain. 2 values of topology.kubernetes.io/zone at the same time, at most 1 (Deployment "
        "shop/api in a, Deployment shop/web in b). Passes with targets in fewer; the others can be a step of their own."
    )
    rack = EffectiveLimits(failure_domain_label="rack")
    assert (
        failure_domain.check(facts(at(None), limits=rack)).reason
        == "no node of the target carries rack, or we may not read nodes"
    )
    assert failure_domain.check(facts(at(A), limits=rack)).reason == "rack a; at most 1 at the same time"
    assert failure_domain.check(facts(at(SPREAD))).reason.startswith("spread over several, or nowhere yet")


ZONES = st.frozensets(st.sampled_from("abc"), max_size=1)


@given(ours=st.lists(ZONES, min_size=1, max_size=4), theirs=st.lists(ZONES, max_size=3), most=st.integers(1, 2))
def test_never_more_than_so_many_at_once(ours, theirs, most):
    """Oracle: all zones of the step and of everything that runs, unless we stand in none."""
    targets = [at(zones, f"t{n}") for n, zones in enumerate(ours)]
    runs = tuple(run(f"r-x{n}", ended=None, domains=zones) for n, zones in enumerate(theirs))
    answer = failure_domain.check(facts(*targets, runs=runs, limits=EffectiveLimits(failure_domain_max=most))).answer
    mine, all_ = set().union(*ours), set().union(*ours, *theirs)
    assert (answer is Answer.HOLD) is (bool(mine) and len(all_) > most)
