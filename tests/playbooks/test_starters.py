"""The shipped playbooks load with the real actions and checks, lint clean, observe only, and are in the README."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from remediator.actions.registry import load_actions
from remediator.playbooks.catalog import Catalog, Selected, ask, choose
from remediator.playbooks.expressions import Environment
from remediator.playbooks.folder import load_folder
from remediator.playbooks.lint import lines_of, lint
from remediator.playbooks.model import Mode
from remediator.playbooks.schema import playbook_schema
from remediator.playbooks.yaml_strict import load_strict
from remediator.remediation.checks.registry import CHECKS as KINDS
from tests.playbooks.registry import NOW, make_alert

FOLDER = Path(__file__).parents[2] / "playbooks"
ACTIONS = load_actions()
CHECKS = {name: kind.args for name, kind in KINDS.items()}
RESULTS = load_folder(FOLDER, actions=ACTIONS, checks=CHECKS)
LOADED = [result.loaded for result in RESULTS if result.loaded]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.source)
def test_it_loads(result):
    assert [str(problem) for problem in result.problems] == []
    assert result.source == f"{result.name}.yaml"


@pytest.mark.parametrize("loaded", LOADED, ids=lambda loaded: loaded.source)
def test_it_only_observes_and_ends_at_a_person(loaded):
    assert loaded.playbook.mode is Mode.OBSERVE
    assert loaded.playbook.description
    if loaded.playbook.is_report:  # it has nothing to prove, and nobody to call
        return
    assert loaded.playbook.escalate[-1].page is not None
    assert loaded.playbook.verify.checks


def test_they_lint_clean():
    assert [str(finding) for finding in lint(LOADED, actions=ACTIONS, lines=lines_of(RESULTS))] == []


def test_they_fit_the_schema():
    validator = jsonschema.Draft202012Validator(playbook_schema(ACTIONS, CHECKS))
    for result in RESULTS:
        found = [
            f"{result.source}: {error.message}" for error in validator.iter_errors(load_strict(result.text).content)
        ]
        assert found == []


def test_the_readme_has_a_line_for_each():
    text = (FOLDER / "README.md").read_text()
    for loaded in LOADED:
        assert f"[{loaded.playbook.name}]({loaded.source})" in text


@pytest.mark.parametrize(
    ("alertname", "labels", "target", "chosen"),
    [
        ("KubePodCrashLooping", {}, {"desired": 3, "ready": 2}, "evict-crashlooping-pod"),
        ("KubePodCrashLooping", {}, {"desired": 3, "ready": 1}, None),
        ("KubePodCrashLooping", {}, {"desired": 1, "ready": 0}, None),
        (
            "KubeDeploymentReplicasMismatch",
            {},
            {"desired": 3, "updated": 3, "available": 2},
            "restart-unavailable-deployment",
        ),
        ("KubeDeploymentReplicasMismatch", {}, {"desired": 3, "updated": 1, "available": 2}, None),
        ("KubeStatefulSetReplicasMismatch", {}, {"desired": 3, "ready": 2}, "evict-unready-statefulset-pod"),
        ("KubeStatefulSetReplicasMismatch", {}, {"desired": 3, "ready": 1}, None),
        ("KubeDaemonSetRolloutStuck", {}, {"desired": 20, "ready": 19}, "evict-stuck-daemonset-pod"),
        ("KubeDaemonSetRolloutStuck", {}, {"desired": 20, "ready": 10}, None),
        ("KubeHpaMaxedOut", {}, {"desired": 10, "ready": 10}, "raise-maxed-out-autoscaler"),
        ("KubeHpaMaxedOut", {}, {"desired": 10, "ready": 7}, None),
        ("HighErrorRate", {"severity": "critical"}, {"age": "1h"}, "rollback-bad-release"),
        ("HighErrorRate", {"severity": "critical"}, {"age": "3h"}, None),
        ("HighErrorRate", {"severity": "warning"}, {"age": "1h"}, None),
        ("Watchdog", {}, {}, None),
    ],
)
def test_what_they_are_for(alertname, labels, target, chosen):
    ages = {"1h": timedelta(hours=1), "3h": timedelta(hours=3)}
    view = {"revision_age": ages.get(target.pop("age", ""), timedelta(days=9)), "unknown": {}, **target}
    alert = make_alert(alertname=alertname, **labels)
    scope = Environment(alert, NOW).scope(params={}, target=view)
    choice = choose([ask(entry, scope) for entry in Catalog(LOADED).candidates(alert)])
    assert (choice.loaded.playbook.name if isinstance(choice, Selected) else None) == chosen
    assert not any("could not be evaluated" in str(one) for one in choice.not_chosen)
