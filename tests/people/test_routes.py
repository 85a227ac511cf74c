"""Who is told what: the table of states against severities, and where it goes."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import News, Routes, notices
from remediator.people.story import Story
from remediator.people.wording import WORDINGS
from tests.people.stories import ACTING, DENIED, ESCALATED, HELD, ROLLBACK, SUCCEEDED, SUGGESTED

QUIET = Routes.model_validate({"slack": {"default_channel": "C0OPS"}})
FULL = Routes.model_validate(
    {"slack": {"default_channel": "C0OPS", "mentions": ["S0CALL"]}, "pagerduty": {"default_service": "ops"}}
)


def kinds(messages: tuple[OutboxMessage, ...]) -> list[str]:
    """`post`, `update`, `reply`, and events by their action."""
    return [str(m.payload["event_action"]) if m.kind == "event" else m.kind for m in messages]


def rung(story: Story, routes: Routes = FULL) -> bool:
    return "trigger" in kinds(notices(story, News.STATE, routes))


ENDINGS = ("inconclusive", "escalated", "cancelled", "left_alone")
NEEDED = {"awaiting_approval", "asking", "denied", *ENDINGS}


@pytest.mark.parametrize(
    ("severity", "ringing"),
    [
        pytest.param("critical", NEEDED, id="critical: whenever a person is needed"),
        pytest.param("error", NEEDED, id="error: the same"),
        pytest.param("warning", set(ENDINGS), id="warning: only when automation failed"),
        pytest.param("unheard-of", set(ENDINGS), id="unknown: like a warning"),
        pytest.param("info", set(), id="info: never"),
    ],
)
def test_which_states_ring_the_pager(severity: str, ringing: set[str]) -> None:
    story = replace(ESCALATED, severity=severity)
    assert {state for state in WORDINGS if rung(replace(story, state=state))} == ringing


def test_every_ending_that_promises_a_person_reaches_the_channel() -> None:
    for state, words in WORDINGS.items():
        if words.needs_person:
            assert kinds(notices(replace(ESCALATED, state=state), News.STATE, QUIET))[0] in ("post", "update")


@pytest.mark.parametrize("state", ["received", "planned", "reserved", "observed"])
@pytest.mark.parametrize("news", News)
def test_inner_states_and_observations_are_not_told(state: str, news: News) -> None:
    assert notices(replace(ROLLBACK, state=state), news, FULL) == ()


def test_a_proposal_is_a_new_message_that_mentions_people() -> None:
    messages = notices(ROLLBACK, News.STATE, FULL)
    assert kinds(messages) == ["post", "reply", "reply", "trigger"]
    assert "<!subteam^S0CALL>" in str(messages[0].payload)


def test_what_changes_on_a_proposal_updates_it_in_silence() -> None:
    (message,) = notices(ROLLBACK, News.DETAIL, FULL)
    assert message.kind == "update"
    assert "subteam" not in str(message.payload)


def test_the_normal_course_updates_one_message() -> None:
    story = replace(ACTING, evidence=())
    assert kinds(notices(story, News.STATE, FULL)) == ["update", "reply"]
    assert kinds(notices(replace(SUCCEEDED, evidence=()), News.STATE, FULL)) == ["update", "reply", "resolve"]


def test_one_key_per_episode_and_channel() -> None:
    keys = {m.key for story in (ROLLBACK, ACTING, SUCCEEDED) for m in notices(story, News.STATE, FULL)}
    assert keys == {"slack/C0OPS/e-81aa03", "pagerduty/ops/e-81aa03"}


def test_a_failure_that_nothing_else_makes_heard_is_a_new_message() -> None:
    ended = replace(ESCALATED, evidence=())
    paged = Routes.model_validate({"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "ops"}})
    assert kinds(notices(ended, News.STATE, QUIET)) == ["post", "reply"]
    assert kinds(notices(ended, News.STATE, paged)) == ["update", "reply", "trigger"]
    assert kinds(notices(ended, News.STATE, FULL)) == ["update", "reply", "reply", "trigger"]
    assert kinds(notices(replace(ended, next_rung="restart"), News.STATE, QUIET)) == ["update", "reply"]


def test_people_are_called_in_the_thread_once_where_the_main_message_makes_no_sound() -> None:
    calls = []
    for state in ("inconclusive", "escalated"):
        main, _, call, _ = notices(replace(ESCALATED, state=state, evidence=()), News.STATE, FULL)
        assert "subteam" not in str(main.payload)
        assert "<!subteam^S0CALL>" in str(call.payload)
        calls.append(call.once)
    assert calls[0] == calls[1] != ""


def test_evidence_goes_into_the_thread_once_for_each_content() -> None:
    (first,) = notices(ROLLBACK, News.EVIDENCE, FULL)
    (same,) = notices(replace(ROLLBACK, state="held"), News.EVIDENCE, FULL)
    (other,) = notices(replace(ROLLBACK, evidence=ROLLBACK.evidence[:1]), News.EVIDENCE, FULL)
    assert (first.kind, first.once) == ("reply", same.once)
    assert other.once != first.once
    assert notices(ACTING, News.STATE, FULL)[2].once == first.once


def test_log_text_goes_to_chat_only_where_the_route_says_so() -> None:
    with_logs = Routes.model_validate({"slack": {"default_channel": "C0OPS", "logs": True}})
    assert "customer 4711" not in str(notices(ROLLBACK, News.STATE, FULL))
    assert "customer 4711" in str(notices(ROLLBACK, News.STATE, with_logs))


def test_a_pager_is_rung_once_for_a_remediation_and_reason() -> None:
    def once(state: str, remediation: str = "r-1") -> str:
        story = replace(ESCALATED, state=state, remediation_id=remediation)
        return next(m.once for m in notices(story, News.STATE, FULL) if m.kind == "event")

    assert once("inconclusive") == once("escalated") != once("awaiting_approval")
    assert once("escalated") != once("escalated", "r-2"), "the next rung rings again, on the same incident"


def test_each_question_of_a_remediation_rings() -> None:
    asked = replace(ROLLBACK, state="asking")
    stories = (ROLLBACK, replace(asked, step=1), replace(asked, step=3))
    assert len({notices(story, News.STATE, FULL)[-1].once for story in stories}) == 3


def test_that_a_denial_cleared_is_not_taken_for_the_denial() -> None:
    denied, cleared = (notices(DENIED, news, FULL)[1] for news in (News.STATE, News.CLEARED))
    assert denied.once != cleared.once == "slack/C0OPS/e-81aa03/cleared"


@pytest.mark.parametrize("story", [DENIED, SUGGESTED], ids=["denied", "suggested"])
def test_denials_and_suggestions_are_told_once_per_episode(story: Story) -> None:
    main, reply, _ = notices(story, News.STATE, QUIET)
    main_again, reply_again, _ = notices(replace(story, remediation_id="r-later"), News.STATE, QUIET)
    assert reply.once == reply_again.once != ""
    assert main.kind == main_again.kind == "update"


@pytest.mark.parametrize(("mode", "rings"), [("observe", False), ("suggest", False), ("approve", True), ("auto", True)])
def test_a_denial_climbs_only_where_something_would_have_been_done(mode: str, rings: bool) -> None:
    assert rung(replace(DENIED, mode=mode)) is rings


def test_the_next_rung_comes_before_the_pager_unless_it_is_grave() -> None:
    story = replace(ESCALATED, next_rung="restart-deployment")
    assert not rung(replace(story, severity="warning"))
    assert rung(replace(story, severity="critical"))
    assert rung(replace(story, severity="warning", next_rung=""))


def test_a_page_in_the_playbooks_ladder_rings_even_for_info() -> None:
    assert rung(replace(ESCALATED, severity="info", page_urgency="high"))
    assert not rung(replace(ROLLBACK, severity="info", page_urgency="high"))


def test_policy_can_be_changed_per_severity() -> None:
    routes = Routes.model_validate({"pagerduty": {"default_service": "ops", "policy": {"critical": "never"}}})
    assert not rung(ESCALATED, routes)
    assert rung(replace(ESCALATED, severity="error"), routes)


def test_recovery_resolves_even_after_an_ending_that_failed() -> None:
    assert kinds(notices(ESCALATED, News.CLEARED, FULL)) == ["update", "reply", "resolve"]
    assert "resolve" in kinds(notices(replace(ROLLBACK, state="superseded"), News.STATE, FULL))
    assert "resolve" not in kinds(notices(HELD, News.STATE, FULL))


def test_acknowledging_is_off_until_configured() -> None:
    on = Routes.model_validate({"pagerduty": {"default_service": "ops", "acknowledge": True}})
    assert kinds(notices(ACTING, News.STATE, FULL))[-1] != "acknowledge"
    assert kinds(notices(ACTING, News.STATE, on)) == ["acknowledge"]


ROUTED = Routes.model_validate(
    {
        "slack": {
            "default_channel": "C0OPS",
            "routes": [
                {"team": ["checkout"], "channels": ["C0CHECKOUT"], "mentions": ["S0CHECKOUT"]},
                {"severity": ["critical"], "namespace": ["shop*"], "channels": ["C0INCIDENT"], "mentions": ["U0LEAD"]},
                {"team": ["checkout"], "severity": ["critical"], "channels": ["C0CHECKOUT"], "mentions": ["U0LEAD"]},
            ],
        },
        "pagerduty": {"default_service": "ops", "routes": [{"team": ["checkout"], "service": "checkout"}]},
    }
)


@pytest.mark.parametrize(
    ("story", "channels"),
    [
        pytest.param(
            ROLLBACK,
            {"C0CHECKOUT": ("S0CHECKOUT", "U0LEAD"), "C0INCIDENT": ("U0LEAD",)},
            id="every route that holds",
        ),
        pytest.param(replace(ROLLBACK, severity="warning"), {"C0CHECKOUT": ("S0CHECKOUT",)}, id="severity"),
        pytest.param(replace(ROLLBACK, team="other"), {"C0INCIDENT": ("U0LEAD",)}, id="namespace by wildcard"),
        pytest.param(replace(ROLLBACK, team="other", namespace="pay"), {"C0OPS": ()}, id="default when none holds"),
        pytest.param(
            replace(ROLLBACK, team="other", namespace="pay", channels=("C0EXTRA", "C0OPS")),
            {"C0OPS": (), "C0EXTRA": ()},
            id="a playbook adds and never removes",
        ),
    ],
)
def test_slack_routes(story: Story, channels: dict[str, tuple[str, ...]]) -> None:
    assert ROUTED.slack.channels(story) == channels
    sent = [m.destination for m in notices(story, News.DETAIL, ROUTED) if m.kind == "update"]
    assert sorted(sent) == sorted(channels)


def test_pager_routes() -> None:
    assert ROUTED.pagerduty.service(ROLLBACK) == "checkout"
    assert ROUTED.pagerduty.service(replace(ROLLBACK, team="other")) == "ops"
    assert notices(ESCALATED, News.STATE, Routes()) == ()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"slack": {"default_channel": "#ops"}}, id="channel by name"),
        pytest.param({"slack": {"mentions": ["channel"]}}, id="@channel"),
        pytest.param({"slack": {"mentions": ["<!here>"]}}, id="@here"),
        pytest.param({"slack": {"routes": [{"team": ["a"]}]}}, id="route to nowhere"),
        pytest.param({"slack": {"routes": [{"severity": ["sev1"], "channels": ["C0A"]}]}}, id="unknown severity"),
        pytest.param({"pagerduty": {"policy": {"critical": "sometimes"}}}, id="unknown policy"),
        pytest.param({"slak": {}}, id="misspelt key"),
    ],
)
def test_bad_configuration_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Routes.model_validate(config)
