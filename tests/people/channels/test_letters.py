"""Letters: what is wanted first, how to answer in every message that asks, and nothing in a value does anything."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.people.inert import inert
from remediator.people.others import TEXT_LIMIT, TITLE_LIMIT, commands, letter, letters
from remediator.people.story import Story
from tests.people.channels.rows import SEARCH, shown
from tests.people.hostile import SNIPPETS, hostile_stories
from tests.people.stories import (
    ACTING,
    ALL,
    DENIED,
    ESCALATED,
    HELD,
    NOW,
    ROLLBACK,
    SUCCEEDED,
    SUGGESTED,
)

ASKING = replace(ROLLBACK, state="asking", explanation="Fail over to b?")


@pytest.mark.parametrize("story", [ROLLBACK, replace(ROLLBACK, state="snoozed"), ASKING], ids=lambda s: s.state)
def test_what_asks_says_how_to_answer(story: Story) -> None:
    """There is no button outside Slack: both commands, until when, and the console's address, before all else."""
    made = letter(story)
    for form in ("text", "html"):
        head = made[form][:900]
        assert "remediator approve r-4f2c91" in head
        assert "remediator reject r-4f2c91" in head
        assert "https://remediator.example.com/remediations/r-4f2c91" in head
        assert "03:20 UTC" in head


def test_what_does_not_ask_has_no_commands() -> None:
    assert commands(SUCCEEDED) == {}
    assert "remediator approve" not in letter(SUCCEEDED)["text"]


def test_what_is_wanted_comes_first() -> None:
    made = letter(ROLLBACK)
    assert made["title"] == "Approval needed: roll back Deployment shop/checkout to revision 41"
    assert made["text"].startswith("Please approve or reject.")
    assert "team-checkout" in made["text"]
    assert "image registry.example.com/shop/checkout:2.14.0" in made["text"]


def test_no_log_text() -> None:
    for story in ALL.values():
        made = letter(story)
        assert "customer 4711" not in made["text"] + made["html"]


HEARD = [
    pytest.param(ROLLBACK, "state", True, id="a proposal"),
    pytest.param(ASKING, "state", True, id="a question"),
    pytest.param(ESCALATED, "state", True, id="a person is needed"),
    pytest.param(SUCCEEDED, "state", True, id="it helped"),
    pytest.param(DENIED, "state", True, id="denied"),
    pytest.param(SUGGESTED, "state", True, id="suggested"),
    pytest.param(replace(ESCALATED, cleared_at=NOW), "cleared", True, id="cleared afterwards"),
    pytest.param(replace(ROLLBACK, state="superseded"), "state", True, id="what was asked is not needed any more"),
    pytest.param(replace(ROLLBACK, state="superseded", approval=None), "state", False, id="it went by itself"),
    pytest.param(ACTING, "state", False, id="a step between"),
    pytest.param(HELD, "state", False, id="on hold"),
    pytest.param(ROLLBACK, "detail", False, id="a detail"),
    pytest.param(ROLLBACK, "evidence", False, id="evidence"),
    pytest.param(replace(ESCALATED, next_rung="restart"), "state", False, id="another playbook is tried"),
]


@pytest.mark.parametrize(("story", "news", "heard"), HEARD)
def test_who_reads_mail_hears_what_matters(story: Story, news: str, heard: bool) -> None:
    made = letters(story, news, "mail-ops")
    assert [(m.channel, m.destination, m.kind) for m in made] == ([("apprise", "mail-ops", "post")] if heard else [])


def test_the_same_is_told_once() -> None:
    """Asked again about something else it is another letter; denied again it is not."""
    (first,) = letters(ROLLBACK, "state", "mail")
    (again,) = letters(replace(ROLLBACK, explanation="…"), "state", "mail")
    (other,) = letters(replace(ROLLBACK, digest="ab" * 32), "state", "mail")
    assert first.once == again.once != other.once
    assert first.key == other.key
    (denied,) = letters(DENIED, "state", "mail")
    (denied_anew,) = letters(replace(DENIED, remediation_id="r-other"), "state", "mail")
    assert denied.once == denied_anew.once


def test_what_looks_escaped_is_shown_as_it_is() -> None:
    shown_as = letter(replace(ROLLBACK, explanation="a &lt;b&gt; & c"))
    assert "a &amp;lt;b&amp;gt; &amp; c" in shown_as["html"]
    assert "a &lt;b&gt; & c" in shown_as["text"]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], phases=SEARCH)
@given(story=hostile_stories)
def test_hostile_values_stay_inert(story: Story) -> None:
    """No header, tag, link, mention or format comes from a value; every limit is kept."""
    made = letter(story)
    assert len(made["title"]) <= TITLE_LIMIT
    assert shown(made["title"])
    assert len(made["text"]) <= TEXT_LIMIT + 4 * 1600  # addresses are never cut
    parsed = _Tags()
    parsed.feed(made["html"])
    assert {tag for tag, _ in parsed.tags} <= {"p", "b", "br", "code", "a", "small"}
    assert all(re.match(r"https?://", attrs["href"] or "") for tag, attrs in parsed.tags if tag == "a")
    assert all(not attrs or list(attrs) == ["href"] for _, attrs in parsed.tags)
    for line in made["text"].splitlines():
        if not re.match(r"(Console|Runbook|Graph): https?://", line):
            assert not set("<>[]`*@#\\") & set(line), line


@pytest.mark.parametrize("text", SNIPPETS)
def test_inert(text: str) -> None:
    said = inert(f"a {text} b", 200)
    assert shown(said)
    assert not set("<>[]{}`*@#~\\") & set(said)
    assert inert(text * 5000, 100) == inert(text * 5000, 100)[:100]


def test_what_is_harmless_stays_readable() -> None:
    assert inert("http_requests_total rose from 3 to 5 (20 %), a/b:1.2-3", 99).startswith("http_requests_total rose")
    assert inert("up_1", 9) == "up_1"
    assert inert("_x_", 9) != "_x_"
