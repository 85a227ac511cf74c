"""pull_request: what people have made of a proposal, and how long a gate waits for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.simulated import SimulatedCaller
from remediator.errors import InvalidPlaybook
from remediator.playbooks.gates import gate_lasts, with_gates
from remediator.playbooks.model import Check, Playbook, Verify
from remediator.remediation.checks.base import CheckContext, Unknown
from remediator.remediation.checks.pull_request import PullRequestArgs, sample
from tests.checks.fakes import context
from tests.support.world import load, restart_playbook

SCALE: dict[str, Any] = {"to": 5, "min": 1, "max": 9}
NODE: dict[str, Any] = {"kind": "Node", "name": "n1"}
URL = "https://git.example/acme/deploy/pulls/12"


def forge(state: str) -> SimulatedCaller:
    return SimulatedCaller(answer=lambda place, request: {"state": state, "number": 12, "url": URL})


def at(caller: SimulatedCaller) -> CheckContext:
    proposed = (("deploy", "remediator/first"), ("deploy", "remediator/second"))
    return replace(context(), callers={"forge": caller}, proposed=proposed)


@pytest.mark.parametrize(
    ("state", "answer", "says"),
    [
        ("merged", "good", f"pull request 12 ({URL}) is merged"),
        ("closed", "bad", f"pull request 12 ({URL}) was closed without a merge"),
        ("open", "unknown", f"pull request 12 ({URL}) is open: nobody has merged it yet"),
    ],
)
async def test_what_people_have_made_of_it(state: str, answer: str, says: str) -> None:
    caller = forge(state)
    found = await sample(PullRequestArgs(), at(caller))
    assert (found.answer, found.detail) == (answer, says)
    assert caller.asked == [("deploy", {"about": "pull_request", "branch": "remediator/second"})], "the newest"


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (at(forge("none")), "deploy has no pull request of remediator/second"),
        (replace(at(forge("open")), callers={}), "no forge is configured"),
        (context(), "has proposed nothing"),
    ],
)
async def test_what_nobody_knows(where: CheckContext, why: str) -> None:
    with pytest.raises(Unknown, match=why):
        await sample(PullRequestArgs(), where)


def spec(*steps: Any) -> Playbook:
    return Playbook.model_validate({"name": "a", "manual": True, "target": "from_alert", "steps": steps})


SCALE = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
GATE = {"check": {"kind": "pull_request", "args": {"within": "4h"}}}


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        pytest.param([SCALE], ["scale"], id="live"),
        pytest.param([{**SCALE, "via": "hold_and_pr"}], ["scale"], id="live already"),
        pytest.param([{**SCALE, "via": "pr"}], ["scale", "pull_request"], id="a gate is added"),
        pytest.param([{**SCALE, "via": "pr"}, GATE], ["scale", "pull_request"], id="it is there"),
        pytest.param(
            [{**SCALE, "via": "pr"}, {"wait": "5m"}, SCALE], ["scale", "pull_request", "", "scale"], id="in the middle"
        ),
    ],
)
def test_a_proposal_is_waited_for(steps: list[Any], kinds: list[str]) -> None:
    once = with_gates(spec(*steps))
    assert [step.action or (step.check.kind if step.check else "") for step in once.steps] == kinds
    assert with_gates(once) == once


@pytest.mark.parametrize(
    ("steps", "where"),
    [
        (
            [{"action": "scale", "with": SCALE, "via": "pr"}, {"check": {"pull_request": {"within": "${params.x}"}}}],
            "steps[1].check.pull_request.within",
        ),
        ([{"action": "drain", "with": {"also_in": ["${params.x}"]}, "target": NODE}], "steps[0].with.also_in[0]"),
    ],
    ids=["how long a target stays locked", "protected namespaces"],
)
def test_what_is_read_as_written_takes_no_template(steps: list[Any], where: str) -> None:
    params = {"x": {"type": "string", "default": "3h"}}
    with pytest.raises(InvalidPlaybook) as caught:
        load(restart_playbook(mode="approve", params=params, steps=steps))
    assert f"{where}: ${{...}} is not filled in here" in str(caught.value)


def test_how_long_a_gate_is_waited_for() -> None:
    verify = Verify(timeout=timedelta(minutes=10))
    assert gate_lasts(Check(kind="rollout"), verify) == timedelta(minutes=10)
    assert gate_lasts(Check(kind="pull_request"), verify) == timedelta(hours=2)
    assert gate_lasts(Check(kind="pull_request", args={"within": "4h"}), verify) == timedelta(hours=4)
    for within in ("1m", "2d"):
        with pytest.raises(ValidationError, match="between 5m and 12h"):
            PullRequestArgs.model_validate({"within": within})
