"""The PagerDuty adapter against a PagerDuty that enforces its contract, and that fake's own promises."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from remediator.adapters.pagerduty import ENDPOINT, PagerDuty
from remediator.people.pages import acknowledge_event, resolve_event, trigger_event
from remediator.ports import ChatError
from tests.people.stories import ESCALATED
from tests.support.fake_http import Fault
from tests.support.fake_pagerduty import ENQUEUE, ROUTING_KEY, FakePagerDuty

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def pagerduty() -> AsyncIterator[FakePagerDuty]:
    async with FakePagerDuty() as fake:
        yield fake


@pytest.fixture
async def pager(pagerduty: FakePagerDuty) -> AsyncIterator[PagerDuty]:
    async with PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url, timeout_s=5) as adapter:
        yield adapter


async def refused(pager: PagerDuty, event: dict[str, Any] | None = None) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await pager.send(event or trigger_event(ESCALATED))
    return caught.value


async def test_one_incident_from_trigger_to_resolve(pagerduty: FakePagerDuty, pager: PagerDuty) -> None:
    for event in (trigger_event(ESCALATED), trigger_event(ESCALATED), acknowledge_event(ESCALATED)):
        await pager.send(event)
    (incident,) = pagerduty.incidents
    assert (incident.status, incident.severity) == ("acknowledged", "critical")
    assert incident.summary.startswith("Needs a person")
    await pager.send(resolve_event(ESCALATED))
    assert pagerduty.open_incidents() == []
    await pager.send(resolve_event(ESCALATED))
    assert len(pagerduty.dropped) == 1
    await pager.send(trigger_event(ESCALATED))
    assert len(pagerduty.incidents) == 2
    assert pagerduty.violations == []


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(Fault(status=429, retry_after="60"), 60.0, id="429"),
        pytest.param(Fault(status=429), 30.0, id="429 without a time"),
        pytest.param(Fault(status=403), 30.0, id="403 is how PagerDuty throttled once"),
        pytest.param(Fault(status=500), 5.0, id="500"),
        pytest.param(Fault(status=502, body="<html>"), 5.0, id="502"),
        pytest.param(Fault(status=200, body="<html>log in</html>"), 30.0, id="somebody else's 200"),
        pytest.param(Fault(status=307), 30.0, id="a redirect"),
        pytest.param(Fault(status=404), 30.0, id="404"),
        pytest.param(Fault(drop=True), 5.0, id="connection closed"),
    ],
)
async def test_a_page_is_worth_another_try(
    pagerduty: FakePagerDuty, pager: PagerDuty, fault: Fault, seconds: float
) -> None:
    pagerduty.fail(ENQUEUE, fault)
    assert (await refused(pager)).retry_after_s == seconds
    assert pagerduty.calls == [ENQUEUE], "retrying is the outbox's work"
    await pager.send(trigger_event(ESCALATED))
    assert len(pagerduty.incidents) == 1


async def test_a_timeout_is_retried_and_makes_no_second_incident(pagerduty: FakePagerDuty) -> None:
    pagerduty.fail(ENQUEUE, Fault(hang="after"))
    async with PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url, timeout_s=0.2) as pager:
        assert (await refused(pager)).retry_after_s == 5.0
        await pager.send(trigger_event(ESCALATED))
    assert len(pagerduty.incidents) == 1


async def test_pagerduty_that_cannot_be_reached() -> None:
    async with PagerDuty(ROUTING_KEY, endpoint="http://127.0.0.1:1/v2/enqueue") as pager:
        assert (await refused(pager)).retry_after_s == 5.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"payload": {"summary": "x" * 1025, "source": "s", "severity": "info"}}, "summary", id="long"),
        pytest.param({"payload": {"summary": "x", "source": "s", "severity": "page"}}, "severity", id="severity"),
        pytest.param({"payload": {"summary": "x", "severity": "info"}}, "source", id="no source"),
        pytest.param({"dedup_key": "k" * 256}, "dedup_key", id="long key"),
        pytest.param({"event_action": "shout"}, "event_action", id="action"),
        pytest.param({"links": [{"text": "Console"}]}, "links", id="link to nowhere"),
        pytest.param({"images": [{"src": "http://x.example/a.png"}]}, "images", id="image without TLS"),
    ],
)
async def test_a_bad_event_is_permanent(pager: PagerDuty, change: dict[str, Any], problem: str) -> None:
    error = await refused(pager, {**trigger_event(ESCALATED), **change})
    assert error.retry_after_s is None
    assert problem in str(error)


@pytest.mark.parametrize("key", ["short", "f" * 32], ids=["length", "unknown"])
async def test_a_wrong_routing_key_is_permanent_and_never_shown(pagerduty: FakePagerDuty, key: str) -> None:
    pagerduty.fail(ENQUEUE, Fault(status=400, body=f"no service for {key}"))
    async with PagerDuty(key, endpoint=pagerduty.url) as pager:
        for _ in range(2):
            error = await refused(pager)
            assert error.retry_after_s is None
            assert key not in repr(error)


async def test_an_event_that_is_too_large_is_not_sent(pagerduty: FakePagerDuty, pager: PagerDuty) -> None:
    error = await refused(pager, {**trigger_event(ESCALATED), "client": "x" * 600_000})
    assert error.retry_after_s is None
    assert pagerduty.calls == []


async def test_the_fake_throttles() -> None:
    time = [0.0]
    async with (
        FakePagerDuty(per_minute=1, clock=lambda: time[0]) as pagerduty,
        PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url) as pager,
    ):
        await pager.send(trigger_event(ESCALATED))
        assert (await refused(pager)).retry_after_s == 30.0
        time[0] = 60.0
        await pager.send(trigger_event(ESCALATED))


async def test_the_fake_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.fake_pagerduty", "--port", "0", "--print-url"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        async with aiohttp.ClientSession() as session, PagerDuty(ROUTING_KEY, endpoint=url) as pager:
            await pager.send(trigger_event(ESCALATED))
            async with session.get(url.replace("/v2/enqueue", "/_incidents")) as response:
                (incident,) = await response.json()
    finally:
        process.terminate()
        await process.wait()
    assert incident["status"] == "triggered"
    assert process.returncode == 0


@pytest.mark.parametrize("suffix", ["", "/", "/v2/enqueue"])
async def test_the_endpoint_may_be_given_with_or_without_its_path(pagerduty: FakePagerDuty, suffix: str) -> None:
    async with PagerDuty(pagerduty.routing_key, endpoint=pagerduty.root + suffix) as pager:
        await pager.send(trigger_event(ESCALATED))
    assert len(pagerduty.incidents) == 1


def test_the_endpoint_is_the_documented_one() -> None:
    assert ENDPOINT == "https://events.pagerduty.com"
