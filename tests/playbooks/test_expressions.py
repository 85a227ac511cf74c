"""CEL as playbooks see it: what is known, what is missing, what it may cost."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.cel_text import closing_brace, scan
from remediator.playbooks.expressions import (
    MAX_EXPRESSION,
    Environment,
    ExpressionError,
    check_params,
    check_read_again,
    check_roots,
    compile_expression,
)
from tests.playbooks.registry import NOW, make_alert

TARGET = {
    "kind": "Deployment",
    "namespace": "shop",
    "name": "api",
    "ready": 1,
    "desired": 3,
    "labels": {"team": "checkout"},
    "annotations": {},
    "images": ["shop/api:2"],
    "object": {
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"resources": {"limits": {"memory": "512Mi"}}}]}}}
    },
    "unknown": {"revision_age": "its revisions could not be read: 403"},
}
PARAMS = {"ratio": 0.02, "wait": timedelta(hours=1), "copies": 4}


def evaluate(text: str, **labels: str):
    alert = make_alert(annotations={"summary": "x"}, **{"pod": "api-1", "severity": "critical", **labels})
    return Environment(alert, NOW).scope(params=PARAMS, target=TARGET).evaluate(compile_expression(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('alert.age > duration("2m")', True),
        ("alert.age", timedelta(minutes=5)),
        ("alert.starts_at.getHours()", 11),
        ("alert.name + alert.severity + alert.status + alert.cluster", "Brokencriticalfiringdefault"),
        ("alert.labels.pod == labels.pod", True),
        ('labels["pod"]', "api-1"),
        ('labels.get("team", "")', ""),
        ('alert.labels.get("pod", "")', "api-1"),
        ('target.labels.get("team", "?")', "checkout"),
        ("has(labels.team)", False),
        ('"pod" in labels', True),
        ("has(target.revision_age)", False),
        ("target.ready < target.desired", True),
        ("double(target.ready) / double(target.desired) < 0.5", True),
        ("target.object.spec.replicas", 3),
        ('quantity(target.object.spec.template.spec.containers[0].resources.limits.memory) > quantity("256Mi")', True),
        ("params.ratio", 0.02),
        ("params.wait > alert.age", True),
        ("min(target.desired, params.copies)", 3),
        ("max([1, 2.5])", 2.5),
        ('"10.0.0.1:9100".split(":")[0]', "10.0.0.1"),
        ('labels.exists(k, k.startsWith("po"))', True),
        ("type(target.ready) == int", True),
        ("alert.annotations.summary", "x"),
        ('true || labels.nowhere == ""', True),
    ],
)
def test_values(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels.team", 'the alert has no label "team". It has alertname, pod, severity.'),
        ('alert.labels["team"]', 'no label "team"'),
        ("alert.annotations.runbook", 'no annotation "runbook"'),
        ("target.revision_age", "target.revision_age is not known: its revisions could not be read: 403"),
        ("target.image", "target.image is not known: a Deployment has none"),
        ("target.object.spec.paused", 'there is no "paused" in target.object.spec'),
        ("params.missing", "the parameter missing has no value"),
        ('labels[string(params.copies) + "x"]', 'there is no "4x"'),
        ("1 / 0", "division by zero"),
        ('"a" + 1', "string + int"),
        ("[1][5]", "out of bounds"),
        ('quantity("lots")', "expected a quantity"),
        ('labels.get("a")', 'get() is written map.get("key", default)'),
        ('"a:b".split("")', "split() is written"),
        ("min()", "takes numbers"),
        ('max("a", "b")', "takes numbers"),
        ('"x".matches("(")', "x"),
    ],
)
def test_errors_name_what_is_missing(text, message):
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("alrt.name", 'Did you mean "alert"?'),
        ("alert.nmae", 'Did you mean "name"?'),
        ("target.readdy", 'Did you mean "ready"?'),
        ("siez(labels)", 'Did you mean "size"?'),
        ("labels.exists(k, v == 1)", "Known here"),
        ("labels.all(k, v, v != '')", "unknown name v"),
        ("x ==", "at character 5"),
        ('"never closed', "not CEL"),
        ("", "empty"),
        ("// nothing", "not CEL"),
        ('alert.age > duration("1d")', "48h"),
        ("labels.pod;", "not CEL"),
        ("a" * (MAX_EXPRESSION + 1), "Keep it below"),
        ("(" * 400 + "1" + ")" * 400, "not CEL"),
    ],
)
def test_mistakes_are_found_while_loading(text, hint):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1].map(a, [1].map(b, [1].map(c, 1)))", id="three deep"),
        pytest.param('["x"]' + ".map(x, x + x)" * 4, id="doubling four times"),
        pytest.param("[1].all(a, true) && " * 3 + "[1].all(a, true)", id="four side by side"),
    ],
)
def test_loops_are_bounded(text):
    with pytest.raises(ExpressionError, match="loops"):
        compile_expression(text)


def test_a_comprehension_may_bind_any_name():
    """Its variable is not mistaken for an unknown name, nor its fields for ours."""
    assert evaluate("target.object.spec.template.spec.containers.exists(alert, has(alert.resources))") is True


def test_conditions_must_be_true_or_false():
    scope = Environment(make_alert(), NOW).scope(params={}, target=TARGET)
    assert scope.holds(compile_expression("target.ready == 1")) is True
    with pytest.raises(ExpressionError, match="not true or false"):
        scope.holds(compile_expression("target.ready"))


def test_scopes_of_one_environment_do_not_mix():
    """One context is reused for all playbooks of an alert; each sees its own parameters and target."""
    environment = Environment(make_alert(), NOW)
    expression = compile_expression("params.n * target.ready")
    one = environment.scope(params={"n": 1}, target={**TARGET, "ready": 10})
    two = environment.scope(params={"n": 2}, target={**TARGET, "ready": 20})
    assert [scope.evaluate(expression) for scope in (one, two, one, one, two)] == [10, 40, 10, 10, 40]
    without = environment.scope(params={"n": 2})
    with pytest.raises(ExpressionError, match="the target is not known here"):
        without.evaluate(expression)
    with pytest.raises(ExpressionError, match="the parameter n has no value"):
        environment.scope(params={}, target=TARGET).evaluate(expression)


def test_the_raw_object_is_handed_over_only_when_asked_for():
    environment = Environment(make_alert(), NOW)
    scope = environment.scope(params={}, target={"ready": 1, "object": object()})  # cannot be converted
    assert scope.evaluate(compile_expression("target.ready")) == 1
    with pytest.raises(ExpressionError):
        scope.evaluate(compile_expression("target.object"))


def test_without_an_alert_only_parameters_are_known():
    scope = Environment(None, NOW).scope(params={"n": 1})
    assert scope.evaluate(compile_expression("params.n + 1")) == 2
    with pytest.raises(ExpressionError, match="there is no alert here"):
        scope.evaluate(compile_expression("labels.pod"))


def test_an_alert_from_the_future_has_no_negative_age():
    alert = make_alert(age=timedelta(minutes=-10))
    scope = Environment(alert, NOW).scope(params={})
    assert scope.evaluate(compile_expression("alert.age")) == timedelta(0)


def test_what_an_expression_uses():
    expression = compile_expression("target.name + string(params.n) + labels.x + target.object.kind")
    assert expression.roots == {"target", "params", "labels"}
    assert expression.params == {"n"}
    assert expression.target == {"name", "object"}
    assert expression.needs_object
    with pytest.raises(ExpressionError, match="no parameter n"):
        check_params(expression, {"m"})
    with pytest.raises(ExpressionError, match="target cannot be used here: too early"):
        check_roots(expression, ("alert", "labels", "params"), "too early")
    check_read_again(expression)
    with pytest.raises(ExpressionError, match="restarts is not known in checks"):
        check_read_again(compile_expression("target.ready + target.restarts"))


def test_the_library_logs_nothing_of_its_own(caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(ExpressionError):
        evaluate('quantity("secret-value")')
    assert not caplog.records


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_command_line_of_the_library_is_not_loaded():
    """It costs 11 MB and 0.2 s at every start."""
    code = (
        "import sys, remediator.playbooks.expressions as e; e.compile_expression('1 + 1');"
        "print(sorted({'typer', 'rich', 'prompt_toolkit', 'click'} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


@pytest.mark.parametrize(
    "order", [("remediator.playbooks.expressions", "cel"), ("cel", "remediator.playbooks.expressions")]
)
def test_the_whole_library_may_be_imported_as_well(order):
    """The extension panics when it is initialised twice."""
    imports = "; ".join(f"import {name}" for name in order)
    assert run_python(f"{imports}; print(cel.evaluate('1 + 2'))") == "3"


def test_programs_may_be_made_in_one_thread_and_used_in_another():
    """Reloading compiles in a worker thread, matching evaluates in the event loop's."""
    with ThreadPoolExecutor(1) as pool:
        expression = pool.submit(compile_expression, "params.n + 41").result()
    assert Environment(None, NOW).scope(params={"n": 1}).evaluate(expression) == 42


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("a}", 1),
        ('{"k": {"l": 1}}.k}', 17),
        ('"}" + a}', 7),
        ("'}' }", 4),
        ('r"\\"}', 4),
        ('"\\"}"}', 5),
        ('"""}"""}', 7),
        ("a // }\n}", 7),
        ("a", None),
        ('"}', None),
    ],
)
def test_where_an_expression_ends(text, end):
    assert closing_brace(text, 0) == end


def test_scan():
    found = scan('alert.labels.get("a", "") == params.x && target.images.exists(i, i.contains("a.b"))')
    assert found.fields == {("alert", "labels"), ("params", "x"), ("target", "images")}
    assert found.bound == {"i"}
    assert (found.count, found.depth) == (1, 1)


@given(st.text(alphabet="abcalertlabels.()[]{}\"'\\ +-*/&|!<>=?:,0123456789\n", max_size=60))
def test_never_raises_anything_else(text):
    try:
        expression = compile_expression(text)
        Environment(make_alert(), NOW).scope(params=PARAMS, target=TARGET).evaluate(expression)
    except ExpressionError:
        return
