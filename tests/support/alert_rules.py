"""The alert rules that are shipped in `config`, as data: for their tests and for the page that lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[2] / "config"
PROMETHEUS = CONFIG / "prometheus"
LOKI = CONFIG / "loki" / "rules.yml"
RULE_FILES = tuple(sorted(PROMETHEUS.glob("*.yml")))
RULE_TESTS = tuple(sorted((PROMETHEUS / "tests").glob("*.test.yml")))


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule that alerts. `hold` is its `for`, `area` the name of its file."""

    area: str
    group: str
    name: str
    expr: str
    hold: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")

    @property
    def procedures(self) -> tuple[str, ...]:
        """Ids in the catalogue of procedures."""
        return tuple(self.annotations.get("procedures", "").split())

    def __str__(self) -> str:
        return " ".join((self.name, self.severity, self.labels.get("threshold", ""))).strip()


def rules_of(file: Path) -> Iterator[AlertRule]:
    """In the order of the file; rules that record are left out."""
    for group in read(file)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                yield AlertRule(
                    area=file.stem,
                    group=group["name"],
                    name=rule["alert"],
                    expr=rule["expr"],
                    hold=rule.get("for", ""),
                    labels=rule.get("labels", {}),
                    annotations=rule.get("annotations", {}),
                )


def prometheus_rules() -> tuple[AlertRule, ...]:
    return tuple(rule for file in RULE_FILES for rule in rules_of(file))


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
