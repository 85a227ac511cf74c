"""Who is told what: the table of states against severities, and where it goes."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from remediator.people.mentions import schedules, with_people
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.quiet_hours import QuietHours
from remediator.people.routes import RESULTS, News, Routes, follow_ups, notices
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


ENDINGS = ("inconclusive", "escalated", "cancelled", "left_alone", "hold_over", "hold_stays")
NEEDED = {"awaiting_approval", "asking", "denied", *ENDINGS}


@pytest.mark.parametrize(
    ("severity", "ringing"),
    [
        pytest.param("critical", NEEDED, id="critical: whenever a person is needed"),
        pytest.param("error", NEEDED, id="error: the same"),
        pytest.param("warning", set(ENDINGS), id="warning: only when automation failed"),
        pytest.param("unheard-of", NEEDED, id="unknown word: it may be the gravest"),
        pytest.param("", set(ENDINGS), id="nothing said: like a warning"),
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


MORE = Routes.model_validate(
    {
        "slack": {
            "default_channel": "C0OPS",
            "routes": [
                {"outcome": ["failed"], "channels": ["C0FAILED"], "mentions": ["S0LEADS"]},
                {"environment": ["prod*"], "severity": ["sev1"], "channels": ["C0PROD"]},
                {"playbook": ["rollback-*"], "project": ["shop"], "channels": ["C0RELEASE"]},
            ],
        },
        "others": [
            {"severity": ["sev1", "sev2"], "to": ["apprise:mail-ops"]},
            {"outcome": ["failed", "denied"], "to": ["ticket:jira", "webhook:cmdb"]},
        ],
    }
)
STORY = replace(ROLLBACK, environment="production", project="shop", evidence=())


@pytest.mark.parametrize(
    ("story", "channels"),
    [
        pytest.param(STORY, {"C0PROD", "C0RELEASE"}, id="environment, severity, playbook and project"),
        pytest.param(replace(STORY, environment="staging"), {"C0RELEASE"}, id="another environment"),
        pytest.param(replace(STORY, project="pay"), {"C0PROD"}, id="another project"),
        pytest.param(replace(STORY, sev="sev2"), {"C0RELEASE"}, id="our own word for the severity"),
        pytest.param(replace(STORY, playbook="scale", sev="sev3"), {"C0OPS"}, id="none holds"),
        pytest.param(
            replace(STORY, playbook="scale", sev="sev3", state="escalated"),
            {"C0OPS", "C0FAILED"},
            id="an outcome comes on top of the default",
        ),
    ],
)
def test_routes_by_everything_else(story: Story, channels: set[str]) -> None:
    assert set(MORE.slack.channels(story)) == channels


def test_every_state_is_some_outcome() -> None:
    told = {state for state, words in WORDINGS.items() if words.told}
    assert told == set(RESULTS)


def test_a_channel_for_failures_hears_how_they_go_on_but_of_nothing_that_never_failed() -> None:
    failed, fixed = (replace(STORY, state=state) for state in ("escalated", "succeeded"))
    assert "C0FAILED" in {m.destination for m in notices(failed, News.STATE, MORE)}
    assert "C0FAILED" not in {m.destination for m in notices(fixed, News.STATE, MORE)}
    assert {(m.destination, m.kind) for m in follow_ups(fixed, News.STATE, MORE)} == {
        ("C0FAILED", "update"),
        ("C0FAILED", "reply"),
    }
    assert follow_ups(failed, News.STATE, MORE) == ()
    assert "post" not in {m.kind for m in follow_ups(STORY, News.STATE, MORE)}, "no second call"


@pytest.mark.parametrize(
    ("story", "to"),
    [
        pytest.param(STORY, ("apprise:mail-ops",), id="a question"),
        pytest.param(
            replace(STORY, state="escalated"), ("apprise:mail-ops", "ticket:jira", "webhook:cmdb"), id="a failure"
        ),
        pytest.param(replace(STORY, state="succeeded", sev="sev3"), (), id="nobody asked for it"),
    ],
)
def test_other_channels(story: Story, to: tuple[str, ...]) -> None:
    assert MORE.elsewhere(story) == to
    sent = {f"{m.channel}:{m.destination}" for m in notices(story, News.STATE, MORE)} - {
        f"slack:{c}" for c in MORE.slack.channels(story)
    }
    assert sent == set(to)


def test_every_message_that_asks_says_how_to_answer_without_slack() -> None:
    for message in notices(STORY, News.STATE, MORE):
        if message.channel in ("slack", "apprise", "webhook"):
            text = json.dumps(message.payload)
            if message.kind in ("post", "event"):
                assert f"remediator approve {STORY.remediation_id}" in text
                assert STORY.console_url in text.replace("\\/", "/")


def test_whoever_is_on_call_is_looked_up_when_the_message_leaves() -> None:
    routes = Routes.model_validate(
        {"slack": {"default_channel": "C0OPS", "mentions": ["oncall:pagerduty/PSCHED1", "U0ANN"]}}
    )
    post = notices(STORY, News.STATE, routes)[0]
    assert schedules(post.payload) == ("oncall:pagerduty/PSCHED1",)
    reached = json.dumps(with_people(post.payload, {"oncall:pagerduty/PSCHED1": ("U0BOB", "U0EVE")}))
    assert "<@U0BOB> <@U0EVE> <@U0ANN>" in reached
    assert "<@oncall" not in reached
    lost = json.dumps(with_people(post.payload, {}))
    assert "(nobody could be found for oncall:pagerduty/PSCHED1) <@U0ANN>" in lost


def test_a_label_cannot_name_a_schedule() -> None:
    story = replace(STORY, headline="<@oncall:pagerduty/PSCHED1>", target="<@oncall:pagerduty/P1>")
    for message in notices(story, News.STATE, MORE):
        assert schedules(message.payload) == () or message.channel != "slack"


QUIET_NIGHT = QuietHours.model_validate(
    {"windows": [{"cron": "0 22 * * *", "duration": "9h", "zone": "UTC"}], "severity": ["sev3", "sev4"]}
)
AUTO = replace(STORY, mode="auto", approval=None, severity="warning", sev="sev3")


@pytest.mark.parametrize(
    ("story", "waits"),
    [
        pytest.param(replace(AUTO, state="succeeded"), True, id="a success note"),
        pytest.param(replace(AUTO, state="held"), True, id="held"),
        pytest.param(replace(AUTO, state="succeeded", sev="sev2"), False, id="grave"),
        pytest.param(replace(AUTO, state="escalated"), False, id="a person is needed"),
        pytest.param(replace(AUTO, state="denied"), False, id="the alert is yours"),
        pytest.param(replace(STORY, sev="sev4"), False, id="a question"),
        pytest.param(replace(STORY, sev="sev4", state="succeeded"), False, id="whoever answered wants to see it"),
        pytest.param(replace(AUTO, state="uncertain"), False, id="not sure it landed"),
    ],
)
def test_only_what_can_wait_waits_for_the_morning(story: Story, waits: bool) -> None:
    told = notices(story, News.STATE, MORE, quiet=QUIET_NIGHT)
    morning = story.now.replace(hour=7, minute=0, second=0)
    assert {m.not_before for m in told} == {morning if waits else None}
    by_day = replace(story, now=story.now.replace(hour=12))
    assert {m.not_before for m in notices(by_day, News.STATE, MORE, quiet=QUIET_NIGHT)} == {None}


def test_a_page_never_waits() -> None:
    always = QuietHours.model_validate(
        {
            "windows": [{"cron": "* * * * *", "duration": "1h", "zone": "UTC"}],
            "severity": ["sev1", "sev2", "sev3", "sev4"],
        }
    )
    for state in WORDINGS:
        story = replace(AUTO, state=state, severity="critical", sev="")
        for message in notices(story, News.STATE, FULL, quiet=always):
            assert message.channel != "pagerduty" or message.not_before is None
            assert WORDINGS[state].page == "" or message.not_before is None


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"slack": {"default_channel": "#ops"}}, id="channel by name"),
        pytest.param({"slack": {"mentions": ["channel"]}}, id="@channel"),
        pytest.param({"slack": {"mentions": ["<!here>"]}}, id="@here"),
        pytest.param({"slack": {"routes": [{"team": ["a"]}]}}, id="route to nowhere"),
        pytest.param({"slack": {"routes": [{"severity": ["P1"], "channels": ["C0A"]}]}}, id="depends on who says it"),
        pytest.param({"slack": {"routes": [{"outcome": ["lost"], "channels": ["C0A"]}]}}, id="unknown outcome"),
        pytest.param({"slack": {"mentions": ["oncall:nagios/x"]}}, id="unknown rota"),
        pytest.param({"pagerduty": {"routes": [{"outcome": ["failed"], "service": "a"}]}}, id="a service by outcome"),
        pytest.param({"others": [{"to": ["mail-ops"]}]}, id="elsewhere without its kind"),
        pytest.param({"others": [{"to": ["slack:C0A"]}]}, id="slack is not elsewhere"),
        pytest.param({"pagerduty": {"policy": {"critical": "sometimes"}}}, id="unknown policy"),
        pytest.param({"slak": {}}, id="misspelt key"),
    ],
)
def test_bad_configuration_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Routes.model_validate(config)
