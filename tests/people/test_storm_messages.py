"""A storm as people read it: once, with everything that it holds, and what was not done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import Routes
from remediator.people.storms import SHOWN, Audience, StormNews, StormStory, audience, main_message, storm_notices
from remediator.people.story import Story, StoryAlert
from tests.people.hostile import hostile_stories
from tests.people.stories import HELD, NOW
from tests.people.test_messages import assert_inert, assert_sendable
from tests.support import block_kit
from tests.support.fake_slack import shown


def member(name: str, **changes: Any) -> Story:
    values: dict[str, Any] = {
        "remediation_id": f"r-{name}",
        "namespace": "shop",
        "target": f"Deployment shop/{name}",
        "playbook": "restart-slow",
        "state": "held",
        "alerts": (StoryAlert(name="HighLatency", starts_at=NOW),),
        "severity": "warning",
        **changes,
    }
    return replace(HELD, **values)


def storm(count: int = 9, **changes: Any) -> StormStory:
    values: dict[str, Any] = {
        "id": "s-1",
        "cluster": "prod",
        "since": NOW - timedelta(minutes=2),
        "until": NOW + timedelta(minutes=13),
        "targets": count,
        "limit": 5,
        "window": "5m",
        "members": tuple(member(f"svc-{n}") for n in range(min(count, SHOWN))),
        "count": count,
        "now": NOW,
        "console_url": "https://remediator.example.com/remediations",
        **changes,
    }
    return StormStory(**values)


EVERYBODY = Audience(channels={"C0OPS": ("U0ANN",), "C0SHOP": ()}, service="shop", urgency="warning")


def test_it_says_what_since_when_who_and_what_was_not_done() -> None:
    message = main_message(storm(22), mentions=("U0ANN",))
    assert_sendable(message)
    lines = shown(message.blocks).splitlines()
    assert lines[:4] == [
        "🌪 Storm: 22 targets in trouble within 5m",
        "<@U0ANN> *Please look for one shared cause. Nothing was changed: 22 remediations held instead of being "
        "carried out, and you are called once for all.*",
        "*Since*  03:03 UTC; more than 5 targets in 5m are a storm. Over at 03:18 UTC if no more come, then they go "
        "on, oldest first.",
        "*Held*  `Deployment shop/svc-0` HighLatency → restart-slow",
    ]
    assert lines[4 + SHOWN - 1] == "and 12 more"
    assert lines[4 + SHOWN].startswith("*Look*  `remediator remediations list --state held`")
    assert lines[-2:] == ["s-1 · cluster prod", "<https://remediator.example.com/remediations|Console>"]
    assert message.text.startswith("🌪 Storm: 22 targets in trouble within 5m [prod]. Please look for one shared cause.")
    assert message.text.endswith("Deployment shop/svc-0, Deployment shop/svc-1, Deployment shop/svc-2 and 19 more")


def test_what_has_become_of_a_member_is_shown() -> None:
    text = shown(main_message(storm(members=(member("a"), member("b", state="superseded")), count=2)).blocks)
    assert "`Deployment shop/a` HighLatency → restart-slow\n" in text
    assert "`Deployment shop/b` HighLatency → restart-slow (cleared by itself)" in text


def test_a_shared_cause_is_named_with_what_can_be_done() -> None:
    cause = "Node n1 stands under 8 of 9 of them. cordon asks for approval: remediator approve r-7"
    assert f"*Shared cause*  {cause}" in shown(main_message(storm(cause=(cause,))).blocks)
    (*_, page) = storm_notices(storm(cause=(cause,)), StormNews.BEGUN, EVERYBODY)
    assert page.payload["payload"]["custom_details"]["shared cause"] == [cause]


def kinds(messages: tuple[OutboxMessage, ...]) -> list[tuple[str, str]]:
    return [(str(m.payload.get("event_action", m.kind)), m.key) for m in messages]


def test_one_message_a_channel_and_one_call() -> None:
    assert kinds(storm_notices(storm(), StormNews.BEGUN, EVERYBODY)) == [
        ("post", "slack/C0OPS/s-1"),
        ("post", "slack/C0SHOP/s-1"),
        ("trigger", "pagerduty/shop/s-1"),
    ]
    (*chat, page) = storm_notices(storm(), StormNews.CHANGED, EVERYBODY)
    assert [m.kind for m in chat] == ["update", "update"]
    assert "U0ANN" not in repr(chat), "a mention rings once"
    assert page.once == "pagerduty/shop/s-1/call"
    assert kinds(storm_notices(storm(over=True), StormNews.OVER, EVERYBODY)) == [
        ("update", "slack/C0OPS/s-1"),
        ("reply", "slack/C0OPS/s-1"),
        ("update", "slack/C0SHOP/s-1"),
        ("reply", "slack/C0SHOP/s-1"),
        ("resolve", "pagerduty/shop/s-1"),
    ]
    assert kinds(storm_notices(storm(), StormNews.BEGUN, Audience())) == []


def test_the_page_has_a_key_of_its_own_that_the_resolve_has_too() -> None:
    (*_, page) = storm_notices(storm(22, instance_id="i1"), StormNews.BEGUN, EVERYBODY)
    (*_, resolve) = storm_notices(storm(instance_id="i1", over=True), StormNews.OVER, EVERYBODY)
    assert page.payload["dedup_key"] == resolve.payload["dedup_key"] == "remediator/i1/prod/s-1"
    inside = page.payload["payload"]
    assert inside["summary"] == "Storm: 22 targets in trouble within 5m, one shared cause is likely [prod]"
    assert inside["severity"] == "warning"
    held = inside["custom_details"]["held"]
    assert (len(held), held[0], held[-1]) == (
        SHOWN + 1,
        "Deployment shop/svc-0: HighLatency → restart-slow",
        "and 12 more",
    )


def test_over_says_what_comes_now() -> None:
    text = shown(main_message(storm(over=True)).blocks)
    assert text.startswith("🌪 Storm over: 9 targets in trouble within 5m\n")
    assert "What it held goes on now, oldest first, within its limits: 9 remediations. Each tells how it ends." in text


# --- who hears of it --------------------------------------------------------------------------------------------------

ROUTES = Routes.model_validate(
    {
        "slack": {
            "default_channel": "C0OPS",
            "routes": [{"namespace": ["pay"], "channels": ["C0PAY"], "mentions": ["S0PAY"]}],
        },
        "pagerduty": {"default_service": "ops", "routes": [{"namespace": ["pay"], "service": "payments"}]},
    }
)


@pytest.mark.parametrize(
    ("members", "service", "urgency"),
    [
        pytest.param(
            [member("a"), member("b", namespace="pay"), member("c", namespace="pay")], "payments", "warning", id="most"
        ),
        pytest.param([member("a"), member("b", namespace="pay")], "ops", "warning", id="a tie: the oldest"),
        pytest.param([member("a"), member("b", severity="critical")], "ops", "critical", id="the gravest"),
        pytest.param([member("a", severity="info"), member("b", severity="info")], "", "warning", id="nobody for info"),
        pytest.param(
            [member("a", severity="info"), member("b", severity="info"), member("c", namespace="pay")],
            "payments",
            "warning",
            id="only what may ring",
        ),
    ],
)
def test_one_service_is_called(members: list[Story], service: str, urgency: str) -> None:
    found = audience(members, ROUTES)
    assert (found.service, found.urgency) == (service, urgency)


def test_every_channel_of_a_member_hears_of_it() -> None:
    found = audience([member("a"), member("b", namespace="pay"), member("c", channels=("C0OWN",))], ROUTES)
    assert found.channels == {"C0OPS": (), "C0PAY": ("S0PAY",), "C0OWN": ()}


def test_the_same_is_not_said_again() -> None:
    assert storm().digest == storm(now=NOW + timedelta(minutes=1)).digest
    assert storm().digest != storm(10).digest
    assert storm().digest != storm(until=NOW + timedelta(minutes=14)).digest


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(hostile_stories, max_size=SHOWN), st.integers(0, 10**6), st.booleans())
def test_nothing_that_a_label_smuggled_in(members: list[Story], more: int, over: bool) -> None:
    story = storm(len(members) + more, members=tuple(members), over=over, console_url="")
    message = main_message(story)
    assert_sendable(message)
    assert_inert(message)
    for sent in storm_notices(story, StormNews.BEGUN, EVERYBODY):
        if sent.kind != "event":
            assert block_kit.problem(list(sent.payload["blocks"])) is None
