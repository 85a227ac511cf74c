"""Events and annotations: what was done and how it ended, never what was only thought about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.objects import ObjectRef
from remediator.people.beside import (
    NOTE_LIMIT,
    NOTHING_BESIDE,
    Beside,
    DashboardMatch,
    Effected,
    Scene,
    beside,
)
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.story import Story
from tests.people.channels.rows import SEARCH, shown
from tests.people.hostile import hostile_stories
from tests.people.stories import ACTING, DENIED, ESCALATED, INCONCLUSIVE, NOW, SUCCEEDED

TARGET = ObjectRef("Deployment", "shop", "checkout")
ACTED_AT = NOW - timedelta(minutes=2)
EFFECT = Effected(id="r-4f2c91/0.0", summary="image a -> b")
UNDER_WAY = Scene(target=TARGET, uid="u-1", effects=(EFFECT,), acted_at=ACTED_AT)
OVER = replace(UNDER_WAY, effects=(), verdict=True)
DASHBOARD = DashboardMatch(uid="checkout-overview", panel=4, namespace=("shop*",), target=("checkout",))


def events(story: Story, scene: Scene | None) -> list[OutboxMessage]:
    return list(beside(story, scene, Beside(kubernetes_events=True)))


def drawn(
    story: Story, scene: Scene | None, dashboards: tuple[DashboardMatch, ...] = (DASHBOARD,)
) -> list[OutboxMessage]:
    return list(beside(story, scene, Beside(dashboards=dashboards)))


def test_an_effect_is_told_on_its_target() -> None:
    (made,) = events(ACTING, UNDER_WAY)
    assert (made.channel, made.destination, made.kind) == ("kubernetes_event", "prod-eu", "event")
    told = made.payload
    assert (told["kind"], told["namespace"], told["name"], told["uid"]) == ("Deployment", "shop", "checkout", "u-1")
    assert (told["reason"], told["type"]) == ("Remediating", "Normal")
    assert told["note"] == "image a → b (playbook rollback-bad-release, remediation r-4f2c91)"


VERDICTS = [
    pytest.param(SUCCEEDED, "RemediationSucceeded", "Normal", id="it helped"),
    pytest.param(ESCALATED, "RemediationUndone", "Warning", id="undone"),
    pytest.param(INCONCLUSIVE, "RemediationInconclusive", "Warning", id="nobody can tell"),
    pytest.param(replace(ESCALATED, outcome="undo_failed"), "RemediationUndoFailed", "Warning", id="worse"),
    pytest.param(replace(ESCALATED, outcome="stopped"), "RemediationStopped", "Warning", id="stopped"),
]


@pytest.mark.parametrize(("story", "reason", "kind"), VERDICTS)
def test_a_verdict_is_told_on_its_target(story: Story, reason: str, kind: str) -> None:
    (made,) = events(story, OVER)
    assert (made.payload["reason"], made.payload["type"]) == (reason, kind)
    assert story.explanation[:20] in made.payload["note"]


def test_an_effect_that_is_also_the_end() -> None:
    assert [m.payload["reason"] for m in events(SUCCEEDED, replace(OVER, effects=(EFFECT,)))] == [
        "Remediating",
        "RemediationSucceeded",
    ]


def test_nothing_was_done_nothing_is_told() -> None:
    """A denial is a thought: the object's own history is not the place for it."""
    for scene in (None, replace(UNDER_WAY, effects=())):
        assert events(DENIED, scene) == drawn(DENIED, scene) == []
    assert beside(SUCCEEDED, OVER, NOTHING_BESIDE) == ()


def test_told_once() -> None:
    """Judged anew after a crash, it is the same row and the same Event."""
    (first,), (again,) = events(ACTING, UNDER_WAY), events(replace(ACTING, now=NOW + timedelta(1)), UNDER_WAY)
    assert first.once == again.once
    assert first.payload["id"] == again.payload["id"]
    (other,) = events(ACTING, replace(UNDER_WAY, effects=(Effected(id="r-4f2c91/0.1", summary="x"),)))
    assert other.once != first.once


def test_annotations_are_brought_up_to_date_in_place() -> None:
    (begun,), (over,) = drawn(ACTING, UNDER_WAY), drawn(SUCCEEDED, OVER)
    assert begun.key == over.key
    assert (begun.kind, over.kind) == ("update", "update")
    assert begun.payload["time"] == begun.payload["timeEnd"] == over.payload["time"] < over.payload["timeEnd"]


MATCHES = [
    pytest.param({}, True, id="everything"),
    pytest.param({"namespace": ("shop",)}, True, id="namespace"),
    pytest.param({"namespace": ("pay*", "sh*")}, True, id="one of them"),
    pytest.param({"namespace": ("pay",)}, False, id="another namespace"),
    pytest.param({"target": ("checkout",), "team": ("pay",)}, False, id="all must hold"),
    pytest.param({"cluster": ("prod-*",), "team": ("checkout",)}, True, id="cluster and team"),
]


@pytest.mark.parametrize(("given_", "holds"), MATCHES)
def test_which_dashboard(given_: dict[str, tuple[str, ...]], holds: bool) -> None:
    found = drawn(ACTING, UNDER_WAY, (DashboardMatch.model_validate({"uid": "d", **given_}),))
    assert [m.destination for m in found] == (["d"] if holds else ["organisation"])


def test_two_panels_are_two_annotations_and_twice_the_same_is_one() -> None:
    boards = (DASHBOARD, DASHBOARD, DASHBOARD.model_copy(update={"panel": 5}))
    assert len({m.key for m in drawn(ACTING, UNDER_WAY, boards)}) == 2
    assert len(drawn(ACTING, UNDER_WAY, boards)) == 2


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], phases=SEARCH)
@given(story=hostile_stories)
def test_hostile_values(story: Story) -> None:
    scene = replace(OVER, effects=(Effected(id=story.remediation_id, summary=story.headline),))
    for made in events(story, scene):
        note = made.payload["note"]
        assert len(note) <= NOTE_LIMIT
        assert shown(note)
        assert "customer 4711" not in note
    for made in drawn(story, scene):
        text = made.payload["text"]
        assert text.count("<") in (0, 2)  # our own link to the console, or none
        assert all(len(tag) <= 100 and shown(tag) for tag in made.payload["tags"])
