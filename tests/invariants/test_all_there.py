"""There is a test for each of the 28 invariants, and the documents name it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "architecture.md"
COUNT = 28


def named() -> dict[int, set[str]]:
    """Names of the tests of this folder by their invariant."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in HERE.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (m := re.match(r"test_(\d\d)_", node.name)):
                found[int(m[1])].add(node.name)
    return found


def test_there_are_exactly_28_without_gaps() -> None:
    assert sorted(named()) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_the_document_names_the_test(number: int) -> None:
    rows = re.findall(r"^\| *(\d+) *\|(.*)$", TABLE.read_text(), re.MULTILINE)
    assert [int(n) for n, _ in rows] == list(range(1, COUNT + 1))
    (row,) = [text for n, text in rows if int(n) == number]
    said = set(re.findall(r"`(test_\d\d_\w+)`", row))
    assert said == named()[number]
