"""The App Home tab, and messages that tell of many at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.guardrails.facts import Pause
from remediator.people.home import SHOWN, home
from remediator.people.messages import Message
from remediator.people.parts import Code
from remediator.people.reports import ReportSection, plain_report, report
from remediator.people.story import Story
from tests.people.hostile import hostile_stories, hostile_text
from tests.people.stories import ESCALATED, NOW, OFFERED, VERIFYING
from tests.people.test_messages import assert_inert, assert_sendable
from tests.people.test_messages import lines as message_lines
from tests.support import block_kit
from tests.support.fake_slack import shown

PAUSE = Pause(id="p-7", scope="namespace:prod-eu/shop", who="ann", why="freeze", until=None, created_at=NOW)


def lines(stories: Sequence[Story], pauses: Sequence[Pause] = (), mine: Sequence[str] = ()) -> list[str]:
    view = home(stories, pauses, now=NOW, mine=mine, console_url="https://remediator.example.com")
    assert block_kit.view_problem(view) is None
    return shown(view["blocks"]).splitlines()


def test_a_quiet_night_says_so() -> None:
    assert lines([])[0] == "*All quiet: nothing waits for you, nothing runs.*"


def test_what_waits_comes_first_and_the_most_urgent_on_top() -> None:
    later = replace(OFFERED, remediation_id="r-2", headline="later", deadline=NOW + timedelta(minutes=14))
    soon = replace(OFFERED, remediation_id="r-1", headline="soon", deadline=NOW + timedelta(minutes=2))
    other = replace(OFFERED, remediation_id="r-3", headline="not mine", deadline=NOW + timedelta(minutes=1))
    told = lines([VERIFYING, later, other, ESCALATED, soon], [PAUSE], ["r-1", "r-2"])
    assert told[0] == "*2 waiting for you, 1 waiting for others, 1 to look at, 1 running, 1 paused.*"
    heads = [line for line in told if line.startswith("*") or "*" in line[:4]]
    assert heads[1:] == [
        "*Waits for you*",
        "✋ *Approval needed: soon*",
        "✋ *Approval needed: later*",
        "*Waits for others*",
        "✋ *Approval needed: not mine*",
        "*Needs a look*",
        "🚨 *Needs a person (did not help, undone): roll back Deployment shop/checkout to revision 41*",
        "*Runs now*",
        "🔎 *Checking if it helped: roll back Deployment shop/checkout to revision 41*",
        "*Paused*",
    ]
    assert "Decide by 03:07 UTC, 2 min left." in "\n".join(told)
    assert told.count("Approve") == 3
    assert "`remediator resume p-7`" in told


def test_what_a_person_has_taken_says_so_and_how_it_is_given_back() -> None:
    told = lines([], [replace(PAUSE, scope="episode:e-81aa03", why="Slack")])
    assert "🙋 episode e-81aa03 taken by ann (Slack)" in told
    assert "`remediator give-back e-81aa03`" in told


def test_many_are_counted() -> None:
    told = lines([replace(OFFERED, remediation_id=f"r-{i}") for i in range(40)], [PAUSE] * 40)
    assert told.count(f"… ({40 - SHOWN} more)") == 2


pauses = st.builds(
    Pause,
    id=hostile_text,
    scope=hostile_text,
    who=hostile_text,
    why=hostile_text,
    until=st.none() | st.just(NOW),
    created_at=st.just(NOW),
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=25)
@given(st.lists(hostile_stories, max_size=4), st.lists(pauses, max_size=3))
def test_no_value_breaks_the_home_tab(stories: list[Story], paused: list[Pause]) -> None:
    view = home(stories, paused, now=NOW)
    assert block_kit.view_problem(view) is None
    assert_inert(Message("-", tuple(view["blocks"])))


def test_a_report_is_a_title_a_sentence_and_lists() -> None:
    sections = [
        ReportSection(title="Handled alone", lines=((Code("r-1"), " scale shop/api"), ("restart *b*",)), more=3),
        ReportSection(title="Nothing here", lines=()),
    ]
    message = report("📋 Today", sections, lead="5 handled", links=[("Console", "https://a.example")])
    assert_sendable(message)
    assert message_lines(message) == [
        "📋 Today",
        "*5 handled*",
        "*Handled alone*",
        "• `r-1` scale shop/api",
        "• restart ∗b∗",  # noqa: RUF001
        "and 3 more",
        "<https://a.example|Console>",
    ]
    assert message.text == "📋 Today 5 handled"
    assert plain_report("📋 Today", sections, lead="5 handled").splitlines() == [
        "📋 Today",
        "5 handled",
        "",
        "Handled alone",
        "  r-1 scale shop/api",
        "  restart *b*",
        "  and 3 more",
    ]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(
    hostile_text,
    hostile_text,
    st.lists(
        st.builds(
            ReportSection,
            title=hostile_text,
            lines=st.lists(st.tuples(hostile_text, hostile_text.map(Code)), max_size=60).map(tuple),
        ),
        max_size=60,
    ),
)
def test_no_value_breaks_a_report(title: str, lead: str, sections: list[ReportSection]) -> None:
    message = report(title, sections, lead=lead)
    assert_sendable(message)
    assert_inert(message)
