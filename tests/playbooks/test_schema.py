"""The editors' schema says what the loader says, as far as JSON Schema can."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.problems import BadPlaybook
from remediator.playbooks.schema import playbook_schema
from remediator.playbooks.yaml_strict import YamlError, load_strict
from tests.playbooks.registry import ACTIONS, CHECKS, CheckArgs, load, text_of
from tests.playbooks.test_loader import FULL

SCHEMA = playbook_schema(ACTIONS, CHECKS)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

BEYOND = {
    "alertless-templates",
    *("action-on-kind", "approver", "argument-rule", "bad-matcher", "bad-regex", "bad-selector", "bad-target-name"),
    *("ask-template", "check-asks-restarts", "empty", "empty-selector", "empty-template", "escalate-to-itself", "list"),
    *("matches-everything", "negative-selector", "no-namespace", "no-timeout", "node-namespace", "param-bounds"),
    *("param-default", "param-enum", "param-in-argument", "param-text-bounds", "param-type", "stray-template"),
    *("target-in-target", "too-much-percent", "unclosed-template", "unknown-param", "when-days", "when-field"),
    *("when-function", "when-long", "when-loops", "when-name", "when-syntax", "when-template"),
    "schedule-zone-and-catch-up",
    "via-several",
}
"""Mistakes that need more than a schema: CEL, matchers, names, values that depend on each other."""


def errors(text: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(load_strict(text).content)]


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", [FULL, text_of()], ids=["full", "minimal"])
def test_good_playbooks_fit(text):
    assert errors(text) == []


BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


@pytest.mark.parametrize("path", [path for path in BAD if path.stem not in BEYOND], ids=lambda path: path.stem)
def test_bad_playbooks_do_not(path):
    with contextlib.suppress(YamlError):  # there an editor's YAML reader has its own opinion
        assert errors(path.read_text())


@pytest.mark.parametrize(
    ("steps", "good"),
    [
        ("- {action: rollback}", True),
        ("- {action: rollback, with: {to: 5}}", True),
        ("- {action: rollback, with: {to: later}}", False),
        ('- {action: rollback, with: {to: "${params.x}"}}', True),
        ("- {action: scale, with: {to: 1, min: 1, max: 3}}", True),
        ('- {action: scale, with: {to: "${target.desired}", min: 1, max: 3}}', True),
        ('- {action: scale, with: {to: "3", min: 1, max: 3}}', False),
        ("- {action: scale, with: {to: 1, min: 1}}", False),
        ("- {action: scale}", False),
        ("- {action: scale, with: {to: 1, min: 1, max: 3, extra: 1}}", False),
        ("- {wait: 5m}", True),
        ("- {wait: 300}", True),
        ("- {wait: soon}", False),
        ("- {wait: 5m, action: rollback}", False),
        ("- {wait: 5m, with: {}}", False),
        ("- {ask: Go on?}", True),
        ("- {check: {rollout: {}}}", True),
        ("- {check: {rollout: null}}", True),
        ("- {check: {}}", False),
        ("- {check: {promql: {query: up}}}", True),
        ("- {check: {promql: null}}", False),
        ("- {check: {promql: {query: up, on_empty: {value: 0, while: up}}}}", True),
        ("- {check: {promql: {query: up, on_empty: {value: 0}}}}", False),
        ("- {action: rollback, verify: {rollout: {}, pods_ready: {}}}", True),
        ("- {action: rollback, verify: {nothing: {}}}", False),
        ("- {action: rollback, via: live, verify: {rollout: {}}}", True),
        ("- {action: rollback, via: hold_and_pr, verify: {rollout: {}}}", True),
        ("- {action: rollback, via: pr}", True),
        ("- {action: rollback, via: pr, repeatable: false}", True),
        ("- {action: rollback, via: pr, revert: {after_quiet: 30m}}", False),
        ("- {action: rollout_restart, via: pr}", False),
        ("- {action: rollout_restart, via: live}", True),
        ("- {}", False),
    ],
)
def test_steps(steps, good):
    text = f"name: a\nmatch: {{alerts: ['a=\"b\"']}}\ntarget: from_alert\nsteps:\n  {steps}\n"
    assert (errors(text) == []) is good


def test_completion_has_what_it_needs():
    """Descriptions, choices and defaults as playbooks write them; none of pydantic's derived titles."""
    properties = SCHEMA["$defs"]["Verify"]["properties"]
    assert properties["settle"]["default"] == "1m"
    assert properties["timeout"]["default"] == "10m"
    assert SCHEMA["$defs"]["Step"]["properties"]["action"]["enum"] == sorted(ACTIONS)
    assert SCHEMA["properties"]["gather"]["default"] == "20s"
    assert '"title": "Gather"' not in json.dumps(SCHEMA)
    assert "null" not in json.dumps(SCHEMA["$defs"]["Limits"])


def test_evidence_is_open_without_its_registry():
    with_kinds = playbook_schema(ACTIONS, CHECKS, {"logs": CheckArgs})
    assert list(with_kinds["$defs"]["Collect"]["properties"]) == ["logs"]
    assert "properties" not in SCHEMA["$defs"]["Collect"]


SCALARS = [None, True, 0, 1, -1, 2.5, "5m", "x", "60%", "${params.n}", "${labels.x}", "observe", "failed"]
STEPS = [
    {"action": "rollback"},
    {"action": "rollback", "with": {"to": "${labels.x}"}, "verify": {"rollout": None}},
    {"action": "rollback", "with": {}, "repeatable": False},
    {"action": "rollback", "with": None},
    {"action": "scale", "with": {"by": None, "to": 1, "min": 0, "max": "${target.desired}"}},
    {"action": "scale"},
    {"action": "rollback", "via": "pr"},
    {"action": "rollback", "via": "hold_and_pr", "verify": {"rollout": {}}},
    {"wait": "1h30m"},
    {"wait": 5, "with": {}},
    {"check": {"promql": {"query": "up", "on_empty": {"value": 0, "while": "up"}, "tolerance": None}}},
    {"check": {"rollout": None}},
    {"ask": "Sure?", "wait": None},
    {"ask": "Sure?"},
]
RUNGS = [{"playbook": "b"}, {"page": {}}, {"page": {"urgency": "low"}}, {"page": None}, {"playbook": "b", "page": {}}]


def some(key: str, values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values)})


CONTENT = st.fixed_dictionaries(
    {"steps": st.lists(st.sampled_from(STEPS), min_size=1, max_size=2)},
    optional={
        "mode": st.sampled_from(["observe", "auto", "never"]),
        "priority": st.sampled_from([0, 7, 2.5, None]),
        "gather": st.sampled_from(SCALARS),
        "params": st.fixed_dictionaries(
            {
                "n": st.fixed_dictionaries(
                    {"type": st.sampled_from(["integer", "duration"])}, optional={"max": st.sampled_from(SCALARS)}
                )
            }
        ),
        "guardrails": some("max_targets", SCALARS)
        | some("min_available", SCALARS)
        | some("cooldown", [{"success": "5m"}, {}]),
        "undo": some("after", SCALARS),
        "escalate": st.lists(st.sampled_from(RUNGS), max_size=1),
        "verify": some("settle", SCALARS)
        | some("checks", [[], [{"rollout": None}], [{"promql": {"query": "up"}}], None]),
    },
)


@given(CONTENT)
def test_whatever_loads_fits(content):
    """An editor must not draw red lines under a playbook that works."""
    document = {
        "name": "a",
        "match": {"alerts": ['a="b"']},
        "target": "from_alert",
        "steps": [{"action": "rollback"}],
        **content,
    }
    try:
        load(json.dumps(document))
    except BadPlaybook:
        return
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
