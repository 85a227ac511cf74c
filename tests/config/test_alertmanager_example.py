"""The example configuration of Alertmanager, given to a real one: who hears of what, when, and what keeps quiet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.cli.routing_text import AlertmanagerTarget, config_file
from tests.http.harness import SENDER, World, source
from tests.support.alert_rules import CONFIG, prometheus_rules, read
from tests.support.controlplane import AlertmanagerServer, NoControlPlane, wait_until
from tests.support.fixtures_controlplane import NO_CONTROL_PLANE, REQUIRE_VARIABLE
from tests.support.real_servers import started

EXAMPLE = CONFIG / "alertmanager.yml"
WEBHOOK = "http://remediator.remediator.svc:8080/webhooks/alertmanager"
TOKEN = "/etc/alertmanager/secrets/remediator/token"
GRAVE = {"alertname": "HighErrorRate", "namespace": "shop", "service": "cart", "severity": "critical"}


def routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for inner in route.get("routes", ()):
        yield from routes(inner)


def without_remediator() -> str:
    """The example, with a webhook that goes nowhere: a port on which nobody listens."""
    return EXAMPLE.read_text().replace(WEBHOOK, "http://127.0.0.1:9/")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    with started(AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), without_remediator())) as server:
        yield server


def test_remediators_own_part_is_what_the_command_prints() -> None:
    """`init alertmanager`, pattern A: the same routes in the same order, the same receiver."""
    target = AlertmanagerTarget(url=WEBHOOK, token_file=TOKEN, human="sev2")
    printed, example = yaml.safe_load(config_file("A", target)), read(EXAMPLE)
    receiver = {r["name"]: r for r in example["receivers"]}["remediator"]
    assert receiver == {r["name"]: r for r in printed["receivers"]}["remediator"]
    ours = [route for route in example["route"]["routes"] if route["receiver"] == "remediator"]
    assert ours == [route for route in printed["route"]["routes"] if route["receiver"] == "remediator"]


def test_people_hear_in_groups_and_wait_for_remediator() -> None:
    root = read(EXAMPLE)["route"]
    assert read(EXAMPLE)["global"]["resolve_timeout"] == "5m"
    assert root["group_by"] == ["alertname", "severity"]
    assert (root["group_wait"], root["group_interval"], root["repeat_interval"]) == ("30s", "5m", "4h")
    receivers = [route["receiver"] for route in root["routes"]]
    behind = root["routes"][-1]
    assert behind["group_wait"] == "5m"
    assert "remediator" not in receivers[receivers.index("security") :], "remediator first"
    assert not any(route.get("continue") for route in routes(behind)), "one place for each alert"


def test_nothing_grave_is_ever_muted() -> None:
    muted = [route for route in routes(read(EXAMPLE)["route"]) if "mute_time_intervals" in route]
    assert muted
    for route in muted:
        assert any(matcher.startswith('severity=~"(?i)warning|') for matcher in route["matchers"])
        assert route["receiver"] == "sev3"


def test_alerts_that_are_named_exist() -> None:
    """A rule that was renamed would silently go another way."""
    names = {rule.name for rule in prometheus_rules()}
    text = [m for route in routes(read(EXAMPLE)["route"]) for m in route.get("matchers", ())]
    for rule in read(EXAMPLE)["inhibit_rules"]:
        text += [*rule["source_matchers"], *rule["target_matchers"]]
    named = {name for m in text if m.startswith("alertname=") for name in m.split('"')[1].split("|")}
    assert len(named) > 15
    assert named - names == {"Remediator.*"}


def test_secrets_are_files() -> None:
    assert not [key for key in _keys(read(EXAMPLE)) if key.endswith(("password", "key", "token", "api_url"))]


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


# --- with Alertmanager


WHO = [
    ({"alertname": "RemediatorDown", "severity": "critical"}, ["sev1"]),
    ({"alertname": "Watchdog", "severity": "none"}, ["remediator", "dead-mans-switch"]),
    (GRAVE, ["remediator", "sev1"]),
    ({"alertname": "ApiServerDown", "severity": "critical", "team": "platform"}, ["remediator", "sev1"]),
    ({"alertname": "PostgresDown", "severity": "critical", "team": "data"}, ["remediator", "data"]),
    ({"alertname": "VeleroBackupStale", "severity": "critical", "team": "data"}, ["remediator", "data"]),
    ({"alertname": "VeleroBackupFailed", "severity": "warning", "team": "data"}, ["remediator", "sev3"]),
    ({"alertname": "LoginsFail", "severity": "critical", "team": "security"}, ["remediator", "security"]),
    ({"alertname": "HighLatencyP95", "severity": "warning"}, ["remediator", "sev3"]),
    ({"alertname": "RolloutStuck", "severity": "warning"}, ["remediator", "sev3"]),
    ({"alertname": "OverProvisioned", "severity": "info"}, ["remediator", "sev4"]),
    ({"alertname": "Own", "severity": "P1"}, ["remediator", "sev1"]),
    ({"alertname": "Own", "severity": "P2"}, ["remediator", "sev2"]),
    ({"alertname": "Own", "severity": "P3"}, ["remediator", "sev3"]),
    ({"alertname": "Own", "severity": "P4"}, ["remediator", "sev4"]),
    ({"alertname": "Own", "severity": "sev2"}, ["remediator", "sev2"]),
    ({"alertname": "Own", "severity": "error"}, ["remediator", "sev2"]),
    pytest.param({"alertname": "Own"}, ["remediator", "sev3"], id="nobody says how grave"),
    pytest.param({"alertname": "Own", "severity": "ghastly"}, ["remediator", "sev2"], id="a word nobody knows"),
]


@pytest.mark.controlplane
@pytest.mark.parametrize(("labels", "receivers"), WHO)
def test_who_hears_of_it(alertmanager: AlertmanagerServer, labels: dict[str, str], receivers: list[str]) -> None:
    alertmanager.post_alerts({"labels": {**labels, "test": "who"}})
    (found,) = [a for a in alertmanager.alerts() if a["labels"] == {**labels, "test": "who"}]
    assert [receiver["name"] for receiver in found["receivers"]] == receivers


def alert(name: str, severity: str = "warning", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


CPU = {"namespace": "shop", "pod": "web-1"}
QUIET = [
    (alert("PodCpuHigh", "critical", threshold="90", **CPU), alert("PodCpuHigh", threshold="75", **CPU), True),
    (alert("PodCpuHigh", threshold="80", **CPU), alert("PodCpuHigh", threshold="75", **CPU), True),
    (alert("PodCpuHigh", threshold="75", **CPU), alert("PodCpuHigh", threshold="80", **CPU), False),
    (
        alert("PodCpuHigh", "critical", threshold="90", **CPU),
        alert("PodCpuHigh", threshold="75", namespace="shop", pod="web-2"),
        False,
    ),
    (
        alert("PodCpuHigh", "critical", threshold="90", **CPU),
        alert("PodMemoryHigh", threshold="80", **CPU),
        False,
    ),
    (
        alert("LatencyP99", "critical", threshold="3", namespace="cmp", job="agent-registry"),
        alert("HighLatency", namespace="cmp", job="agent-registry"),
        True,
    ),
    (
        alert("DatabaseConnectionPoolExhausted", "critical", namespace="data", instance="db"),
        alert("DatabaseConnectionsHigh", threshold="0.8", namespace="data", instance="db"),
        True,
    ),
    (alert("ApiServerDown", "critical"), alert("RolloutStuck", namespace="shop", deployment="web"), True),
    (alert("ApiServerDown", "critical", cluster="a"), alert("RolloutStuck", cluster="b", deployment="web"), False),
    (alert("PlatformDown", "critical", namespace="dev"), alert("ServiceDown", "critical", instance="order"), True),
    (alert("ApiServerDown", "critical"), alert("NodeDown", "critical", node="node-1"), False),
]
LAST = [alert(name, severity, pod="last") for name, severity in (("Last", "critical"), ("Last", "warning"))]


@pytest.mark.controlplane
@pytest.mark.parametrize(("cause", "other", "quiet"), QUIET)
def test_what_keeps_what_quiet(tmp_path: Path, cause: dict[str, str], other: dict[str, str], quiet: bool) -> None:
    with started(AlertmanagerServer(tmp_path, without_remediator())) as server:
        server.post_alerts({"labels": cause}, {"labels": other})
        server.post_alerts(*({"labels": labels} for labels in LAST))
        # Inhibitions are worked out in the order of arrival: once the last one is in force, so are those before.
        wait_until(lambda: _state(server, LAST[1]) == "suppressed", what="the last inhibition")
        assert _state(server, other) == ("suppressed" if quiet else "active")


def _state(server: AlertmanagerServer, labels: dict[str, str]) -> str:
    (state,) = (a["status"]["state"] for a in server.alerts() if a["labels"] == labels)
    return str(state)


@pytest.mark.controlplane
async def test_alerts_reach_remediator_one_by_one(tmp_path: Path) -> None:
    """Authenticated and at once; what is wrong with remediator itself does not come to it."""
    token = tmp_path / "token"
    token.write_text(SENDER)
    world = World()
    async with world.serving(sources=(source(),)) as client:
        here = f"http://127.0.0.1:{client.port}/webhooks/alertmanager"
        text = EXAMPLE.read_text().replace(WEBHOOK, here).replace(TOKEN, str(token))
        server = AlertmanagerServer(tmp_path / "alertmanager", text)
        await asyncio.to_thread(_start, server)
        try:
            names = ("RemediatorDown", "HighErrorRate", "ApiServerDown", "Watchdog")
            await asyncio.to_thread(server.post_alerts, *({"labels": alert(name, "critical")} for name in names))
            async with asyncio.timeout(20):
                while world.intake_pokes < 3:
                    world.poked.clear()
                    await world.poked.wait()
        finally:
            await asyncio.to_thread(server.stop)
    records = await world.journal.undecided(10)
    assert sorted(r.alert.name for r in records) == ["ApiServerDown", "HighErrorRate", "Watchdog"]


def _start(server: AlertmanagerServer) -> None:
    try:
        server.start()
    except NoControlPlane as exc:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{NO_CONTROL_PLANE}: {exc}", pytrace=False)
        pytest.skip(f"{NO_CONTROL_PLANE}: {exc}")
