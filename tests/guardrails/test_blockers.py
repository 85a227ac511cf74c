"""blockers: what fires or holds elsewhere forbids acting here, and so does what nobody could ask about."""

from __future__ import annotations

import pytest

from remediator.guardrails import blockers
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import BlockerFact
from remediator.guardrails.verdict import Answer
from tests.guardrails.make import facts

QUIET = BlockerFact(name='severity="critical"')
FIRING = BlockerFact(name='severity="critical"', blocks=('KubeNodeNotReady{node="n1"}',))
HOLDING = BlockerFact(name="a deploy is going on", blocks=("3",))
UNSEEN = BlockerFact(name='severity="critical"', problem="Prometheus did not answer (3 tries, 5 s)")


@pytest.mark.parametrize(
    ("set_", "answer", "blind"),
    [
        pytest.param((), Answer.NOT_APPLICABLE, False, id="none are set"),
        pytest.param((QUIET,), Answer.PASS, False, id="quiet"),
        pytest.param((FIRING,), Answer.HOLD, False, id="fires"),
        pytest.param((QUIET, HOLDING), Answer.HOLD, False, id="the second of two"),
        pytest.param((HOLDING, QUIET), Answer.HOLD, False, id="the first of two"),
        pytest.param((UNSEEN,), Answer.HOLD, True, id="no answer"),
        pytest.param((QUIET, UNSEEN), Answer.HOLD, True, id="one of two gave no answer"),
        pytest.param((FIRING, UNSEEN), Answer.HOLD, True, id="what could not be seen is said first"),
    ],
)
def test_blockers(set_, answer, blind):
    verdict = blockers.check(facts(blockers=set_))
    assert (verdict.answer, verdict.cannot_see) == (answer, blind)


def test_no_answer_is_told_in_so_many_words():
    assert explain([blockers.check(facts(blockers=(UNSEEN,)))]) == (
        "CANNOT SEE: Prometheus did not answer (3 tries, 5 s). "
        'Nothing was done, because blocker severity="critical" is unknown.'
    )


@pytest.mark.parametrize(
    ("set_", "said"),
    [
        pytest.param(
            (FIRING, QUIET),
            'HELD: blockers. severity="critical" forbids it: 1 hit (KubeNodeNotReady{node="n1"}). '
            "Passes when it is over.",
            id="one",
        ),
        pytest.param(
            (FIRING, HOLDING),
            'HELD: blockers. severity="critical" forbids it: 1 hit (KubeNodeNotReady{node="n1"}); '
            "a deploy is going on forbids it: 1 hit (3). Passes when all of them are over.",
            id="two",
        ),
        pytest.param(
            (BlockerFact(name="x", blocks=("a", "b", "c", "d", "e")),),
            "HELD: blockers. X forbids it: 5 hits (a, b, c and 2 more). Passes when it is over.",
            id="many hits",
        ),
    ],
)
def test_what_blocks_is_named(set_, said):
    assert explain([blockers.check(facts(blockers=set_))]) == said


def test_the_numbers():
    assert blockers.check(facts(blockers=(QUIET, HOLDING))).facts == {"asked": 2, "blocking": [HOLDING.name]}
    assert blockers.check(facts(blockers=(QUIET,))).reason == "none of 1 blocker holds"
