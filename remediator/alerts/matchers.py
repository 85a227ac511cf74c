"""Matchers in Alertmanager's syntax: what one is, and what it holds for.

Alertmanager tries its UTF-8 parser and falls back to the classic one; where both read a text and disagree, the classic
reading wins. We do the same, so that a matcher copied from a route or a silence means the same here.
Source: github.com/prometheus/alertmanager, matcher/compat/parse.go (0.34), FallbackMatchersParser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from remediator.alerts.matcher_text import InvalidMatcher, Operator, parse_classic, parse_utf8
from remediator.alerts.regex import NotRE2, Regex, compile_regex, literal_alternatives
from remediator.alerts.source import shown

__all__ = ["InvalidMatcher", "Matcher", "Operator", "matches_all", "parse_matchers"]

_RESERVED = re.compile(r"[\s{}!=~,\\\"'`]")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A missing label counts as empty; a regex must match the whole value.

    Raises: InvalidMatcher for an empty name or a regex that is not RE2.
    """

    name: str
    op: Operator
    value: str
    alternatives: frozenset[str] | None = field(init=False, repr=False, compare=False)
    """The values that can hold where they are finitely many (`=`, or `=~` with a plain alternation); else None."""
    _wanted: bool = field(init=False, repr=False, compare=False)
    _values: frozenset[str] | None = field(init=False, repr=False, compare=False)
    _regex: Regex | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidMatcher('matcher without a label name; write it as name="value"')
        wanted = self.op in ("=", "=~")
        values = frozenset((self.value,)) if self.op in ("=", "!=") else literal_alternatives(self.value)
        set_field = object.__setattr__  # the way into a frozen dataclass
        set_field(self, "alternatives", values if wanted else None)
        set_field(self, "_wanted", wanted)
        set_field(self, "_values", values)
        set_field(self, "_regex", self._compiled() if values is None else None)

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        if self._regex is None:
            hit = value in (self._values or ())
        else:
            hit = self._regex.fullmatch(value.encode("utf-8", "replace")) is not None
        return hit is self._wanted

    def __str__(self) -> str:
        """In Alertmanager's syntax; `parse_matchers` reads it back."""
        return f"{_quoted(self.name) if _RESERVED.search(self.name) else self.name}{self.op}{_quoted(self.value)}"

    def _compiled(self) -> Regex:
        try:
            return compile_regex(self.value)
        except NotRE2 as exc:
            raise InvalidMatcher(
                f"{self.name}{self.op}{shown(self.value)}: not a regular expression to Alertmanager, which reads RE2 "
                f"(no lookaround, no backreference, no possessive quantifier): {exc}"
            ) from exc


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every matcher holds."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Comma-separated matchers, with or without braces. Empty text and `{}` give none, which matches everything.

    Raises: InvalidMatcher with the position and what was expected there.
    """
    try:
        matchers = tuple(Matcher(*term) for term in parse_utf8(text))
    except InvalidMatcher:
        classic = _classic(text)
        if not classic:  # also for none at all: a lone brace must not come to mean "everything"
            raise
        return classic
    return _classic(text) or matchers


def _classic(text: str) -> tuple[Matcher, ...]:
    """The classic reading, or nothing where there is none."""
    try:
        return tuple(Matcher(*term) for term in parse_classic(text))
    except InvalidMatcher:
        return ()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
