"""What shipped playbooks ask for by the name of a recording rule is recorded by the shipped rules.

A name that nobody records is an empty answer: a report goes on saying nothing, and a check never comes to a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_rules import LOKI, RULE_FILES, read

ROOT = Path(__file__).parents[2]
PLAYBOOKS = tuple(path for path in sorted((ROOT / "playbooks").rglob("*.yaml")) if "tests" not in path.parts)
ASKS = frozenset({"query", "while", "metric", "lag", "primary_unreachable", "fence_confirmed"})
"""Keys of steps, checks and evidence that hold PromQL, or the name of a metric."""
NO_NAMES = re.compile(r"\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|\[[^]]*\]")
"""Label values, templates and ranges such as [1h:5m]."""
RECORDED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z0-9_]+)+")


def recorded() -> set[str]:
    groups = [group for file in (*RULE_FILES, LOKI) for group in read(file)["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def names_in(given: Any, key: str = "") -> Iterator[str]:
    """Every name of a recording rule below `given`."""
    if isinstance(given, dict):
        for inner, value in given.items():
            yield from names_in(value, str(inner))
    elif isinstance(given, list):
        for value in given:
            yield from names_in(value, key)
    elif isinstance(given, str) and key in ASKS:
        yield from RECORDED.findall(NO_NAMES.sub(" ", given))


def test_every_name_that_a_playbook_asks_for_is_recorded() -> None:
    asked = {name: path.name for path in PLAYBOOKS for name in names_in(read(path))}
    assert "airflow:error_lines:count7d" in asked
    assert {name: file for name, file in asked.items() if name not in recorded()} == {}


def test_every_name_in_an_example_of_the_capabilities_is_recorded() -> None:
    rows = read(ROOT / "catalogue" / "capabilities.yaml")
    asked = {name for row in rows.values() for name in names_in(yaml.safe_load(row.get("example", "")))}
    assert asked - recorded() == set()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sum(job:errors:ratio5m) or vector(0)", ["job:errors:ratio5m"]),
        ('max(up{instance="a:80:x"}) > 0', []),
        ("max_over_time(rate(x_total[5m])[1h:5m])", []),
        ('a:b{c="${target.name}"} / d:e', ["a:b", "d:e"]),
    ],
)
def test_what_a_recorded_name_is(query: str, names: list[str]) -> None:
    assert list(names_in({"promql": {"query": query}})) == names
