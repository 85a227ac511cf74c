"""Every click that is not done is answered to whoever clicked, with the reason and the next step; nothing happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.guardrails import storm
from remediator.people.buttons import Button
from tests.people.slack.bed import Bed, bed, button, playbook
from tests.support.fake_http import Fault
from tests.support.fake_slack import OPS, FakeMessage, FakeSlack
from tests.support.slack_base import FakeGroup

ANN, BOB, EVE = "U0ANN", "U0BOB", "U0EVE"


def the_answer(slack: FakeSlack, user: str) -> str:
    """The one thing that this person alone has seen."""
    (whisper,) = [w for w in slack.whispers if w.user == user]
    return str(whisper.blocks)


async def not_done(one: Bed, slack: FakeSlack, user: str, *says: str) -> None:
    await one.run_for(3)
    r = await one.newest()
    assert one.effects == 0
    assert not [c for c in r.consents if user in c.account]
    said = the_answer(slack, user)
    for text in ("Not done", *says):
        assert text in said, f"{text!r} is not in {said}"


async def test_somebody_who_is_no_approver(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(EVE, message, Button.APPROVE)
    await not_done(one, slack, EVE, "may not approve", "Ask one of those who may")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"deleted": True}, "is deactivated"),
        ({"bot": True}, "is a bot"),
        ({"guest": True}, "guest"),
        ({"one_channel_guest": True}, "guest"),
        ({"stranger": True}, "another organisation"),
        ({"team": "T0OTHER"}, "another organisation"),
    ],
)
@pytest.mark.parametrize("action", [Button.APPROVE, Button.SNOOZE, Button.TAKE])
async def test_somebody_who_is_no_full_member_of_the_workspace(
    one: Bed, slack: FakeSlack, change: dict[str, object], says: str, action: Button
) -> None:
    message = await one.proposed()
    slack.users[ANN] = dataclasses.replace(slack.users[ANN], **change)  # type: ignore[arg-type]
    value = {**button(action, await one.newest())}
    await slack.click(ANN, message, action, element={**value, "value": value["value"] + _tail(action)})
    await not_done(one, slack, ANN, says, "full member")
    assert await one.journal.pauses(one.clock.now()) == ()
    assert (await one.newest()).state == "awaiting_approval"


def _tail(action: Button) -> str:
    return "|30m" if action is Button.SNOOZE else ""


async def test_a_veto_of_a_guest_is_no_veto(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.users[ANN].guest = True
    await slack.click(ANN, message, Button.REJECT)
    await slack.submit(ANN, slack.the_view(ANN))
    await not_done(one, slack, ANN, "guest")
    assert (await one.newest()).state == "awaiting_approval"


async def test_another_workspace(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    assert (await slack.click(ANN, message, Button.APPROVE, team="T0OTHER")).ok
    await not_done(one, slack, ANN, "clicked in the workspace T0OTHER", "T0TEAM only")


async def test_somebody_of_another_workspace_in_a_shared_channel(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.APPROVE, home_team="T0OTHER")
    await not_done(one, slack, ANN, "another organisation")


async def test_an_account_that_slack_does_not_know(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click("U0GHOST", message, Button.APPROVE)
    await not_done(one, slack, "U0GHOST", "knows no account")


async def test_while_slack_does_not_say_who_it_is(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.fail("users.info", Fault(status=500), times=99)
    await slack.click(ANN, message, Button.APPROVE)
    await one.run_for(5)
    assert slack.whispers == [], "it is tried again for a while"
    await one.run_for(20)
    await not_done(one, slack, ANN, "does not say who", "Click again in a minute")


async def test_slack_says_who_it_is_a_moment_later(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    slack.fail("users.info", Fault(status=429, retry_after="2"))
    await slack.click(ANN, message, Button.APPROVE)
    await one.run_for(8)
    assert one.effects == 1


async def test_a_group_that_cannot_be_read_lets_nobody_in(slack: FakeSlack, clock: VirtualClock) -> None:
    async with bed(slack, clock, playbook(approvers=("slack:@sre",))) as one:
        slack.groups["S0SRE"] = FakeGroup(id="S0SRE", handle="sre", users=(ANN,))
        message = await one.proposed()
        for method in ("usergroups.list", "usergroups.users.list"):
            slack.fail(method, Fault(error="missing_scope"), times=9)
        await slack.click(ANN, message, Button.APPROVE)
        await not_done(one, slack, ANN, "Could not be read", "missing_scope")


async def test_a_member_of_the_group_gets_in(slack: FakeSlack, clock: VirtualClock) -> None:
    async with bed(slack, clock, playbook(approvers=("slack:@sre",))) as one:
        slack.groups["S0SRE"] = FakeGroup(id="S0SRE", handle="sre", users=(ANN,))
        message = await one.proposed()
        await slack.click(BOB, message, Button.APPROVE)
        await not_done(one, slack, BOB, "may not approve")
        await slack.click(ANN, message, Button.APPROVE)
        await one.run_for(5)
        assert one.effects == 1


Setting = Callable[[Bed, FakeSlack, FakeMessage], Awaitable[None]]


async def _rejected(one: Bed, slack: FakeSlack, message: FakeMessage) -> None:
    await slack.click(BOB, message, Button.REJECT)
    await slack.submit(BOB, slack.the_view(BOB))
    await one.run_for(3)


async def _expired(one: Bed, slack: FakeSlack, message: FakeMessage) -> None:
    await one.run_for(31 * 60)


async def _paused(one: Bed, slack: FakeSlack, message: FakeMessage) -> None:
    await one.journal.pause("everything", "bob", "release", None, one.clock.now())


async def _snoozed(one: Bed, slack: FakeSlack, message: FakeMessage) -> None:
    await slack.click(BOB, message, Button.SNOOZE, option="30m")
    await one.run_for(3)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        pytest.param(_rejected, ("ended", "rejected"), id="decided already"),
        pytest.param(_expired, ("escalated",), id="expired"),
        pytest.param(_paused, ("paused", "remediator resume"), id="paused"),
    ],
)
async def test_what_cannot_be_approved_as_things_stand(
    one: Bed, slack: FakeSlack, setting: Setting, says: tuple[str, ...]
) -> None:
    message = await one.proposed()
    old = button(Button.APPROVE, await one.newest())
    await setting(one, slack, message)
    await slack.click(ANN, message, Button.APPROVE, element=old)
    await not_done(one, slack, ANN, *says)


async def test_a_storm(one: Bed, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await one.proposed()
    monkeypatch.setattr(storm, "over_at", lambda verdicts, now: now + timedelta(minutes=10))
    await slack.click(ANN, message, Button.APPROVE)
    await not_done(one, slack, ANN, "a storm holds it")


async def test_a_superseded_proposal(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    old = button(Button.APPROVE, await one.newest())
    other = {**old, "value": f"{old['value'][:-16]}{'0' * 16}"}
    await slack.click(ANN, message, Button.APPROVE, element=other)
    await not_done(one, slack, ANN, "does not propose this any more", "newest message")


async def test_a_veto_on_a_superseded_proposal_counts_and_is_told(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    old = button(Button.REJECT, await one.newest())
    await slack.click(ANN, message, Button.REJECT, element={**old, "value": f"{old['value'][:-16]}{'0' * 16}"})
    await slack.submit(ANN, slack.the_view(ANN))
    await one.run_for(2)
    assert (await one.newest()).state == "rejected"
    assert "rejected all the same" in the_answer(slack, ANN)


@pytest.mark.parametrize("where", ["another message", "another channel"])
async def test_a_button_in_a_message_that_is_not_on_record(one: Bed, slack: FakeSlack, where: str) -> None:
    message = await one.proposed()
    copy = slack.post_as_somebody(OPS if where == "another message" else "C0TEAM", "a copy")
    if where == "another channel":
        copy.ts = message.ts
    await slack.click(ANN, copy, Button.APPROVE, element=button(Button.APPROVE, await one.newest()))
    await not_done(one, slack, ANN, "not the message on record", "newest message")


async def test_the_message_of_another_incident(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    r = await one.newest()
    other = dataclasses.replace(r, id="r-77")
    await slack.click(ANN, message, Button.APPROVE, element=button(Button.APPROVE, other))
    await not_done(one, slack, ANN, "no remediation is called r-77", "/remediator status")


async def test_a_button_of_an_installation_that_nobody_relays_to(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    foreign = button(Button.APPROVE, await one.newest(), instance="eu-2")
    await slack.click(ANN, message, Button.APPROVE, element=foreign)
    await not_done(one, slack, ANN, "installation called eu-2 that nobody relays to")


@pytest.mark.parametrize("value", ["", "nonsense", "||", "a|r-1|zz", "|r-1|" + "0" * 999])
async def test_a_button_that_says_nothing(one: Bed, slack: FakeSlack, value: str) -> None:
    message = await one.proposed()
    element = {**button(Button.APPROVE, await one.newest()), "value": value}
    assert (await slack.click(ANN, message, Button.APPROVE, element=element)).ok
    await not_done(one, slack, ANN, "not known")


async def test_a_yes_that_waited_too_long_is_nobodys_opinion(one: Bed, slack: FakeSlack) -> None:
    message = await one.proposed()
    await slack.click(ANN, message, Button.APPROVE)
    one.world.cluster.advance(601)
    await not_done(one, slack, ANN, "ten minutes")
