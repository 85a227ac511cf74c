"""notify_first: nothing disruptive happens by itself while nobody could be told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.guardrails import notify_first
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import Channel, EffectiveLimits
from remediator.guardrails.verdict import Answer
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import Project
from tests.guardrails.make import facts

SLACK, PAGER = Channel(name="slack"), Channel(name="pagerduty")
NO_SLACK, NO_PAGER = replace(SLACK, problem="503"), replace(PAGER, problem="no answer within 3 s")
ALL_DOWN = (NO_SLACK, NO_PAGER)


@pytest.mark.parametrize(
    ("channels", "answer"),
    [
        pytest.param((), Answer.NOT_APPLICABLE, id="none is configured"),
        pytest.param((SLACK, PAGER), Answer.PASS, id="both work"),
        pytest.param((NO_SLACK, PAGER), Answer.PASS, id="the pager works"),
        pytest.param((SLACK, NO_PAGER), Answer.PASS, id="the chat works"),
        pytest.param(ALL_DOWN, Answer.SUGGEST, id="neither"),
        pytest.param((NO_PAGER,), Answer.SUGGEST, id="the only one does not"),
    ],
)
def test_one_channel_is_enough(channels, answer):
    assert notify_first.check(facts(channels=channels)).answer is answer


@pytest.mark.parametrize(
    ("mode", "ceiling", "answer"),
    [
        pytest.param(Mode.AUTO, Mode.AUTO, Answer.SUGGEST, id="auto"),
        pytest.param(Mode.AUTO, Mode.APPROVE, Answer.NOT_APPLICABLE, id="auto, but not here"),
        pytest.param(Mode.APPROVE, Mode.AUTO, Answer.NOT_APPLICABLE, id="a person is asked anyway"),
        pytest.param(Mode.OBSERVE, Mode.AUTO, Answer.NOT_APPLICABLE, id="nothing is done anyway"),
    ],
)
def test_only_what_happens_by_itself(mode, ceiling, answer):
    asked = facts(channels=ALL_DOWN, limits=EffectiveLimits(mode=mode, mode_ceiling=ceiling))
    assert notify_first.check(asked).answer is answer


@pytest.mark.parametrize(
    ("mode", "answer"), [(Mode.AUTO, Answer.SUGGEST), (Mode.APPROVE, Answer.NOT_APPLICABLE)], ids=["auto", "approve"]
)
def test_the_projects_mode_counts_too(mode, answer):
    given = {"name": "p", "playbooks": {"folders": ["p"]}, "clusters": ["prod"], "namespaces": ["shop"]}
    project = Project.model_validate({**given, "mode": mode})
    assert notify_first.check(facts(channels=ALL_DOWN, project=project)).answer is answer


def test_only_what_disrupts():
    assert notify_first.check(facts(channels=ALL_DOWN, action_disruptive=False)).answer is Answer.NOT_APPLICABLE


def test_a_person_who_has_approved_it_knows():
    assert notify_first.check(facts(channels=ALL_DOWN, approved=True)).answer is Answer.PASS


def test_what_is_under_way_is_not_broken_off():
    """A no in the middle is the way to an undo, and losing Slack must not cause one (invariant 15)."""
    assert notify_first.check(facts(channels=ALL_DOWN, started=True)).answer is Answer.PASS


def test_each_channel_is_named_with_its_problem():
    verdict = notify_first.check(facts(channels=ALL_DOWN))
    assert explain([verdict], subject="restart Deployment shop/api") == (
        "SUGGESTED restart Deployment shop/api: notify_first. 0 of 2 channels can be reached, nobody can be told: "
        "slack: 503; pagerduty: no answer within 3 s. A person can do it by hand, or the alert fires anew."
    )
    assert verdict.facts == {"channels": 2, "working": 0}
    assert notify_first.check(facts(channels=(SLACK, NO_PAGER))).reason == "1 of 2 channels can be reached"
