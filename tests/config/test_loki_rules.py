"""The shipped rules on log lines: the shape of Prometheus' rules, expressions that Loki's own parser takes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest

from remediator.people.severity import SHIPPED
from tests.support.alert_rules import LOKI, AlertRule, read, rules_of

RULES = tuple(rules_of(LOKI))
PROCEDURE = re.compile(r"(AF|EC|EK|K3|GS)-\d{2}")
MEANT = {
    # alert: what its lines say, over how long, how many are too many
    "AgentRegistryErrorLines": ('|~ "ERROR|CRITICAL|Exception"', "[5m]", "> 20"),
    "AgentRegistryConnectionLines": ('|~ "(?i)connection"', "[5m]", "> 20"),
    "AgentRegistryWebhookErrors": ('|= "webhook" |~ "(?i)error"', "[5m]", "> 5"),
    "AttackPatternInLogs": ('|~ "(?i)injection|xss|traversal"', "[5m]", "> 0"),
    "ApiKeyUseUnusual": ('|= "api_key"', "[1h]", "or vector(0))"),
    "LoginsFail": ('|~ "(?i)authentication failed|invalid"', "[5m]", "> 50"),
}


def test_every_pattern_has_its_alert() -> None:
    assert {rule.name for rule in RULES} == MEANT.keys()
    for rule in RULES:
        pattern, window, end = MEANT[rule.name]
        assert pattern in rule.expr
        assert window in rule.expr
        assert rule.expr.rstrip().endswith(end)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_says_what_people_need(rule: AlertRule) -> None:
    assert rule.hold == "0m"
    assert SHIPPED.of_word(rule.severity) is not None
    assert rule.annotations["summary"]
    assert "$value" in rule.annotations["description"]
    assert rule.annotations["runbook_url"] == f"https://runbooks.example.com/alerts/{rule.name}"
    assert rule.procedures
    assert all(PROCEDURE.fullmatch(procedure) for procedure in rule.procedures)
    # Sums keep no labels of the lines: where an alert is about one namespace, the rule has to say so.
    assert f'namespace="{rule.labels["namespace"]}"' in rule.expr


def test_the_weekly_number_is_recorded_and_alerts_nobody() -> None:
    recorded = [rule for group in read(LOKI)["groups"] for rule in group["rules"] if "record" in rule]
    assert [rule["record"] for rule in recorded] == ["airflow:error_lines:count7d"]


@pytest.mark.controlplane
def test_loki_takes_the_expressions(program: Callable[[str], list[str]]) -> None:
    expressions = [rule["expr"] for group in read(LOKI)["groups"] for rule in group["rules"]]
    lines = "".join(json.dumps(expression) + "\n" for expression in expressions)
    done = subprocess.run(program("logql"), input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(expressions) == len(MEANT) + 1


@pytest.mark.controlplane
def test_loki_refuses_what_is_no_expression(program: Callable[[str], list[str]]) -> None:
    """That the program above says no at all."""
    for wrong in ('{app="x"}', "sum(count_over_time({app=x}[5m]))", "sum(count_over_time({app=`x`} |= x [5m])) > 1"):
        line = json.dumps(wrong) + "\n"
        done = subprocess.run(program("logql"), input=line, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, wrong
