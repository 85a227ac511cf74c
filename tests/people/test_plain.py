"""The same story on a terminal."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from remediator.people.plain import plain_message, plain_reply
from remediator.people.story import Story
from tests.people.hostile import hostile_stories
from tests.people.stories import ACTING, ROLLBACK


def test_a_proposal_can_be_answered_by_copying_a_line() -> None:
    assert plain_message(ROLLBACK).splitlines() == [
        "✋ Approval needed: roll back Deployment shop/checkout to revision 41",
        "  Please approve or reject. Without an answer nothing is changed and a person is asked.",
        "  Decide by     03:20 UTC, 15 min left at 03:05",
        "                remediator approve r-4f2c91",
        "                remediator reject r-4f2c91",
        "  Fires         HighErrorRate (critical) since 03:01 UTC (4 min): 20 % of requests to checkout fail",
        "  Change        image registry.example.com/shop/checkout:2.14.0 → registry.example.com/shop/checkout:2.13.7",
        "  Why           Released 14 min ago, errors rose from 0.1 % to 20 % since; revision 41 was healthy",
        "                for 6 days.",
        "  Undo          image goes back to registry.example.com/shop/checkout:2.14.0",
        "  Guards        all 8 pass",
        "  Who may       slack:@checkout-leads, role:sre (1 is enough)",
        "  r-4f2c91 · rollback-bad-release (approve) · cluster prod-eu · team-checkout · 03:05 UTC",
        "  Console: https://remediator.example.com/remediations/r-4f2c91",
        "  Runbook: https://runbooks.example.com/checkout/errors",
        "  Graph: https://prometheus.example.com/graph?g0.expr=rate%28x%5B5m%5D%29&g0.tab=1",
    ]


def test_a_change_of_state_is_one_line() -> None:
    assert plain_reply(ACTING) == "03:05:10 ▶ Acting: roll back Deployment shop/checkout to revision 41"


def test_values_cannot_steer_the_terminal() -> None:
    story = replace(ROLLBACK, headline="x\x1b[2J\x1b]0;owned\x07\r\nFixed", explanation="\u202egnp.exe")
    assert not set("\x1b\x07\r\u202e") & set(plain_message(story) + plain_reply(story))
    assert plain_message(story).splitlines()[0] == "✋ Approval needed: x[2J]0;owned Fixed"


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=25)
@given(hostile_stories)
def test_any_story_can_be_printed(story: Story) -> None:
    shown = plain_message(story) + plain_reply(story)
    assert "\x1b" not in shown
    shown.encode()
