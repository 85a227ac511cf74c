"""What people copy from: the example configuration, the shipped playbooks, the rendered table of states."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from remediator.actions.registry import load_actions
from remediator.config import Config, load_config
from remediator.errors import InvalidConfig
from remediator.guardrails.ceilings import effective_limits, policy_problems
from remediator.playbooks.folder import load_folder
from remediator.playbooks.lint import lint
from remediator.playbooks.lint_findings import Severity
from remediator.playbooks.model import Mode
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "remediator.yaml"
SHIPPED = ("playbooks",)
PEOPLES = (
    "slack_app.settings",
    "people.routing",
    "people.escalation",
    "people.digests",
    "people.quiet_hours",
    "people.severity",
)
"""Modules with sections of the configuration."""


def settings(model: type[BaseModel]) -> Iterator[str]:
    """Every key of the configuration by its last name, sections of sections included."""
    for name, field in model.model_fields.items():
        yield name
        for inner in _models(field.annotation):
            yield from settings(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation.__module__ == "remediator.config" or annotation.__module__.endswith(PEOPLES):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)


def test_the_example_configuration_loads() -> None:
    config = load_config(EXAMPLE, {})
    assert policy_problems(config.policy) == ()
    assert config.sources[0].source().forced == {"environment": "prod"}


def test_the_example_shows_every_setting() -> None:
    """In force or in a comment; a new setting has to be explained there."""
    text = EXAMPLE.read_text()
    missing = {
        name
        for name in settings(Config)
        if not re.search(rf"\b{name}: ", text) and not re.search(rf"\b{name}:\n", text)
    }
    assert missing <= {"file", "value"}  # of a secret, at the top of the file


def test_the_settings_in_comments_are_right_as_well(tmp_path: Path) -> None:
    """Taken one by one out of their comments, where they stand alone and change nothing that must be unique."""
    lines = EXAMPLE.read_text().splitlines()
    tried = 0
    for number, line in enumerate(lines):
        if not re.match(r" *# [a-z_]+: ", line):
            continue
        name = line.strip(" #").split(":")[0]
        if name in ("auth", "cluster_label"):  # in place of others, as they say
            continue
        path = tmp_path / "one.yaml"
        path.write_text("\n".join([*lines[:number], line.replace("# ", "", 1), *lines[number + 1 :]]))
        try:
            load_config(path, {})
        except InvalidConfig as exc:
            pytest.fail(f"line {number + 1}: {line.strip()}\n{exc}")
        tried += 1
    assert tried > 15


@pytest.mark.parametrize("folder", SHIPPED)
def test_the_shipped_playbooks_load_and_only_observe(folder: str) -> None:
    actions = load_actions()
    checks = {name: kind.args for name, kind in CHECKS.items()}
    collectors = {name: kind.args for name, kind in COLLECTORS.items()}
    results = load_folder(ROOT / folder, actions=actions, checks=checks, collectors=collectors)
    assert not [str(problem) for result in results for problem in result.problems]
    loaded = [result.loaded for result in results if result.loaded]
    assert len(loaded) >= 6
    assert not [str(f) for f in lint(loaded, actions=actions) if f.severity is not Severity.NOTE]
    config = load_config(EXAMPLE, {})
    for one in loaded:
        effective_limits(one.playbook, config.policy)
        assert one.playbook.mode is Mode.OBSERVE


def test_the_readme_of_the_playbooks_names_them_all() -> None:
    text = (ROOT / "playbooks" / "README.md").read_text()
    for file in sorted((ROOT / "playbooks").glob("*.yaml")):
        assert f"({file.name})" in text


def test_the_states_are_rendered_from_the_table() -> None:
    script = ROOT / "scripts" / "render-states"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
