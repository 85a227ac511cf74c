"""Every name of the catalogue leads to something that is there, and its example is one that works."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from remediator.actions.registry import load_actions
from remediator.config import Config
from remediator.playbooks.loader import load_playbook
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS
from tests.support.capabilities import PAGE, Capability, capabilities, page, registered, unresolved
from tests.support.procedures import load

SMALLEST: dict[str, Any] = {
    "name": "example",
    "match": {"alerts": ['alertname="Example"']},
    "target": "from_alert",
    "steps": [{"action": "rollout_restart"}],
}
ROWS = capabilities()


@pytest.mark.parametrize("name", ROWS)
def test_it_leads_to_what_is_there(name: str) -> None:
    assert list(unresolved(ROWS[name], load().places)) == []


def test_the_search_finds_what_is_not_there() -> None:
    bad = Capability(
        how="not at all here",
        actions=("fly",),
        checks=("fly",),
        evidence=("fly",),
        commands=("fly",),
        settings=("policy.fly",),
        places=("fly",),
        playbooks=("fly",),
        docs="playbooks.md#fly",
    )
    found = list(unresolved(bad, {}))
    assert found == [
        *("action fly", "check fly", "evidence fly", "command fly", "setting policy.fly", "place fly", "playbook fly"),
        "heading playbooks.md#fly",
    ]


def test_everything_that_procedures_use_is_registered_or_explained() -> None:
    known = registered()
    used = {name for row in load().procedures.values() for name in row.uses}
    assert sorted(used - known - set(ROWS)) == []
    assert sorted(set(ROWS) & known) == [], "it has its own name by now: take it out of capabilities.yaml"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.example])
def test_the_example_is_a_part_of_a_playbook(name: str) -> None:
    given = yaml.safe_load(ROWS[name].example)
    content = {**SMALLEST, **given}
    if "schedule" in given:
        del content["match"]
    load_playbook(
        yaml.safe_dump(content),
        "example.yaml",
        actions=load_actions(),
        checks={kind: check.args for kind, check in CHECKS.items()},
        collectors={kind: collector.args for kind, collector in COLLECTORS.items()},
    )
    assert len(ROWS[name].example.splitlines()) <= 2


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.config])
def test_the_example_is_a_part_of_the_configuration(name: str) -> None:
    assert set(yaml.safe_load(ROWS[name].config)) <= set(Config.model_fields)


@pytest.mark.parametrize("name", ROWS)
def test_each_has_an_example(name: str) -> None:
    assert ROWS[name].lines


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(ROWS), "run scripts/render-capabilities"
    assert re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE) == list(ROWS)
