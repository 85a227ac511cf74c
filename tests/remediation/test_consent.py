"""What a yes is worth: each condition by itself, although several of them stand in the way of the same mistake."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.remediation import conditions, moves
from remediator.remediation.decide import decide
from remediator.remediation.draft import Draft, Notice
from remediator.remediation.events import Approved, StepPlanned
from remediator.remediation.state import Consent, State
from tests.support.building import NOW, made, plan, playbook, remediation, verdict

QUORUM = playbook(mode="approve", approval={"quorum": 2})


def yes(who: str, digest: str = "d1") -> Consent:
    return Consent(who=who, at=NOW, digest=digest)


def after(state: State, event: Any, **changes: Any) -> Any:
    given = {"digest": "d1", "plan": plan(), "mode": "approve", "approval_expires": NOW + timedelta(minutes=5)}
    return decide(remediation(state, **{**given, **changes}), event, NOW)


def test_no_digest_is_no_question() -> None:
    assert after(State.AWAITING_APPROVAL, Approved(who="ann", digest=""), digest="").ignored


def test_a_yes_to_something_else_is_not_counted() -> None:
    before = {"spec": QUORUM, "consents": (yes("ann", "d0"), yes("cyd", "d0"))}
    first = after(State.AWAITING_APPROVAL, Approved(who="bob", digest="d1"), **before).remediation
    assert first.state is State.AWAITING_APPROVAL
    assert after(State.AWAITING_APPROVAL, Approved(who="ann", digest="d1"), **before, version=3).remediation.state is (
        State.AWAITING_APPROVAL
    )


def test_the_same_person_is_one() -> None:
    consents = (yes("ann"),)
    again = after(State.AWAITING_APPROVAL, Approved(who="ann", digest="d1"), spec=QUORUM, consents=consents).remediation
    assert (again.state, [c.who for c in again.consents]) == (State.AWAITING_APPROVAL, ["ann"])


def test_a_new_proposal_begins_without_consents() -> None:
    proposed = after(State.PLANNED, made("ask"), consents=(yes("ann"),)).remediation
    assert (proposed.state, proposed.consents) == (State.AWAITING_APPROVAL, ())


@pytest.mark.parametrize(
    ("seconds", "told"), [(301, False), (300, True), (271, True), (270, False), (60, True), (31, True), (30, False)]
)
def test_the_message_says_that_little_time_is_left(seconds: int, told: bool) -> None:
    """Once for each mark: looks are half a minute apart."""
    event, expires = made("ask"), NOW + timedelta(seconds=seconds)
    look = after(State.AWAITING_APPROVAL, event, approval_expires=expires, due=NOW, verdicts=event.verdicts)
    assert (Notice.PROGRESS in look.notices) is told


def test_a_step_that_differs_is_asked_about_without_the_old_consents() -> None:
    event = StepPlanned(plan=plan(), verdicts=(), explanation="", differs="it is 4 now", digest="d2")
    asked = after(State.WAITING, event, consents=(yes("ann"),), step=0).remediation
    assert (asked.waiting_for, asked.consents, asked.digest) == ("ask", (), "d2")


@pytest.mark.parametrize(
    ("answers", "digest", "holds", "off"),
    [
        pytest.param(("pass",), "d1", True, False, id="as approved"),
        pytest.param(("ask",), "d1", True, False, id="an ask that is met"),
        pytest.param(("pass",), "d2", False, True, id="another digest"),
        pytest.param(("deny",), "d1", False, True, id="denied"),
        pytest.param(("suggest",), "d1", False, True, id="only suggested"),
        pytest.param(("hold",), "d1", False, False, id="held: it waits"),
        pytest.param(("hold",), "d2", False, True, id="held, and another digest"),
    ],
)
def test_what_was_approved_and_what_is_the_case_now(
    answers: tuple[str, ...], digest: str, holds: bool, off: bool
) -> None:
    event = made(*answers, plan_=plan(digest=digest))
    draft = Draft(r=remediation(State.APPROVED, digest="d1", consents=(yes("ann"),)), event=event, now=NOW)
    assert conditions.approved_plan_still_holds(draft) is holds
    assert conditions.approved_plan_is_off(draft) is off
    expected = State.RESERVED if holds else State.CANCELLED if off else State.APPROVED
    assert after(State.APPROVED, event, consents=(yes("ann"),)).remediation.state is expected


@pytest.mark.parametrize(
    ("consents", "expires_in", "kept"),
    [
        pytest.param((yes("ann"), yes("bob")), 1, True, id="two of two"),
        pytest.param((yes("ann"),), 1, False, id="one of two"),
        pytest.param((yes("ann"), yes("bob", "d0")), 1, False, id="one of them to something else"),
        pytest.param((yes("ann"), yes("bob")), 0, False, id="expired"),
    ],
)
def test_what_an_approval_survives(consents: tuple[Consent, ...], expires_in: int, kept: bool) -> None:
    expires = NOW + timedelta(seconds=expires_in)
    r = remediation(State.RESERVED, spec=QUORUM, digest="d1", consents=consents, approval_expires=expires)
    assert conditions.approval_holds(Draft(r=r, event=None, now=NOW)) is kept


def test_a_question_in_between_is_not_answered_by_the_plans_yes() -> None:
    steps = [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}, {"ask": "Is the cache warm?"}]
    draft = Draft(
        r=remediation(State.ACTING, spec=playbook(steps=steps), consents=(yes("ann"),)), event=verdict("pass"), now=NOW
    )
    moves.next_step(draft)
    assert draft.get("consents") == ()
    assert draft.get("waiting_for") == "ask"
