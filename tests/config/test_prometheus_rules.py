"""The shipped alert rules: all of the catalogue, each with what people need, tried with promtool on both sides."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from remediator.people.severity import SHIPPED
from tests.support.alert_rules import PROMETHEUS, RULE_FILES, RULE_TESTS, AlertRule, prometheus_rules, read, rules_of

RULES = prometheus_rules()
ABSENT = "MetricsAbsent"
PROCEDURE = re.compile(r"(AF|EC|EK|K3|GS)-\d{2}")
MEANT = {
    # alert: for, then severity and threshold of each of its rules
    "PodCpuHigh": ("5m", "warning > 75", "warning > 80", "critical > 90"),
    "PodMemoryHigh": ("5m", "warning > 80", "warning > 85", "critical > 90"),
    "CpuThrottled": ("10m", "warning > 90"),
    "HighErrorRate": ("5m 10m", "critical > 0.05", "warning > 0.01"),
    "ClientErrorRate": ("15m", "warning > 0.2"),
    "SpringErrorRate": ("5m", "critical > 0.05"),
    "HighLatencyP95": ("10m", "warning > 1"),
    "SpringLatencyP95": ("10m", "warning > 1"),
    "LatencyP99": ("10m", "warning > 1", "warning > 2", "critical > 3"),
    "HighLatency": ("10m", "warning > 3"),
    "AgentRegistryDown": ("5m", "critical == 0"),
    "ServiceDown": ("2m", "critical == 0"),
    "ServiceNotRegistered": ("5m", "warning == 0"),
    "PlatformDown": ("2m", "critical > 0.5"),
    "SmokeTestFailed": ("2m", "critical == 0"),
    "ApplicationDown": ("2m", "critical > 0"),
    "JvmCpuHigh": ("5m", "warning > 0.8"),
    "JvmHeapHigh": ("10m", "warning > 0.9"),
    "JvmHeapLeak": ("30m", "warning > 0.8"),
    "QueueBacklog": ("5m", "warning > 500", "critical > 1000"),
    "KafkaConsumerLag": ("10m", "warning > 1000"),
    "VectorStoreDown": ("2m", "critical == 0"),
    "RedisDown": ("2m", "warning == 0"),
    "AirflowDagRunFailed": ("0m", "warning"),
    "AirflowImportErrors": ("10m", "warning > 0"),
    "AirflowQueueStuck": ("15m", "warning == 0"),
    "PostgresDown": ("1m", "critical == 0"),
    "DatabaseConnectionsHigh": ("5m", "warning > 0.8", "critical > 0.95"),
    "DatabaseConnectionPoolExhausted": ("5m", "critical > 0.9"),
    "PostgresSlowStatements": ("10m", "warning > 1"),
    "PostgresLongTransaction": ("5m", "warning > 600"),
    "CnpgInstanceDown": ("2m", "critical == 0"),
    "CnpgReplicationLag": ("5m", "warning > 30"),
    "CnpgBackupStale": ("1h", "warning > 93600"),
    "VeleroBackupStale": ("1h", "critical > 93600"),
    "VeleroBackupFailed": ("0m", "warning > 0"),
    "EtcdSnapshotStale": ("1h", "critical > 46800"),
    "LonghornVolumeFaulted": ("5m", "critical == 3"),
    "LonghornVolumeDegraded": ("30m", "warning == 2"),
    "PodCrashLooping": ("5m", "warning >= 1"),
    "PodRestartLoop": ("0m", "warning > 3"),
    "PodRestarted": ("0m", "info > 0"),
    "PodOomKilled": ("0m", "warning > 0"),
    "PodNotRunning": ("15m", "warning > 0"),
    "FailedPodsPileUp": ("30m", "info > 10"),
    "RolloutStuck": ("0m", "warning == 1"),
    "HpaAtMax": ("15m", "warning"),
    "PvcNotBound": ("10m", "warning == 1"),
    "VolumeFilling": ("10m", "warning > 80"),
    "NodeCpuHigh": ("5m", "warning > 80"),
    "NodeMemoryHigh": ("5m", "warning > 80"),
    "NodeDiskLow": ("5m", "warning > 80", "warning > 90", "critical > 90"),
    "NodeNetworkErrors": ("10m", "warning > 10"),
    "NodeDown": ("5m", "critical == 0"),
    "ApiServerDown": ("2m", "critical"),
    "ApiServerSlow": ("10m", "warning > 1"),
    "ApiServerErrors": ("10m", "warning > 0.03"),
    "EtcdNoLeader": ("1m", "critical == 0"),
    "EtcdSlowDisk": ("10m", "warning > 0.5"),
    "DnsFailing": ("5m", "critical > 0.05"),
    "LoadBalancerAgentsDown": ("5m", "critical"),
    "IngressDown": ("2m", "critical == 0"),
    "CertificateNotReady": ("10m", "warning == 0"),
    "CertificateExpiresSoon": ("1h", "warning < 14 * 86400", "critical < 3 * 86400"),
    "ServedCertificateOld": ("10m", "critical < 3 * 86400"),
    "ArgoAppOutOfSync": ("15m", "warning == 1"),
    "ArgoAppUnhealthy": ("10m", "warning == 1"),
    "ExternalSecretNotReady": ("10m", "warning == 1"),
    "OverProvisioned": ("1d", "info < 0.2"),
    "Watchdog": ("0m", "none"),
}
SPORADIC = {
    # Series that only exist while something is wrong or under way, and what stands for them in absent.yml.
    "kube_pod_container_status_waiting_reason": "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_last_terminated_reason": "kube_pod_container_status_restarts_total",
    "airflow_dagrun_failed_count": "airflow_executor_open_slots",
}


def by_name() -> dict[str, list[AlertRule]]:
    found: dict[str, list[AlertRule]] = {}
    for rule in RULES:
        found.setdefault(rule.name, []).append(rule)
    return found


def selectors(expr: Any) -> Iterator[Any]:
    """Every selector of a parsed expression."""
    if isinstance(expr, promql_parser.VectorSelector):
        yield expr
    for part in ("lhs", "rhs", "expr", "vector_selector", "param"):
        inner = getattr(expr, part, None)
        if inner is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for inner in getattr(expr, "args", None) or ():
        yield from selectors(inner)


def metrics(expr: str) -> set[str]:
    return {selector.name for selector in selectors(promql_parser.parse(expr))}


def test_every_alert_is_there_with_its_thresholds() -> None:
    """As the catalogue of procedures has them; an alert that is new or gone is written down here as well."""
    shipped = {}
    for name, rules in by_name().items():
        ends = (re.search(r"(?:==|>=|>|<) -?[\d.]+(?: \* \d+)?$", rule.expr) for rule in rules)
        said = (f"{rule.severity} {end[0] if end else ''}".strip() for rule, end in zip(rules, ends, strict=True))
        shipped[name] = (" ".join(dict.fromkeys(rule.hold for rule in rules)), *said)
    assert {name: said for name, said in shipped.items() if name != ABSENT} == MEANT


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_says_what_people_need(rule: AlertRule) -> None:
    assert re.fullmatch(r"\d+[mhd]", rule.hold), "for"
    assert rule.name == "Watchdog" or SHIPPED.of_word(rule.severity) is not None, "severity"
    assert rule.labels["team"] in ("application", "data", "platform")
    assert rule.annotations["summary"]
    assert rule.annotations["description"]
    assert rule.annotations["runbook_url"] == f"https://runbooks.example.com/alerts/{rule.name}"
    if rule.name != ABSENT:
        assert rule.procedures
        assert all(PROCEDURE.fullmatch(procedure) for procedure in rule.procedures)


def test_rules_of_one_name_differ_in_their_labels() -> None:
    """Two of the same labels would be one alert that flaps."""
    counted = Counter((rule.name, tuple(sorted(rule.labels.items()))) for rule in RULES)
    assert [key for key, count in counted.items() if count > 1] == []
    for name, rules in by_name().items():
        if name != ABSENT:
            assert all(("threshold" in rule.labels) == (len(rules) > 1) for rule in rules), name


def test_the_absence_of_every_metric_is_told() -> None:
    """By its own absence rule; a program that says nothing must not look like one that is well."""
    told = {metric for rule in RULES if rule.name == ABSENT for metric in metrics(rule.expr)}
    read_by_rules = {metric for rule in RULES if rule.name != ABSENT for metric in metrics(rule.expr)}
    assert read_by_rules - told == SPORADIC.keys()
    assert set(SPORADIC.values()) <= told
    assert told <= read_by_rules, "an absence that no rule cares about"


def test_the_absence_of_every_probe_is_told() -> None:
    """`up` and `probe_success` are there as long as anything is scraped: here the job counts."""

    def asked(rules: Iterator[AlertRule]) -> set[str]:
        found = (s for rule in rules for s in selectors(promql_parser.parse(rule.expr)))
        return {s.prettify() for s in found if s.name in ("up", "probe_success")}

    told = asked(rule for rule in RULES if rule.name == ABSENT)
    # ApiServerDown is about absence itself.
    assert asked(rule for rule in RULES if rule.name != ABSENT) == told | {'up{job="apiserver"}'}


def test_there_is_one_absence_rule_for_each_exporter() -> None:
    exporters = [rule.labels["exporter"] for rule in RULES if rule.name == ABSENT]
    assert len(exporters) == len(set(exporters)) > 15
    assert {(rule.severity, rule.hold) for rule in RULES if rule.name == ABSENT} == {("info", "30m")}


def cases(file: Path) -> Iterator[tuple[str, bool]]:
    """(alert, whether it is expected to fire) for every case of a file of tests."""
    for test in read(file)["tests"]:
        for case in test.get("alert_rule_test", ()):
            yield case["alertname"], bool(case["exp_alerts"])
        for case in test.get("promql_expr_test", ()):
            named = re.search(r'alertname="(\w+)"', case["expr"])
            assert named is not None
            yield named[1], bool(case["exp_samples"])


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.stem)
def test_every_alert_is_tried_firing_and_quiet(file: Path) -> None:
    tried = set(cases(PROMETHEUS / "tests" / f"{file.stem}.test.yml"))
    names = {rule.name for rule in rules_of(file)}
    assert {(name, True) for name in names} <= tried
    assert {(name, False) for name in names - {"Watchdog"}} <= tried


def test_every_rule_is_seen_firing() -> None:
    """Each severity and threshold by itself: exp_labels names them."""
    seen = {
        (case["alertname"], alert["exp_labels"]["severity"], alert["exp_labels"].get("threshold", ""))
        for file in RULE_TESTS
        for test in read(file)["tests"]
        for case in test.get("alert_rule_test", ())
        for alert in case["exp_alerts"]
    }
    wanted = {(r.name, r.severity, r.labels.get("threshold", "")) for r in RULES if r.name != ABSENT}
    assert seen == wanted


# --- with promtool


def promtool(program: Callable[[str], list[str]], *arguments: str) -> None:
    done = subprocess.run(
        [*program("promtool"), *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.controlplane
def test_prometheus_takes_the_rules(program: Callable[[str], list[str]]) -> None:
    promtool(program, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))


@pytest.mark.controlplane
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_fire_when_they_should(file: Path, program: Callable[[str], list[str]]) -> None:
    promtool(program, "test", "rules", str(file))
