"""Each guardrail is really asked, and stops something that no other one would stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from remediator.guardrails.facts import Facts, Overload
from remediator.guardrails.order import ORDER, evaluate
from remediator.guardrails.verdict import Answer, gravest
from remediator.playbooks.model import Mode
from tests.actions.make import deployment
from tests.guardrails.make import facts, run, scale, target
from tests.guardrails.test_answers_table import CASES, within

D = deployment(5)
ELSEWHERE = replace(
    run("r-x", ended=None), target_key="prod/Deployment/x/y", playbook="other", namespace="x", domains=frozenset("b")
)
OTHER = deployment(metadata={"name": "web", "uid": "u-web"})
ALONE: Mapping[str, Facts] = {
    "max_targets": facts(target(), target(OTHER)),
    "windows": facts(limits=replace(within("0 13 * * *"), mode=Mode.AUTO, mode_ceiling=Mode.AUTO)),
    "overload": facts(target(D, scale(D, 5, 4)), overload=Overload(query="q", says="1")),
    "failure_domain": facts(target(domains=frozenset("a")), runs=(ELSEWHERE,)),
}
"""Where the facts of the answers' table make others object as well."""


@pytest.mark.parametrize("name", CASES)
def test_something_is_stopped_by_it_alone(name: str) -> None:
    """Whatever it stops, others may stop as well; not this."""
    alone = []
    for seen in (ALONE[name],) if name in ALONE else CASES[name].values():
        verdicts = evaluate(seen)
        objecting = [v.guardrail for v in verdicts if v.answer.rank > Answer.PASS.rank]
        if objecting == [name]:
            alone.append(gravest(verdicts))
    assert alone


def test_all_of_them_are_in_the_table() -> None:
    assert {guard.name for guard in ORDER} == set(CASES)
