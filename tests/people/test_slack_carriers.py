"""Files in threads and channels of incidents: what the outbox hands to Slack besides messages."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.slack import SlackChat
from remediator.people.carrier import Carrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.carriers.slack_channel import SlackChannelCarrier
from remediator.people.carriers.slack_file import SlackFileCarrier
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxKind, OutboxMessage
from tests.support.fake_http import Fault
from tests.support.fake_slack import FakeSlack
from tests.support.outbox_memory import MemoryOutbox
from tests.support.slack_base import OPS

START = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
PNG = b"\x89PNG a picture"


@dataclass
class World:
    slack: FakeSlack
    store: MemoryOutbox
    outbox: Outbox
    now: datetime = START

    async def say(self, channel: str, kind: OutboxKind, payload: dict[str, Any], *, key: str = "k") -> None:
        message = OutboxMessage(channel=channel, destination=OPS, key=key, kind=kind, payload=payload)
        await self.store.add(message, self.now)

    async def run(self, seconds: int = 5) -> None:
        for _ in range(seconds):
            await self.outbox.run_once(self.now)
            self.now += timedelta(seconds=1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with FakeSlack() as slack, SlackChat(slack.token, base_url=slack.url, timeout_s=2.0) as chat:
        store = MemoryOutbox()
        carriers: dict[str, Carrier] = {
            "slack": SlackCarrier(chat),
            "slack_file": SlackFileCarrier(chat),
            "slack_channel": SlackChannelCarrier(chat, chat),
        }
        yield World(slack, store, Outbox(store, carriers))
    assert slack.violations == []


def picture(**more: str) -> dict[str, Any]:
    given = {"filename": "graph.png", "title": "Errors", "alt": "errors fall from 9 to 1", "text": "📈 errors"}
    return {**given, "content_base64": base64.b64encode(PNG).decode(), **more}


async def test_a_file_waits_for_its_message_and_lands_in_its_thread(world: World) -> None:
    await world.say("slack_file", "event", picture())
    await world.run(3)
    assert world.slack.files == []
    await world.say("slack", "post", {"text": "acting", "blocks": []})
    await world.run(10)
    (message,) = world.slack.main()
    (file,) = world.slack.files
    assert (file.channel, file.thread_ts, file.content) == (OPS, message.ts, PNG)
    assert (file.title, file.alt, file.filename) == ("Errors", "errors fall from 9 to 1", "graph.png")
    assert world.store.states() == ["sent", "sent"]
    assert world.store.refs["k"].ts == message.ts, "the file is not the main message"


async def test_a_file_without_its_message_is_given_up_after_an_hour(world: World) -> None:
    await world.say("slack_file", "event", picture())
    await world.run(1)
    world.now += timedelta(hours=1)
    await world.run(1)
    assert world.store.states() == ["failed"]
    assert "not posted yet" in world.store.rows[1].error


async def test_a_file_that_cannot_be_read_is_given_up(world: World) -> None:
    await world.say("slack", "post", {"text": "acting", "blocks": []})
    await world.run(2)
    await world.say("slack_file", "event", picture(content_base64="%%%"))
    await world.run(2)
    assert world.store.states() == ["sent", "failed"]


@pytest.mark.parametrize("call", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_an_upload_that_is_limited_is_tried_again(world: World, call: str) -> None:
    await world.say("slack", "post", {"text": "acting", "blocks": []})
    await world.run(2)
    world.slack.fail(call, Fault(status=429, retry_after="3"))
    await world.say("slack_file", "event", picture())
    await world.run(10)
    assert [f.thread_ts for f in world.slack.files if f.channel] == [world.slack.main()[0].ts]


def incident(text: str = "an incident") -> dict[str, Any]:
    named = {"name": "inc-20250602-checkout", "topic": "checkout is down", "invite": ["U0ANN", "U0BOB"]}
    return {**named, "text": text, "blocks": []}


async def test_an_incident_gets_a_channel_of_its_own_and_its_timeline(world: World) -> None:
    await world.say("slack_channel", "post", incident())
    await world.run(2)
    await world.say("slack_channel", "event", {"text": "acting", "blocks": []})
    await world.run(2)
    (made,) = [id_ for id_, channel in world.slack.channels.items() if channel.name.startswith("inc-")]
    assert world.slack.channels[made].topic == "checkout is down"
    assert world.slack.channels[made].invited == ("U0ANN", "U0BOB")
    assert [m.text for m in world.slack.main(made)] == ["an incident", "acting"]
    assert world.store.refs["k"].channel == made


async def test_a_channel_that_was_made_although_the_answer_was_lost_is_used(world: World) -> None:
    world.slack.fail("conversations.create", Fault(hang="after"))
    await world.say("slack_channel", "post", incident())
    await world.run(10)
    made = [id_ for id_, channel in world.slack.channels.items() if channel.name.startswith("inc-")]
    assert len(made) == 1
    assert [m.text for m in world.slack.main(made[0])] == ["an incident"]
