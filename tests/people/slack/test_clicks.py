"""What a click does: what was asked, once, and nothing else. Whoever gets his way hears nothing but the message."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import AsyncMock

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.people.approval_settings import BreakGlass
from remediator.people.buttons import Button, Dialog
from remediator.slack_app.deciding import Deciding
from tests.people.slack.bed import Bed, bed, button, playbook
from tests.support.fake_http import Fault
from tests.support.fake_slack import OPS, FakeSlack

ANN, BOB, CAT = "U0ANN", "U0BOB", "U0CAT"


async def test_approve_restarts_once_and_the_message_says_who(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    assert one.effects == 0
    assert (await slack.click(ANN, message, Button.APPROVE)).ok
    await one.run_for(5)
    assert one.effects == 1
    (consent,) = (await one.newest()).consents
    assert (consent.who, consent.via) == ("slack:T0TEAM/U0ANN", "slack")
    assert ANN in message.shown
    assert slack.whispered(ANN) == []
    assert slack.elements(message.blocks, Button.APPROVE) == [], "there is nothing left to approve"


async def test_what_keeps_an_approved_one_from_starting_is_shown(one: Bed, slack: FakeSlack) -> None:
    """Its message had said that it starts now."""
    message = await one.proposed()
    await slack.click(ANN, message, Button.APPROVE)
    await one.inbox.run_once()
    await one.journal.pause("everything", "bob", "a release", None, one.clock.now())
    await one.run_for(3)
    assert one.effects == 0
    assert "a release" in message.shown


async def test_nothing_is_done_before_the_row_is_dealt_with(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    assert (await slack.click(ANN, message, Button.APPROVE)).body is None
    assert (await one.newest()).consents == ()
    (row,) = await one.journal.incoming(one.clock.now(), 9)
    assert (row.source, row.tries) == ("slack", 0)
    assert "whatever it says" not in str(row.body), "the message of the payload is not kept"


async def test_reject_asks_for_a_reason_and_the_dialogs_answer_counts(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.REJECT)
    await one.run_for(2)
    assert (await one.newest()).state == "awaiting_approval", "an open dialog is no rejection"
    reply = await slack.submit(ANN, slack.the_view(ANN), reason="we are\nin a release")
    assert reply.ok
    assert reply.body is None
    await one.run_for(3)
    r = await one.newest()
    assert (r.state, r.reason) == ("rejected", "rejected by slack:T0TEAM/U0ANN: we are in a release")
    assert one.effects == 0
    assert slack.whispered(ANN) == []


async def test_reject_needs_no_reason(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.REJECT)
    assert (await slack.submit(ANN, slack.the_view(ANN))).ok
    await one.run_for(2)
    assert (await one.newest()).state == "rejected"


@pytest.mark.parametrize("fault", [Fault(error="internal_error"), Fault(hang="before"), Fault(drop=True)])
async def test_a_veto_counts_where_the_dialog_cannot_be_opened(one: Bed, slack: FakeSlack, fault: Fault) -> None:
    message = await one.proposed()
    slack.fail("views.open", fault)
    assert (await slack.click(ANN, message, Button.REJECT)).ok, "answered within the three seconds"
    await one.run_for(2)
    assert (await one.newest()).state == "rejected"
    (told,) = slack.whispered(ANN)
    assert "did not open the dialog" in told


@pytest.mark.parametrize(("option", "length"), [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2))])
async def test_snooze_asks_again_after_that_long(one: Bed, slack: FakeSlack, option: str, length: timedelta) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.SNOOZE, option=option)
    now = one.clock.now()
    await one.run_for(2)
    r = await one.newest()
    assert r.state == "snoozed"
    assert r.deadline == now + length
    assert slack.whispered(ANN) == []


async def test_take_leaves_the_episode_to_the_person(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.TAKE, element=button(Button.TAKE, await one.newest()))
    await one.run_for(2)
    (pause,) = await one.journal.pauses(one.clock.now())
    assert pause.scope == f"episode:{(await one.newest()).episode}"
    assert ANN in pause.who
    await slack.click(BOB, message, Button.APPROVE, element=button(Button.APPROVE, await one.newest()))
    await one.run_for(3)
    assert one.effects == 0
    assert "Not done" in slack.whispered(BOB)[0]


async def test_details_fill_the_dialog_that_was_opened_at_once(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.DETAILS)
    view = slack.the_view(ANN)
    assert "One moment" in str(view.content)
    await one.run_for(1)
    assert view.content["callback_id"] == Dialog.DETAILS
    assert "One moment" not in str(view.content)
    assert "restart" in str(view.content)
    assert slack.whispered(ANN) == []


async def test_details_refused_are_refused_in_the_dialog(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.users[ANN].guest = True
    await slack.click(ANN, message, Button.DETAILS)
    await one.run_for(1)
    assert "guest" in str(slack.the_view(ANN).content)
    assert slack.whispers == []


async def test_a_button_in_the_dialog_counts_as_one_of_its_message(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.DETAILS)
    await one.run_for(1)
    view = slack.the_view(ANN)
    before = view.content
    await slack.click_dialog(ANN, view, Button.APPROVE)
    await one.run_for(5)
    assert one.effects == 1
    assert view.content != before, "it is drawn anew"


async def test_a_dialog_of_a_message_that_was_succeeded_approves_nothing(one: Bed, slack: FakeSlack) -> None:
    copy = slack.post_as_somebody(OPS, "an older message")
    await one.world.alert()
    await one.run_for(3)
    r = await one.newest()
    await slack.click(ANN, copy, Button.DETAILS, element=button(Button.DETAILS, r))
    await one.run_for(1)
    await slack.click_dialog(ANN, slack.the_view(ANN), Button.APPROVE, element=button(Button.APPROVE, r))
    await one.run_for(3)
    assert one.effects == 0
    assert "not the message on record" in str(slack.the_view(ANN).content)


async def test_where_the_details_cannot_be_shown_it_is_said_where_they_are(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.fail("views.open", Fault(error="internal_error"))
    await slack.click(ANN, message, Button.DETAILS)
    await one.run_for(1)
    (told,) = slack.whispers
    assert "/remediator explain" in str(told.blocks)


async def test_a_link_is_acknowledged_and_forgotten(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    element = {"type": "button", "action_id": Button.LINK.value, "url": "https://example.org"}
    assert (await slack.click(ANN, message, Button.LINK, element=element)).ok
    assert await one.journal.incoming(one.clock.now(), 9) == ()


async def test_two_of_two(slack: FakeSlack, clock: VirtualClock) -> None:
    async with bed(slack, clock, playbook(quorum=2)) as one:
        message = await one.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(3)
        assert one.effects == 0
        assert (await one.newest()).state == "awaiting_approval"
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(3)
        assert one.effects == 0, "the same person twice is one"
        assert slack.whispered(ANN) == []
        await slack.click(BOB, message, Button.APPROVE)
        await one.run_for(5)
        assert one.effects == 1


async def test_two_accounts_of_one_person_are_one(slack: FakeSlack, clock: VirtualClock) -> None:
    person = {"name": "ann", "slack": [ANN, BOB]}
    async with bed(slack, clock, playbook(quorum=2), people=(person,)) as one:
        message = await one.proposed()
        for user in (ANN, BOB):
            await slack.click(user, message, Button.APPROVE)
            await one.run_for(3)
        assert one.effects == 0


async def test_a_veto_after_one_approval_is_final(slack: FakeSlack, clock: VirtualClock) -> None:
    async with bed(slack, clock, playbook(quorum=2)) as one:
        message = await one.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(3)
        await slack.click(BOB, message, Button.REJECT)
        await slack.submit(BOB, slack.the_view(BOB), reason="no")
        await one.run_for(3)
        await slack.click(CAT, message, Button.APPROVE, element=button(Button.APPROVE, await one.newest()))
        await one.run_for(5)
        assert (await one.newest()).state == "rejected"
        assert one.effects == 0
        assert "Not done" in slack.whispered(CAT)[0]


async def test_break_glass_needs_a_typed_reason_and_is_told_to_the_leads(slack: FakeSlack, clock: VirtualClock) -> None:
    glass = BreakGlass(who=("slack:U0CAT",), leads=("C0TEAM",))
    async with bed(slack, clock, playbook(quorum=2), break_glass=glass) as one:
        message = await one.proposed()
        await slack.click(CAT, message, Button.BREAK_GLASS)
        view = slack.the_view(CAT)
        refused = await slack.submit(CAT, view, reason=" " * 12)
        assert refused.body["response_action"] == "errors"
        await one.run_for(3)
        assert one.effects == 0
        assert (await slack.submit(CAT, view, reason="the shop is down, nobody else answers")).body is None
        await one.run_for(6)
        assert one.effects == 1
        (consent,) = (await one.newest()).consents
        assert consent.break_glass == "the shop is down, nobody else answers"
        assert any("nobody else answers" in m.shown for m in slack.main("C0TEAM"))


async def test_a_plain_yes_before_does_not_keep_from_breaking_the_glass(slack: FakeSlack, clock: VirtualClock) -> None:
    glass = BreakGlass(who=("slack:U0ANN",), leads=("C0TEAM",))
    async with bed(slack, clock, playbook(quorum=2), break_glass=glass) as one:
        message = await one.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(3)
        assert one.effects == 0
        await slack.click(ANN, message, Button.BREAK_GLASS)
        assert (await slack.submit(ANN, slack.the_view(ANN), reason="nobody else answers tonight")).body is None
        await one.run_for(6)
        assert one.effects == 1


async def test_a_yes_that_is_too_old_can_be_said_again(slack: FakeSlack, clock: VirtualClock) -> None:
    """A snooze keeps the question open for longer than a yes lasts."""
    async with bed(slack, clock, playbook(quorum=2)) as one:
        message = await one.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(2)
        await slack.click(ANN, message, Button.SNOOZE, option="2h")
        await one.run_for(45 * 60)
        await slack.click(BOB, message, Button.APPROVE)
        await one.run_for(3)
        assert one.effects == 0
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(6)
        assert one.effects == 1


async def test_a_glass_whose_dialog_does_not_open_stays_whole(slack: FakeSlack, clock: VirtualClock) -> None:
    glass = BreakGlass(who=("slack:U0CAT",), leads=("C0TEAM",))
    async with bed(slack, clock, playbook(quorum=2), break_glass=glass) as one:
        message = await one.proposed()
        slack.fail("views.open", Fault(error="internal_error"))
        await slack.click(CAT, message, Button.BREAK_GLASS)
        await one.run_for(5)
        assert one.effects == 0
        assert "nothing was approved" in slack.whispered(CAT)[0]


async def test_a_double_click_counts_once_and_says_nothing(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    element = slack.element(message.blocks, Button.APPROVE)
    for _ in range(2):
        assert (await slack.click(ANN, message, Button.APPROVE, element=element)).ok
    await one.run_for(5)
    assert (await slack.click(ANN, message, Button.APPROVE, element=element)).ok
    await one.run_for(2)
    assert one.effects == 1
    assert slack.whispered(ANN) == []


async def test_a_replayed_request_is_stored_once(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.SNOOZE, option="30m")
    await one.run_for(1)
    until = (await one.newest()).deadline
    one.world.cluster.advance(60)
    assert (await slack.replay(slack.sent[-1])).ok
    assert await one.journal.incoming(one.clock.now(), 9) == ()
    await one.run_for(1)
    assert (await one.newest()).deadline == until, "the snooze was not made longer"


async def test_answers_find_another_way_when_the_first_fails(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.fail("response_url", Fault(status=500))
    await slack.click("U0EVE", message, Button.APPROVE)
    await one.run_for(1)
    assert [w.way for w in slack.whispers] == ["ephemeral"]
    slack.fail("response_url", Fault(status=500))
    slack.absent.add(("U0EVE", OPS))
    await slack.click("U0EVE", message, Button.APPROVE)
    await one.run_for(1)
    (direct,) = slack.main("D0EVE")
    assert "Not done" in direct.text


async def test_a_plan_that_changes_while_we_look_is_not_what_was_approved(
    one: Bed, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service hears what the person saw, and compares once more when it has asked everybody."""
    message = await one.proposed()
    r = await one.newest()

    async def changed_since(*given: object) -> None:
        other = replace(r, digest="f" * 64)
        monkeypatch.setattr(one.journal, "get", AsyncMock(return_value=other))

    monkeypatch.setattr(Deciding, "_current", changed_since)
    await slack.click(ANN, message, Button.APPROVE)
    await one.inbox.run_once()
    monkeypatch.undo()
    await one.run_for(3)
    assert one.effects == 0
    assert "not what would be done" in slack.whispered(ANN)[0]
