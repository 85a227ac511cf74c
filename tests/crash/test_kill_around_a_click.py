"""Must-show: killed between proposal and click, and between click and effect: one effect, one word, the right message.

The effects are counted in the API server's audit log. After the restart nothing is clicked or posted again.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from remediator.people.buttons import Button
from tests.support.controlplane import wait_until
from tests.support.fake_slack import FakeMessage
from tests.support.fixtures_workplace import MakeScene
from tests.support.workplace import ANN, BOB, EVE, Scene, approve_playbook


def finished_once(scene: Scene, message: FakeMessage) -> None:
    """One effect, one word, and one message that tells both."""
    scene.ended()
    scene.until_shown(message, "Fixed", "approved by ann")
    scene.one_effect()
    assert scene.consents() == ["ann"]
    assert scene.messages() == [message], "no second proposal"
    assert scene.place.slack.whispered(ANN) == [], "who got his way hears no refusal"
    wait_until(lambda: scene.incident().status == "resolved", timeout_s=60, what="the incident is resolved")
    assert len([e for e in scene.incident().events if e["event_action"] == "trigger"]) == 1


def test_between_proposal_and_click(make_scene: MakeScene) -> None:
    """A click while nobody is there fails where the person sees it; after the restart the same button counts."""
    scene = make_scene().start()
    message = scene.proposed()
    scene.service.kill()
    reply = scene.place.do(scene.place.slack.click(ANN, message, Button.APPROVE))
    assert reply.status == 0
    scene.start()
    assert scene.effects() == []
    scene.click(ANN, message, Button.APPROVE)
    finished_once(scene, message)


@pytest.mark.parametrize("point", ["click_stored", "click_decided", "before_look", "before_row"])
def test_between_the_click_and_the_request(make_scene: MakeScene, tmp_path: Path, point: str) -> None:
    """Slack had its 200, so the click counts, although the process dies before anything is sent."""
    scene = make_scene().start(module="tests.support.stopping", STOP_AT=point, STOP_FILE=str(tmp_path / "stop"))
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    wait_until((tmp_path / "stop.reached").exists, timeout_s=60, what=f"at {point}")
    scene.service.kill()
    assert scene.effects() == []
    scene.start()
    finished_once(scene, message)


@pytest.mark.parametrize("point", ["between_row_and_request", "in_the_call", "after_the_answer", "after_the_outcome"])
def test_around_the_request(make_scene: MakeScene, point: str) -> None:
    scene = make_scene().start(module="tests.support.crashing", CRASH_AT=point)
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    assert scene.service.wait_gone() == -signal.SIGKILL
    scene.start()
    finished_once(scene, message)


def test_between_two_approvals(make_scene: MakeScene) -> None:
    """The first word survives; the second one completes it, and nobody's word counts twice."""
    scene = make_scene(approve_playbook(f"slack:{ANN}", f"slack:{BOB}", quorum=2)).start()
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    scene.until_shown(message, "1 of 2")
    scene.service.kill()
    scene.start()
    scene.click(ANN, message, Button.APPROVE)
    scene.click(EVE, message, Button.APPROVE)
    scene.until_whispered(EVE, "Not done")
    assert scene.effects() == []
    scene.click(BOB, message, Button.APPROVE)
    scene.ended()
    scene.one_effect()
    assert sorted(scene.consents()) == ["ann", "slack:T0TEAM/U0BOB"]
