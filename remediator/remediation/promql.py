"""PromQL as text: quoting, filling in values, and how far back a query looks.

Label values come from outside and are hostile until quoted. Where a value stands decides how it must be written: inside
a string literal it is escaped, inside the string of `=~` it is escaped as a regular expression too, and outside any
string only a number or a duration may stand, because there `0 or vector(1)` would be code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from remediator.remediation.filling import Held, parts_of
from remediator.remediation.filling import Render as Render

METRIC_NAME = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"

_SAFE_BARE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:\d+(?:ms|[smhdwy]))+", re.ASCII)
_REGEX_META = re.compile(r"([\\.+*?()|\[\]{}^$])")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_TEN_YEARS_S = 10 * _UNIT_S["y"]


def escape(value: str) -> str:
    """A value for the inside of a `"..."` or `'...'` literal.

    Quotes become hex escapes: `\\"` is a syntax error in single quotes, and `\\'` in double ones.
    """
    out = []
    for char in value:
        if char == "\\":
            out.append("\\\\")
        elif char in "\"'`" or ord(char) < 0x20 or ord(char) == 0x7F:
            out.append(f"\\x{ord(char):02x}")
        elif 0xD800 <= ord(char) <= 0xDFFF:  # half a character: cannot be sent as UTF-8, and equals no label value
            out.append("\ufffd")
        else:
            out.append(char)
    return "".join(out)


def quote(value: str) -> str:
    """A value as a PromQL string literal."""
    return f'"{escape(value)}"'


def regex_quote(value: str) -> str:
    """A value as an RE2 expression that matches only itself; still to be quoted."""
    return _REGEX_META.sub(r"\\\1", value)


def equals(label: str, value: str) -> str:
    """`label="value"`. Raises: ValueError for a label that only Prometheus 3 can write."""
    return f"{_label(label)}={quote(value)}"


def matches(label: str, expression: str) -> str:
    """`label=~"expression"`; the expression is RE2 and anchored by Prometheus."""
    return f"{_label(label)}=~{quote(expression)}"


def equals_or_absent(label: str, value: str) -> str:
    """The label has this value, or the series has no such label: to PromQL an absent label is an empty one."""
    return matches(label, "|" + regex_quote(value))


def one_of(label: str, values: Iterable[str]) -> str:
    """The label has one of these values, whatever they contain."""
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return equals(label, distinct[0])
    return matches(label, "|".join(map(regex_quote, distinct)))


def is_label_name(text: str) -> bool:
    """Whether every Prometheus can write this label without quotes."""
    return re.fullmatch(LABEL_NAME, text) is not None


def _label(name: str) -> str:
    if not is_label_name(name):
        raise ValueError(f"{name!r} is no label name that PromQL can write")
    return name


def select(metric: str, *matchers: str, window: timedelta | None = None) -> str:
    """`metric{a="b"}[300s]`; empty matchers are left out."""
    text = f"{metric}{{{','.join(m for m in matchers if m)}}}"
    return text if window is None else f"{text}[{seconds(window)}]"


def seconds(length: timedelta) -> str:
    """A duration that every Prometheus reads, at least a second."""
    return f"{max(1, int(length.total_seconds()))}s"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One `label op "string"` of an author, the string kept word for word."""

    label: str
    op: str
    literal: str

    def __str__(self) -> str:
        return f"{self.label}{self.op}{self.literal}"


_MATCHER = re.compile(
    rf"\s*({LABEL_NAME})\s*(=~|!~|!=|=)\s*"
    r'("(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*(?:,|$)"
)


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """`code=~"5..", route="/pay"`, braces optional. Raises: ValueError, so that nothing else gets into a selector."""
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    found: list[Matcher] = []
    at = 0
    while at < len(rest):
        match = _MATCHER.match(rest, at)
        if match is None:
            raise ValueError(f'expected matchers such as code=~"5..", got {text[:80]!r}')
        found.append(Matcher(match[1], match[2], match[3]))
        at = match.end()
    return tuple(found)


def fill(template: str, render: Render) -> str:
    """Expand the `${...}` of an author's query so that no value can become code.

    A value inside the string of `=~` matches itself, whatever it contains.
    Raises: ValueError for a value that cannot stand where it is, and whatever `render` raises.
    """
    place = _Place()
    out: list[str] = []
    for part in parts_of(template, render):
        if isinstance(part, Held):
            out.append(_written(part.text, place))
        else:
            place.read(part)
            out.append(part)
    return "".join(out)


class _Place:
    """Where in a query the reading stands. `quote`: the string's quote, `#` in a comment, empty in code."""

    def __init__(self) -> None:
        self.quote = ""
        self.regex = False
        self.escaped = False
        self._last = ""

    def read(self, text: str) -> None:
        for char in text:
            if self.escaped:
                self.escaped = False
            elif self.quote == "#":
                self.quote = "" if char == "\n" else "#"
            elif self.quote:
                if char == self.quote:
                    self.quote = ""
                self.escaped = char == "\\" and self.quote in ('"', "'")
            elif char in "\"'`#":
                self.quote, self.regex = char, self._last == "~"
            if not self.quote and not char.isspace():
                self._last = char


def _written(text: str, place: _Place) -> str:
    """A value as it may stand here."""
    if place.escaped:
        raise ValueError("a backslash before ${...} would swallow the beginning of the value")
    if place.quote == "#":
        raise ValueError("a comment in a query cannot hold ${...}")
    if not place.quote:
        if not _SAFE_BARE.fullmatch(text):
            raise ValueError(f"only a number or a duration may stand outside quotes in a query, got {text[:60]!r}")
        return text
    if place.regex:
        text = regex_quote(text)
    if place.quote != "`":
        return escape(text)
    if "`" in text or not text.isprintable():
        raise ValueError(f"{text[:60]!r} cannot stand inside backticks")
    return text


_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|#[^\n]*")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_RECORDED = re.compile(r"[a-zA-Z0-9_]:[a-zA-Z0-9_:]*?(\d+(?:ms|[smhdwy]))\b")


def largest_range(query: str) -> timedelta:
    """How far back from its evaluation a query looks: its largest range, plus what subqueries add.

    A recording rule hides its range; by convention its name ends with it (`job:errors:ratio_rate5m`), and that is
    believed. `offset` and `@` are not counted: whoever compares with last week means to read old data. Zero without any
    range.
    """
    code = _STRING_OR_COMMENT.sub('""', query)
    plain, subqueries = 0.0, 0.0
    for content in _BRACKET.findall(code):
        length, colon, _ = content.partition(":")
        if colon:
            subqueries += _seconds(length)
        else:
            plain = max(plain, _seconds(length))
    recorded = max((_seconds(found) for found in _RECORDED.findall(code)), default=0.0)
    return timedelta(seconds=min(max(plain, recorded) + subqueries, _TEN_YEARS_S))


def _seconds(text: str) -> float:
    """`5m`, `1h30m`, or bare seconds (Prometheus 3). What is none of these counts as zero."""
    try:
        return min(max(float(text), 0.0), _TEN_YEARS_S)
    except ValueError:
        return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION.findall(text))
