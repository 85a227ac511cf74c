"""What a ladder sends: to whom, once, within everybody's limits, and inert whatever the alerts say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from remediator.people.escalation import Climb, destination
from remediator.people.ladder import Answered, Ladder, Nobody, Up
from remediator.people.ladder_messages import (
    CHANNEL_NAME_LIMIT,
    TOPIC_LIMIT,
    answered_messages,
    channel_name,
    climb_messages,
    over_messages,
    status_messages,
)
from remediator.people.messages import Message
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import Routes
from remediator.people.severity import Sev
from remediator.people.story import Story
from tests.people.hostile import hostile_stories
from tests.people.stories import ESCALATED, NOW, ROLLBACK
from tests.people.test_messages import assert_inert, assert_sendable
from tests.support.fake_pagerduty import ROUTING_KEY, FakePagerDuty

ROUTES = Routes.model_validate(
    {"slack": {"default_channel": "C0OPS", "mentions": ["S0ONCALL"]}, "pagerduty": {"default_service": "shop"}}
)
NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A hostile story is large; the first one that fails says enough."""
EVERYWHERE = (
    "page",
    "page:low",
    "pagerduty:second",
    "pagerduty:second:low",
    "channel",
    "slack:U0ANN",
    "slack:S0LEADS",
    "slack:C0WAR",
    "apprise:mail",
    "webhook:cmdb",
    "ticket:jira",
    "incident_channel",
)


def ladder(*places: str, climbed: int = 2, **changes: Any) -> Ladder:
    rung = Climb(after=timedelta(minutes=5), to=tuple(destination(place) for place in places))
    values: dict[str, Any] = {
        "id": "l-1",
        "episode": "e-81aa03",
        "cluster": "prod-eu",
        "sev": Sev.SEV1,
        "opened_at": NOW - timedelta(minutes=5),
        "since": NOW,
        "rungs": (rung,) * 3,
        "climbed": climbed,
        **changes,
    }
    return Ladder(**values)


def climbed(*places: str, story: Story = ESCALATED, why: Any = "time", **changes: Any) -> tuple[Ladder, list[str]]:
    after, messages = climb_messages(ladder(*places, **changes), Up(why=why), story, ROUTES)
    return after, [f"{m.channel} {m.kind} {m.destination}" for m in messages]


@pytest.mark.parametrize(
    ("place", "sent", "calls"),
    [
        ("page", ["pagerduty event shop"], True),
        ("pagerduty:second", ["pagerduty event second"], True),
        ("channel", ["slack post C0OPS"], False),
        ("slack:S0LEADS", ["slack post C0OPS"], True),
        ("slack:U0ANN", ["slack post U0ANN"], True),
        ("slack:C0WAR", ["slack post C0WAR"], False),
        ("apprise:mail", ["apprise post mail"], True),
        ("webhook:cmdb", ["webhook event cmdb"], False),
        ("ticket:jira", ["ticket post jira"], False),
        ("incident_channel", ["slack_channel post incidents"], False),
        ("status_page:x", [], False),
    ],
)
def test_each_place(place: str, sent: list[str], calls: bool) -> None:
    kind, _, name = place.partition(":")
    made = ladder(place) if kind != "status_page" else ladder("page")
    if kind == "status_page":
        made = replace(
            made, rungs=(Climb(after=timedelta(0), to=(replace(destination("status_page"), name=name),)),) * 3
        )
    after, messages = climb_messages(made, Up(why="time"), ESCALATED, ROUTES)
    rows = [f"{m.channel} {m.kind} {m.destination}" for m in messages]
    assert [row for row in rows if " reply " not in row] == sent
    assert "slack reply C0OPS" in rows, "the thread tells who was called"
    assert bool(after.calls) is calls
    assert all(once in {m.once for m in messages} for once in after.calls)


def test_a_group_and_the_channel_are_one_message() -> None:
    _, messages = climb_messages(ladder("channel", "slack:S0LEADS"), Up(why="time"), ESCALATED, ROUTES)
    (post,) = [m for m in messages if m.kind == "post"]
    assert "<!subteam^S0ONCALL> <!subteam^S0LEADS>" in json.dumps(post.payload, ensure_ascii=False)


def test_the_first_rung_leaves_to_the_routes_what_they_have_just_sent() -> None:
    after, sent = climbed("page", "channel", "apprise:mail", climbed=1, why="begun", story=ROLLBACK)
    assert sent == ["apprise post mail"]
    assert len(after.calls) == 2, "but it knows what was to reach people"
    quiet, sent = climbed("page", climbed=1, why="begun", story=replace(ROLLBACK, severity="info"))
    assert sent == ["pagerduty event shop"], "where the routes do not ring, the ladder does"
    assert quiet.services == ("shop",)


def test_a_low_page_rings_no_alarm() -> None:
    for place, severity in (("page", "critical"), ("page:low", "warning"), ("pagerduty:x:low", "warning")):
        _, messages = climb_messages(ladder(place), Up(why="time"), ESCALATED, ROUTES)
        event = messages[0].payload
        assert event["payload"]["severity"] == severity
        assert "nobody has answered since 03:00 UTC" in event["payload"]["custom_details"]["escalation"]


@pytest.mark.parametrize(
    ("move", "says"),
    [
        (Up(why="time"), "Rung 2 of 3: nobody has answered since 03:00 UTC. Called now: page."),
        (Up(why="question"), "Rung 2 of 3: nobody has answered, and the time to approve is running out."),
        (Up(why="dead"), "Rung 2 of 3: the calls before could not be delivered."),
        (Nobody(), "Nobody could be reached: every call of the last rung was refused. Please find somebody."),
    ],
)
def test_the_thread_says_why(move: Up | Nobody, says: str) -> None:
    made = ladder("page", climbed=4 if isinstance(move, Nobody) else 2)
    _, messages = climb_messages(made, move, ESCALATED, ROUTES)
    assert says in next(m.payload["text"] for m in messages if m.kind == "reply")


def test_nothing_is_said_twice_and_every_round_is_said() -> None:
    def onces(**changes: Any) -> set[str]:
        places = [place for place in EVERYWHERE if not place.endswith(":low")]
        _, messages = climb_messages(ladder(*places, **changes), Up(why="time"), ESCALATED, ROUTES)
        assert all(m.once for m in messages)
        assert len({m.once for m in messages}) == len(messages)
        return {m.once for m in messages}

    once_for_the_episode = {"ticket/jira/e-81aa03/open", "escalation/l-1/incident-channel"}
    assert onces() == onces()
    assert onces() & onces(climbed=3) == onces() & onces(round=1) == once_for_the_episode


def test_whoever_answers_is_named_in_every_thread_where_others_were_called() -> None:
    told = ladder("page", channels=("U0ANN",))
    messages = answered_messages(told, Answered(who="bob"), ESCALATED, ROUTES)
    assert [m.destination for m in messages] == ["C0OPS", "U0ANN"]
    assert answered_messages(replace(told, climbed=1), Answered(who="bob"), ESCALATED, ROUTES) == ()


def test_what_the_ladder_opened_it_closes() -> None:
    opened, messages = climb_messages(ladder("pagerduty:a", "pagerduty:b"), Up(why="time"), ESCALATED, ROUTES)
    closing = over_messages(opened, ESCALATED)
    keys = {m.payload["dedup_key"] for m in messages if m.channel == "pagerduty"}
    assert {(m.destination, m.payload["dedup_key"]) for m in closing} == {("a", *keys), ("b", *keys)}


def test_each_word_of_the_status_page_once() -> None:
    made = ladder("page", status_page="public")
    words = []
    for state in ("awaiting_approval", "awaiting_approval", "approved", "acting", "verifying", "succeeded"):
        made, messages = status_messages(made, replace(ROLLBACK, state=state))
        words += [m.payload["status"] for m in messages]
    assert words == ["investigating", "identified", "monitoring", "resolved"]
    assert status_messages(ladder("page"), ROLLBACK)[1] == ()


def sendable(message: OutboxMessage) -> None:
    if message.channel in ("slack", "slack_channel"):
        chat = Message(message.payload["text"], tuple(message.payload["blocks"]))
        assert_sendable(chat)
        assert_inert(chat)
    elif message.channel == "pagerduty":
        fake = FakePagerDuty()
        assert fake.problem(json.loads(json.dumps({**message.payload, "routing_key": ROUTING_KEY}))) in ("", None)
        assert fake.violations == []
    json.dumps(message.payload)


NOBODY = Routes.model_validate({"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "shop"}})
"""No mentions of our own, so that every one that is found was smuggled in."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=NO_SHRINK)
@given(hostile_stories, st.sampled_from(("time", "question", "dead")))
def test_nothing_that_a_label_smuggled_in(story: Story, why: Any) -> None:
    places = [place for place in EVERYWHERE if place != "slack:S0LEADS"]
    after, messages = climb_messages(ladder(*places), Up(why=why), story, NOBODY)
    more = (*answered_messages(after, Answered(who="<!channel>"), story, NOBODY), *over_messages(after, story))
    for message in (*messages, *more):
        sendable(message)
    (room,) = [m.payload for m in messages if m.channel == "slack_channel"]
    assert len(room["topic"]) <= TOPIC_LIMIT
    assert not set(room["topic"]) & set("<>\n\r")


@given(hostile_stories, st.sampled_from(("inc", "war-room", "a")))
def test_the_name_of_a_channel_is_one_that_slack_takes(story: Story, prefix: str) -> None:
    name = channel_name(prefix, story, NOW)
    assert 1 <= len(name) <= CHANNEL_NAME_LIMIT
    assert name == name.lower()
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in name)
    assert name.startswith(f"{prefix}-20250602")


def test_where_nobody_has_a_pager_a_page_calls_those_of_the_channel() -> None:
    """A line in the thread makes no sound, and says that somebody was called."""
    routes = Routes.model_validate({"slack": {"default_channel": "C0OPS", "mentions": ["S0ONCALL"]}})
    _, messages = climb_messages(ladder("page:low"), Up(why="time"), ESCALATED, routes)
    (post,) = [m for m in messages if m.kind == "post"]
    assert "<!subteam^S0ONCALL>" in json.dumps(post.payload)
