"""Whatever is sent, signed or not: never a 500, and nothing decided."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.adapters.simulated import VirtualClock
from remediator.people.buttons import Button, Dialog, read, read_origin
from remediator.slack_app.clicks import Unreadable, parse, restored
from remediator.slack_app.relaying import PATH as RELAY_PATH
from tests.people.slack.bed import Bed, bed
from tests.support.fake_slack import FakeSlack
from tests.support.slack_base import APP_ID, SIGNING_SECRET, TEAM_ID
from tests.support.slack_clicks import signature

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
IDS = st.sampled_from(["U0ANN", "T0TEAM", "", "C0OPS", "x" * 60, "../../x", "U0ANN\n", "ÜÜ"]) | JSON
VALUES = st.sampled_from(["|r-1|" + "0" * 16, "||", "x", "|r-1|", "eu|r-1|0123456789abcdef|2h"]) | JSON
ACTIONS = st.sampled_from([*Button, *Dialog, "other"]) | JSON
PAYLOADS = st.fixed_dictionaries(
    {"api_app_id": st.just(APP_ID) | JSON, "type": st.sampled_from(["block_actions", "view_submission", "x"]) | JSON},
    optional={
        "team": st.fixed_dictionaries({"id": st.just(TEAM_ID) | IDS}) | JSON,
        "user": st.fixed_dictionaries({"id": IDS, "team_id": IDS}) | JSON,
        "enterprise": JSON,
        "container": st.fixed_dictionaries({"channel_id": IDS, "message_ts": IDS | st.just("1.2")}) | JSON,
        "actions": st.lists(
            st.fixed_dictionaries({"action_id": ACTIONS, "value": VALUES, "action_ts": IDS}) | JSON, max_size=2
        )
        | JSON,
        "view": st.fixed_dictionaries(
            {"id": IDS, "hash": JSON, "callback_id": ACTIONS, "private_metadata": VALUES, "state": JSON}
        )
        | JSON,
        "event": st.fixed_dictionaries({"type": st.just("app_home_opened"), "user": IDS, "tab": st.just("home")})
        | JSON,
        "event_id": IDS,
        "user_id": IDS,
        "team_id": IDS,
        "trigger_id": JSON,
        "response_url": JSON,
        "command": JSON,
        "text": JSON,
    },
)


@given(st.sampled_from(["interactive", "slash_commands", "events_api"]), PAYLOADS | JSON)
@settings(max_examples=400)
def test_parsing_makes_a_click_that_can_be_stored_or_says_no(envelope: Any, payload: Any) -> None:
    try:
        click = parse(envelope, payload, app_id=APP_ID)
    except Unreadable:
        return
    if click is not None:
        stored = json.loads(json.dumps(click.stored()))
        assert restored(stored).key == click.key
        assert len(click.key) < 200


@given(st.text(max_size=99), st.text(max_size=99), st.text(max_size=99), JSON, JSON)
def test_whatever_texts_a_click_carries_it_is_stored_and_read_back(
    value: str, reason: str, action: str, junk: Any, more: Any
) -> None:
    who = {"api_app_id": APP_ID, "team": {"id": TEAM_ID, "x": junk}, "user": {"id": "U0ANN", "name": more}}
    container = {"channel_id": "C0OPS", "message_ts": "1.2"}
    button = {"action_id": action, "value": value, "action_ts": "1"}
    values = {"reason": {"reason": {"value": reason}}}
    view = {"id": "V1", "hash": "h", "private_metadata": value, "callback_id": action, "state": {"values": values}}
    for payload in (
        {**who, "type": "block_actions", "container": container, "actions": [button], "message": junk},
        {**who, "type": "view_submission", "view": view},
    ):
        click = parse("interactive", payload, app_id=APP_ID)
        assert click is not None
        assert restored(json.loads(json.dumps(click.stored()))) == click
        assert click.trigger == ""


@given(JSON)
def test_what_is_read_back_is_a_click_or_refused(body: Any) -> None:
    try:
        restored(body)
    except Unreadable:
        return
    raise AssertionError("nothing of this is a click")


@given(st.text(max_size=200))
def test_values_of_buttons_and_dialogs_are_ours_or_nothing(text: str) -> None:
    read(text)
    read_origin(text)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


FIELDS = ["payload", "command", "team_id", "user_id", "ssl_check"]
BODIES = (
    st.binary(max_size=300)
    | PAYLOADS.map(lambda p: urlencode({"payload": json.dumps(p)}).encode())
    | PAYLOADS.map(lambda p: json.dumps(p).encode())
    | st.dictionaries(
        st.sampled_from(["payload", "command", "team_id", "user_id", "ssl_check"]), st.text(max_size=30)
    ).map(lambda fields: urlencode(fields, errors="replace").encode())
)


def test_the_endpoints_never_break_and_decide_nothing(loop: asyncio.AbstractEventLoop) -> None:
    clock = VirtualClock()

    async def start() -> tuple[FakeSlack, Any, Bed, aiohttp.ClientSession]:
        slack = await FakeSlack(clock=clock.boot, wall=lambda: clock.now().timestamp()).__aenter__()
        opened = bed(slack, clock)
        one = await opened.__aenter__()
        await one.proposed()
        return slack, opened, one, aiohttp.ClientSession()

    slack, opened, one, session = loop.run_until_complete(start())

    async def post(path: str, content_type: str, body: bytes, signed: bool) -> int:
        timestamp = str(int(clock.now().timestamp()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(SIGNING_SECRET if signed else "x", timestamp, body),
        }
        async with session.post(one.url.replace("/webhooks/slack", path), data=body, headers=headers) as answer:
            return answer.status

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["/webhooks/slack", RELAY_PATH]),
        st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain"]),
        BODIES,
        st.booleans(),
    )
    def fuzz(path: str, content_type: str, body: bytes, signed: bool) -> None:
        status = loop.run_until_complete(post(path, content_type, body, signed))
        assert status in ((200, 401) if signed else (401,))

    async def stop() -> None:
        await one.run_for(3)
        r = await one.newest()
        assert (r.state, r.consents) == ("awaiting_approval", ())
        assert one.effects == 0
        assert await one.journal.pauses(clock.now()) == ()
        await session.close()
        await opened.__aexit__(None, None, None)
        await slack.__aexit__(None, None, None)

    fuzz()
    loop.run_until_complete(stop())
