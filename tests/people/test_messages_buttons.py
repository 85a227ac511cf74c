"""Buttons: only where an answer is possible, carrying only whose proposal it is, and asking again before harm."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.buttons import Button, Origin, Proposal, chosen, read, read_origin
from remediator.people.messages import Message, main_message, refusal
from remediator.people.parts import remaining, risk_lines
from remediator.people.story import Risk, Story
from remediator.people.wording import ASKING, BESIDE_ITS_END, LEFT_ALONE, RELEASED, REPORT, TAKEN, WORDINGS
from remediator.ports import MessageRef
from tests.people.hostile import hostile_stories, hostile_text
from tests.people.stories import ESCALATED, HELD, NOW, OFFERED, SUCCEEDED
from tests.people.test_messages import assert_inert, assert_sendable, lines

DECIDE = ["Approve", "Reject", "Snooze", "Details", "Console"]
TAKE = ["I take it", "Details", "Console"]


def buttons(message: Message) -> list[dict[str, Any]]:
    return [e for block in message.blocks if block["type"] == "actions" for e in block["elements"]]


def named(story: Story) -> list[str]:
    message = main_message(story)
    assert_sendable(message)
    return [(b.get("text") or b["placeholder"])["text"] for b in buttons(message)]


def pressed(story: Story, action: Button) -> dict[str, Any]:
    return next(b for b in buttons(main_message(story)) if b["action_id"] == action)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("awaiting_approval", DECIDE),
        ("snoozed", DECIDE),
        (ASKING, ["Approve", "Reject", "Details", "Console"]),
        *((state, TAKE) for state in ("held", "suggested", "denied", "rejected", "cancelled", LEFT_ALONE)),
        *((state, TAKE) for state in ("inconclusive", "escalated", *BESIDE_ITS_END)),
        *((state, []) for state in ("approved", "acting", "uncertain", "verifying", "undoing", "waiting")),
        *((state, []) for state in ("succeeded", "superseded", RELEASED, TAKEN, REPORT, "never_heard_of")),
    ],
)
def test_what_is_offered_depends_on_what_can_be_answered(state: str, expected: list[str]) -> None:
    assert named(replace(OFFERED, state=state)) == expected


def test_every_told_state_is_in_the_table_above() -> None:
    told = {state for state, words in WORDINGS.items() if words.told}
    tested = next(m for m in test_what_is_offered_depends_on_what_can_be_answered.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]
    assert told <= {case[0] for case in tested.args[1]}


def test_without_a_way_in_there_are_commands_instead() -> None:
    story = replace(OFFERED, interactive=False)
    assert named(story) == []
    assert "`remediator approve r-4f2c91`" in lines(main_message(story))
    assert not any("remediator approve" in line for line in lines(main_message(OFFERED)))


def test_a_button_carries_the_proposal_and_nothing_else() -> None:
    for element in buttons(main_message(OFFERED)):
        values = [o["value"] for o in element.get("options", ())] or [element.get("value")]
        for value in values:
            if value is not None:
                assert read(value) == Proposal(instance="eu-1", remediation="r-4f2c91", digest="5f1c9ab02d7e4c11")
    assert [chosen(o["value"]) for o in pressed(OFFERED, Button.SNOOZE)["options"]] == ["30m", "2h"]
    assert "value" not in pressed(OFFERED, Button.LINK)


def test_what_could_not_be_read_back_is_not_offered() -> None:
    assert named(replace(OFFERED, remediation_id="r-1|r-2")) == []


def test_only_approve_is_prominent() -> None:
    styled = {b["action_id"]: b["style"] for b in buttons(main_message(OFFERED)) if "style" in b}
    assert styled == {Button.APPROVE: "primary"}


def test_links_stay_where_there_is_no_button() -> None:
    assert lines(main_message(OFFERED))[-1].startswith("<https://prometheus")
    assert not any("|Console>" in line for line in lines(main_message(OFFERED)))
    assert any("|Console>" in line for line in lines(main_message(replace(SUCCEEDED, interactive=True))))
    assert "Console" not in named(replace(OFFERED, console_url="javascript:alert(1)"))


# --- before harm ------------------------------------------------------------------------------------------------------


def test_a_disruptive_approval_is_confirmed_with_its_numbers() -> None:
    confirm = pressed(OFFERED, Button.APPROVE)["confirm"]
    assert confirm["text"]["text"] == (
        "Roll back Deployment shop/checkout to revision 41. Disruptive: may take 2 of 5 healthy copies at once (40 %)."
        " It is checked once more, then it starts."
    )
    assert "style" not in confirm


def test_what_cannot_be_undone_is_confirmed_in_red() -> None:
    confirm = pressed(replace(OFFERED, risk=Risk(lasting=("restart",))), Button.APPROVE)["confirm"]
    assert confirm["style"] == "danger"
    assert "Cannot be undone: restart." in confirm["text"]["text"]


def test_a_harmless_approval_is_one_tap() -> None:
    assert "confirm" not in pressed(replace(OFFERED, risk=Risk(of=5)), Button.APPROVE)
    assert "confirm" not in pressed(replace(OFFERED, risk=None), Button.APPROVE)


def test_a_first_of_two_does_not_start_it() -> None:
    assert OFFERED.approval is not None
    two = replace(OFFERED, approval=replace(OFFERED.approval, quorum=2))
    assert "More people must agree" in pressed(two, Button.APPROVE)["confirm"]["text"]["text"]


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        (Risk(), ("takes no healthy copy",)),
        (Risk(pods=1), ("takes no healthy copy; removes 1 pod that is not healthy",)),
        (Risk(pods=2), ("takes no healthy copy; removes 2 pods, none of them healthy",)),
        (Risk(takes=1), ("disruptive: may take 1 healthy copy at once",)),
        (Risk(takes=2, of=5), ("disruptive: may take 2 of 5 healthy copies at once (40 %)",)),
        (Risk(takes=5, of=5), ("disruptive: may take 5 of 5 healthy copies at once (100 %), all there are",)),
        (Risk(takes=1, of=0), ("disruptive: may take 1 of 0 healthy copies at once",)),
        (
            Risk(unplanned=1, lasting=("a", "b")),
            (
                "takes no healthy copy",
                "1 later step is planned in turn: how much those take is not known yet",
                "cannot be undone: a; b",
            ),
        ),
    ],
)
def test_risk_in_words(risk: Risk, expected: tuple[str, ...]) -> None:
    assert risk_lines(risk) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, ""), (-5, ""), (40, "40 s"), (900, "15 min"), (7500, "2 h 5 min"), (200000, "2 d")]
)
def test_remaining(seconds: int, expected: str) -> None:
    assert remaining(timedelta(seconds=seconds)) == expected


# --- states that change what can be answered --------------------------------------------------------------------------


def test_after_one_of_two_the_next_one_knows() -> None:
    assert OFFERED.approval is not None
    story = replace(OFFERED, approval=replace(OFFERED.approval, quorum=2, approved_by=("ann",)))
    assert named(story) == DECIDE
    assert lines(main_message(story))[1] == "*1 of 2: ann; one more needed. A reject by anybody is final.*"


def test_a_question_with_one_of_two_is_still_asked() -> None:
    assert OFFERED.approval is not None
    approval = replace(OFFERED.approval, quorum=2, approved_by=("ann",))
    story = replace(OFFERED, state=ASKING, explanation="Is the cache warm?", approval=approval)
    assert lines(main_message(story))[1].startswith("*Is the cache warm? 1 of 2: ann; one more needed.")


@pytest.mark.parametrize(("guardrail", "title"), [("pause", "⏸ Paused: "), ("storm", "⏸ Held by a storm: ")])
def test_what_is_paused_cannot_be_approved_but_rejected(guardrail: str, title: str) -> None:
    stop = Verdict(guardrail=guardrail, answer=Answer.HOLD, reason="by ann: freeze", changes="lift it: remediator x")
    story = replace(OFFERED, verdicts=(*OFFERED.verdicts, stop))
    assert named(story) == ["Reject", "Snooze", "Details", "Console"]
    first, second, *_ = lines(main_message(story))
    assert first.startswith(title)
    assert not any(line.startswith("*Guards*  `") for line in lines(main_message(story))), "said once"
    assert second == "*It cannot be approved now. By ann: freeze. Lift it: remediator x.*"
    assert "`remediator approve r-4f2c91`" not in lines(main_message(replace(story, interactive=False)))


def test_snoozed_says_until_when_and_by_whom() -> None:
    story = replace(OFFERED, state="snoozed", snoozed_by="ann", deadline=NOW + timedelta(minutes=30))
    assert not any(line.startswith("*Decide") for line in lines(main_message(story)))
    assert lines(main_message(story))[:2] == [
        "💤 Snoozed: roll back Deployment shop/checkout to revision 41",
        "*Snoozed by ann until 03:35 UTC, then it is asked again. It can be answered before.*",
    ]


def test_taken_by_a_person_leaves_nothing_to_press() -> None:
    for story in (OFFERED, HELD, ESCALATED):
        taken = replace(story, interactive=True, taken_by="ann")
        assert named(taken) == []
        assert lines(main_message(taken))[1].startswith("*ann has taken this: nothing more is sent for it.")
        assert not any(line.startswith(("*Decide by*", "*Who may*")) for line in lines(main_message(taken)))
    assert lines(main_message(replace(OFFERED, taken_by="ann")))[0].startswith("🙋 Taken by ann: ")
    assert lines(main_message(replace(ESCALATED, taken_by="ann")))[0].startswith("🚨 Needs a person")


def test_the_same_message_says_who_decided_and_by_what_right() -> None:
    message = main_message(replace(SUCCEEDED, interactive=True))
    assert named(SUCCEEDED) == []
    assert "*Decided*  approved by ann (role sre) at 03:05 UTC" in lines(message)


def test_a_broken_glass_is_told() -> None:
    assert SUCCEEDED.approval is not None
    alone = replace(SUCCEEDED, approval=replace(SUCCEEDED.approval, quorum=2, alone="checkout is down"))
    assert any("broke the glass: checkout is down" in line for line in lines(main_message(alone)))


def test_break_glass_is_offered_only_where_the_story_says_so() -> None:
    assert "Break glass" not in named(OFFERED)
    offered = replace(OFFERED, break_glass_offered=True)
    assert named(offered) == ["Approve", "Reject", "Snooze", "Details", "Break glass", "Console"]
    assert pressed(offered, Button.BREAK_GLASS)["style"] == "danger"
    assert "Break glass" not in named(replace(offered, state="escalated"))


def test_where_another_playbook_is_tried_nobody_has_to_press() -> None:
    assert named(replace(ESCALATED, interactive=True, next_rung="scale-up")) == []


def test_that_the_mode_wants_an_approval_is_no_objection() -> None:
    mode = Verdict(guardrail="mode", answer=Answer.ASK, reason="mode approve", changes="runs once it is approved")
    told = lines(main_message(replace(OFFERED, verdicts=(mode, *OFFERED.verdicts))))
    assert "*Guards*  all 8 pass" in told
    doubt = replace(mode, guardrail="action", reason="never seen healthy")
    told = lines(main_message(replace(OFFERED, verdicts=(mode, doubt, *OFFERED.verdicts))))
    assert "*Guards*  `action` wants an approval: never seen healthy. Runs once it is approved." in told


def test_a_long_summary_does_not_push_the_buttons_away() -> None:
    alerts = (replace(OFFERED.alerts[0], summary="A" * 10_000),)
    told = next(line for line in lines(main_message(replace(OFFERED, alerts=alerts))) if line.startswith("*Fires*"))
    assert len(told) < 400
    assert "more characters)" in told


# --- whatever a value says --------------------------------------------------------------------------------------------


def test_a_refusal_says_why_and_what_next() -> None:
    message = refusal("r-1 is <approved> already", "Look at it: remediator remediations show r-1")
    assert_sendable(message)
    assert lines(message) == [
        "*Not done:* r-1 is &lt;approved&gt; already",
        "Look at it: remediator remediations show r-1",
    ]


@given(hostile_text, hostile_text)
def test_a_refusal_is_inert(text: str, advice: str) -> None:
    message = refusal(text, advice)
    assert_sendable(message)
    assert_inert(message)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories)
def test_buttons_survive_every_story(story: Story) -> None:
    """Whatever had to be cut: a proposal that can be answered keeps its buttons."""
    open_story = replace(story, state="awaiting_approval", remediation_id="r-1", interactive=True, digest="ab" * 32)
    asked = replace(open_story, taken_by="", cleared_at=None, next_rung="", verdicts=())
    message = main_message(asked)
    assert_sendable(message)
    assert_inert(message)
    assert [b["action_id"] for b in buttons(message)][:2] == [Button.APPROVE, Button.REJECT]


def test_where_a_modal_came_from_can_be_read_back() -> None:
    proposal = Proposal(instance="eu-1", remediation="r-1", digest="ab12")
    for message in (None, MessageRef("C0OPS", "1718000000.000100")):
        origin = Origin(proposal=proposal, message=message)
        assert read_origin(origin.text()) == origin
    assert read_origin("eu-1|r-1") is None
    assert read_origin("eu-1|x|ab|C1|1.2") is None
