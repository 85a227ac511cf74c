"""The two grammars in which Alertmanager reads the text of matchers.

The UTF-8 one came with 0.27: names and values are bare words or Go string literals. The classic one knows ASCII names
only and takes backslashes that escape nothing as they are (`foo=~"\\d+"`). `matchers.py` chooses between them.

Source: github.com/prometheus/alertmanager, matcher/parse and pkg/labels/parse.go (0.34).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

from remediator.alerts.source import shown
from remediator.errors import RemediatorError

Operator = Literal["=", "!=", "=~", "!~"]


class InvalidMatcher(RemediatorError, ValueError):
    """A matcher that cannot be read. A ValueError too, so that a pydantic field reports it under its own path."""


class Term(NamedTuple):
    """One matcher as text: escapes resolved, regex not yet compiled."""

    name: str
    op: Operator
    value: str


# --- the UTF-8 parser -----------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<op> =~ | !~ | != | = )
      | (?P<quoted> "(?:[^"\\]|\\.)*" )
      | (?P<bare> [^\s{}!=~,\\"'`]+ )
      | (?P<mark> [{},] )
      | (?P<end> \Z )
    )""",
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Tokens:
    """The tokens of a text, with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._all = list(self._scan())
        self._next = 0

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while True:
            found = _TOKEN.match(self._text, at)
            if found is None:
                rest = self._text[at:].lstrip()
                what = 'a missing end quote (")' if rest.startswith('"') else f"unexpected {shown(rest[:1])}"
                raise InvalidMatcher(
                    f"{shown(self._text)}, position {len(self._text) - len(rest)}: {what}; "
                    f'put values with spaces, quotes or backslashes in double quotes, as in name=~"a\\\\.b"'
                )
            kind = cast(str, found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            if kind == "end":
                return
            at = found.end()

    def take(self, *kinds: str, wanted: str) -> _Token:
        token = self._all[self._next]
        if token.kind not in kinds:
            what = "the end" if token.kind == "end" else shown(token.text)
            raise InvalidMatcher(f"{shown(self._text)}, position {token.at}: expected {wanted}, got {what}")
        self._next += 1
        return token

    def skip(self, mark: str) -> bool:
        if not self.at_mark(mark):
            return False
        self._next += 1
        return True

    def at_end(self) -> bool:
        return self._all[self._next].kind == "end"

    def at_mark(self, mark: str) -> bool:
        return self._all[self._next][:2] == ("mark", mark)


def parse_utf8(text: str) -> list[Term]:
    """The UTF-8 parser. Raises: InvalidMatcher with the position and what was expected there."""
    tokens = _Tokens(text)
    braces = tokens.skip("{")
    terms: list[Term] = []
    while not (tokens.at_end() or tokens.at_mark("}")):
        name = tokens.take("bare", "quoted", wanted="a label name")
        op = tokens.take("op", wanted="=, !=, =~ or !~")
        value = tokens.take("bare", "quoted", wanted="a value")
        terms.append(Term(_unquote(name), cast(Operator, op.text), _unquote(value)))
        if not tokens.skip(","):
            break
    if braces and not tokens.skip("}"):
        tokens.take(wanted="a comma or }")
    tokens.take("end", wanted="the end" if braces else "a comma or the end")
    return terms


_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_GO_ESCAPE = re.compile(
    rb"\\(?:(?P<one>[abfnrtv\\\"])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    rb"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<bad>.?))",
    re.DOTALL,
)


def _unquote(token: _Token) -> str:
    """The text of a name or value; a quoted one is a Go string literal (strconv.Unquote)."""
    if token.kind != "quoted":
        return token.text
    if "\n" in token.text:
        raise InvalidMatcher(f"{shown(token.text)}: a line break inside quotes is written \\n")
    try:
        return _GO_ESCAPE.sub(_unescape, token.text[1:-1].encode()).decode()
    except (UnicodeError, ValueError) as exc:
        raise InvalidMatcher(f"{shown(token.text)}: not a Go string literal: {exc}") from exc


def _unescape(escape: re.Match[bytes]) -> bytes:
    match escape.lastgroup:
        case "one":
            return bytes((_ESCAPES[escape["one"].decode()],))
        case "hex":
            return bytes((int(escape["hex"], 16),))
        case "octal":
            return bytes((int(escape["octal"], 8),))
        case "short" | "long":
            return chr(int(escape[escape.lastgroup], 16)).encode()
        case _:
            raise ValueError(f"{shown(escape[0].decode('utf-8', 'replace'))} is no escape, write the backslash twice")


# --- the classic parser ---------------------------------------------------------------------------------------------

_BLANK = " \t\n\f\r"
_CLASSIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t\n\f\r]*(=~|=|!=|!~)(.*)", re.DOTALL)


def parse_classic(text: str) -> list[Term]:
    """The classic parser. Raises: InvalidMatcher."""
    return [_classic_term(part) for part in _split_classic(text.removeprefix("{").removesuffix("}"))]


def _split_classic(text: str) -> list[str]:
    """Split at the commas outside quotes; a last blank part does not count."""
    parts = [""]
    quoted = escaped = False
    for char in text:
        if char == "," and not quoted:
            parts.append("")
            continue
        if char == "\\":
            escaped = not escaped
        elif char != ",":  # a comma inside quotes leaves `escaped` alone, as in the original
            if char == '"' and not escaped:
                quoted = not quoted
            escaped = False
        parts[-1] += char
    last = parts.pop().strip()
    return [*parts, last] if last else parts


def _classic_term(part: str) -> Term:
    found = _CLASSIC.fullmatch(part.strip(_BLANK))
    if found is None:
        raise InvalidMatcher(f"{shown(part)}: expected name=value")
    return Term(found[1], cast(Operator, found[2]), _classic_value(found[3].strip(_BLANK)))


def _classic_value(raw: str) -> str:
    """Only `\\n`, `\\"` and `\\\\` are escapes; any other backslash is a backslash."""
    open_quote = raw.startswith('"')
    chars = iter(raw[1:] if open_quote else raw)
    value = ""
    for char in chars:
        if char == "\\":
            escaped = next(chars, "")
            value += {"n": "\n", '"': '"', "\\": "\\"}.get(escaped, "\\" + escaped)
        elif char == '"':
            if not open_quote or next(chars, None) is not None:
                raise InvalidMatcher(f'{shown(raw)}: a double quote inside a value is written \\"')
            open_quote = False
        else:
            value += char
    if open_quote:
        raise InvalidMatcher(f"{shown(raw)}: a missing end quote")
    return value
