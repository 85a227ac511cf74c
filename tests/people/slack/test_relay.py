"""One Slack app, two installations: clicks reach the one they are for, or whoever clicked hears why not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import orjson
import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.config import Slack
from remediator.people.buttons import Button
from remediator.slack_app.relaying import SIGNATURE, TIMESTAMP, signature
from tests.people.slack.bed import Bed, bed
from tests.support.fake_slack import FakeSlack
from tests.support.slack_clicks import SentRequest

ANN, EVE = "U0ANN", "U0EVE"
SECRET = {"value": "between-the-two"}


@contextlib.asynccontextmanager
async def two(
    slack: FakeSlack, clock: VirtualClock, *, url: str = "", secret: dict[str, str] = SECRET
) -> AsyncIterator[tuple[Bed, Bed]]:
    """The owner of the app, and the other one; Slack talks to the owner."""
    async with bed(slack, clock, instance="eu-2", relay={"accept": [SECRET]}) as other:
        there = url or other.url.removesuffix("/webhooks/slack")
        relay = {"instances": {"eu-2": {"url": there, "secret": secret}}}
        async with bed(slack, clock, instance="eu-1", relay=relay) as owner:
            yield owner, other


async def test_approve_of_the_other_installation(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        assert (await slack.click(ANN, message, Button.APPROVE)).ok
        await owner.inbox.run_once()
        await other.run_for(5)
        assert (owner.effects, other.effects) == (0, 1)
        assert slack.whispers == []


async def test_reject_and_details_of_the_other_installation(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.DETAILS)
        await owner.inbox.run_once()
        await other.run_for(1)
        assert "Guards" in str(slack.the_view(ANN).content)
        await slack.click(ANN, message, Button.REJECT)
        await slack.submit(ANN, slack.the_view(ANN), reason="not here")
        await owner.inbox.run_once()
        await other.run_for(2)
        assert (await other.newest()).reason.endswith("not here")


async def test_the_other_one_says_who_may(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(EVE, message, Button.APPROVE)
        await owner.inbox.run_once()
        await other.run_for(2)
        assert other.effects == 0
        assert "may not approve" in slack.whispered(EVE)[0]


async def test_it_is_forwarded_until_it_is_taken(slack: FakeSlack, clock: VirtualClock, monkeypatch) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        take_in = other.journal.take_in
        monkeypatch.setattr(other.side.webhook._door, "_store", _Down())
        await owner.run_for(20)
        assert slack.whispers == []
        monkeypatch.setattr(other.side.webhook._door, "_store", other.journal)
        assert take_in == other.journal.take_in
        await owner.run_for(20)
        await other.run_for(5)
        assert other.effects == 1


class _Down:
    async def take_in(self, *given: object) -> bool:
        from remediator.errors import JournalUnavailable

        raise JournalUnavailable("down")


async def test_after_ten_minutes_the_person_is_told(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock, url="http://127.0.0.1:9") as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await owner.run_for(30)
        assert slack.whispers == []
        owner.world.cluster.advance(600)
        await owner.run_for(61)
        (told,) = slack.whispers
        assert "eu-2" in str(told.blocks)
        assert "did not take the click" in str(told.blocks)
        assert other.effects == 0
        assert await owner.journal.incoming(clock.now(), 9) == ()


async def test_a_wrong_secret_is_told_at_once(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock, secret={"value": "not-theirs"}) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        await owner.run_for(1)
        await other.run_for(2)
        assert "HTTP 401" in str(slack.whispers[0].blocks)
        assert other.effects == 0


async def test_forwarded_twice_counts_once(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        (row,) = await owner.journal.incoming(clock.now(), 9)
        for _ in range(2):
            assert (await relayed(slack, other, clock, row.body)) == 200
        await other.run_for(5)
        assert other.effects == 1


@pytest.mark.parametrize(("age", "secret", "status"), [(0, "x", 401), (301, "between-the-two", 401)])
async def test_what_is_not_signed_freshly_is_refused(
    slack: FakeSlack, clock: VirtualClock, age: int, secret: str, status: int
) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        (row,) = await owner.journal.incoming(clock.now(), 9)
        assert await relayed(slack, other, clock, row.body, age=age, secret=secret) == status
        assert await other.journal.incoming(clock.now(), 9) == ()


async def test_slacks_own_signature_opens_no_relay(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (_, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        url, slack.request_url = slack.request_url, other.url + "/relay"
        assert (await slack.replay(slack.sent[-1])).status == 401
        slack.request_url = url


async def test_what_belongs_to_a_third_one_is_not_taken(slack: FakeSlack, clock: VirtualClock) -> None:
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        (row,) = await owner.journal.incoming(clock.now(), 9)
        assert await relayed(slack, other, clock, {**row.body, "value": "eu-3|r-1|0123456789abcdef"}) == 409


async def relayed(
    slack: FakeSlack,
    to: Bed,
    clock: VirtualClock,
    body: object,
    *,
    age: int = 0,
    secret: str = "between-the-two",
) -> int:
    data = orjson.dumps(body)
    timestamp = str(int(clock.now().timestamp()) - age)
    headers = {TIMESTAMP: timestamp, SIGNATURE: signature(secret, timestamp, data), "Content-Type": "application/json"}
    before, slack.request_url = slack.request_url, to.url + "/relay"
    try:
        return (await slack.replay(SentRequest(headers=headers, body=data))).status
    finally:
        slack.request_url = before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"signing_secret": SECRET}, "slack.app_id"),
        ({"signing_secret": SECRET, "app_id": "A0X"}, "slack.team"),
        ({"relay": {"instances": {"a": {"url": "http://x", "secret": SECRET}}}}, "nothing to forward"),
        ({"signing_secret": SECRET, "app_id": "remedy", "team": "T0X"}, "app_id"),
    ],
)
def test_settings_that_cannot_work(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Slack.model_validate({"token": SECRET, **given})


async def test_what_waited_too_long_here_is_not_handed_on_as_fresh(slack: FakeSlack, clock: VirtualClock) -> None:
    """The other one counts from when it gets it: a yes of before our outage would be one of now."""
    async with two(slack, clock) as (owner, other):
        message = await other.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        owner.world.cluster.advance(11 * 60)
        await owner.inbox.run_once()
        await other.run_for(3)
        assert other.effects == 0
        assert "within ten minutes" in slack.whispered(ANN)[0]
