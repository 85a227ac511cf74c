"""The body of a webhook, and a body of somebody else's choice."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from remediator.people.filling import filled, places
from remediator.people.others import PUBLIC, status_of, status_update, webhook_event, webhooks
from remediator.people.story import Story
from remediator.people.wording import WORDINGS
from tests.people.channels.rows import SEARCH, shown
from tests.people.hostile import hostile_stories
from tests.people.stories import ALL, ESCALATED, NOW, ROLLBACK, SUCCEEDED

DOCS = Path(__file__).parents[3] / "docs" / "channels.md"


def test_the_event_says_everything() -> None:
    event = webhook_event(ROLLBACK, "state")
    assert (event["version"], event["type"], event["at"]) == (1, "remediation.awaiting_approval", NOW.isoformat())
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", event["id"])
    assert event["remediation"]["id"] == "r-4f2c91"
    assert event["episode"] == "e-81aa03"
    assert event["target"] == {"cluster": "prod-eu", "namespace": "shop", "name": "Deployment shop/checkout"}
    assert event["severity"] == "critical"
    assert event["diff"] == list(ROLLBACK.diff)
    assert len(event["verdicts"]) == len(ROLLBACK.verdicts)
    assert event["approval"]["commands"]["approve"] == "remediator approve r-4f2c91"
    assert event["approval"]["expires_at"]
    assert event["links"]["console"] == ROLLBACK.console_url


def test_the_id_is_that_of_the_news() -> None:
    """Made again it is the same; another state or moment is another event."""
    first = webhook_event(ROLLBACK, "state")["id"]
    assert webhook_event(ROLLBACK, "state")["id"] == first
    assert webhook_event(SUCCEEDED, "state")["id"] != first
    assert webhook_event(replace(ROLLBACK, cleared_at=NOW), "cleared")["id"] != first


def test_one_event_for_each_state_and_no_log_text() -> None:
    assert [m.kind for m in webhooks(ROLLBACK, "state", "cmdb")] == ["event"]
    assert webhooks(ROLLBACK, "detail", "cmdb") == webhooks(ROLLBACK, "evidence", "cmdb") == ()
    for story in ALL.values():
        assert "customer 4711" not in json.dumps(webhook_event(story, "state"))


def test_every_field_is_documented() -> None:
    """docs/channels.md shows the whole schema."""
    text = DOCS.read_text()
    example = json.loads(re.search(r"```json\n(\{\n  \"version\".*?\n\})\n```", text, re.DOTALL)[1])  # type: ignore[index]
    assert _shape(example) == _shape(webhook_event(ROLLBACK, "state"))


def _shape(value: object) -> object:
    if isinstance(value, dict):
        free = {"links"}
        return {key: "…" if key in free else _shape(inner) for key, inner in sorted(value.items())}
    return [_shape(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else "…"


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], phases=SEARCH)
@given(story=hostile_stories)
def test_hostile_values_are_bounded_texts(story: Story) -> None:
    body = orjson.dumps(webhook_event(story, "state"))
    assert len(body) < 512 * 1024
    assert all(shown(text) for text in _texts(json.loads(body)))


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def test_status_pages_know_four_words() -> None:
    words = {state: status_of(replace(ROLLBACK, state=state)) for state in WORDINGS}
    assert words["awaiting_approval"] == words["escalated"] == words["denied"] == "investigating"
    assert words["acting"] == words["undoing"] == "identified"
    assert words["verifying"] == "monitoring"
    assert words["succeeded"] == words["superseded"] == "resolved"
    assert status_of(replace(ESCALATED, cleared_at=NOW)) == "resolved"


def test_a_status_page_is_told_once_for_each_word() -> None:
    told = [status_update(replace(ROLLBACK, state=state), "page") for state in ("approved", "acting", "verifying")]
    assert told[0].once == told[1].once != told[2].once
    assert told[0].payload["public"] == PUBLIC["identified"]


TEMPLATE = {
    "incident": {"name": "Shop: ${public}", "status": "${status}", "wanted": ["${approval.quorum}"]},
    "fixed": 1,
}


def test_a_template_is_filled_in() -> None:
    payload = status_update(ROLLBACK, "page").payload
    assert filled(TEMPLATE, payload) == {
        "incident": {"name": f"Shop: {PUBLIC['investigating']}", "status": "investigating", "wanted": [1]},
        "fixed": 1,
    }
    assert places(TEMPLATE) == {"public", "status", "approval.quorum"}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param("${no.such}", None, id="whole"),
        pytest.param("<${no.such}>", "<>", id="inside"),
        pytest.param("${title", "${title", id="no place"),
        pytest.param("a ${diff}", "a x\ny", id="a list"),
        pytest.param("${evil}", "${title}", id="a value is no template"),
    ],
)
def test_what_is_not_there(template: str, said: object) -> None:
    assert filled(template, {"title": "t", "diff": ["x", "y"], "evil": "${title}"}) == said
