"""Must-show: killed at any point of an effect, lost replies and late landings, then a restart: exactly one effect.

The effects are counted in the API server's audit log, not by our own client.
"""

from __future__ import annotations

import signal
import time

import pytest

from remediator.ports import MARKER
from tests.support.controlplane import ControlPlane, wait_until
from tests.support.crashing import LATE_S, POINTS
from tests.support.fixtures_service import MakeService
from tests.support.scenes import effects_of, quick, ready
from tests.support.service import Service, alert

SURVIVES = ("reply_lost", "lands_late")
"""Points at which the process goes on by itself; it is killed once it has noticed."""


def marked(control_plane: ControlPlane, namespace: str, since: int) -> list[str]:
    """Effect ids of accepted patches that carry our marker."""
    found = []
    for event in effects_of(control_plane, namespace, since):
        annotations = ((event.request_object or {}).get("metadata") or {}).get("annotations") or {}
        if MARKER in annotations and event.code == 200:
            found.append(annotations[MARKER])
    return found


@pytest.mark.parametrize("point", POINTS)
def test_exactly_one_effect_whatever_happens(
    point: str, control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    service = make_service(quick())
    service.start(module="tests.support.crashing", CRASH_AT=point)
    assert service.post_alerts(alert("Stuck", namespace, deployment="api"))[0] == 200
    if point in SURVIVES:
        wait_until(lambda: "uncertain" in service.log(), timeout_s=20, what="noticed")
        service.kill()
    else:
        assert service.wait_gone() == -signal.SIGKILL
    service.start()
    shown = service.wait_state("succeeded", "escalated", timeout_s=60)
    assert shown["state"] == "succeeded", shown["reason"]
    time.sleep(LATE_S if point == "lands_late" else 0)  # measured by the wall clock: whatever is under way must be over
    assert len(marked(control_plane, namespace, since)) == 1
    verdicts = service.api("alerts")["alerts"]
    assert [a["verdict"] for a in verdicts] == ["remediation"]


def test_a_late_write_that_lands_after_the_restart_lands_once(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """The restarted service sends the same bytes again at once; the late one then meets a moved resourceVersion."""
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    service = make_service(quick())
    service.start(module="tests.support.crashing", CRASH_AT="lands_late", CRASH_LATE_S="15")
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    wait_until(lambda: "uncertain" in service.log(), timeout_s=20, what="noticed")
    service.kill()
    service.start()
    assert service.wait_state("succeeded", "escalated")["state"] == "succeeded"
    rejected = wait_until(
        lambda: [e for e in effects_of(control_plane, namespace, since) if e.code == 409], timeout_s=30, what="late 409"
    )
    assert rejected
    assert len(marked(control_plane, namespace, since)) == 1


def test_no_acknowledged_alert_is_lost_under_kill_minus_nine(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Posts alerts while the process is killed again and again: each that got a 200 has a verdict in the end."""
    service = make_service(quick())
    acknowledged = set()
    for round_ in range(3):
        service.start()
        acknowledged |= post_until_killed(service, namespace, round_)
    service.start()
    assert len(acknowledged) >= 10

    def all_decided() -> bool:
        found = {a["labels"]["n"]: a["verdict"] for a in service.api("alerts?limit=1000")["alerts"]}
        assert acknowledged <= found.keys()
        return all(found[n] for n in acknowledged)

    wait_until(all_decided, timeout_s=30, what="every acknowledged alert decided")


def post_until_killed(service: Service, namespace: str, round_: int) -> set[str]:
    acknowledged = set()
    for n in range(20):
        name = f"{round_}-{n}"
        status, _ = service.post_alerts(alert("Unknown", namespace, n=name))
        if status == 200:
            acknowledged.add(name)
    service.kill()
    return acknowledged
