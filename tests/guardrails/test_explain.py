"""The one line, word for word as people get it."""

from __future__ import annotations

import pytest

from remediator.guardrails import cooldown, min_available, rate_limit
from remediator.guardrails.answers import asks, cannot_see, denies, holds, not_applicable, passes, suggests
from remediator.guardrails.explain import explain, explain_one
from remediator.guardrails.facts import EffectiveLimits
from tests.actions.make import deployment, pod
from tests.guardrails.make import MINUTE, evict, facts, run, target

FINE = passes("pause", "nothing here is paused")
IDLE = not_applicable("silenced", "no Alertmanager")


def test_one_hold():
    obj = deployment(5, 3)
    pods = tuple(pod(f"p{n}", obj) for n in range(3))
    verdict = min_available.check(facts(target(obj, evict(1), pods=pods)))
    assert explain((FINE, verdict), subject="evict pod checkout-7d9-x in prod") == (
        "HELD evict pod checkout-7d9-x in prod: min_available. 3 of 5 ready, this takes 1 ready copy, 3 must remain. "
        "Passes when ready >= 4. Rollback takes none and is still possible."
    )


def test_several_holds():
    done = (
        run("r-4f2c", reserved=40 * MINUTE, ended=7 * MINUTE, outcome="undone"),
        *(run(f"r-x{n}", reserved=(40 - n) * MINUTE, target_key="prod/Deployment/shop/web") for n in range(4)),
    )
    asked = facts(runs=done, zone="Europe/Berlin", limits=EffectiveLimits(cooldown_failure=39 * MINUTE))
    verdicts = (FINE, cooldown.check(asked), rate_limit.check(asked), IDLE)
    assert explain(verdicts, subject="restart of api") == (
        "HELD by 2: cooldown (last r-4f2c 7m ago, undone; over at 14:32 Europe/Berlin); "
        "rate_limit playbook 5/5 in 1h (next token 14:20)."
    )


def test_what_cannot_be_seen():
    verdicts = (
        FINE,
        holds("cooldown", "last r-1 7m ago"),
        cannot_see("blockers", 'blocker severity="critical"', "Prometheus did not answer (3 tries, 5 s)"),
    )
    assert explain(verdicts, subject="x") == (
        "CANNOT SEE: Prometheus did not answer (3 tries, 5 s). "
        'Nothing was done, because blocker severity="critical" is unknown. Held by cooldown as well.'
    )


@pytest.mark.parametrize(
    ("verdicts", "line"),
    [
        pytest.param((), "ALLOWED x: 0 guardrails pass.", id="none"),
        pytest.param((FINE,), "ALLOWED x: 1 guardrail passes.", id="one passes"),
        pytest.param((FINE, FINE, IDLE), "ALLOWED x: 2 guardrails pass, 1 not applicable.", id="all pass"),
        pytest.param(
            (FINE, asks("mode", facts(), "mode approve")),
            "NEEDS APPROVAL x: mode. Mode approve. Runs once it is approved.",
            id="ask",
        ),
        pytest.param((suggests("mode", "mode suggest"),), "SUGGESTED x: mode. Mode suggest.", id="suggest"),
        pytest.param((denies("protect", "no"), holds("pause", "y")), "DENIED x: protect. No.", id="deny is graver"),
        pytest.param(
            (denies("protect", "no"), cannot_see("pause", "y", "z")),
            "DENIED x: protect. No.",
            id="a deny needs no sight",
        ),
        pytest.param(
            (denies("a", "one", "two"), denies("b", "", "")), "DENIED by 2: a (one; two); b.", id="several denies"
        ),
        pytest.param(
            (denies("silenced", "api-7d9 is quiet."),), "DENIED x: silenced. api-7d9 is quiet.", id="names stay"
        ),
    ],
)
def test_the_line(verdicts, line):
    assert explain(verdicts, subject="x") == line


def test_without_a_subject():
    assert explain((holds("pause", "ann said so"),)) == "HELD: pause. Ann said so."


def test_one_verdict_in_the_list_of_all():
    assert explain_one(holds("pause", "ann said so", "resume it")) == "hold: pause. Ann said so. Resume it."
