"""What a ticket says, when there is one, and by when it is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.people.severity import Sev
from remediator.people.story import Story
from remediator.people.tickets import LINES, SUMMARY_LIMIT, comment, due_day, marker_of, ticket, tickets
from tests.people.channels.rows import SEARCH
from tests.people.hostile import hostile_stories
from tests.people.stories import ACTING, ALL, DENIED, ESCALATED, NOW, ROLLBACK, SUCCEEDED

FRIDAY = datetime(2025, 6, 6, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sev", "now", "due"),
    [
        pytest.param(Sev.SEV1, FRIDAY, date(2025, 6, 6), id="at once"),
        pytest.param(Sev.SEV2, FRIDAY, date(2025, 6, 6), id="within the hour"),
        pytest.param(Sev.SEV3, FRIDAY, date(2025, 6, 7), id="within four hours, past midnight"),
        pytest.param(Sev.SEV4, FRIDAY, date(2025, 6, 9), id="the next business day is Monday"),
        pytest.param(Sev.SEV4, datetime(2025, 6, 7, 1, tzinfo=UTC), date(2025, 6, 9), id="on a Saturday"),
        pytest.param(Sev.SEV4, datetime(2025, 6, 3, 1, tzinfo=UTC), date(2025, 6, 4), id="on a Tuesday"),
    ],
)
def test_due_by_severity(sev: Sev, now: datetime, due: date) -> None:
    assert due_day(sev, now) == due


def test_a_ticket_names_the_owner_and_has_no_log_text() -> None:
    made = ticket(ESCALATED)
    assert made["summary"].startswith("Needs a person (did not help, undone): roll back")
    assert "Owner: team-checkout" in made["lines"]
    assert (made["owner"], made["team"], made["severity"]) == ("team-checkout", "checkout", "sev1")
    assert made["marker"] == "remediator-e-81aa03"
    assert made["links"][0] == ["Console", ESCALATED.console_url]
    for story in ALL.values():
        assert "customer 4711" not in str(ticket(story))


def test_one_ticket_for_an_episode_and_a_comment_when_it_ends() -> None:
    opened = tickets(ESCALATED, "state", "jira")
    assert [(m.kind, m.destination) for m in opened] == [("post", "jira"), ("event", "jira")]
    again = tickets(replace(ESCALATED, remediation_id="r-2"), "state", "jira")
    assert again[0].once == opened[0].once
    assert again[1].once != opened[1].once
    assert {m.key for m in (*opened, *again)} == {"ticket/jira/e-81aa03"}
    assert [m.kind for m in tickets(SUCCEEDED, "state", "jira")] == ["event"]
    (cleared,) = tickets(replace(ESCALATED, cleared_at=NOW), "cleared", "jira")
    assert cleared.payload["lines"][0] == "The alerts have cleared."


@pytest.mark.parametrize(
    ("story", "news"),
    [
        pytest.param(ROLLBACK, "state", id="a question is answered within minutes"),
        pytest.param(ACTING, "state", id="under way"),
        pytest.param(DENIED, "detail", id="a detail"),
        pytest.param(replace(ESCALATED, next_rung="restart"), "state", id="another playbook is tried"),
    ],
)
def test_no_ticket_for(story: Story, news: str) -> None:
    assert tickets(story, news, "jira") == ()


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], phases=SEARCH)
@given(story=hostile_stories)
def test_hostile_values_stay_inert(story: Story) -> None:
    """Nothing ends a code block, mentions, links or formats, in Markdown, wiki markup or HTML."""
    made = ticket(story)
    assert len(made["summary"]) <= SUMMARY_LIMIT
    assert len(made["lines"]) <= LINES + 1
    for line in (made["summary"], *made["lines"], *comment(story)["lines"]):
        assert not set("<>[]{}`*@#\\\r\n") & set(line), line
    marker = marker_of(story)
    assert marker.isascii()
    assert not set(' "^=') & set(marker)
