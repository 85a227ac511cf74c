"""The signed webhook against a receiver that checks what the docs tell it to check."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.adapters.json_out import JsonOut
from remediator.adapters.webhook_out import Hook, WebhookCarrier, signature
from remediator.errors import InvalidConfig
from remediator.people.others import status_update, webhooks
from remediator.ports import ChatError
from tests.people.channels.rows import StillClock, row
from tests.people.stories import ROLLBACK, SUCCEEDED
from tests.support.babbler import babbler
from tests.support.fake_http import Fault
from tests.support.fake_webhook import HOOK, FakeWebhook

SECRET = "webhook-secret-0123456789"
(EVENT,) = webhooks(ROLLBACK, "state", "cmdb")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def fake(clock: StillClock) -> AsyncIterator[FakeWebhook]:
    async with FakeWebhook(secret=SECRET, now=lambda: clock.at.timestamp()) as fake:
        yield fake


@pytest.fixture
async def carrier(fake: FakeWebhook, clock: StillClock) -> AsyncIterator[WebhookCarrier]:
    hooks = {
        "cmdb": Hook(JsonOut("webhook cmdb", fake.url), lambda: SECRET),
        "wrong": Hook(JsonOut("webhook wrong", fake.url), lambda: "another-secret"),
        "moved": Hook(JsonOut("webhook moved", f"{fake.root}/moved"), lambda: SECRET),
        "page": Hook(JsonOut("page", fake.url), lambda: SECRET, {"id": "${id}", "incident": {"status": "${status}"}}),
    }
    carrier = WebhookCarrier(hooks, clock)
    yield carrier
    await carrier.close()


async def test_signed_and_told_apart(carrier: WebhookCarrier, fake: FakeWebhook) -> None:
    assert await carrier.deliver(row(EVENT), None) is None
    (event,) = fake.events.values()
    assert event["remediation"]["state"] == "awaiting_approval"
    assert fake.headers[0]["User-Agent"].startswith("remediator/")
    assert fake.violations == []


async def test_sent_again_it_has_the_same_id_and_a_new_time(
    carrier: WebhookCarrier, fake: FakeWebhook, clock: StillClock
) -> None:
    """A receiver that refuses what is old takes a retry of an hour later all the same, and knows it again."""
    await carrier.deliver(row(EVENT), None)
    clock.at += timedelta(hours=1)
    await carrier.deliver(row(EVENT, tries=3), None)
    assert len(fake.events) == 1
    assert fake.repeated == list(fake.events)


async def test_another_secret_is_refused_for_good(carrier: WebhookCarrier, fake: FakeWebhook) -> None:
    with pytest.raises(ChatError, match="HTTP 401 from webhook wrong") as caught:
        await carrier.deliver(row(replace(EVENT, destination="wrong")), None)
    assert caught.value.retry_after_s is None
    assert fake.events == {}


def test_the_signature_is_the_documented_one() -> None:
    expected = hmac.new(b"s3cret", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("s3cret", "1700000000", b'{"a":1}') == f"v1={expected}"


FAULTS = [
    pytest.param(Fault(status=500), 5.0, id="500"),
    pytest.param(Fault(status=503, retry_after="120"), 120.0, id="503 and when"),
    pytest.param(Fault(status=429), 30.0, id="429"),
    pytest.param(Fault(status=429, retry_after="7"), 7.0, id="429 and when"),
    pytest.param(Fault(status=429, retry_after="99999"), 3600.0, id="429 and much too late"),
    pytest.param(Fault(status=408), 5.0, id="408"),
    pytest.param(Fault(drop=True), 5.0, id="no answer"),
    pytest.param(Fault(status=400, body="bad"), None, id="400"),
    pytest.param(Fault(status=403), None, id="403"),
    pytest.param(Fault(status=404), None, id="404"),
    pytest.param(Fault(status=410), None, id="410"),
]


@pytest.mark.parametrize(("fault", "again"), FAULTS)
async def test_what_is_worth_another_try(
    carrier: WebhookCarrier, fake: FakeWebhook, fault: Fault, again: float | None
) -> None:
    fake.fail(HOOK, fault)
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(row(EVENT), None)
    assert caught.value.retry_after_s == again


async def test_no_redirect_is_followed(carrier: WebhookCarrier, fake: FakeWebhook) -> None:
    with pytest.raises(ChatError, match="redirected us") as caught:
        await carrier.deliver(row(replace(EVENT, destination="moved")), None)
    assert caught.value.retry_after_s is None
    assert fake.violations == []


async def test_nobody_there(clock: StillClock) -> None:
    carrier = WebhookCarrier({"cmdb": Hook(JsonOut("webhook cmdb", "http://127.0.0.1:9"), lambda: SECRET)}, clock)
    with pytest.raises(ChatError, match="no answer from webhook cmdb") as caught:
        await carrier.deliver(row(EVENT), None)
    assert caught.value.retry_after_s
    assert not caught.value.unanswered
    await carrier.close()


async def test_a_flood_of_an_answer_is_not_read(carrier: WebhookCarrier, fake: FakeWebhook) -> None:
    fake.fail(HOOK, Fault(status=400, body="x" * 5_000_000))
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(row(EVENT), None)
    assert len(str(caught.value)) < 500


async def test_a_secret_that_comes_back_is_not_told(clock: StillClock, fake: FakeWebhook) -> None:
    """Credentials in a header that the receiver puts into its error."""
    out = JsonOut("page", fake.url, login=lambda: {"Authorization": "OAuth page-key-0123456789"})
    carrier = WebhookCarrier({"cmdb": Hook(out)}, clock)
    fake.fail(HOOK, Fault(status=400, body="no such key: page-key-0123456789"))
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(row(EVENT), None)
    assert "page-key" not in str(caught.value)
    await carrier.close()


async def test_a_secret_that_cannot_be_read_is_waited_for(clock: StillClock, fake: FakeWebhook) -> None:
    def gone() -> str:
        raise InvalidConfig("secret file /run/x cannot be read: No such file or directory")

    carrier = WebhookCarrier({"cmdb": Hook(JsonOut("webhook cmdb", fake.url), gone)}, clock)
    with pytest.raises(ChatError, match="cannot be read") as caught:
        await carrier.deliver(row(EVENT), None)
    assert caught.value.retry_after_s
    assert fake.calls == []
    await carrier.close()


async def test_a_body_of_somebody_else_s_choice(carrier: WebhookCarrier, fake: FakeWebhook) -> None:
    message = status_update(SUCCEEDED, "page")
    await carrier.deliver(row(message), None)
    assert list(fake.events.values()) == [{"id": message.payload["id"], "incident": {"status": "resolved"}}]


async def test_an_unknown_name(carrier: WebhookCarrier) -> None:
    with pytest.raises(ChatError, match="no webhook called 'nowhere'"):
        await carrier.deliver(row(replace(EVENT, destination="nowhere")), None)


async def test_a_certificate_that_nobody_knows(fake: FakeWebhook, clock: StillClock) -> None:
    """https to a server that does not speak it: nothing is sent in clear text."""
    out = JsonOut("webhook cmdb", fake.url.replace("http:", "https:"), tls=ssl.create_default_context())
    carrier = WebhookCarrier({"cmdb": Hook(out, lambda: SECRET)}, clock)
    with pytest.raises(ChatError, match="no answer"):
        await carrier.deliver(row(EVENT), None)
    assert fake.events == {}
    await carrier.close()


async def test_an_address_that_is_a_permission_is_in_no_error() -> None:
    """Many receivers are told apart by a secret in their path."""
    async with babbler() as address:
        for url in (f"{address}/hooks/T0123456789secret", "https://example.com:99999999/hooks/T0123456789secret"):
            out = JsonOut("webhook cmdb", url)
            with pytest.raises(ChatError, match="no answer from webhook cmdb") as caught:
                await out.send("POST", body={})
            await out.close()
            assert "0123456789" not in str(caught.value)
