"""From a story to what people see: notices, outbox and adapters together, against the fakes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.adapters.pagerduty import PagerDuty
from remediator.adapters.slack import SlackChat
from remediator.people.carrier import Carrier
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.people.routes import News, Routes, notices
from remediator.people.story import Story
from tests.people.stories import ACTING, ESCALATED, NOW, ROLLBACK, SUCCEEDED, VERIFYING
from tests.support.fake_http import Fault
from tests.support.fake_pagerduty import ENQUEUE, FakePagerDuty
from tests.support.fake_slack import FakeSlack
from tests.support.outbox_memory import MemoryOutbox

ROUTES = Routes.model_validate(
    {"slack": {"default_channel": "C0OPS", "mentions": ["S0CALL"]}, "pagerduty": {"default_service": "ops"}}
)


class World:
    def __init__(self, slack: FakeSlack, pagerduty: FakePagerDuty, outbox: Outbox, store: MemoryOutbox) -> None:
        self.slack = slack
        self.pagerduty = pagerduty
        self.now = NOW
        self._outbox = outbox
        self._store = store

    async def tell(self, story: Story, news: News = News.STATE) -> None:
        for message in notices(story, news, ROUTES):
            await self._store.add(message, self.now)

    async def run(self, seconds: int = 10) -> None:
        for _ in range(seconds):
            await self._outbox.run_once(self.now)
            self.now += timedelta(seconds=1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with (
        FakeSlack() as slack,
        FakePagerDuty() as pagerduty,
        SlackChat(slack.token, base_url=slack.url) as chat,
        PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url) as pager,
    ):
        store = MemoryOutbox()
        carriers: dict[str, Carrier] = {"slack": SlackCarrier(chat), "pagerduty": PagerDutyCarrier({"ops": pager})}
        yield World(slack, pagerduty, Outbox(store, carriers), store)
    assert slack.violations == []
    assert pagerduty.violations == []


async def test_one_message_updated_in_place_and_one_incident_resolved(world: World) -> None:
    for story in (ROLLBACK, ACTING, VERIFYING, SUCCEEDED):
        await world.tell(story)
        await world.run()
    (main,) = world.slack.main()
    assert [version.text.partition(": ")[0] for version in main.versions] == [
        "✋ Approval needed by 03:20 UTC",
        "▶ Acting",
        "🔎 Checking if it helped",
        "✅ Fixed",
    ]
    assert [reply.shown.splitlines()[0] for reply in world.slack.thread(main)] == [
        "✋ *Approval needed* at 03:05 UTC",
        "*Evidence for r-4f2c91*",
        "▶ *Acting* at 03:05 UTC",
        "🔎 *Checking if it helped* at 03:05 UTC",
        "✅ *Fixed* at 03:05 UTC",
    ]
    (incident,) = world.pagerduty.incidents
    assert incident.status == "resolved"
    assert [event["event_action"] for event in incident.events] == ["trigger", "resolve"]


async def test_a_failure_reaches_a_person_once(world: World) -> None:
    for state in ("acting", "verifying", "undoing", "inconclusive", "escalated"):
        await world.tell(replace(ESCALATED, state=state))
        await world.run()
    (incident,) = world.pagerduty.incidents
    assert len(incident.events) == 1
    (main,) = world.slack.main()
    assert main.text.startswith("🚨 Needs a person")
    calls = [reply.shown for reply in world.slack.thread(main) if "<!subteam^S0CALL>" in reply.shown]
    assert len(calls) == 1
    assert calls[0].startswith("<!subteam^S0CALL> Cannot tell if it helped: roll back")


async def test_nothing_is_lost_while_both_are_down(world: World) -> None:
    world.slack.fail("chat.postMessage", Fault(status=503), times=3)
    world.pagerduty.fail(ENQUEUE, Fault(status=503), times=3)
    await world.tell(ESCALATED)
    await world.run(60)
    (main,) = world.slack.main()
    assert main.text.startswith("🚨 Needs a person")
    assert len(world.slack.thread(main)) == 3
    assert len(world.pagerduty.open_incidents()) == 1


async def test_a_deleted_message_gets_a_successor(world: World) -> None:
    await world.tell(ACTING)
    await world.run()
    world.slack.delete(world.slack.main()[0])
    await world.tell(SUCCEEDED)
    await world.run()
    (main,) = world.slack.main()
    assert main.text.startswith("✅ Fixed")
    assert len(world.slack.thread(main)) == 1
