"""The queries we write ourselves: values stay values, and their reach into the past is known."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.remediation.promql import (
    equals,
    equals_or_absent,
    largest_range,
    one_of,
    parse_matchers,
    quote,
    regex_quote,
    seconds,
    select,
)


@given(st.text(max_size=60))
def test_no_value_ends_its_string(value: str) -> None:
    """Whatever the value, the literal has exactly two quotes, both ours, and stands on one line."""
    assert re.fullmatch(r'"(?:[^"\\\n]|\\.)*"', quote(value))


@given(st.text(alphabet="ab.+*?()|[]{}^$\\-/", max_size=20), st.text(alphabet="ab.+*?()|[]{}^$\\-/", max_size=20))
def test_a_quoted_expression_matches_only_itself(value: str, other: str) -> None:
    assert (re.fullmatch(regex_quote(value), other) is not None) == (value == other)


def test_selectors_for_values() -> None:
    assert equals("namespace", 'a"} or vector(1) #') == r'namespace="a\"} or vector(1) #"'
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
