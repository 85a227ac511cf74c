"""What may be taken back, in which order, and when that counts as done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import Patch
from remediator.adapters.simulated import Reject, Script
from remediator.errors import Refused
from remediator.objects import ObjectRef
from remediator.remediation import conditions
from remediator.remediation.draft import Draft
from remediator.remediation.events import Sampled
from remediator.remediation.samples import SampleSet
from remediator.remediation.state import Done, State, StepOutcome
from tests.support.building import NOW, patch, playbook, remediation, samples
from tests.support.world import World, deployment, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
UP = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
SECOND = timedelta(seconds=1)


def done(step: int, effect: int = 0, *, inverse: bool = True) -> Done:
    return Done(
        effect_id=f"r-1/{step}.{effect}",
        step=step,
        at=NOW,
        summary=f"step {step}",
        inverse=patch(step + 1, step) if inverse else None,
    )


def undoing(*effects: Done, steps: str = "all", step: int = 2) -> tuple[list[int], str]:
    """Which steps are taken back, in order, and what stops it."""
    spec = playbook(steps=[UP] * 4, undo={"steps": steps})
    left, barrier = conditions.undo_of(remediation(State.ACTING, spec=spec, step=step, done=effects))
    return [x.changes[0].after for x in left if isinstance(x, Patch)], barrier


@pytest.mark.parametrize(
    ("effects", "steps", "expected"),
    [
        pytest.param((done(0), done(1), done(2)), "all", ([2, 1, 0], ""), id="all, newest first"),
        pytest.param((done(0), done(1), done(2)), "failed_step", ([2], ""), id="only the step that failed"),
        pytest.param((done(0), done(1)), "failed_step", ([], ""), id="which has done nothing"),
        pytest.param((done(0), done(1, inverse=False), done(2)), "all", ([2], "step 1"), id="as far as a barrier"),
        pytest.param((done(0), done(1), done(2, inverse=False)), "all", ([], "step 2"), id="which comes first"),
        pytest.param((), "all", ([], ""), id="nothing"),
    ],
)
def test_what_is_taken_back(effects: tuple[Done, ...], steps: str, expected: tuple[list[int], str]) -> None:
    assert undoing(*effects, steps=steps) == expected


@pytest.mark.parametrize(
    ("sample", "verified"),
    [
        pytest.param(samples("good", at=NOW), True, id="all copies are back"),
        pytest.param(samples("bad", at=NOW), False, id="they are not"),
        pytest.param(samples("unknown", at=NOW), False, id="nobody knows"),
        pytest.param(SampleSet(taken_at=NOW, checks=()), False, id="nobody looked"),
    ],
)
def test_an_undo_counts_when_it_is_verified(sample: SampleSet, verified: bool) -> None:
    draft = Draft(r=remediation(State.UNDOING, undoing=True), event=Sampled(sample=sample), now=NOW)
    assert conditions.undo_verified(draft) is verified


def test_a_wait_between_the_effect_and_its_verification_is_no_settling() -> None:
    """It settles from the moment at which we began to look, if that came later."""
    r = remediation(State.VERIFYING, acted_at=NOW - 60 * SECOND, since=NOW)
    first = samples("good", at=NOW + 2 * SECOND)
    draft = Draft(r=replace(r, samples=(first,)), event=Sampled(sample=samples("good", at=NOW + 7 * SECOND)), now=NOW)
    assert conditions.judged(draft).verdict == "pending"
    later = tuple(samples("good", at=NOW + n * SECOND) for n in (11, 16))
    draft = Draft(r=replace(r, samples=later[:1]), event=Sampled(sample=later[1]), now=NOW + 16 * SECOND)
    assert conditions.judged(draft).verdict == "succeeded"


async def test_a_refusal_in_the_middle_undoes_only_what_made_it_worse() -> None:
    """The second effect is refused, and nothing is worse than before: what was done stays, and a person is told."""
    more: dict[str, Any] = {"action": "scale", "with": {"to": 6, "min": 1, "max": 9}}
    world = World(restart_playbook(steps=[UP, {"wait": "5s"}, more]))
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert()
    await world.run_until("waiting")
    world.cluster.faults = script = Script()
    script.write(Reject(Refused("403 Forbidden", forbidden=True)))
    r = await world.run_until("escalated", "undoing")
    assert (r.state, r.outcome, world.replicas()) == (State.ESCALATED, StepOutcome.FAILED, 5), r.reason
