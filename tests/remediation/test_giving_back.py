"""Locks, slots, tokens and the epoch: given back as soon as it is proven that nothing was done, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.remediation.decide import decide
from remediator.remediation.events import DeadlinePassed, Watched
from remediator.remediation.state import Done, State
from tests.support.building import NOW, acted, plan, probed, remediation

DONE = (Done(effect_id="r-1/0.0", step=0, at=NOW, summary="replicas 3 -> 5"),)


def after(state: State, event: Any, **changes: Any) -> Any:
    return decide(remediation(state, plan=plan(), epoch=7, digest="d1", **changes), event, NOW)


@pytest.mark.parametrize(
    "event",
    [acted("paused"), acted("hold"), acted("deny"), acted("changed"), DeadlinePassed()],
    ids=lambda event: getattr(event, "answer", type(event).__name__),
)
def test_what_was_only_reserved_is_given_back_whole(event: Any) -> None:
    decision = after(State.RESERVED, event)
    assert (decision.release, decision.refund, decision.remediation.epoch) == (True, True, 0)


def test_an_alert_that_is_over_gives_it_back() -> None:
    decision = after(State.RESERVED, Watched(quiet_since=NOW))
    assert (decision.release, decision.refund) == (True, True)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        pytest.param(State.ACTING, acted("changed"), id="changed by somebody"),
        pytest.param(State.ACTING, acted("refused"), id="refused"),
        pytest.param(State.UNCERTAIN, probed("never"), id="proven not to have happened, too late"),
        pytest.param(State.UNCERTAIN, probed("abandoned"), id="given up"),
        pytest.param(State.WAITING, DeadlinePassed(), id="waited too long"),
    ],
)
def test_tokens_come_back_only_if_nothing_was_done(state: State, event: Any) -> None:
    late = {"act_by": NOW}
    assert after(state, event, **late).refund
    earlier = after(state, event, done=DONE, **late)
    assert not earlier.refund
    assert earlier.remediation.ended


@pytest.mark.parametrize("answer", ["person", "cannot_see", "again"])
def test_what_may_have_been_done_keeps_its_tokens(answer: str) -> None:
    assert not after(State.UNCERTAIN, probed(answer)).refund
    assert not after(State.UNCERTAIN, DeadlinePassed()).refund
