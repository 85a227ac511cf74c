"""What routes, ladders and digests name must be there; and whoever is on call is found when the message leaves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.config import load_config
from remediator.errors import InvalidConfig
from remediator.people import mentions
from remediator.people.carriers.slack import PACE
from remediator.people.lookups import LookupFailed
from remediator.people.mentions import WithPeople
from remediator.people.outbox_rows import OutboxRow
from remediator.people.routing import RESULTS
from remediator.people.severity import Sev
from remediator.ports import MessageRef

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "sources": [{"name": "prod", "auth": "none"}],
    "slack": {"token": {"value": "xoxb-1"}},
    "pagerduty": {"services": {"shop": {"value": "k" * 32}, "second": {"value": "k" * 32}}},
    "channels": {
        "mail": {"apprise": {"url": {"value": "mailto://board.example.com"}}},
        "jira": {"ticket": {"kind": "github", "repo": "a/b", "token": {"value": "ghp-0123456789"}}},
        "status": {"webhook": {"url": "https://example.com", "secret": {"value": "whsec-0123456789"}}},
    },
    "routes": {
        "slack": {"default_channel": "C0OPS"},
        "pagerduty": {"default_service": "shop"},
        "others": [{"to": ["apprise:mail", "ticket:jira"]}],
    },
    "severities": {"by_source": {"prod": {"priorities": "p0"}}},
    "escalation": {
        "who": {"second": ["pagerduty:second"], "leads": ["slack:U0LEAD", "apprise:mail"], "tickets": ["ticket:jira"]},
        "status_page": "status",
        "incident_channel": {},
    },
    "quiet_hours": {"windows": [{"cron": "0 20 * * *", "duration": "11h", "zone": "Europe/Berlin"}]},
    "digests": [{"channels": ["C0OPS"], "zone": "Europe/Berlin"}],
}


def loaded(tmp_path: Path, **changes: Any) -> Any:
    path = tmp_path / "remediator.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**WHOLE, **changes}.items() if v is not None}))
    return load_config(path, {})


def test_everything_that_is_named_is_there(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.escalation.ladder(Sev.SEV1)[-1].to[0].name == "U0LEAD"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param(
            {"channels": {}}, "routes.others[0].to: apprise:mail is not one of `channels`", id="a channel of a route"
        ),
        pytest.param(
            {"routes": {**WHOLE["routes"], "others": [{"to": ["webhook:mail"]}]}},
            "webhook:mail is not one of `channels`",
            id="another kind",
        ),
        pytest.param(
            {"severities": {"by_source": {"pord": {}}}}, "severities.by_source: no source is called pord", id="a source"
        ),
        pytest.param({"slack": None}, "digests: they go to Slack channels", id="digests without Slack"),
        pytest.param({"slack": None, "digests": None}, "a rung calls somebody in Slack", id="rungs without Slack"),
        pytest.param(
            {"pagerduty": {"services": {"shop": {"value": "k" * 32}}}},
            "no service of pagerduty.services is called second",
            id="a service",
        ),
        pytest.param(
            {"routes": {"pagerduty": {"default_service": "shopp"}}, "escalation": None},
            'routes.pagerduty.default_service: no service of pagerduty.services is called shopp. Did you mean "shop"?',
            id="a service of a route",
        ),
        pytest.param(
            {"routes": {"pagerduty": {"routes": [{"service": "shop"}]}}, "pagerduty": None, "escalation": None},
            "routes.pagerduty.routes[0].service: no service of pagerduty.services is called shop. Add it there",
            id="a service without a pager",
        ),
        pytest.param(
            {"routes": {"slack": {"default_channel": "#ops"}}},
            "Write the ID of a Slack channel, such as C0123456789",
            id="a channel's name",
        ),
        pytest.param(
            {"routes": {"slack": {"mentions": ["@ann"]}}}, "Write the ID of a Slack member (U...)", id="a member's name"
        ),
        pytest.param(
            {"routes": {"others": [{"to": ["mail"]}]}}, "such as apprise:mail-ops", id="a channel without its kind"
        ),
        pytest.param({"escalation": {"who": {"leads": ["slack:@leads"]}}}, "slack:U... (member)", id="a group's name"),
        pytest.param({"digests": [{"at": "8:00", "zone": "UTC"}]}, "such as 08:00", id="a time of one digit"),
        pytest.param(
            {"escalation": {"status_page": "stats"}}, "webhook:stats is not one of `channels`", id="a status page"
        ),
        pytest.param(
            {"routes": {"slack": {"default_channel": "C0OPS"}}, "escalation": {}},
            "the ladder of sev1 ends at `page`, which needs routes.pagerduty.default_service",
            id="a page to nowhere",
        ),
        pytest.param(
            {"escalation": {"sev1": [{"to": ["channel"]}]}}, "does not end at a person", id="nobody at the end"
        ),
    ],
)
def test_what_is_not_there_is_named_with_the_next_step(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        loaded(tmp_path, **changes)
    assert says in str(caught.value)


# --- whoever is on call -----------------------------------------------------------------------------------------------


class Chat:
    pace = PACE

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        self.sent.append(row.payload["text"])
        return None


def row(text: str) -> OutboxRow:
    payload = {"text": text, "blocks": []}
    return OutboxRow(
        id=1, channel="slack", destination="C0OPS", key="k", kind="post", payload=payload, due_at=NOW, created_at=NOW
    )


@pytest.mark.parametrize(
    ("people", "said"),
    [
        pytest.param(("U0ANN", "U0BOB"), "<@U0ANN> <@U0BOB> look", id="found"),
        pytest.param((), "(nobody could be found for oncall:pagerduty/P1) look", id="nobody is on call"),
        pytest.param(
            LookupFailed("PagerDuty: 503"), "(nobody could be found for oncall:pagerduty/P1) look", id="fails"
        ),
        pytest.param("hangs", "(nobody could be found for oncall:pagerduty/P1) look", id="takes too long"),
    ],
)
async def test_the_message_leaves_whoever_can_be_found(
    people: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mentions, "LOOK_UP_WITHIN_S", 0.01)
    chat = Chat()

    async def look_up(schedule: str) -> tuple[str, ...]:
        assert schedule == "oncall:pagerduty/P1"
        if isinstance(people, Exception):
            raise people
        if people == "hangs":
            await asyncio.Event().wait()
        assert isinstance(people, tuple)
        return people

    await WithPeople(chat, look_up).deliver(row("<@oncall:pagerduty/P1> look"), None)
    assert chat.sent == [said]


async def test_nobody_is_looked_up_for_a_message_that_names_no_rota() -> None:
    chat = Chat()

    async def look_up(schedule: str) -> tuple[str, ...]:
        raise AssertionError

    await WithPeople(chat, look_up).deliver(row("<@U0ANN> look"), None)
    assert chat.sent == ["<@U0ANN> look"]


# --- the guide --------------------------------------------------------------------------------------------------------


def test_the_guide_names_every_place_and_outcome() -> None:
    text = (Path(__file__).parents[2] / "docs" / "people.md").read_text()
    for name in (*set(RESULTS.values()), *("page:low", "incident_channel", "status_page", "channel"), *Sev):
        assert f"`{name}`" in text, name
