"""Must-show: people decide, with the real process and the real API server. Effects are counted in its audit log.

Slack and PagerDuty are the fakes that check what the real ones check; they live in the test's own process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.people.buttons import Button
from tests.support.controlplane import AlertmanagerServer, wait_until
from tests.support.fake_http import Fault
from tests.support.fixtures_workplace import MakeScene
from tests.support.monitoring import routing
from tests.support.real_servers import started
from tests.support.service import alert
from tests.support.workplace import ANN, BOB, CAT, EVE, GROUP, Scene, Workplace, approve_playbook, mentioned

POST, UPDATE = "chat.postMessage", "chat.update"


def told_everywhere(scene: Scene) -> None:
    """What an approved restart that helped leaves behind, wherever people look."""
    scene.one_effect()

    def told() -> bool:
        incident = scene.incident()
        assert incident.status == "resolved"
        assert incident.events[0]["event_action"] == "trigger"
        assert incident.notes, "evidence belongs on the incident"
        changes = [c for c in scene.place.pagerduty.changes if scene.namespace in str(c)]
        assert len(changes) == 1, changes
        return True

    wait_until(told, timeout_s=60, what="PagerDuty knows")
    wait_until(lambda: "RemediationSucceeded" in scene.kubernetes_events(), timeout_s=60, what="Events on the target")


def test_from_alertmanager_to_a_click_to_the_end(make_scene: MakeScene, tmp_path: Path) -> None:
    """One proposal, one click, one effect, and the same message tells who decided and how it ended."""
    scene = make_scene()
    nobody = {"route": {"receiver": "x"}, "receivers": [{"name": "x"}]}
    with started(AlertmanagerServer(tmp_path / "am", nobody)) as alertmanager:
        scene.config["alertmanager"] = {"url": alertmanager.url}
        scene.start()
        alertmanager.config = routing(scene.service.url)
        alertmanager.reload()
        fired = alert("Stuck", scene.namespace, deployment="api")
        alertmanager.post_alerts({k: fired[k] for k in ("labels", "annotations", "startsAt")})
        message = scene.proposal()
        assert mentioned(message)
        assert scene.effects() == []
        assert scene.incident().status == "triggered"
        scene.click(ANN, message, Button.APPROVE)
        scene.ended()
        scene.until_shown(message, "Fixed", "approved by ann")
    assert scene.messages() == [message], "one message, updated in place"
    versions = [v.text for v in message.versions]
    assert "Approval needed" in versions[0]
    assert scene.consents() == ["ann"]
    told_everywhere(scene)


def test_the_same_over_socket_mode(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.use_socket_mode()
    scene.start()
    wait_until(lambda: scene.place.slack.sockets, timeout_s=60, what="a socket")
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    scene.ended()
    scene.until_shown(message, "Fixed", "approved by ann")
    told_everywhere(scene)


def test_two_of_three_must_agree_and_one_cannot_agree_twice(make_scene: MakeScene) -> None:
    scene = make_scene(approve_playbook(f"slack:{ANN}", f"slack:{BOB}", f"slack:{CAT}", quorum=2)).start()
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    scene.until_shown(message, "1 of 2")
    scene.click(ANN, message, Button.APPROVE)
    scene.click(EVE, message, Button.APPROVE)
    scene.until_whispered(EVE, "Not done")
    assert scene.effects() == []
    scene.click(BOB, message, Button.APPROVE)
    scene.ended()
    scene.one_effect()
    assert sorted(scene.consents()) == ["ann", "slack:T0TEAM/U0BOB"]
    scene.until_shown(message, "Fixed", "ann", BOB)


def test_a_veto_after_one_approval_is_final(make_scene: MakeScene) -> None:
    scene = make_scene(approve_playbook(f"slack:{ANN}", f"slack:{BOB}", quorum=2)).start()
    message = scene.proposed()
    scene.click(ANN, message, Button.APPROVE)
    scene.until_shown(message, "1 of 2")
    late = scene.place.slack.element(message.blocks, Button.APPROVE)
    scene.click(BOB, message, Button.REJECT)
    dialog = wait_until(lambda: scene.place.slack.the_view(BOB), timeout_s=60, what="the dialog")
    assert scene.place.do(scene.place.slack.submit(BOB, dialog, reason="a release is under way")).ok
    scene.ended("rejected")
    scene.until_shown(message, "Rejected", "a release is under way")
    scene.click(BOB, message, Button.APPROVE, element=late)
    scene.until_whispered(BOB, "Not done")
    assert scene.effects() == []


def test_nobody_answers(make_scene: MakeScene) -> None:
    """It expires: nothing is done, a person is asked, and a click that comes too late is told why it does not count."""
    scene = make_scene(approve_playbook(expires="4s")).start()
    message = scene.proposed()
    late = scene.place.slack.element(message.blocks, Button.APPROVE)
    scene.ended("escalated")
    newest = wait_until(lambda: [m for m in scene.messages() if "nobody" in m.shown.lower()], timeout_s=60, what="told")
    assert scene.place.slack.elements(newest[-1].blocks, Button.APPROVE) == []
    scene.click(ANN, message, Button.APPROVE, element=late)
    scene.until_whispered(ANN, "Not done")
    assert scene.effects() == []
    assert scene.incident().status == "triggered"


def test_snoozed_and_then_approved(make_scene: MakeScene) -> None:
    scene = make_scene().start()
    message = scene.proposed()
    scene.click(ANN, message, Button.SNOOZE, option="30m")
    scene.ended("snoozed")
    scene.until_shown(message, "Snoozed")
    assert scene.effects() == []
    scene.click(ANN, message, Button.APPROVE)
    scene.ended()
    scene.one_effect()


def test_a_group_that_cannot_be_read_lets_nobody_in(make_scene: MakeScene) -> None:
    scene = make_scene(approve_playbook("slack:@sre")).start()
    message = scene.proposed()
    scene.place.fail("usergroups.list", Fault(error="internal_error"), times=3)
    scene.place.fail("usergroups.users.list", Fault(status=503), times=3)
    scene.click(BOB, message, Button.APPROVE)
    scene.until_whispered(BOB, "Could not be read")
    assert scene.effects() == []
    assert scene.consents() == []
    scene.place.mend()
    scene.click(CAT, message, Button.APPROVE)
    scene.until_whispered(CAT, "Not done")
    scene.click(BOB, message, Button.APPROVE)
    scene.ended()
    scene.one_effect()
    assert GROUP in scene.place.slack.groups


def storm(place: Workplace, *calls: str) -> None:
    """Slack refuses what comes next, in the ways that it documents for a bad moment."""
    for call in calls:
        place.fail(call, Fault(error="internal_error"))
        place.fail(call, Fault(status=429, retry_after="1"), times=2)


def test_a_storm_of_refusals_at_slack_loses_nothing(make_scene: MakeScene) -> None:
    scene = make_scene().start()
    storm(scene.place, POST)
    message = scene.proposed()
    storm(scene.place, POST, UPDATE, "users.info")
    scene.click(ANN, message, Button.APPROVE)
    scene.ended()
    scene.until_shown(message, "Fixed", "approved by ann")
    assert scene.messages() == [message]
    scene.one_effect()
    assert scene.consents() == ["ann"]
    assert [scene.place.slack.faults_left(call) for call in (POST, UPDATE, "users.info")] == [0, 0, 0]


def test_a_proposal_that_was_posted_although_nobody_answered(make_scene: MakeScene) -> None:
    """It is posted again: only the newer one counts, and the older one says so."""
    scene = make_scene().start()
    scene.place.fail(POST, Fault(hang="after"))
    message = scene.proposed()
    first, second = scene.messages()
    assert message is second
    scene.click(ANN, first, Button.APPROVE)
    scene.until_whispered(ANN, "not the message on record")
    assert scene.effects() == []
    scene.click(ANN, second, Button.APPROVE)
    scene.ended()
    scene.one_effect()
    scene.until_shown(second, "Fixed")


@pytest.mark.parametrize("point", ["before_look", "before_row"])
def test_taken_in_pagerduty_while_the_effect_is_about_to_be_sent(
    make_scene: MakeScene, tmp_path: Path, point: str
) -> None:
    """Nothing is sent after the taking; given back, it goes on."""
    stop = tmp_path / "stop"
    scene = make_scene().start(module="tests.support.stopping", STOP_AT=point, STOP_FILE=str(stop))
    message = scene.proposed()
    wait_until(lambda: not scene.incident().hidden, timeout_s=60, what="an incident")
    scene.click(ANN, message, Button.APPROVE)
    wait_until(stop.with_name("stop.reached").exists, timeout_s=60, what=f"at {point}")
    assert scene.webhook("incident.acknowledged") == 202
    (pause,) = wait_until(scene.pauses, timeout_s=60, what="taken")
    assert pause["scope"] == f"episode:{scene.newest()['episode']}"
    stop.with_name("stop.go").touch()
    wait_until(lambda: "Taken by ann" in scene.newest()["reason"], timeout_s=60, what="held back")
    scene.until_shown(message, "Taken by ann")
    assert scene.effects() == []
    assert scene.post(f"episodes/{scene.newest()['episode']}/give-back")[0] == 200
    scene.ended("succeeded")
    scene.one_effect()
