"""Must-show 1: all real but the pods and the chat services.

Prometheus evaluates a rule, Alertmanager groups and posts, the service acts, the controller manager rolls it out,
Prometheus recovers, the verdict is proven, Slack shows one message updated in place, PagerDuty has one incident.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.view import Revision
from remediator.actions.workload import template_hash
from remediator.adapters.sql.journal import SqlJournal
from tests.support.controlplane import ApiError, ControlPlane, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.monitoring import App, Monitoring, Sink, routing, rule
from tests.support.scenes import effects_of, quick, ready
from tests.support.service import Fake, Service

VERIFY = {"settle": "1s", "interval": "500ms", "successes": 2, "failures": 4, "timeout": "40s"}


class Scene:
    """One Deployment, what it exposes, and everything that watches it."""

    def __init__(
        self,
        control_plane: ControlPlane,
        namespace: str,
        directory: Path,
        make_service: MakeService,
        slack: Fake,
        pagerduty: Fake,
    ) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self.slack = slack
        self.pagerduty = pagerduty
        self._directory = directory
        self._make_service = make_service
        self.sick: Callable[[], bool] = lambda: False
        self.requests: Callable[[], dict[str, int]] = lambda: {"200": 100}
        self._counts: dict[str, int] = {}
        self.app = App(self.metrics)
        self.app.__enter__()
        self.sink = Sink()
        self.sink.__enter__()
        self.monitoring: Monitoring
        self.service: Service
        self.since = 0

    def metrics(self) -> str:
        """`app_sick`, and requests by code; a code that is no longer given is no longer exposed."""
        labels = f'namespace="{self.namespace}",deployment="api"'
        lines = [f"app_sick{{{labels}}} {int(self.sick())}"]
        for code, more in self.requests().items():
            self._counts[code] = self._counts.get(code, 0) + more
            lines.append(f'http_requests_total{{{labels},code="{code}"}} {self._counts[code]}')
        return "\n".join(lines) + "\n"

    def start(self, *playbooks: dict[str, Any], rules: list[dict[str, Any]] | None = None, **config: Any) -> None:
        """Monitoring, service, and the route between them."""
        wanted = rules or [rule("AppSick", f'app_sick{{namespace="{self.namespace}"}} > 0')]
        self.monitoring = Monitoring(self._directory / "monitoring", self.app, *wanted)
        self.service = self._make_service(
            *playbooks,
            prometheus={"url": self.monitoring.prometheus.url},
            alertmanager={"url": self.monitoring.alertmanager.url},
            **config,
        ).start()
        self.since = self.control_plane.audit_offset()
        self.monitoring.route(routing(self.service.url, self.sink.url))

    def stop(self) -> None:
        self.monitoring.stop()
        self.sink.__exit__()
        self.app.__exit__()

    def deployment(self) -> dict[str, Any]:
        return self.control_plane.client.get("deployments", "api", self.namespace)

    def annotation(self, name: str) -> str:
        template = self.deployment()["spec"]["template"]
        return str((template["metadata"].get("annotations") or {}).get(name, ""))

    def writes(self) -> list[tuple[str, str]]:
        events = effects_of(self.control_plane, self.namespace, self.since)
        return [(e.verb, e.resource) for e in events if e.code < 300]

    def messages(self) -> list[dict[str, Any]]:
        """Main messages in the channel about this namespace, oldest first."""
        found = self.slack.get("/_messages")
        found = found["messages"] if isinstance(found, dict) else found
        return [m for m in found if self.namespace in str(m) and not m.get("thread_ts")]

    def incidents(self) -> list[dict[str, Any]]:
        found = self.pagerduty.get("/_incidents")
        found = found["incidents"] if isinstance(found, dict) else found
        return [i for i in found if self.namespace in str(i)]


@pytest.fixture
def scene(
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
    make_service: MakeService,
    fake_slack: Fake,
    fake_pagerduty: Fake,
) -> Iterator[Scene]:
    made = Scene(control_plane, namespace, tmp_path, make_service, fake_slack, fake_pagerduty)
    yield made
    made.stop()


def playbook(name: str, step: dict[str, Any], *checks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    verify = {**VERIFY, "checks": list(checks) or [{"rollout": {}}, {"alert_resolved": {}}]}
    match = {"alerts": ['alertname="AppSick"']}
    return quick(**{"name": name, "match": match, "steps": [step], "verify": verify, **changes})


def ended_well(scene: Scene, timeout_s: float = 90) -> dict[str, Any]:
    shown = scene.service.wait_state("succeeded", "escalated", "inconclusive", "denied", timeout_s=timeout_s)
    assert shown["state"] == "succeeded", shown["reason"]
    return shown


def test_restart(scene: Scene) -> None:
    """A restart cures it: one patch, one message updated in place, one incident that is resolved or never opened."""
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: not scene.annotation("kubectl.kubernetes.io/restartedAt")
    scene.start(playbook("restart-sick", {"action": "rollout_restart"}))
    ended_well(scene)
    assert scene.writes() == [("patch", "deployments")]

    def told() -> bool:
        (message,) = scene.messages()
        assert "Fixed" in str(message)
        return True

    wait_until(told, timeout_s=20, what="one message, updated in place")
    assert not [i for i in scene.incidents() if i["status"] != "resolved"]


def test_scale(scene: Scene) -> None:
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: scene.deployment()["spec"]["replicas"] < 5
    scene.start(playbook("scale-sick", {"action": "scale", "with": {"by": 2, "min": 1, "max": 6}}))
    ended_well(scene)
    assert scene.deployment()["spec"]["replicas"] == 5
    assert scene.writes() == [("patch", "deployments")]


def test_evict_the_pod_that_the_alert_names(scene: Scene) -> None:
    ready(scene.control_plane, scene.namespace)
    pod = scene.control_plane.client.list("pods", scene.namespace)[0]["metadata"]
    names = lambda: {p["metadata"]["name"] for p in scene.control_plane.client.list("pods", scene.namespace)}  # noqa: E731
    scene.app.metrics = lambda: (
        f'app_sick{{namespace="{scene.namespace}",pod="{pod["name"]}"}} 1\n' if pod["name"] in names() else "up_app 1\n"
    )
    scene.start(playbook("evict-sick", {"action": "evict_pod"}, {"rollout": {}}, {"pods_ready": {}}))
    ended_well(scene)
    assert pod["name"] not in names()
    assert scene.writes() == [("create", "pods")]


def bad_release(scene: Scene) -> None:
    """v1 was healthy, v2 answers 5xx; after the rollback no 5xx series exists any more."""
    ready(scene.control_plane, scene.namespace, image="app:v1")
    release(scene, "app:v2")


def release(scene: Scene, new: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": new}]}}}}
    scene.control_plane.client.patch("deployments", "api", body, scene.namespace, patch_type="strategic")
    wait_rolled_out(scene)


def wait_rolled_out(scene: Scene) -> None:
    def over() -> bool:
        found = scene.deployment()
        status = found["status"]
        assert status["observedGeneration"] >= found["metadata"]["generation"]
        return bool(status.get("updatedReplicas") == status.get("availableReplicas") == status["replicas"] == 3)

    wait_until(over, timeout_s=60, what="rolled out")


def image(scene: Scene) -> str:
    return str(scene.deployment()["spec"]["template"]["spec"]["containers"][0]["image"])


def test_rollback_after_which_no_5xx_series_exists(scene: Scene) -> None:
    """An empty result is no zero and no failure: traffic is proven, so it is a success."""
    bad_release(scene)
    scene.requests = lambda: {"200": 50, "500": 50} if image(scene).endswith(":v2") else {"200": 100}
    limits = {"success": "< 0.02", "failure": "> 0.05"}
    errors = f'rate(http_requests_total{{namespace="{scene.namespace}",code="500"}}[2s]) > 0'
    step = {"action": "rollback", "with": {"to": "previous"}}
    metric = {"metric": "http_requests_total", "error": 'code=~"5.."', "labels": {"workload": "deployment"}}
    check = {**metric, **limits, "window": "2s"}
    spec = playbook("rollback-sick", step, {"rollout": {}}, {"error_ratio": check}, mode="approve")
    scene.start(spec, rules=[rule("AppSick", errors)])
    waiting = scene.service.wait_state("awaiting_approval", timeout_s=60)
    answer = scene.service.cli("approve", waiting["id"])
    assert answer.returncode == 0, answer.stderr
    ended_well(scene)
    assert image(scene) == "app:v1"
    assert scene.writes() == [("patch", "deployments")]


async def remember_as_healthy(scene: Scene, journal_path: Path) -> None:
    """What the observer writes down after half an hour: the release that runs now was healthy."""
    found = scene.deployment()
    journal = SqlJournal.open_file(journal_path)
    row = Revision(
        workload_uid=found["metadata"]["uid"],
        template_hash=template_hash(found["spec"]["template"]),
        available_since=datetime.now(UTC) - timedelta(hours=2),
        healthy=True,
    )
    await journal.save_revisions("default", [row], datetime.now(UTC))
    await journal.close()


def test_rollback_to_the_last_healthy_release_without_asking(scene: Scene, tmp_path: Path) -> None:
    """With the observer's evidence, auto is auto; the release that is left is known bad from then on."""
    ready(scene.control_plane, scene.namespace, image="app:v1")
    (tmp_path / "one").mkdir()
    asyncio.run(remember_as_healthy(scene, tmp_path / "one" / "journal.db"))
    release(scene, "app:v2")
    scene.sick = lambda: image(scene).endswith(":v2")
    scene.start(playbook("rollback-sick", {"action": "rollback", "with": {"to": "last_healthy"}}))
    ended_well(scene)
    assert image(scene) == "app:v1"
    assert scene.writes() == [("patch", "deployments")]


def make_unready(scene: Scene, value: str | None) -> None:
    """Mark every pod (or take the mark back); one that goes away meanwhile needs none."""
    mark = {"metadata": {"annotations": {"test.remediator.dev/unready": value}}}
    for pod in scene.control_plane.client.list("pods", scene.namespace):
        try:
            scene.control_plane.client.patch("pods", pod["metadata"]["name"], mark, scene.namespace, patch_type="merge")
        except ApiError as exc:
            if exc.code != 404:
                raise


def test_a_cure_that_makes_it_measurably_worse_is_undone(scene: Scene) -> None:
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: True
    sick = {"promql": {"query": f'app_sick{{namespace="{scene.namespace}"}}', "success": "< 1", "failure": ">= 1"}}
    # Time enough to hurt the pods before the first sample counts, also on a slow machine.
    verify = {**VERIFY, "settle": "12s", "timeout": "60s", "checks": [sick]}
    scene.start(playbook("scale-sick", {"action": "scale", "with": {"to": 5, "min": 1, "max": 6}}, verify=verify))
    wait_until(lambda: scene.deployment()["spec"]["replicas"] == 5, timeout_s=60, what="scaled")
    make_unready(scene, "true")
    wait_until(lambda: scene.deployment()["spec"]["replicas"] == 3, timeout_s=60, what="scaled back")
    make_unready(scene, None)
    shown = scene.service.wait_state("escalated", timeout_s=60)
    assert shown["outcome"] == "undone"
    assert scene.writes() == [("patch", "deployments")] * 2


def test_a_failure_without_harm_is_escalated_once(scene: Scene) -> None:
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: True
    sick = {"promql": {"query": f'app_sick{{namespace="{scene.namespace}"}}', "success": "< 1", "failure": ">= 1"}}
    scene.start(playbook("restart-sick", {"action": "rollout_restart"}, sick))
    shown = scene.service.wait_state("escalated", timeout_s=60)
    assert shown["outcome"] == "failed"

    def paged() -> bool:
        (incident,) = scene.incidents()
        return bool(incident["status"] == "triggered")

    wait_until(paged, timeout_s=20, what="one page")
    assert scene.writes() == [("patch", "deployments")]


def test_prometheus_gone_is_inconclusive_and_undoes_nothing(scene: Scene) -> None:
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: True
    sick = {"promql": {"query": f'app_sick{{namespace="{scene.namespace}"}}', "success": "< 1", "failure": ">= 1"}}
    step = {"action": "scale", "with": {"to": 5, "min": 1, "max": 6}}
    verify = {**VERIFY, "settle": "12s", "timeout": "20s", "checks": [sick]}
    scene.start(playbook("scale-sick", step, verify=verify))
    wait_until(lambda: scene.deployment()["spec"]["replicas"] == 5, timeout_s=60, what="scaled")
    scene.monitoring.prometheus.kill()
    shown = scene.service.wait_state("inconclusive", timeout_s=90)
    assert shown["outcome"] == "inconclusive"
    assert scene.deployment()["spec"]["replicas"] == 5


def test_routing_pattern_a(scene: Scene) -> None:
    """What is fixed within the human route's group_wait wakes nobody; what is not fixed does."""
    ready(scene.control_plane, scene.namespace)
    scene.sick = lambda: not scene.annotation("kubectl.kubernetes.io/restartedAt")
    hopeless = rule("Hopeless", f'app_sick{{namespace="{scene.namespace}"}} >= 0')
    sick = rule("AppSick", f'app_sick{{namespace="{scene.namespace}"}} > 0')
    scene.start(playbook("restart-sick", {"action": "rollout_restart"}), rules=[sick, hopeless])
    scene.monitoring.route(routing(scene.service.url, scene.sink.url, human_wait="40s"))
    ended_well(scene)
    wait_until(lambda: scene.sink.bodies, timeout_s=120, what="people hear of what was not fixed")
    heard = b"".join(itertools.islice(scene.sink.bodies, 10))
    assert b"Hopeless" in heard
    assert b"AppSick" not in heard
