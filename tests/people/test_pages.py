"""What goes to the pager: within PagerDuty's contract, one key per episode, and never a line of a log."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.people.pages import acknowledge_event, dedup_key, resolve_event, severity, trigger_event
from remediator.people.story import Story, Urgency
from tests.people.hostile import hostile_stories
from tests.people.stories import ESCALATED, ROLLBACK
from tests.support.fake_pagerduty import ROUTING_KEY, FakePagerDuty


def problem(event: dict[str, object]) -> str:
    fake = FakePagerDuty()
    found = fake.problem(json.loads(json.dumps({**event, "routing_key": ROUTING_KEY})))
    return found or "; ".join(fake.violations)


def test_a_trigger_says_what_is_needed() -> None:
    event = trigger_event(ESCALATED)
    assert problem(event) == ""
    assert event["dedup_key"] == "remediator/eu-1/prod-eu/e-81aa03"
    payload = event["payload"]
    assert payload["summary"] == (
        "Needs a person (did not help, undone): roll back Deployment shop/checkout to revision 41 [prod-eu]"
    )
    assert payload["severity"] == "critical"
    assert payload["source"] == "prod-eu/Deployment shop/checkout"
    assert payload["class"] == "HighErrorRate"
    assert payload["custom_details"]["needed"] == "Please look. The change was taken back, the problem is still there."
    assert payload["custom_details"]["before → now"][0] == "error_ratio 20 % → 35 % ✗"
    assert [link["text"] for link in event["links"]] == ["Console", "Runbook", "Graph"]
    assert event["client_url"] == "https://remediator.example.com/remediations/r-4f2c91"


def test_a_proposal_brings_the_commands() -> None:
    details = trigger_event(ROLLBACK)["payload"]["custom_details"]
    when, *commands = details["decide by"]
    assert when.startswith("03:20 UTC")
    assert commands == ["remediator approve r-4f2c91", "remediator reject r-4f2c91"]


def test_log_text_never_reaches_the_pager() -> None:
    assert "customer 4711" not in json.dumps(trigger_event(ROLLBACK))
    assert trigger_event(ROLLBACK)["payload"]["custom_details"]["evidence"][0] == "Logs: 50 lines, 31 with ERROR"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        *[(label, "critical") for label in ("critical", "page", "Emergency", " CRITICAL ", "P1")],
        *[(label, "error") for label in ("error", "high", "major", "P2", "whatever")],
        *[(label, "warning") for label in ("warning", "minor", "", "P3")],
        *[(label, "info") for label in ("info", "none", "low")],
    ],
)
def test_severities(label: str, expected: str) -> None:
    assert severity(label) == expected


@pytest.mark.parametrize(
    ("label", "urgency", "expected"),
    [
        ("warning", "high", "error"),
        ("info", "high", "error"),
        ("critical", "high", "critical"),
        ("critical", "low", "critical"),
        ("warning", "", "warning"),
    ],
)
def test_the_playbooks_own_page_only_raises_the_urgency(label: str, urgency: Urgency, expected: str) -> None:
    event = trigger_event(replace(ESCALATED, severity=label, page_urgency=urgency))
    assert event["payload"]["severity"] == expected


def test_what_we_made_worse_is_urgent() -> None:
    event = trigger_event(replace(ESCALATED, severity="warning", outcome="undo_failed"))
    assert event["payload"]["severity"] == "error"
    assert event["payload"]["summary"].startswith("Needs a person (undo failed): ")


def test_one_key_from_trigger_to_resolve_and_another_for_another_episode() -> None:
    later = replace(ESCALATED, remediation_id="r-2", state="succeeded", playbook="other")
    assert trigger_event(ESCALATED)["dedup_key"] == resolve_event(later)["dedup_key"]
    assert acknowledge_event(later)["dedup_key"] == dedup_key(later)
    assert dedup_key(replace(later, episode_id="e-2")) != dedup_key(later)
    assert dedup_key(replace(later, instance_id="eu-2")) != dedup_key(later)


def test_a_long_key_is_hashed() -> None:
    long = replace(ESCALATED, episode_id="e" * 400)
    assert len(dedup_key(long)) <= 255
    assert dedup_key(long) == dedup_key(long)
    assert dedup_key(long) != dedup_key(replace(long, episode_id="e" * 401))


def test_resolve_and_acknowledge_carry_nothing_else() -> None:
    assert resolve_event(ESCALATED) == {"event_action": "resolve", "dedup_key": dedup_key(ESCALATED)}
    assert problem(resolve_event(ESCALATED)) == ""
    assert problem(acknowledge_event(ESCALATED)) == ""


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories)
def test_any_story_makes_a_valid_event(story: Story) -> None:
    event = trigger_event(story)
    assert problem(event) == ""
    assert len(json.dumps(event)) < 200_000
    assert "\n" not in event["payload"]["summary"]
