"""Sizes are exact: no floats, rounded up as Kubernetes does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.storage.sizes import size_of, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20Gi", 20 * 1024**3),
        ("1.5Gi", 1536 * 1024**2),
        ("500M", 500_000_000),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("1Ei", 1024**6),
        ("128974848", 128974848),
        (128974848, 128974848),
        ("1.1Gi", 1181116007),
        ("1500m", 2),
        (".5Ki", 512),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_exact(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1Gi", "1 Gi", "1gi", "Gi", "1Gi\n", "1e", "1_0", None, True, 1.5, [], "٣Gi"]
)
def test_no_sizes(text):
    with pytest.raises(ValueError, match="expected a size such as 20Gi"):
        size_of(text)


@given(st.integers(min_value=1, max_value=10**18 - 1))
def test_text_and_back(size):
    assert size_of(size_text(size)) == size


def test_the_shortest_text():
    assert [size_text(n) for n in (20 * 1024**3, 1536 * 1024**2, 1024**4, 1024, 1000)] == [
        "20Gi",
        "1536Mi",
        "1Ti",
        "1Ki",
        "1000",
    ]
