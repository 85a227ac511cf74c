"""The Slack adapter against a Slack that enforces its contract, and that fake's own promises."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from remediator.adapters.slack import SlackChat
from remediator.ports import ChatError
from tests.support import block_kit
from tests.support.babbler import babbler
from tests.support.fake_http import Fault
from tests.support.fake_slack import OPS, TEAM, FakeChannel, FakeSlack

POST, UPDATE = "chat.postMessage", "chat.update"
BLOCKS = ({"type": "section", "text": {"type": "mrkdwn", "text": "*hello*", "verbatim": True}},)
BAD_BLOCKS = ({"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}},)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake


@pytest.fixture
async def chat(slack: FakeSlack) -> AsyncIterator[SlackChat]:
    async with SlackChat(slack.token, base_url=slack.url, timeout_s=5) as adapter:
        yield adapter


async def refused(chat: SlackChat, channel: str = OPS, **rest: Any) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await chat.post(channel, "hello", BLOCKS, **rest)
    return caught.value


async def test_post_update_and_reply(slack: FakeSlack, chat: SlackChat) -> None:
    ref = await chat.post(OPS, "hello", BLOCKS)
    await chat.update(ref, "bye", BLOCKS)
    reply = await chat.post(OPS, "more", BLOCKS, thread=ref.ts)
    (main,) = slack.main()
    assert (main.channel, main.ts) == (ref.channel, ref.ts) == (OPS, ref.ts)
    assert [version.text for version in main.versions] == ["hello", "bye"]
    assert main.blocks == BLOCKS
    assert [m.ts for m in slack.thread(main)] == [reply.ts]
    assert slack.violations == []


async def test_nothing_is_unfurled_parsed_or_broadcast(slack: FakeSlack, chat: SlackChat) -> None:
    ref = await chat.post(OPS, "see http://x.example @channel", BLOCKS)
    await chat.update(ref, "see http://x.example @channel", BLOCKS)
    for version in slack.messages[0].versions:
        assert version.arguments["parse"] == "none"
        assert version.arguments["link_names"] is False
        assert "reply_broadcast" not in version.arguments
    assert slack.messages[0].versions[0].arguments["unfurl_links"] is False


async def test_an_update_without_blocks_removes_the_old_ones(slack: FakeSlack, chat: SlackChat) -> None:
    ref = await chat.post(OPS, "hello", BLOCKS)
    await chat.update(ref, "bye", ())
    assert slack.messages[0].blocks == ()


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        pytest.param("C0NONE", "channel_not_found", id="unknown"),
        pytest.param("#ops", "channel_not_found", id="by name"),
        pytest.param("C0OLD", "is_archived", id="archived"),
        pytest.param("C0PRIVATE", "not_in_channel", id="not invited"),
    ],
)
async def test_a_channel_that_cannot_be_used_is_permanent(
    slack: FakeSlack, chat: SlackChat, channel: str, code: str
) -> None:
    slack.channels["C0OLD"] = FakeChannel(name="old", archived=True)
    slack.channels["C0PRIVATE"] = FakeChannel(name="private", member=False)
    error = await refused(chat, channel)
    assert error.retry_after_s is None
    assert code in str(error)


async def test_a_wrong_token_is_permanent_and_never_shown(slack: FakeSlack) -> None:
    async with SlackChat("xoxb-wrong-secret", base_url=slack.url) as chat:
        error = await refused(chat)
    assert error.retry_after_s is None
    assert "invalid_auth" in str(error)
    assert "xoxb" not in repr(error)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(Fault(status=429, retry_after="17"), 17.0, id="429"),
        pytest.param(Fault(status=429), 30.0, id="429 without a time"),
        pytest.param(Fault(error="ratelimited"), 30.0, id="ok false: ratelimited"),
        pytest.param(Fault(error="internal_error"), 1.0, id="ok false: internal_error"),
        pytest.param(Fault(status=500), 1.0, id="500"),
        pytest.param(Fault(status=503, body="<html>maintenance</html>"), 1.0, id="503 with a page"),
        pytest.param(Fault(status=200, body="<html>log in</html>"), 30.0, id="a proxy's page with status 200"),
        pytest.param(Fault(status=403, body="<html>blocked</html>"), 30.0, id="a proxy's refusal"),
        pytest.param(Fault(drop=True), 1.0, id="connection closed"),
    ],
)
async def test_what_may_pass_is_worth_another_try(
    slack: FakeSlack, chat: SlackChat, fault: Fault, seconds: float
) -> None:
    slack.fail(POST, fault)
    assert (await refused(chat)).retry_after_s == seconds
    assert slack.calls == [POST], "the adapter itself never tries again: it could post twice"
    await chat.post(OPS, "hello", BLOCKS)


async def test_slack_that_cannot_be_reached(slack: FakeSlack) -> None:
    async with SlackChat(slack.token, base_url="http://127.0.0.1:1/api") as chat:
        assert (await refused(chat)).retry_after_s == 1.0


async def test_a_timeout_may_have_posted(slack: FakeSlack) -> None:
    slack.fail(POST, Fault(hang="after"))
    async with SlackChat(slack.token, base_url=slack.url, timeout_s=0.2) as chat:
        assert (await refused(chat)).retry_after_s == 1.0
    assert len(slack.messages) == 1


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_an_update_that_cannot_be_made_is_permanent(slack: FakeSlack, chat: SlackChat, code: str) -> None:
    ref = await chat.post(OPS, "hello", BLOCKS)
    message = slack.messages[0]
    if code == "message_not_found":
        slack.delete(message)
    elif code == "cant_update_message":
        message.own = False
    else:
        message.edit_window_closed = True
    with pytest.raises(ChatError, match=code) as caught:
        await chat.update(ref, "bye", BLOCKS)
    assert caught.value.retry_after_s is None


async def test_a_refused_layout_falls_back_to_text(slack: FakeSlack, chat: SlackChat) -> None:
    ref = await chat.post(OPS, "hello", BAD_BLOCKS)
    await chat.update(ref, "bye", BAD_BLOCKS)
    (message,) = slack.messages
    assert [(v.text, v.blocks) for v in message.versions] == [("hello", ()), ("bye", ())]
    assert slack.calls == [POST, POST, UPDATE, UPDATE]


async def test_a_reply_needs_the_parent_itself(slack: FakeSlack, chat: SlackChat) -> None:
    parent = await chat.post(OPS, "hello", BLOCKS)
    reply = await chat.post(OPS, "more", BLOCKS, thread=parent.ts)
    assert "cannot_reply_to_message" in str(await refused(chat, thread=reply.ts))
    assert "thread_not_found" in str(await refused(chat, thread="1.0"))
    assert "thread_not_found" in str(await refused(chat, TEAM, thread=parent.ts))


async def test_rate_limits_of_the_fake_count_per_channel() -> None:
    time = [0.0]
    async with (
        FakeSlack(gap_s=1.0, retry_after_s=3, clock=lambda: time[0]) as slack,
        SlackChat(slack.token, base_url=slack.url) as chat,
    ):
        await chat.post(OPS, "one", BLOCKS)
        assert (await refused(chat)).retry_after_s == 3.0
        await chat.post(TEAM, "other", BLOCKS)
        time[0] = 1.0
        await chat.post(OPS, "two", BLOCKS)
    assert [m.text for m in slack.main()] == ["one", "two"]


async def test_the_sdk_logs_no_message(slack: FakeSlack, chat: SlackChat, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await chat.post(OPS, "secret words", BLOCKS)
    assert "secret words" not in caplog.text


async def test_proxies_in_the_environment_do_not_catch_addresses_in_no_proxy(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with SlackChat(slack.token, base_url=slack.url) as chat:
        await chat.post(OPS, "hello", BLOCKS)


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        pytest.param([{"type": "section", "text": {"type": "mrkdwn", "text": ""}}], "more than 0", id="empty text"),
        pytest.param([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "151", id="header"),
        pytest.param([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "plain_text", id="header markup"),
        pytest.param([{"type": "divider"}] * 51, "50 items", id="too many"),
        pytest.param([{"type": "section"}], "text or fields", id="section of nothing"),
        pytest.param([{"type": "table"}], "unsupported type", id="unknown block"),
        pytest.param(
            [
                {
                    "type": "actions",
                    "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x"}, "disabled": True}],
                }
            ],
            "additional properties: disabled",
            id="a button cannot be disabled",
        ),
        pytest.param(
            [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}], "10 items", id="context elements"
        ),
        pytest.param(
            [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}}], "emoji", id="emoji in mrkdwn"
        ),
        pytest.param([{"type": "divider", "block_id": "a"}] * 2, "unique", id="block ids"),
    ],
)
def test_limits_of_the_fake(blocks: list[dict[str, Any]], problem: str) -> None:
    assert problem in (block_kit.problem(blocks) or "")


async def test_the_fake_refuses_what_is_not_slack(slack: FakeSlack) -> None:
    headers = {"Authorization": f"Bearer {slack.token}"}
    async with aiohttp.ClientSession() as session:

        async def call(method: str, **rest: Any) -> str:
            async with session.post(slack.url + method, **rest) as response:
                return str((await response.json()).get("error"))

        assert await call(POST, json={"channel": OPS, "text": "x"}) == "not_authed"
        assert await call(POST, data="text=x", headers=headers) == "invalid_json"
        assert await call("chat.shout", json={}, headers=headers) == "unknown_method"
        assert await call(POST, json={"channel": OPS}, headers=headers) == "no_text"
        assert await call(POST, json={"channel": OPS, "txet": "x"}, headers=headers) == "invalid_arguments"
        assert await call(POST, json={"channel": OPS, "text": "x" * 40_001}, headers=headers) == "msg_too_long"
        big = [{"type": "section", "text": {"type": "plain_text", "text": "x" * 2900}}] * 5
        asked = {"channel": OPS, "text": "x", "blocks": big}
        assert await call(POST, json=asked, headers=headers) == "msg_blocks_too_long"


async def test_the_fake_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.fake_slack", "--port", "0", "--print-url", "--channel", "C0E2E"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        root = url.removesuffix("/api/")
        async with aiohttp.ClientSession() as session, SlackChat("xoxb-fake-0000", base_url=url) as chat:
            await session.post(f"{root}/_faults", json={"call": POST, "status": 500})
            assert (await refused(chat, "C0E2E")).retry_after_s == 1.0
            ref = await chat.post("C0E2E", "hello <b>", BLOCKS)
            await chat.update(ref, "bye", BLOCKS)
            async with session.get(f"{root}/_messages") as response:
                (message,) = await response.json()
            async with session.get(root) as response:
                page = await response.text()
    finally:
        process.terminate()
        await process.wait()
    assert [version["text"] for version in message["versions"]] == ["hello <b>", "bye"]
    assert (message["channel"], message["shown"]) == ("C0E2E", "*hello*")
    assert "<b>hello</b>" in page
    assert process.returncode == 0


async def test_an_answer_that_is_no_http_shows_nobody_our_token() -> None:
    """aiohttp's error holds the request with its headers; ours is logged, kept as a dead letter and shown to people."""
    async with babbler() as address, SlackChat("xoxb-0123456789-secret", base_url=f"{address}/api/") as chat:
        for call in (lambda: chat.post(OPS, "hello", BLOCKS), lambda: chat.member("U0ANN")):
            with pytest.raises(ChatError, match="no answer from Slack") as caught:
                await call()
            assert "0123456789" not in str(caught.value)
            assert caught.value.retry_after_s is not None
