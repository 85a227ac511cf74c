"""Must-show 3 to 7: once and only once, bad input, least privilege, approvals under status noise, read-only use."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.rbac import grant_chart_roles
from tests.support.scenes import effects_of, quick, ready
from tests.support.service import WEBHOOK_TOKEN, Service, alert, request_json


def patches(control_plane: ControlPlane, namespace: str, since: int) -> int:
    return sum(e.verb == "patch" and e.code == 200 for e in effects_of(control_plane, namespace, since))


def test_duplicates_resends_and_ten_pods_are_one_effect(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Must-show 3."""
    ready(control_plane, namespace, replicas=10)
    since = control_plane.audit_offset()
    service = make_service(quick(gather="2s")).start()
    pods = [p["metadata"]["name"] for p in control_plane.client.list("pods", namespace)]
    began = alert("x", namespace)["startsAt"]
    alerts = [alert("Stuck", namespace, pod=pod, starts_at=began) for pod in pods]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.post_alerts(*alerts)[0], range(4)))
    assert answers == [200] * 4
    shown = service.wait_state("succeeded", "escalated")
    assert shown["state"] == "succeeded", shown["reason"]
    assert service.post_alerts(*alerts)[0] == 200  # a re-send after repeat_interval looks exactly like this
    time.sleep(2)  # measured by the wall clock: long enough for a second effect, were there one
    assert len(service.remediations()) == 1
    assert patches(control_plane, namespace, since) == 1


INJECTIONS = {
    "a name that is none": {"deployment": "api; rm -rf /"},
    "PromQL": {"deployment": 'api"} or vector(1) #'},
    "Slack markup": {"deployment": "<!channel>"},
}


def test_bad_input_gets_a_clear_error_and_nothing_is_done(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Must-show 4."""
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    service = make_service(quick())
    folder = service.directory / "playbooks"
    broken = (folder / "restart-api.yaml").read_text().replace("name: restart-api", "name: broken") + "cooldwon: 1h\n"
    (folder / "broken.yaml").write_text(broken)
    service.start()
    assert "cooldwon" in service.log()
    url = service.url + "/webhooks/alertmanager"
    good = {"version": "4", "alerts": []}
    for body, status, words in (
        (b"{nonsense", 400, "JSON"),
        ({**good, "version": "3"}, 400, "version"),
        ({**good, "alerts": [{"status": "firing", "startsAt": "2026-01-01T00:00:00Z"}]}, 400, "labels"),
    ):
        answered, said = request_json("POST", url, body, token=WEBHOOK_TOKEN)
        assert (answered, words in json.dumps(said)) == (status, True)
    assert request_json("POST", url, good, token="wrong")[0] == 401
    for labels in INJECTIONS.values():
        assert service.post_alerts(alert("Stuck", namespace, **labels))[0] == 200
    denied = lambda: [r["state"] for r in service.remediations()] == ["denied"] * 3  # noqa: E731
    wait_until(denied, timeout_s=20, what="denied")
    assert patches(control_plane, namespace, since) == 0
    assert service.post_alerts(alert("Stuck", namespace, deployment="api"))[0] == 200
    assert service.wait_state("succeeded", timeout_s=30)["playbook"] == "restart-api"


def test_the_documented_role_is_enough(control_plane: ControlPlane, namespace: str, make_service: MakeService) -> None:
    """Must-show 5: the service runs with a token bound to exactly the chart's rules."""
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    token = grant_chart_roles(control_plane, "remediator", namespace, write=[namespace])
    service = make_service(quick(collect=[{"logs": {}}, {"events": {}}, {"status": {}}]), token=token).start()
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    shown = service.wait_state("succeeded", "escalated", "denied")
    assert shown["state"] == "succeeded", shown["reason"]
    assert patches(control_plane, namespace, since) == 1
    refused = [e for e in control_plane.audit_events(since=since) if e.code == 403 and "remediator" in e.user]
    assert refused == []


@pytest.mark.parametrize("mode", ["observe", "suggest"])
def test_read_only_access_is_enough_to_watch(
    mode: str, control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Must-show 7: works, and says what it could not validate."""
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    token = grant_chart_roles(control_plane, "reader", namespace)
    service = make_service(quick(mode=mode), token=token).start()
    service.post_alerts(alert("Stuck", namespace, deployment="api"))
    shown = service.wait_state("observed", "suggested", "denied", "held")
    assert shown["state"] in ("observed", "suggested"), shown["reason"]
    assert "no permission" in json.dumps(service.show(shown["id"]))
    assert patches(control_plane, namespace, since) == 0


class Noise:
    """Status updates of a Deployment every 100 ms, as a flapping workload makes them."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._client = control_plane.client
        self._namespace = namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def __enter__(self) -> Noise:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            now = f"{self.count:06d}"
            condition: dict[str, Any] = {"type": "Noise", "status": "True", "reason": "Test", "message": now}
            body = {"status": {"conditions": [condition]}}
            self._client.patch(
                "deployments", "api", body, self._namespace, patch_type="strategic", subresource="status"
            )
            self.count += 1


def test_an_approval_survives_status_noise(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    """Must-show 6: the approval by CLI holds and the effect happens once."""
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    service: Service = make_service(quick(mode="approve")).start()
    with Noise(control_plane, namespace) as noise:
        service.post_alerts(alert("Stuck", namespace, deployment="api"))
        waiting = service.wait_state("awaiting_approval", "denied", "held")
        assert waiting["state"] == "awaiting_approval", waiting["reason"]
        time.sleep(1)  # the noise is what is measured
        answer = service.cli("approve", waiting["id"])
        assert answer.returncode == 0, answer.stdout + answer.stderr
        shown = service.wait_state("succeeded", "escalated", "cancelled")
        assert shown["state"] == "succeeded", shown["reason"]
        assert noise.count > 5
    assert patches(control_plane, namespace, since) == 1
