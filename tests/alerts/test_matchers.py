"""Matchers mean here what they mean in Alertmanager."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.alerts.matchers import InvalidMatcher, Matcher, matches_all, parse_matchers


def terms(text: str) -> list[tuple[str, str, str]]:
    return [(matcher.name, matcher.op, matcher.value) for matcher in parse_matchers(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From matcher/parse/parse_test.go of Alertmanager 0.34.
        pytest.param("", [], id="nothing"),
        pytest.param("{}", [], id="empty braces"),
        pytest.param("{foo=bar}", [("foo", "=", "bar")], id="equals"),
        pytest.param("{foo=bar,}", [("foo", "=", "bar")], id="trailing comma"),
        pytest.param("{foo!=bar}", [("foo", "!=", "bar")], id="not equals"),
        pytest.param("{foo=~[a-z]+}", [("foo", "=~", "[a-z]+")], id="regex"),
        pytest.param("{foo!~[a-z]+}", [("foo", "!~", "[a-z]+")], id="no regex"),
        pytest.param("foo=~[a-z]+", [("foo", "=~", "[a-z]+")], id="regex without braces"),
        pytest.param("{foo=🙂bar}", [("foo", "=", "🙂bar")], id="emoji"),
        pytest.param('{"foo"="bar",}', [("foo", "=", "bar")], id="quoted name"),
        pytest.param('{"foo"=~"\\\\d+"}', [("foo", "=~", "\\d+")], id="escaped backslash in regex"),
        pytest.param(r'{"foo"="\xf0\x9f\x99\x82"}', [("foo", "=", "🙂")], id="emoji as bytes"),
        pytest.param(r'{"foo"="\U0001f642"}', [("foo", "=", "🙂")], id="emoji as code point"),
        pytest.param(r'{"foo bar"="bar\t"}', [("foo bar", "=", "bar\t")], id="tab"),
        pytest.param(r'{"foo"="bar\n"}', [("foo", "=", "bar\n")], id="newline"),
        pytest.param(r'{"foo"="\"bar\""}', [("foo", "=", '"bar"')], id="quotes"),
        pytest.param(r'{"foo"="bar\\"}', [("foo", "=", "bar\\")], id="backslash"),
        pytest.param("foo=bar,bar!=baz", [("foo", "=", "bar"), ("bar", "!=", "baz")], id="two"),
        pytest.param(' { foo = "bar" , bar =~ "b a z" } ', [("foo", "=", "bar"), ("bar", "=~", "b a z")], id="blanks"),
        pytest.param(r'"\101"="é\u00e9\a"', [("A", "=", "éé\a")], id="other escapes"),
        # What only the classic parser reads.
        pytest.param(r'foo=~"\d+"', [("foo", "=~", r"\d+")], id="single backslash"),
        pytest.param(r"foo=~api\..+", [("foo", "=~", r"api\..+")], id="unquoted backslash"),
        pytest.param("foo=", [("foo", "=", "")], id="empty unquoted value"),
        pytest.param('foo=""', [("foo", "=", "")], id="empty value"),
        pytest.param("foo=~a{2}b", [("foo", "=~", "a{2}b")], id="braces in value"),
        pytest.param("foo=bar baz", [("foo", "=", "bar baz")], id="blank in value"),
        pytest.param("foo=bar}", [("foo", "=", "bar")], id="lone closing brace"),
        pytest.param(r'q="Said: \"Hi, you!\"", a=\b', [("q", "=", 'Said: "Hi, you!"'), ("a", "=", r"\b")], id="comma"),
        # What both read, differently: the classic reading wins, as in Alertmanager.
        pytest.param(r'foo="\t"', [("foo", "=", r"\t")], id="disagreement"),
        pytest.param(r'foo=~"\u00e9"', [("foo", "=~", "é")], id="no disagreement: the classic one is no regex"),
    ],
)  # fmt: skip
def test_reads_alertmanagers_syntax(text, expected):
    """Both grammars of Alertmanager, and its choice between them."""
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(",", "position 0: expected a label name, got ','", id="comma"),
        pytest.param("{,}", "position 1: expected a label name", id="comma in braces"),
        pytest.param("{", "expected a comma or }", id="open brace"),
        pytest.param("}", "expected a comma or the end, got '}'", id="close brace"),
        pytest.param('{"foo bar"=x', "position 12: expected a comma or }, got the end", id="brace not closed"),
        pytest.param('{foo=:"bar"}', "position 6: expected a comma or }", id="two values"),
        pytest.param('a="b" c="d"', "position 6: expected a comma or the end, got 'c'", id="comma forgotten"),
        pytest.param(r'{"foo"=~"\d+"}', "is no escape, write the backslash twice", id="escape"),
        pytest.param(r'{"foo"="\xf0\x9f"}', "not a Go string literal", id="half an emoji"),
        pytest.param(r'{"foo"="\ud800"}', "not a Go string literal", id="lone surrogate"),
        pytest.param('"foo"="a\nb"', r"a line break inside quotes is written \n", id="line break"),
        pytest.param('foo=~"bar', "a missing end quote", id="end quote"),
        pytest.param("foo", "expected =, !=, =~ or !~, got the end", id="no operator"),
        pytest.param("foo bar", "expected =, !=, =~ or !~, got 'bar'", id="two words"),
        pytest.param("a!b", "unexpected '!'", id="half an operator"),
        pytest.param('""="x"', "without a label name", id="empty name"),
        pytest.param("foo='bar',\"x y\"=z", 'unexpected "\'"', id="single quotes"),
    ],
)
def test_refuses_what_alertmanager_refuses(text, reason):
    """The message says where and what was expected."""
    with pytest.raises(InvalidMatcher) as caught:
        parse_matchers(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("matcher", "labels", "expected"),
    [
        pytest.param('a="x"', {"a": "x"}, True, id="equal"),
        pytest.param('a="x"', {"a": "xy"}, False, id="longer"),
        pytest.param('a=""', {}, True, id="missing is empty"),
        pytest.param('a="x"', {}, False, id="missing is not x"),
        pytest.param('a!="x"', {}, True, id="missing differs from x"),
        pytest.param('a!=""', {}, False, id="missing does not differ from empty"),
        pytest.param('a=~"x.*"', {"a": "xyz"}, True, id="regex"),
        pytest.param('a=~"x"', {"a": "xyz"}, False, id="regex is anchored at the end"),
        pytest.param('a=~"z|x.y"', {"a": "xxxy"}, False, id="and at the start, around alternatives"),
        pytest.param('a=~"x|y.?"', {"a": "y"}, True, id="alternatives"),
        pytest.param('a=~".*"', {}, True, id="missing matches anything"),
        pytest.param('a=~".+"', {}, False, id="missing is nothing"),
        pytest.param('a=~"x|"', {}, True, id="missing among literals"),
        pytest.param('a!~"x|y"', {"a": "y"}, False, id="not literals"),
        pytest.param('a!~"x|y"', {"a": "z"}, True, id="not literals, other"),
        pytest.param('a!~"x.*"', {}, True, id="not regex, missing"),
        pytest.param('a=~"(?i)kube.*"', {"a": "KubePod"}, True, id="case"),
        pytest.param('a=~"[[:alpha:]]+"', {"a": "abc"}, True, id="POSIX class"),
        pytest.param('a=~"5.."', {"a": "5xé"}, True, id="a dot is a character, not a byte"),
        pytest.param('a=~"x.y"', {"a": "x\ny"}, False, id="a dot is no line break"),
        pytest.param('a=~"x"', {"a": "x\n"}, False, id="no line break at the end"),
        pytest.param('a=~"a{,2}"', {"a": "aa"}, False, id="{,2} is literal in RE2"),
        pytest.param('a=~"x.*"', {"a": "x\ud800"}, True, id="lone surrogate"),
    ],
)
def test_matches(matcher, labels, expected):
    """Regexes cover the whole value; a missing label is an empty one."""
    (parsed,) = parse_matchers(matcher)
    assert parsed.matches(labels) is expected


def test_all_matchers_must_hold():
    """A list is a conjunction; an empty one holds for everything."""
    both = parse_matchers('a="x",b=~"y|z"')
    assert matches_all(both, {"a": "x", "b": "z"})
    assert not matches_all(both, {"a": "x"})
    assert matches_all((), {})


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(?=a)", id="lookahead"),
        pytest.param("(?<!a)b", id="lookbehind"),
        pytest.param(r"(a)\\1", id="backreference"),
        pytest.param("(?P=x)", id="named backreference"),
        pytest.param("a*+", id="possessive"),
        pytest.param("(?>a)", id="atomic"),
        pytest.param("(?(1)a|b)", id="conditional"),
        pytest.param(r"a\\Z", id="Python's end"),
        pytest.param(r"\\u0041", id="Python's escape"),
        pytest.param("(?x)a b", id="verbose"),
        pytest.param("a{1001}", id="too many"),
        pytest.param("a**", id="nested"),
        pytest.param("(", id="open"),
        pytest.param("a)|(b", id="out of the anchors"),
        pytest.param(r"a\\Qb", id="quoting without end"),
        pytest.param("[", id="class"),
    ],
)
def test_refuses_what_re2_does_not_read(pattern, capfd):
    """Python's `re` would take most of these and mean something else. RE2 must not write to stderr itself."""
    with pytest.raises(InvalidMatcher, match="which reads RE2"):
        parse_matchers(f'a=~"{pattern}"')
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        pytest.param('a="x"', {"x"}, id="equal"),
        pytest.param('a=""', {""}, id="empty"),
        pytest.param('a=~"A|B|C"', {"A", "B", "C"}, id="alternatives"),
        pytest.param('a=~"A"', {"A"}, id="one literal"),
        pytest.param('a=~"(A|B)"', {"A", "B"}, id="group"),
        pytest.param('a=~"(?:A|B)"', {"A", "B"}, id="group without capture"),
        pytest.param(r'a=~"a\\.b|c\\|d"', {"a.b", "c|d"}, id="escaped punctuation"),
        pytest.param('a=~"A|"', {"A", ""}, id="or empty"),
        pytest.param('a=~""', {""}, id="empty regex"),
        pytest.param('a=~"A|B.*"', None, id="not finite"),
        pytest.param('a=~"(A)|(B)"', None, id="two groups"),
        pytest.param(r'a=~"(A|B\\)"', "refused", id="unbalanced"),
        pytest.param(r'a=~"\\d"', None, id="class"),
        pytest.param('a=~"(?i)a"', None, id="flag"),
        pytest.param('a=~"^A$"', None, id="anchors"),
        pytest.param('a!="x"', None, id="not equal"),
        pytest.param('a!~"A|B"', None, id="not literals"),
    ],
)
def test_alternatives(matcher, expected):
    """The finite set of values an index can use; None where there is none."""
    if expected == "refused":
        with pytest.raises(InvalidMatcher):
            parse_matchers(matcher)
        return
    assert parse_matchers(matcher)[0].alternatives == expected


def test_a_hostile_value_costs_linear_time():
    """A backtracking engine needs longer than the universe has for this one."""
    (matcher,) = parse_matchers('a=~"(.*.*.*)*x"')
    started = time.perf_counter()
    assert not matcher.matches({"a": "y" * 1_000_000})
    assert time.perf_counter() - started < 5


def test_matchers_are_values():
    """Equal text, equal matcher: playbooks are compared by content."""
    assert parse_matchers('a=~"x.*"') == parse_matchers("{a=~x.*}")
    assert len({*parse_matchers('a="x"'), *parse_matchers("a=x")}) == 1


def test_invalid_matcher_is_a_value_error():
    """So that pydantic reports it under the field it validates."""
    assert issubclass(InvalidMatcher, ValueError)


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(words, st.sampled_from(["=", "!=", "=~", "!~"]), words)
def test_text_reads_back(name, op, value):
    """str() is Alertmanager's syntax, whatever is in name and value."""
    try:
        matcher = Matcher(name, op, value)
    except InvalidMatcher:
        return
    assert parse_matchers(str(matcher)) == (matcher,)
    assert parse_matchers(f"{{{matcher}, {matcher}}}") == (matcher, matcher)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text):
    """The only error is InvalidMatcher."""
    with suppress(InvalidMatcher):
        parse_matchers(text)


@settings(deadline=None)
@given(st.text(alphabet='ab="\\,{}~! \n|.('))
def test_any_text_of_syntax_is_read_or_refused(text):
    """The same in the neighbourhood of real matchers."""
    with suppress(InvalidMatcher):
        parse_matchers(text)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abAB.-_|"), min_size=1, max_size=4), st.text(alphabet="abAB.-_|"))
def test_alternatives_agree_with_the_regex(literals, value):
    """The finite set is exactly what the regex matches."""
    pattern = "|".join("".join(f"\\{char}" if char in ".-|" else char for char in literal) for literal in literals)
    matcher = Matcher("a", "=~", pattern)
    as_regex = Matcher("a", "=~", f"(?s){pattern}" if "|" not in pattern else f"(?s)(?:{pattern})")
    assert matcher.alternatives == frozenset(literals)
    assert as_regex.alternatives is None
    assert matcher.matches({"a": value}) is as_regex.matches({"a": value}) is (value in literals)
