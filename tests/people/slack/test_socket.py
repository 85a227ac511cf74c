"""Socket Mode: the same clicks without a public address, acknowledged once they are durable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.errors import InvalidConfig, JournalUnavailable
from remediator.people.buttons import Button
from remediator.people.inbox_rows import Incoming
from tests.people.slack.bed import Bed, app_tokens, bed
from tests.support import slack_sockets
from tests.support.fake_http import Fault
from tests.support.fake_slack import FakeSlack

ANN = "U0ANN"


@contextlib.asynccontextmanager
async def connected(one: Bed, slack: FakeSlack) -> AsyncIterator[None]:
    assert one.side.socket is not None
    slack.request_url = ""
    task = asyncio.create_task(one.side.socket.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def one(slack: FakeSlack, clock: VirtualClock) -> AsyncIterator[Bed]:
    async with bed(slack, clock, **app_tokens()) as one:
        yield one


async def test_approve(one: Bed, slack: FakeSlack) -> None:
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        message = await one.proposed()
        assert (await slack.click(ANN, message, Button.APPROVE)).ok
        await one.run_for(5)
        assert one.effects == 1


async def test_dialogs_commands_and_events(one: Bed, slack: FakeSlack) -> None:
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        message = await one.proposed()
        await slack.command(ANN, "status")
        await slack.open_home(ANN)
        await one.run_for(1)
        assert "1 wait" in slack.whispered(ANN)[0]
        assert ANN in slack.homes
        await slack.click(ANN, message, Button.REJECT)
        reply = await slack.submit(ANN, slack.the_view(ANN), reason="no")
        assert (reply.ok, reply.body) == (True, None)
        await one.run_for(2)
        assert (await one.newest()).state == "rejected"


async def test_what_the_store_does_not_take_is_not_acknowledged(
    one: Bed, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(item: Incoming, now: datetime) -> bool:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(slack_sockets, "ANSWER_S", 0.1)
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        message = await one.proposed()
        with monkeypatch.context() as broken:
            broken.setattr(one.journal, "take_in", down)
            assert (await slack.click(ANN, message, Button.APPROVE)).status == 0
        assert await one.journal.incoming(one.clock.now(), 9) == ()


async def test_a_disconnect_brings_a_new_connection(one: Bed, slack: FakeSlack) -> None:
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        first = slack.sockets[0]
        await slack.disconnect()
        await slack.until(lambda: [s for s in slack.sockets if s is not first] != [] and first not in slack.sockets)
        message = await one.proposed()
        assert (await slack.click(ANN, message, Button.APPROVE)).ok
        await one.run_for(5)
        assert one.effects == 1


async def test_the_old_connection_finishes_while_the_new_one_is_there(
    one: Bed, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = asyncio.Event(), asyncio.Event()
    take_in = one.journal.take_in

    async def slow(item: Incoming, now: datetime) -> bool:
        asked.set()
        await free.wait()
        return await take_in(item, now)

    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        message = await one.proposed()
        monkeypatch.setattr(one.journal, "take_in", slow)
        click = asyncio.create_task(slack.click(ANN, message, Button.APPROVE))
        await asked.wait()
        await slack.disconnect()
        await slack.until(lambda: len(slack.sockets) == 2, timeout_s=1.5)
        free.set()
        assert (await click).ok, "acknowledged on the connection that it came by"


async def test_a_lost_connection_is_made_anew(one: Bed, slack: FakeSlack) -> None:
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
        first = slack.sockets[0]
        await first.ws.close()
        await slack.until(lambda: [s for s in slack.sockets if s is not first] != [])


def tried(slack: FakeSlack, times: int) -> bool:
    return slack.calls.count("apps.connections.open") == times


@pytest.mark.parametrize("fault", [Fault(error="internal_error"), Fault(status=500), Fault(drop=True)])
async def test_it_is_tried_until_slack_lets_us_in(
    slack: FakeSlack, clock: VirtualClock, one: Bed, fault: Fault
) -> None:
    slack.fail("apps.connections.open", fault, times=2)
    async with connected(one, slack):
        for tries in (1, 2):
            await slack.until(partial(tried, slack, tries))
            for _ in range(20):
                await asyncio.sleep(0)
                clock.advance(1)
        await slack.until(lambda: len(slack.sockets) == 1)


async def test_it_ends_when_it_is_told_to(one: Bed, slack: FakeSlack) -> None:
    async with connected(one, slack):
        await slack.until(lambda: len(slack.sockets) == 1)
    await slack.until(lambda: slack.sockets == [])


async def test_a_token_that_cannot_be_read_for_a_moment_ends_nothing(one: Bed, slack: FakeSlack) -> None:
    """While it is rotated. The loop is one of the process: its end would be everybody's."""
    assert one.side.socket is not None
    read, missing = one.side.socket._token, asyncio.Event()

    def rotated() -> str:
        missing.set()
        raise InvalidConfig("secret file /run/slack/app-token cannot be read: No such file or directory")

    one.side.socket._token = rotated
    async with connected(one, slack):
        await missing.wait()
        one.side.socket._token = read
        async with asyncio.timeout(5):
            while not slack.sockets:
                one.clock.advance(60)
                await asyncio.sleep(0)
