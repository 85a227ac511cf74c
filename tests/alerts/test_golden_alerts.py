"""Real alerts lead to the objects they are about, or to none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.alerts.labels import Hint, InvalidHint, LabelRules, target_hints

GOLDEN: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "golden_alerts.yaml").read_text())["alerts"]


def shown(hint: Hint | InvalidHint) -> str:
    if isinstance(hint, InvalidHint):
        return f"invalid {hint.label}"
    name = f"{hint.namespace}/{hint.name}" if hint.namespace and hint.lookup != "address" else hint.name
    return f"{hint.kind} {name} by {hint.label}" + ("" if hint.lookup == "none" else f" ({hint.lookup})")


def case_id(case: dict[str, Any]) -> str:
    return f"{case['labels']['alertname']} {case.get('setup', '')}".strip()


@pytest.mark.parametrize("case", [pytest.param(case, id=case_id(case)) for case in GOLDEN])
def test_real_alert_names_its_object(case):
    """The labels of a real alert give these hints and no other, most specific first."""
    hints = target_hints(case["labels"], LabelRules())
    assert [shown(hint) for hint in hints] == case["expect"], case["why"]


def test_golden_set_is_worth_its_name():
    """Enough alerts, all told why, every kind of answer among them."""
    answers = Counter(answer.split(" ")[0] for case in GOLDEN for answer in case["expect"] or ["none"])
    assert len(GOLDEN) >= 60
    assert all(case["why"] for case in GOLDEN)
    assert set(answers) == {
        *("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "HorizontalPodAutoscaler"),
        *("PersistentVolumeClaim", "Service", "Node", "invalid", "none"),
    }
