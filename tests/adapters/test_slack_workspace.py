"""SlackChat beyond messages: files, channels, people, views; each error is a ChatError that says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.adapters.slack import SlackChat, SlackError
from remediator.adapters.slack.channels import channel_name
from remediator.ports import Chat, ChatChannels, ChatDirectory, ChatError, ChatFiles, ChatMember, ChatViews, MessageRef
from tests.support.fake_http import Fault
from tests.support.fake_slack import FakeSlack
from tests.support.slack_base import OPS, FakeChannel, FakeGroup, FakeUser

MODAL = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Reject"},
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "why?"}}],
}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as slack:
        yield slack
    assert slack.violations == []


@pytest.fixture
async def chat(slack: FakeSlack) -> AsyncIterator[SlackChat]:
    async with SlackChat(slack.token, base_url=slack.url, timeout_s=0.5) as chat:
        yield chat


def all_ports(chat: SlackChat) -> tuple[Chat, ChatFiles, ChatChannels, ChatDirectory, ChatViews]:
    """mypy holds SlackChat to its ports here."""
    return chat, chat, chat, chat, chat


async def test_a_file_is_shared_in_a_thread(slack: FakeSlack, chat: SlackChat) -> None:
    main = await chat.post(OPS, "acting", ())
    await chat.upload(OPS, thread=main.ts, filename="g.png", title="Graph", alt="it falls", content=b"png", comment="!")
    (file,) = slack.files
    assert (file.content, file.alt, file.title, file.channel, file.thread_ts) == (
        b"png",
        "it falls",
        "Graph",
        OPS,
        main.ts,
    )


@pytest.mark.parametrize("call", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_an_upload_says_whether_to_try_again(slack: FakeSlack, chat: SlackChat, call: str) -> None:
    slack.fail(call, Fault(status=429, retry_after="7"))
    with pytest.raises(ChatError) as caught:
        await chat.upload(OPS, filename="g.png", title="Graph", alt="", content=b"png")
    assert (caught.value.retry_after_s, caught.value.unanswered) == (7.0, False)
    slack.fail(call, Fault(error="missing_scope"))
    with pytest.raises(ChatError) as caught:
        await chat.upload(OPS, filename="g.png", title="Graph", alt="", content=b"png")
    assert caught.value.retry_after_s is None


async def test_a_channel_is_opened_once(slack: FakeSlack, chat: SlackChat) -> None:
    first = await chat.open_channel("Inc 20250602 Checkout!", topic="x" * 300, invite=["U0ANN", "U0NOBODY"])
    assert await chat.open_channel("inc-20250602-checkout", invite=["U0ANN"]) == first
    channel = slack.channels[first]
    assert (channel.name, len(channel.topic), channel.invited) == ("inc-20250602-checkout", 250, ("U0ANN",))


async def test_somebody_elses_channel_of_that_name_is_said(slack: FakeSlack, chat: SlackChat) -> None:
    slack.channels["C9"] = FakeChannel(name="inc-1", member=False)
    with pytest.raises(SlackError, match="the bot is not in it") as caught:
        await chat.open_channel("inc-1")
    assert caught.value.retry_after_s is None


async def test_who_cannot_be_invited_does_not_cost_the_channel(slack: FakeSlack, chat: SlackChat) -> None:
    slack.fail("conversations.invite", Fault(error="cant_invite"))
    slack.fail("conversations.setTopic", Fault(error="user_is_restricted"))
    assert await chat.open_channel("inc-1", topic="t", invite=["U0ANN"]) in slack.channels
    slack.fail("conversations.invite", Fault(status=429, retry_after="3"))
    with pytest.raises(ChatError):
        await chat.open_channel("inc-1", invite=["U0BOB"])


@pytest.mark.parametrize(
    ("given", "name"),
    [("Inc 1", "inc-1"), ("a" * 99, "a" * 80), ("---", "incident"), ("é_ü.x", "_-x")],
)
def test_names_of_channels(given: str, name: str) -> None:
    assert channel_name(given) == name


async def test_members_as_slack_vouches_for_them(slack: FakeSlack, chat: SlackChat) -> None:
    slack.users["U0OLD"] = FakeUser(id="U0OLD", name="old", deleted=True)
    slack.users["U0GST"] = FakeUser(id="U0GST", name="guest", guest=True)
    slack.users["U0OUT"] = FakeUser(id="U0OUT", name="out", stranger=True, team="T9")
    slack.users["U0BOT"] = FakeUser(id="U0BOT", name="bot", bot=True)
    ann = await chat.member("U0ANN")
    assert ann == ChatMember(
        id="U0ANN", team="T0TEAM", name="ann", email="ann@example.org", deleted=False, bot=False, guest=False
    )
    assert ann.may_act
    for user in ("U0OLD", "U0GST", "U0OUT", "U0BOT"):
        member = await chat.member(user)
        assert member is not None and not member.may_act, user  # noqa: PT018
    assert await chat.member("U0NOBODY") is None
    assert await chat.member_by_email("ANN@example.org") == ann
    assert await chat.member_by_email("nobody@example.org") is None


async def test_groups_and_their_members(slack: FakeSlack, chat: SlackChat) -> None:
    slack.groups["S1"] = FakeGroup(id="S1", handle="sre", users=("U0ANN", "U0BOB"))
    slack.groups["S2"] = FakeGroup(id="S2", handle="gone", disabled=True)
    assert await chat.groups() == {"sre": "S1"}
    assert await chat.group_members("S1") == {"U0ANN", "U0BOB"}
    with pytest.raises(SlackError, match="no_such_subteam"):
        await chat.group_members("S9")


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("users.info", lambda chat: chat.member("U0ANN")),
        ("usergroups.list", lambda chat: chat.groups()),
        ("usergroups.users.list", lambda chat: chat.group_members("S1")),
        ("views.open", lambda chat: chat.open_view("t", MODAL)),
        ("conversations.create", lambda chat: chat.open_channel("x")),
    ],
)
@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(drop=True), Fault(status=200, body="<html>")],
    ids=["500", "drops", "a page"],
)
async def test_whatever_goes_wrong_is_a_chat_error(
    slack: FakeSlack, chat: SlackChat, method: str, call, fault: Fault
) -> None:
    slack.fail(method, fault)
    with pytest.raises(ChatError) as caught:
        await call(chat)
    assert caught.value.retry_after_s is not None
    assert caught.value.unanswered


async def test_a_refused_connection_is_no_doubt(slack: FakeSlack) -> None:
    async with SlackChat("xoxb-secret", base_url="http://127.0.0.1:1/api/", timeout_s=1.0) as chat:
        with pytest.raises(ChatError) as caught:
            await chat.update(MessageRef(OPS, "1.0"), "text", ())
    assert not caught.value.unanswered
    assert "xoxb-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "unanswered"),
    [
        (Fault(error="message_not_found"), False),
        (Fault(error="internal_error"), True),
        (Fault(error="accesslimited"), False),
        (Fault(status=429, retry_after="1"), False),
        (Fault(status=502), True),
    ],
)
async def test_an_update_says_whether_it_may_have_been_made(
    slack: FakeSlack, chat: SlackChat, fault: Fault, unanswered: bool
) -> None:
    main = await chat.post(OPS, "acting", ())
    slack.fail("chat.update", fault)
    with pytest.raises(ChatError) as caught:
        await chat.update(main, "fixed", ())
    assert caught.value.unanswered is unanswered


async def test_modals_home_and_whispers(slack: FakeSlack, chat: SlackChat) -> None:
    trigger = slack.give_trigger("U0ANN")
    view = await chat.open_view(trigger, MODAL)
    await chat.update_view(view, MODAL)
    with pytest.raises(SlackError, match=r"exchanged_trigger_id|expired_trigger_id|invalid_trigger"):
        await chat.open_view(trigger, MODAL)
    await chat.publish_home("U0ANN", {"type": "home", "blocks": MODAL["blocks"]})
    await chat.whisper(OPS, "U0ANN", "only you see this")
    assert slack.whispered("U0ANN") == ["only you see this"]


async def test_a_response_url_is_slacks_and_stays_out_of_errors(slack: FakeSlack, chat: SlackChat) -> None:
    url = slack.give_response_url("U0ANN", OPS)
    await chat.respond(url, {"text": "done", "response_type": "ephemeral", "replace_original": False})
    for elsewhere in (
        "https://evil.example/x",
        "http://hooks.slack.com/x",
        "file:///etc/passwd",
        "https://hooks.slack.com.evil.example/",
    ):
        with pytest.raises(SlackError, match="not Slack's"):
            await chat.respond(elsewhere, {"text": "done"})
    with pytest.raises(ChatError) as caught:
        await chat.respond(f"{slack.root}/nowhere/secret", {"text": "done"})
    assert "secret" not in str(caught.value)
    assert caught.value.retry_after_s is None
