"""Patterns of namespaces, and whether two of them meet, against every name there is."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.globs import MAX_NAMESPACE, common_name, matches, matches_any

NAMES = [
    name
    for length in range(1, 6)
    for name in map("".join, itertools.product("ab-", repeat=length))
    if name.strip("-") == name
]
"""Every namespace over three characters with at most five of them."""

PATTERNS = st.text("ab-*", min_size=1, max_size=4).filter(lambda text: text.strip("-") == text)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("shop", ["shop"], ["shops", "my-shop", "Shop", ""]),
        ("shop-*", ["shop-a", "shop-a-b"], ["shop", "my-shop-a"]),
        ("*-prod", ["a-prod"], ["prod", "a-prod-b"]),
        ("a*b*c", ["abc", "a-b-c", "aabbcc"], ["ab", "abcd"]),
        ("*", ["anything"], []),
    ],
)
def test_a_pattern_covers_the_whole_name(pattern, inside, outside):
    assert [name for name in (*inside, *outside) if matches(pattern, name)] == inside
    assert matches_any(["x", pattern], inside[0])
    assert not matches_any([], inside[0])


@pytest.mark.parametrize(
    ("one", "other", "example"),
    [
        ("shop", "shop", "shop"),
        ("shop", "pay", None),
        ("shop-*", "shop-eu", "shop-eu"),
        ("shop-*", "shop", None),
        ("team-*", "*-prod", "team-prod"),
        ("team-a-*", "team-b-*", None),
        ("*", "*", "a"),
        ("a-*", "a-*", "a-a"),
        ("*-b", "*-b", "a-b"),
        ("a*", "*b", "ab"),
        ("*a*b*", "*b*a*", "aba"),
    ],
)
def test_where_two_patterns_meet(one, other, example):
    """The shortest namespace that proves it; one that cannot be a namespace proves nothing."""
    assert common_name(one, other) == example
    assert common_name(other, one) in (example, "bab" if example == "aba" else example)


def test_no_namespace_is_longer_than_63_characters():
    """Two patterns that only meet in longer names never meet."""
    left, right = "a" * 32, "b" * 31
    assert common_name(f"{left}*", f"*{right}") == left + right
    assert len(left + right) == MAX_NAMESPACE
    assert common_name(f"{left}*", f"*{right}b") is None


@given(PATTERNS, PATTERNS)
def test_against_every_short_name(one, other):
    """They meet exactly where some name fits both; the example is such a name, and a namespace."""
    both = [name for name in NAMES if _fits(one, name) and _fits(other, name)]
    example = common_name(one, other)
    if both:
        assert example is not None
        assert len(example) == len(both[0])
    if example is not None:
        assert _fits(one, example)
        assert _fits(other, example)
        assert re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", example)


@given(PATTERNS, st.sampled_from(NAMES))
def test_matching_against_a_regular_expression(pattern, name):
    assert matches(pattern, name) is _fits(pattern, name)


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern.replace("*", ".*"), name) is not None
