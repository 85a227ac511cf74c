"""Small stories around one playbook, played by the real runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from remediator.actions.registry import load_actions
from remediator.playbook_tests.reading import read_cases
from remediator.playbook_tests.running import Result, run_case

ACTIONS = load_actions()

RESTART: dict[str, Any] = {
    "name": "restart-api",
    "match": {"alerts": ['alertname="Stuck"']},
    "target": "from_alert",
    "mode": "auto",
    "gather": "0s",
    "steps": [{"action": "rollout_restart"}],
    "verify": {
        "settle": "5s",
        "interval": "5s",
        "successes": 2,
        "failures": 2,
        "timeout": "2m",
        "checks": [{"rollout": {}}],
    },
    "escalate": [{"page": {"urgency": "high"}}],
}
STORY: dict[str, Any] = {
    "name": "a story",
    "mode": "auto",
    "cluster": [{"deployment": "shop/api", "replicas": 3}],
    "alerts": [{"name": "Stuck", "labels": {"namespace": "shop", "deployment": "api", "severity": "critical"}}],
    "expect": [{"chosen": "restart-api"}],
}


def write(folder: Path, *stories: dict[str, Any], playbook: dict[str, Any] | None = None, **file: Any) -> Path:
    """A folder of playbooks with a file of tests beside them; returns that file."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "restart-api.yaml").write_text(yaml.safe_dump({**RESTART, **(playbook or {})}, sort_keys=False))
    path = folder / "tests" / "api.yaml"
    path.write_text(yaml.safe_dump({**file, "tests": list(stories)}, sort_keys=False))
    return path


def play(folder: Path, *, playbook: dict[str, Any] | None = None, **story: Any) -> Result:
    """One story, given by how it differs from `STORY`."""
    (case,) = read_cases(write(folder, {**STORY, **story}, playbook=playbook), ACTIONS)
    return run_case(case, ACTIONS)


def failures(result: Result) -> list[str]:
    return [f"{failure.expected} | {failure.happened}" for failure in result.failures]
