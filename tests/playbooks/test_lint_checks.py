"""What lint says of the arguments of checks, with the checks that there are."""

from __future__ import annotations

import pytest

from remediator.playbooks.lint import Severity, lint
from remediator.playbooks.loader import load_playbook
from remediator.remediation.checks.registry import CHECKS
from tests.playbooks.registry import ACTIONS, text_of

MODELS = {name: kind.args for name, kind in CHECKS.items()}
PARAMS = "params: {phase: {type: string, default: Running}, most: {type: string}}\n"


def found(check: str, where: str = "verify") -> list[tuple[str, str, str]]:
    """(severity, code, field) of each finding about a playbook with this check."""
    more = PARAMS + (f"verify: {{checks: [{check}]}}\n" if where == "verify" else "")
    text = text_of(more=more)
    if where == "gate":
        text = text.replace("{action: rollback}", f"{{check: {check}}}, {{action: rollback}}")
    if where == "step":
        text = text.replace("{action: rollback}", f"{{action: rollback, verify: {check}}}, {{action: rollback}}")
    loaded = load_playbook(text, "test.yaml", actions=ACTIONS, checks=MODELS)
    findings = lint([loaded], actions=ACTIONS)
    return [(one.severity.value, one.code, one.field) for one in findings if one.code != "no-undo"]


IS = "verify.checks[0].condition.is"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        pytest.param("{condition: {is: 'target.ready > 0'}}", [], id="CEL"),
        pytest.param("{condition: {is: 'target.image == params.phase'}}", [], id="a parameter by its name"),
        pytest.param(
            "{condition: {is: 'target.image == \"${params.phase}\"'}}",
            [("error", "template-in-cel", IS)],
            id="a parameter that is known when it loads",
        ),
        pytest.param(
            "{condition: {is: 'target.image == \"${params.most}\"'}}",
            [("error", "template-in-cel", IS)],
            id="a parameter that is not",
        ),
        pytest.param(
            "{condition: {is: 'target.image == \"${labels.image}\"'}}",
            [("error", "template-in-cel", IS)],
            id="a label",
        ),
        pytest.param(
            "{condition: {is: 'true', failed: 'target.name == \"${target.name}\"'}}",
            [("error", "template-in-cel", "verify.checks[0].condition.failed")],
            id="failed",
        ),
        pytest.param(
            "{created: {kind: Job, is: 'target.name == \"${target.name}\"'}}",
            [("error", "template-in-cel", "verify.checks[0].created.is")],
            id="created",
        ),
        pytest.param(
            "{condition: {is: 'target.image == params.phrase'}}",
            [("error", "unknown-parameter", IS)],
            id="a parameter that there is none of",
        ),
    ],
)
def test_conditions_are_cel_and_nothing_is_filled_in(check, expected):
    """Such a check could only ever say that it does not know."""
    assert found(check) == expected


@pytest.mark.parametrize(
    ("where", "field"),
    [("gate", "steps[0].check.condition.is"), ("step", "steps[0].verify.condition.is")],
)
def test_conditions_of_steps_are_seen_too(where, field):
    check = "{condition: {is: 'target.image == \"${params.phase}\"'}}"
    assert found(check, where) == [("error", "template-in-cel", field)]


LAG = "verify.checks[0].replication_healthy.query"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param('max(lag{namespace="${target.namespace}"})', [], id="good"),
        pytest.param('max(lag{namespace="x"}', [("error", "promql-syntax", LAG)], id="a bracket"),
        pytest.param("max(lag)", [("warning", "no-namespace", LAG)], id="of all namespaces"),
        pytest.param('a{node="x"} / b{node="x"}', [], id="a ratio: it has no on_empty to say more"),
    ],
)
def test_the_query_of_replication_is_read(query, expected):
    assert found(f"{{replication_healthy: {{cluster: db, query: '{query}'}}}}") == expected


def test_the_query_that_proves_scraping_is_read():
    check = "{promql: {query: 'a{node=\"x\"}', success: '< 1', on_empty: {value: 0, while: 'sum(up'}}}"
    assert found(check) == [(Severity.ERROR.value, "promql-syntax", "verify.checks[0].promql.on_empty.while")]
