"""No limit can be switched off or be without limit, however that is written: in a playbook or in the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.config import load_config
from remediator.errors import InvalidConfig
from remediator.playbooks.limits import Limits, Numbers
from remediator.playbooks.limits_table import BESIDES, BY_KEY, LIMITS, OFF, UNLIMITED, shown
from remediator.playbooks.problems import BadPlaybook
from tests.playbooks.registry import load, text_of

SWITCHED_OFF = ("'off'", "false", "none", "null", "0", "'0%'", "0s", "''", "never", "disabled", "'no'")
WITHOUT_LIMIT = ("unlimited", "infinite", "Infinity", "-1", "-5m", "any")
NO_YAML_OF_OURS = ("off", "no", ".inf", "-.inf", ".nan")
"""Refused by the reader already, which says as much."""

VALUES = (*SWITCHED_OFF, *WITHOUT_LIMIT, *NO_YAML_OF_OURS)
GROUPS = tuple(dict.fromkeys(limit.guardrail for limit in LIMITS if "." in limit.key))
KEYS = (*BY_KEY, *GROUPS, "failure_domain.label", "blockers", "windows")


def test_every_key_is_tried():
    assert set(Limits.model_fields) <= {key.partition(".")[0] for key in KEYS}
    inner = {
        f"{name}.{key}"
        for name, field in Limits.model_fields.items()
        for model in getattr(field.annotation, "__args__", ())
        if name in GROUPS and hasattr(model, "model_fields")
        for key in model.model_fields
    }
    assert inner <= set(KEYS)


def written(key: str, value: str) -> str:
    name, _, inner = key.partition(".")
    return f"{{{name}: {{{inner}: {value}}}}}" if inner else f"{{{name}: {value}}}"


def expected(key: str, value: str) -> list[str]:
    """What the message has to name: why, the nearest value, the ceiling."""
    why = UNLIMITED if value in WITHOUT_LIMIT or value in (".inf", "-.inf", ".nan") else OFF
    if limit := BY_KEY.get(key):
        number = value in ("0", "-1")
        nearest = limit.nearest if number else limit.loosest
        return [why, f"nearest allowed value is {shown(nearest)}", f"{limit.bound} {shown(limit.ceiling)}"]
    if key in GROUPS:
        return [why, f"{next(one for one in LIMITS if one.guardrail == key).key.partition('.')[2]}: "]
    return [why, BESIDES[key]]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", KEYS)
def test_a_playbook_cannot(key, value):
    with pytest.raises(BadPlaybook) as refused:
        load(f"{text_of()}\nguardrails: {written(key, value)}\n")
    (problem,) = refused.value.problems
    assert problem.field == f"guardrails.{key}"
    for part in expected(key, value):
        assert part.lower() in str(problem).lower()


def config(tmp_path: Path, text: str) -> str:
    """What the service says at the start to a policy."""
    path = tmp_path / "remediator.yaml"
    path.write_text(f"sources: [{{name: am, auth: none}}]\npolicy: {text}\n")
    with pytest.raises(InvalidConfig) as refused:
        load_config(path, {})
    return str(refused.value).lower()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", [key for key in KEYS if key.partition(".")[0] in Numbers.model_fields])
def test_neither_can_the_operator(key, value, tmp_path):
    for where in (
        "{defaults: %s}",
        "{ceilings: %s}",
        "{environments: [{name: a, match: {clusters: a}, defaults: %s}]}",
        "{environments: [{name: a, match: {clusters: a}, ceilings: %s}]}",
        "{severities: {critical: {defaults: %s}}}",
    ):
        said = config(tmp_path, where % written(key, value))
        for part in expected(key, value):
            assert part.lower() in said


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param("quorum", "the nearest allowed value is 1; the ceiling is at most 5", id="quorum"),
        pytest.param("quorum_data", "the nearest allowed value is 1; the ceiling is at most 5", id="quorum_data"),
        pytest.param("auto", "write mode_ceiling: approve", id="auto"),
        pytest.param("mode_ceiling", "known here: approve, auto, observe, suggest", id="mode_ceiling"),
        pytest.param("blockers", "leave it out", id="blockers"),
        pytest.param("windows", "leave it out", id="windows"),
        pytest.param("defaults", "leave it out", id="defaults"),
        pytest.param("ceilings", "leave it out", id="ceilings"),
    ],
)
def test_nor_leave_out_the_rest(key, said, value, tmp_path):
    if (key, value) == ("auto", "any") or (value in NO_YAML_OF_OURS and key not in ("blockers", "windows")):
        return
    for where in ("{%s: %s}", "{environments: [{name: a, match: {clusters: a}, %s: %s}]}"):
        if key == "mode_ceiling" and value == "null" and "environments" in where:
            continue  # the policy's holds
        found = config(tmp_path, where % (key, value))
        assert said in found or value in NO_YAML_OF_OURS


@pytest.mark.parametrize(
    ("guardrails", "said"),
    [
        pytest.param({"blockers": [{}]}, "exactly one of promql or alerts", id="neither"),
        pytest.param({"blockers": [{"promql": "up", "alerts": 'a="b"'}]}, "exactly one of", id="both"),
        pytest.param({"blockers": [{"promql": "sum(up"}]}, "no PromQL", id="no PromQL"),
        pytest.param({"blockers": [{"promql": 'up{n="${labels.n}"}'}]}, "asked as it stands", id="a template"),
        pytest.param({"blockers": [{"alerts": "{}"}]}, "matches every alert", id="every alert"),
        pytest.param({"blockers": [{"alerts": "alertname="}]}, "matches no alert", id="an alert without a name"),
        pytest.param({"blockers": [{"alerts": "a~b"}]}, "unexpected", id="no matcher"),
        pytest.param({"failure_domain": {"label": "not a label"}}, "is no label name", id="no label"),
        pytest.param({"circuit_breaker": {"failure": 2}}, 'Did you mean "failures"?', id="a slip"),
    ],
)
def test_new_guardrails_say_what_is_wrong(guardrails: Any, said: str):
    with pytest.raises(BadPlaybook) as refused:
        load(f"{text_of()}\n{yaml.safe_dump({'guardrails': guardrails})}")
    (problem,) = refused.value.problems
    assert said in str(problem)
    assert problem.field.startswith("guardrails.")
    assert problem.hint


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        pytest.param("{kind: Deployment, namespace: shop, selector: ''}", "must not be empty", id="empty"),
        pytest.param("{kind: Deployment, namespace: shop, selector: '!a'}", "may be everything", id="everything"),
        pytest.param("{kind: Deployment, selector: a=b}", "is in a namespace", id="no namespace"),
        pytest.param("{kind: Thing, namespace: shop, selector: a=b}", "unknown kind", id="kind"),
    ],
)
def test_a_fleet_is_chosen_like_targets(fleet, said):
    with pytest.raises(BadPlaybook) as refused:
        load(f"{text_of()}\nfleet: {fleet}\n")
    assert said in str(refused.value)


def test_a_fleet_is_for_one_target():
    text = f"{text_of()}\nfleet: {{kind: Deployment, namespace: shop, selector: a=b}}\n"
    assert load(text).playbook.fleet is not None
    with pytest.raises(BadPlaybook, match="for a single target"):
        load(text.replace("target: from_alert", "targets: {kind: Deployment, namespace: shop, selector: a=b, max: 2}"))


def test_what_a_blocker_asks_prometheus():
    text = """
guardrails:
  blockers:
    - {name: node trouble, alerts: 'severity=~"critical|page", team!="x"'}
    - {alerts: '"a.b"="c"'}
    - {promql: 'kafka_under_replicated > 0'}
"""
    blockers = load(f"{text_of()}{text}").playbook.guardrails.blockers
    assert [(b.title, b.query) for b in blockers] == [
        ("node trouble", 'ALERTS{alertstate="firing", severity=~"critical|page", team!="x"}'),
        ('"a.b"="c"', 'ALERTS{alertstate="firing", "a.b"="c"}'),
        ("kafka_under_replicated > 0", "kafka_under_replicated > 0"),
    ]
