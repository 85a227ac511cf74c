"""`${...}`: CEL inside, text outside; nothing missing ever becomes an empty string."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.expressions import Environment, Scope
from remediator.playbooks.templates import TemplateError, expander, parse_template, render, render_text, texts
from tests.playbooks.registry import NOW, make_alert


def scope_with(target=None, **labels: str) -> Scope:
    params = {"n": 3, "r": 0.02, "big": 1e21, "d": timedelta(minutes=90), "yes": True, "s": "x", "whole": 2.0}
    return Environment(make_alert(**labels), NOW).scope(params=params, target=target)


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        pytest.param("plain", "plain", id="plain text"),
        pytest.param("${params.n}", 3, id="a number stays a number"),
        pytest.param("${params.yes}", True, id="a boolean stays one"),
        pytest.param("${params.d}", timedelta(minutes=90), id="a duration stays one"),
        pytest.param("${[1, 2]}", [1, 2], id="a list stays one"),
        pytest.param("${ params.n }", 3, id="spaces inside"),
        pytest.param(" ${params.n}", " 3", id="a space outside makes text"),
        pytest.param("< ${params.r}", "< 0.02", id="a number in text"),
        pytest.param("${params.whole}x", "2x", id="a whole double without fraction"),
        pytest.param("[${params.d}]", "[1h30m]", id="a duration in text"),
        pytest.param("${params.yes}!", "true!", id="a boolean in text"),
        pytest.param("${params.s}${params.n}", "x3", id="two in a row"),
        pytest.param("${alert.starts_at} on", "2025-06-01T11:55:00Z on", id="a time in text"),
        pytest.param('${labels.pod + "}"}', "api-1}", id="a brace in a string"),
        pytest.param('${ {"a": 1}.a }', 1, id="a map"),
        pytest.param("$${params.n}", "${params.n}", id="escaped"),
        pytest.param("$$${params.n}", "$${params.n}", id="a dollar before an escape"),
        pytest.param("costs $5 and $", "costs $5 and $", id="other dollars"),
        pytest.param({"a": ["${params.n}", {"b": "${labels.pod}"}]}, {"a": [3, {"b": "api-1"}]}, id="nested"),
        pytest.param({"${params.n}": 1}, {"${params.n}": 1}, id="keys stay"),
        pytest.param(5, 5, id="no text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_rendering(value, rendered):
    found = render(value, scope_with(pod="api-1"))
    assert found == rendered
    assert type(found) is type(rendered)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("${labels.missing}", 'no label "missing"', id="a missing label"),
        pytest.param("x-${labels.missing}", 'no label "missing"', id="a missing label in text"),
        pytest.param("${null}", "no value", id="null"),
        pytest.param("x${null}", "no text", id="null in text"),
        pytest.param("x${[1]}", "no text", id="a list in text"),
        pytest.param("x${labels}", "no text", id="a map in text"),
        pytest.param('x${duration("-5m")}', "no text", id="a negative duration in text"),
        pytest.param("${0.0 / 0.0}", "no value", id="not a number"),
        pytest.param("x${1.0 / 0.0}", "no text", id="infinity in text"),
        pytest.param("${target.name}", "the target is not known here", id="too early"),
        pytest.param("${", "not closed", id="unclosed"),
        pytest.param("${labels.pod", "not closed", id="unclosed with content"),
        pytest.param('${"}', "not closed", id="closed only inside a string"),
        pytest.param("${}", "empty expression", id="empty"),
        pytest.param("${1 +}", "not CEL", id="not CEL"),
        pytest.param("${labels.long + labels.long}x", "characters", id="too long"),
    ],
)
def test_errors(value, message):
    with pytest.raises(TemplateError, match=message):
        render(value, scope_with(pod="api-1", long="x" * 40_000))


def test_errors_name_the_field():
    with pytest.raises(TemplateError, match=r"^steps\[0\]\.with\.list\[1\]: the alert has no label"):
        render({"list": [1, "${labels.nope}"]}, scope_with(), ("steps", 0, "with"))


def test_names_must_be_text():
    assert render_text("${labels.pod}", scope_with(pod="a"), ("name",)) == "a"
    with pytest.raises(TemplateError, match=r"^name: .* gives 3, not text"):
        render_text("${params.n}", scope_with(), ("name",))


def test_texts_finds_all_templates_with_their_paths():
    value = {"a": ["x", "${b}"], "c": {"d": "$${e}"}, "${f}": 1}
    assert list(texts(value)) == [(("a", 1), "${b}"), (("c", "d"), "$${e}")]


class TestExpander:
    """For texts in another language: each value passes through the caller's quoting."""

    def test_every_value_is_quoted(self):
        expand = expander(scope_with(pod='a"}'))
        text = expand('up{pod="${labels.pod}"} > ${params.n}', lambda value: repr(value))
        assert text == """up{pod="'a"}'"} > 3"""

    @pytest.mark.parametrize("text", ["${labels.nope}", "${null}", "${"])
    def test_errors_are_template_errors(self, text):
        with pytest.raises(TemplateError):
            expander(scope_with())(text, str)


@given(st.text())
def test_text_without_a_template_is_itself(text):
    if "${" not in text:
        assert render(text, scope_with()) == text
        assert parse_template(text).parts == (text,)


@given(st.text())
def test_a_label_value_is_never_read_as_a_template(value):
    """What a template gives is not looked at again."""
    assert render("${labels.v}", scope_with(v=value)) == value
    assert render("a${labels.v}b", scope_with(v=value)) == f"a{value}b"


@given(st.lists(st.text() | st.just("${params.n}") | st.just("$${"), max_size=5))
def test_parts_are_concatenated(parts):
    """Rendering a concatenation is concatenating the renderings, where the parts stay apart."""
    parts = [part for part in parts if part in ("${params.n}", "$${") or "$" not in part]
    rendered = "".join({"${params.n}": "3", "$${": "${"}.get(part, part) for part in parts)
    assert str(render("".join(parts), scope_with())) == rendered


@given(st.text(alphabet="${}ab.\"'\\ "))
def test_never_raises_anything_else(text):
    try:
        render(text, scope_with())
    except TemplateError:
        return


def test_times_are_written_in_utc():
    start = datetime(2025, 1, 1, tzinfo=UTC)
    assert render("${timestamp('2025-01-01T02:00:00+02:00')}", scope_with()) == start
    assert render("at ${timestamp('2025-01-01T02:00:00+02:00')}", scope_with()) == "at 2025-01-01T00:00:00Z"
