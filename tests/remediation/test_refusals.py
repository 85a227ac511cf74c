"""What people read when the API server says no."""

from __future__ import annotations

import pytest

from remediator.actions.change import Create
from remediator.adapters.simulated import Reject, Script
from remediator.errors import Refused
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import ObjectRef
from remediator.remediation.refusals import about, told_once
from remediator.remediation.state import Remediation
from tests.remediation.test_effects import Act, world_of

WEB = ObjectRef("Deployment", "shop", "web")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        pytest.param('deployments.apps "web" is forbidden', 'deployments.apps "web" is forbidden', id="named already"),
        pytest.param("jobs.batch is forbidden", "Deployment shop/web: jobs.batch is forbidden", id="only its kind"),
        pytest.param(
            'admission webhook "x" denied the request: no',
            'Deployment shop/web: admission webhook "x" denied the request: no',
            id="its name is only a part of a word",
        ),
    ],
)
def test_a_refusal_names_the_object(said: str, read: str) -> None:
    assert about(WEB, said) == read


def verdict(answer: Answer, reason: str, guardrail: str = "dry_run") -> Verdict:
    return Verdict(guardrail=guardrail, answer=answer, reason=reason)


@pytest.mark.parametrize(
    ("objections", "read"),
    [
        pytest.param([], [], id="none"),
        pytest.param([verdict(Answer.DENY, "no a")], ["no a"], id="one"),
        pytest.param(
            [verdict(Answer.DENY, "no a"), verdict(Answer.DENY, "no b")],
            ["no a (1 more request of this step was not accepted either)"],
            id="two",
        ),
        pytest.param(
            [verdict(Answer.DENY, f"no {number}") for number in range(31)],
            ["no 0 (30 more requests of this step were not accepted either)"],
            id="many",
        ),
        pytest.param(
            [verdict(Answer.HOLD, "busy"), verdict(Answer.DENY, "no"), verdict(Answer.DENY, "there", "target")],
            ["busy", "no", "there"],
            id="of different kinds",
        ),
    ],
)
def test_the_same_answer_to_many_requests_is_told_once(objections: list[Verdict], read: list[str]) -> None:
    assert [found.reason for found in told_once(objections)] == read


NO = 'admission webhook "x" denied the request: not on a Friday'


async def refused(*, dry_run: bool) -> Remediation:
    """Two ConfigMaps are to be made, and whichever it is, admission has the same to say."""
    made = [Create(ref=ObjectRef("ConfigMap", "shop", name), body={"data": {}}) for name in ("a", "b")]
    world = world_of(Act(*made))
    world.cluster.faults = script = Script()
    script.write(Reject(Refused(f"403: {NO}")), dry_run=dry_run, times=1000)
    await world.alert()
    r = await world.run_until("denied", "escalated", "refused", "failed")
    assert world.writes() == []
    return r


async def test_a_rehearsal_that_is_refused_is_told_once_and_by_name() -> None:
    r = await refused(dry_run=True)
    assert f"API server refuses it: ConfigMap shop/a: 403: {NO} (1 more request of this step was" in r.reason
    assert r.reason.count(NO) == 1


async def test_a_request_that_is_refused_is_told_by_name() -> None:
    r = await refused(dry_run=False)
    assert f"ConfigMap shop/a: 403: {NO}" in r.reason
