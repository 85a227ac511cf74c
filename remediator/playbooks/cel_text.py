"""What can be said about a CEL expression without running it: where it ends, what it names, how much it may cost.

The library tells the variables and functions of a compiled program, but not which of them a comprehension binds, nor
which fields are asked for; a small scan over the tokens does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["name", "number", "string", "sign"]

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<string>
        (?:[rR][bB]?|[bB][rR])(?:\"\"\"(?s:.*?)\"\"\"|'''(?s:.*?)'''|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"\"\"(?s:(?:\\.|[^\\])*?)\"\"\"|'''(?s:(?:\\.|[^\\])*?)'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    )
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<sign>&&|\|\||[<>=!]=|.)""",
    re.VERBOSE | re.DOTALL,
)
COMPREHENSIONS = frozenset({"all", "exists", "exists_one", "map", "filter"})


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    end: int
    """Index just behind it."""

    @property
    def inner(self) -> str:
        """What a string literal holds, escapes left as they are (enough to compare label names)."""
        return self.text.lstrip("rRbB").strip("\"'")


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Never fails: what is no token is a sign of one character, and the compiler will object to it."""
    at = start
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None  # the last alternative takes any character
        at = found.end()
        if found.lastgroup != "skip":
            yield Token(found.lastgroup, found.group(), at)  # type: ignore[arg-type]  # the groups are the kinds


def closing_brace(text: str, start: int) -> int | None:
    """Index of the `}` that ends an expression beginning at `start`; braces in strings and maps do not count."""
    depth = 0
    for token in tokens(text, start):
        if token.kind != "sign":
            continue
        if token.text in "\"'":
            return None  # a string that is not closed holds everything behind it
        if token.text == "{":
            depth += 1
        elif token.text == "}":
            if not depth:
                return token.end - 1
            depth -= 1
    return None


@dataclass(frozen=True, slots=True)
class Scan:
    """`fields` are (root, field) pairs like ("alert", "labels"); `bare` the names used without a field behind them.

    `bound` are the variables of comprehensions, `depth` how deep these are nested, `count` how many there are.
    """

    fields: frozenset[tuple[str, str]]
    bare: frozenset[str]
    bound: frozenset[str]
    count: int
    depth: int


def scan(text: str) -> Scan:
    found = list(tokens(text))
    fields: set[tuple[str, str]] = set()
    bare: set[str] = set()
    bound: set[str] = set()
    parens: list[bool] = []
    count = depth = 0
    for index, token in enumerate(found):
        before = found[index - 1].text if index else ""
        after = found[index + 1 : index + 4]
        if token.text == "(":
            macro = index > 1 and found[index - 1].text in COMPREHENSIONS and found[index - 2].text == "."
            parens.append(macro)
            count += macro
            depth = max(depth, sum(parens))
            if macro and len(after) > 1 and after[0].kind == "name" and after[1].text == ",":
                bound.add(after[0].text)
        elif token.text == ")" and parens:
            parens.pop()
        elif token.kind == "name" and before != ".":
            method = len(after) > 2 and after[2].text == "("
            if len(after) > 1 and after[0].text == "." and after[1].kind == "name" and not method:
                fields.add((token.text, after[1].text))
            else:
                bare.add(token.text)
    return Scan(frozenset(fields), frozenset(bare), frozenset(bound), count, depth)


def path_before(text: str, key: str) -> str | None:
    """The path that `key` was asked of: `alert.labels` for `alert.labels.pod` and `alert.labels["pod"]`, or None."""
    found = list(tokens(text))
    for index, token in enumerate(found):
        by_name = token.kind == "name" and token.text == key and index > 1 and found[index - 1].text == "."
        by_index = token.kind == "string" and token.inner == key and index > 1 and found[index - 1].text == "["
        if not (by_name or by_index):
            continue
        parts: list[str] = []
        at = index - 2
        while at >= 0 and found[at].kind == "name":
            parts.append(found[at].text)
            if at < 2 or found[at - 1].text != ".":
                return ".".join(reversed(parts))
            at -= 2
    return None
