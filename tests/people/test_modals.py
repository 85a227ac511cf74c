"""What opens over a message: complete, within Slack's limits, and nothing that a label smuggled in."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.buttons import REASON, Button, Dialog, Origin, Proposal, read_origin
from remediator.people.messages import Message
from remediator.people.modals import (
    break_glass_modal,
    details_modal,
    loading_modal,
    message_modal,
    reject_modal,
)
from remediator.people.story import EvidenceNote, Story, StoryAlert
from remediator.ports import MessageRef
from remediator.remediation.break_glass import SHORTEST_REASON
from tests.people.hostile import hostile_stories, hostile_text
from tests.people.stories import ESCALATED, HELD, NOW, OFFERED, SUCCEEDED
from tests.people.test_messages import assert_inert
from tests.support import block_kit
from tests.support.fake_slack import shown

ORIGIN = Origin(
    proposal=Proposal(instance="eu-1", remediation="r-4f2c91", digest="5f1c9ab02d7e4c11"),
    message=MessageRef("C0OPS", "1718000000.000100"),
)


def assert_valid(view: dict[str, Any]) -> None:
    assert block_kit.view_problem(view) is None
    texts = [t for block in view["blocks"] for t in [block.get("text"), *block.get("elements", ())] if t]
    assert all(t["verbatim"] for t in texts if t.get("type") == "mrkdwn")


def assert_view_inert(view: dict[str, Any]) -> None:
    assert_inert(Message("-", tuple(view["blocks"])))


def lines(view: dict[str, Any]) -> list[str]:
    return shown(view["blocks"]).splitlines()


def test_details_show_all_of_it() -> None:
    hold = Verdict(
        guardrail="rate_limit",
        answer=Answer.HOLD,
        reason="5 of 5 in 1h",
        changes="Next token 03:20 UTC",
        seen={"runs": "journal at 2025-06-02T03:05:09Z", "targets": "journal at 2025-06-02T03:05:09Z"},
    )
    view = details_modal(replace(OFFERED, verdicts=(*OFFERED.verdicts, hold), timeline=("03:05:10 proposed",)))
    assert_valid(view)
    assert lines(view) == [
        "✋ *Approval needed: roll back Deployment shop/checkout to revision 41*",
        "Please approve or reject. Without an answer nothing is changed and a person is asked.",
        "*Plan*",
        "```",
        "rollback image registry.example.com/shop/checkout:2.14.0 → registry.example.com/shop/checkout:2.13.7",
        "   spec.template.spec.containers.app.image shop/checkout:2.14.0 → shop/checkout:2.13.7",
        "   only the pod template goes back: ConfigMaps, replicas and schemas stay",
        "```",
        "*Risk*  disruptive: may take 2 of 5 healthy copies at once (40 %)",
        "*Why*  Released 14 min ago, errors rose from 0.1 % to 20 % since; revision 41 was healthy for 6 days.",
        "*Undo*  image goes back to registry.example.com/shop/checkout:2.14.0",
        "*Who may*  slack:@checkout-leads, role:sre (1 is enough)",
        "*Guards*",
        "⏸ `rate_limit` 5 of 5 in 1h. Next token 03:20 UTC. (journal 03:05:09)",
        *(f"✓ `{v.guardrail}` fine." for v in OFFERED.verdicts),
        "*Alerts*",
        "`HighErrorRate` since 03:01 UTC",
        "20 % of requests to checkout fail",
        "`namespace=shop, severity=critical`",
        "*Evidence*",
        "*Logs* 50 lines, 31 with ERROR",
        "*Events* 12 x BackOff in 4 min",
        "*So far*",
        "03:05:10 proposed",
        "Approve",
        "Reject",
        "r-4f2c91 · rollback-bad-release · cluster prod-eu",
        "<https://remediator.example.com/remediations/r-4f2c91|Console>",
        "<https://runbooks.example.com/checkout/errors|Runbook>",
        "<https://prometheus.example.com/graph?g0.expr=rate%28x%5B5m%5D%29&amp;g0.tab=1|Graph>",
    ]


def test_details_can_be_answered_where_their_message_can() -> None:
    glass = details_modal(replace(OFFERED, break_glass_offered=True))
    assert_valid(glass)
    assert _buttons(glass) == [Button.APPROVE, Button.REJECT, Button.SNOOZE]
    assert any("confirm" in element for block in glass["blocks"] for element in block.get("elements", ()))
    assert _buttons(details_modal(replace(ESCALATED, interactive=True))) == [Button.TAKE]
    assert _buttons(details_modal(SUCCEEDED)) == _buttons(details_modal(replace(OFFERED, interactive=False))) == []


def _buttons(view: dict[str, Any]) -> list[str]:
    elements = [e for block in view["blocks"] if block["type"] == "actions" for e in block["elements"]]
    return [element["action_id"] for element in elements]


def test_details_never_show_log_text() -> None:
    assert "customer 4711" not in json.dumps(details_modal(OFFERED))


@pytest.mark.parametrize("story", [HELD, SUCCEEDED])
def test_details_of_other_states(story: Story) -> None:
    assert_valid(details_modal(story))


def test_too_much_is_counted() -> None:
    huge = replace(
        OFFERED,
        plan=("x" * 900,) * 60,
        verdicts=tuple(Verdict(guardrail=f"g{i}", answer=Answer.HOLD, reason="y" * 900) for i in range(90)),
        alerts=tuple(StoryAlert(name=f"A{i}", starts_at=NOW, labels={"a": "z" * 2000}) for i in range(60)),
        timeline=("t" * 500,) * 200,
    )
    view = details_modal(huge)
    assert_valid(view)
    assert "… (50 more)" in lines(view), "guards"
    assert "… (45 more)" in lines(view), "alerts"


def test_lines_that_show_nothing_are_left_out() -> None:
    empty = replace(OFFERED, timeline=("\u200b", ""), plan=("",), evidence=(EvidenceNote(title="", text="\x00"),))
    assert_valid(details_modal(empty))


def test_where_it_was_opened_from_travels_with_it() -> None:
    for view in (details_modal(OFFERED, origin=ORIGIN), loading_modal(ORIGIN), reject_modal(ORIGIN)):
        assert read_origin(view["private_metadata"]) == ORIGIN
        assert_valid(view)
    own = read_origin(details_modal(OFFERED)["private_metadata"])
    assert own is not None
    assert own.proposal == ORIGIN.proposal
    assert own.message is None


def test_reject_asks_for_a_reason_that_may_be_left_out() -> None:
    view = reject_modal(ORIGIN, what=OFFERED.headline)
    assert_valid(view)
    asked = view["blocks"][-1]
    assert (view["callback_id"], view["submit"]["text"]) == (Dialog.REJECT, "Reject")
    assert (asked["block_id"], asked["element"]["action_id"], asked["optional"]) == (REASON, REASON, True)
    assert lines(view)[0] == "*roll back Deployment shop/checkout to revision 41*"


def test_break_glass_asks_for_a_reason_that_may_not() -> None:
    view = break_glass_modal(ORIGIN, what=OFFERED.headline)
    assert_valid(view)
    assert view["blocks"][-1]["optional"] is False
    assert view["blocks"][-1]["element"]["min_length"] == SHORTEST_REASON
    assert "*alone*" in " ".join(lines(view))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories)
def test_no_value_breaks_a_modal(story: Story) -> None:
    view = details_modal(story, origin=ORIGIN)
    assert_valid(view)
    assert_view_inert(view)


@given(hostile_text, hostile_text)
def test_no_headline_breaks_a_question(what: str, more: str) -> None:
    for view in (
        reject_modal(ORIGIN, what=what),
        break_glass_modal(ORIGIN, what=what),
        message_modal("Not done", what, more),
    ):
        assert_valid(view)
        assert_view_inert(view)
