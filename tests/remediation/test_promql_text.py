"""The queries we write ourselves: values stay values, and their reach into the past is known."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.remediation.filling import Held, parts_of
from remediator.remediation.promql import (
    equals,
    equals_or_absent,
    escape,
    fill,
    largest_range,
    one_of,
    parse_matchers,
    quote,
    regex_quote,
    seconds,
    select,
)
from tests.checks.fakes import renderer

EVIL = '"} or vector(1) #'


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        pytest.param('up{pod="${v}"}', "a-b", 'up{pod="a-b"}', id="plain"),
        pytest.param('up{pod="${v}"}', EVIL, r'up{pod="\x22} or vector(1) #"}', id="double quote cannot close"),
        pytest.param("up{pod='${v}'}", "' or 1", r"up{pod='\x27 or 1'}", id="single quote cannot close"),
        pytest.param('up{pod="${v}"}', "a\\", r'up{pod="a\\"}', id="backslash cannot eat the quote"),
        pytest.param('up{pod="${v}"}', "a\nb", r'up{pod="a\x0ab"}', id="newline"),
        pytest.param('up{pod=~"${v}-.*"}', "a.b", r'up{pod=~"a\\.b-.*"}', id="regex value"),
        pytest.param('up{pod!~ "${v}"}', ".*", r'up{pod!~ "\\.\\*"}', id="not-regex, with a space"),
        pytest.param("up{pod=~`${v}`}", "a.b", r"up{pod=~`a\.b`}", id="raw regex string"),
        pytest.param('up{a=~"x",b="${v}"}', "a.b", 'up{a=~"x",b="a.b"}', id="plain after a regex"),
        pytest.param("up > ${v}", 0.02, "up > 0.02", id="number in code"),
        pytest.param("up > ${v}", "0.02", "up > 0.02", id="number as text in code"),
        pytest.param("rate(x[${v}])", "1h30m", "rate(x[1h30m])", id="duration in code"),
        pytest.param("rate(x[${v}])", timedelta(minutes=5), "rate(x[5m])", id="timedelta in code"),
        pytest.param('a{x="\\"${v}"}', '"', r'a{x="\"\x22"}', id="after an escaped quote"),
        pytest.param('a{x="\\\\${v}"}', '"', r'a{x="\\\x22"}', id="after an escaped backslash"),
        pytest.param('a{b="c"} == ${v}', 3, 'a{b="c"} == 3', id="code after a string"),
        pytest.param("up # it's\n> ${v}", 3, "up # it's\n> 3", id="a quote in a comment opens nothing"),
    ],
)
def test_fill(template: str, value: object, expected: str) -> None:
    assert fill(template, renderer(v=value)) == expected


@pytest.mark.parametrize(
    ("template", "value"),
    [
        pytest.param("up > ${v}", "0 or vector(1)", id="code"),
        pytest.param("up > ${v}", "", id="nothing"),
        pytest.param("${v}", "up", id="a whole query"),
        pytest.param("up{${v}}", 'a="b"', id="a matcher"),
        pytest.param("up > ${v}", float("nan"), id="nan"),
        pytest.param("up > ${v}", "1\n", id="a line end"),
        pytest.param("up > ${v}", "٣", id="digits of another script"),
        pytest.param("up > ${v}", True, id="a truth value"),
        pytest.param("up # ${v}", "x\n or vector(1)", id="a comment"),
        pytest.param("up{a=`${v}`}", "` or vector(1)", id="backtick in a raw string"),
        pytest.param('up{a="${v}"}', ["a"], id="a list"),
        pytest.param('up{a="${v}"}', None, id="null"),
        pytest.param('up{a="\\${v}"}', "\\", id="a backslash that would meet the value's"),
        pytest.param('up{a="\ue000${v}"}', "x", id="our own placeholder"),
    ],
)
def test_fill_refuses(template: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fill(template, renderer(v=value))


def test_a_value_that_looks_like_our_placeholder_stays_a_value() -> None:
    assert fill('a{b="${v}",c="${w}"}', renderer(v="\ue0001\ue001", w="x")) == 'a{b="\ue0001\ue001",c="x"}'


def test_parts() -> None:
    assert parts_of("a${v}${w}", renderer(v="", w=1)) == ("a", Held(""), Held("1"))
    assert parts_of("plain", renderer()) == ("plain",)


@given(st.text(max_size=60))
def test_no_filled_value_ends_its_string(value: str) -> None:
    query = fill('up{pod="${v}"} > 1', renderer(v=value))
    inside = re.fullmatch(r'up\{pod="((?:[^"\\\n]|\\.)*)"\} > 1', query)
    assert inside is not None
    if value.isascii():  # Python reads these escapes as Prometheus does
        assert inside[1].encode().decode("unicode_escape") == value


@given(st.text(max_size=60))
def test_escaped_text_holds_no_quote_and_no_line_end(value: str) -> None:
    assert not set("\"'`\n\r") & set(escape(value))


@given(st.text(max_size=60))
def test_no_value_ends_its_string(value: str) -> None:
    """Whatever the value, the literal has exactly two quotes, both ours, and stands on one line."""
    assert re.fullmatch(r'"(?:[^"\\\n]|\\.)*"', quote(value))


@given(st.text(alphabet="ab.+*?()|[]{}^$\\-/", max_size=20), st.text(alphabet="ab.+*?()|[]{}^$\\-/", max_size=20))
def test_a_quoted_expression_matches_only_itself(value: str, other: str) -> None:
    assert (re.fullmatch(regex_quote(value), other) is not None) == (value == other)


def test_selectors_for_values() -> None:
    assert equals("namespace", 'a"} or vector(1) #') == r'namespace="a\x22} or vector(1) #"'
    assert one_of("pod", ["b", "a.x", "b"]) == r'pod=~"a\\.x|b"'
    assert equals_or_absent("job", "a|b") == r'job=~"|a\\|b"'
    assert select("up", 'a="b"', "", 'c="d"', window=timedelta(minutes=5)) == 'up{a="b",c="d"}[300s]'
    assert seconds(timedelta(milliseconds=10)) == "1s"


@pytest.mark.parametrize("name", ['a="",b', "", "1a", "my.label", "a\n"])
def test_a_label_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no label name"):
        equals(name, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('code=~"5.."', ['code=~"5.."']),
        ("{ code =~ '5..' , route=\"/a,b\" }", ["code=~'5..'", 'route="/a,b"']),
        (r'a="\"x",b!=`y"`', [r'a="\"x"', 'b!=`y"`']),
        ("", []),
        ('a="b",', ['a="b"']),
    ],
)
def test_matchers(text: str, expected: list[str]) -> None:
    assert [str(m) for m in parse_matchers(text)] == expected


@pytest.mark.parametrize(
    "text", ['code="5"} or up{', "code", 'a="b" c="d"', 'a=="b"', '"x"="y"', "a=b", 'a="b', 'a=""x"']
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected matchers"):
        parse_matchers(text)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("up == 0", 0),
        ("rate(x[5m]) > 1", 300),
        ("rate(x[5m]) / rate(y[1h30m])", 5400),
        ('rate(x{a="[9h]"}[5m]) # [8h]', 300),
        ("max_over_time(rate(x[5m])[30m:1m])", 2100),
        ("rate(x[5m] offset 1w)", 300),
        ("job:slo_errors:ratio_rate1h{a='b'} > 0.1", 3600),
        ("apiserver_request:burnrate1d > 1", 86400),
        ("rate(x[90])", 90),
        ("rate(x[inf])", 10 * 31536000),
        ("rate(x[${w}])", 0),
    ],
)
def test_how_far_back_a_query_looks(query: str, expected: float) -> None:
    assert largest_range(query) == timedelta(seconds=expected)
