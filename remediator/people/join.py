"""The incident that Alertmanager's own PagerDuty receiver opens for a group of alerts, found by computing its key.

Alertmanager's deduplication key is the SHA-256 of its group key: the matchers of the route and of every route above it,
then the labels that the route groups by. Both are text that Go writes, so two ways of quoting are rebuilt here. It is
the key of THEIR route, the one with the PagerDuty receiver, and has nothing to do with the group key of the webhooks
that we get.

Sources: github.com/prometheus/alertmanager, dispatch/route.go, dispatch/dispatch.go, pkg/labels/matcher.go and
notify/util.go (0.34); github.com/prometheus/common, model/labelset_string.go.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from remediator.alerts.matcher_text import Operator, Term, parse_utf8

EVERY_LABEL = "..."

_ORDER: Mapping[Operator, int] = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_LEVEL = re.compile(r'\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_RESERVED = frozenset("{}!=~,\\\"'`")
_SHORT = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_HOW = """as in {}/{severity="critical"}: braces for the first route and for each one below it, joined by slashes"""


def read_route_key(text: str) -> str:
    """The key as Alertmanager writes it, whatever the order, spacing and quoting in which a person wrote it.

    Raises: ValueError.
    """
    levels: list[str] = []
    at = 0
    text = text.strip()
    while found := _LEVEL.match(text, at):
        levels.append(_matchers(parse_utf8(found[0])))
        at = found.end()
        if not text.startswith("/{", at):
            break
        at += 1
    if not levels or at != len(text):
        raise ValueError(f"this is no route: {text[at : at + 40]!r}. Write the matchers of the route, {_HOW}")
    return "/".join(levels)


def _matchers(terms: Sequence[Term]) -> str:
    ordered = sorted(terms, key=lambda term: (term.name, term.value, _ORDER[term.op]))
    return "{" + ",".join(map(_matcher, ordered)) + "}"


def _matcher(term: Term) -> str:
    if any(char in _RESERVED or char.isspace() for char in term.name):
        return f"{go_quoted(term.name)}{term.op}{go_quoted(term.value)}"
    value = term.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{term.name}{term.op}"{value}"'


def go_quoted(text: str) -> str:
    """The text as Go's strconv.Quote writes it."""
    return '"' + "".join(map(_go_char, text)) + '"'


def _go_char(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    # What Go prints as it is: letters, marks, numbers, punctuation, symbols and the one plain space.
    if char == " " or unicodedata.category(char)[0] in "LMNPS":
        return char
    if char in _SHORT:
        return _SHORT[char]
    number = ord(char)
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Join(BaseModel):
    """`pagerduty.join`: the route of Alertmanager that leads to its PagerDuty receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    route_key: Annotated[str, AfterValidator(read_route_key)]
    """The matchers of that route and of all above it."""
    group_by: tuple[str, ...]
    """What that route groups by, inherited or not; `['...']` for every label, `[]` for one group of everything."""
    service: str = ""
    """Which of `pagerduty.services` has the integration key of that receiver. Without it nothing is ever resolved."""

    @model_validator(mode="after")
    def _grouping(self) -> Join:
        if EVERY_LABEL in self.group_by and len(self.group_by) > 1:
            raise ValueError("group_by: '...' stands for every label; it cannot stand beside others")
        return self

    def group(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The labels of the group that an alert with these labels is in. A label without a value does not exist."""
        every = EVERY_LABEL in self.group_by
        return {name: value for name, value in labels.items() if value and (every or name in self.group_by)}

    def without(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Labels that the route groups by and that this group lacks."""
        return tuple(n for n in self.group_by if n != EVERY_LABEL and not labels.get(n))

    def key(self, labels: Mapping[str, str]) -> str:
        """The deduplication key of the incident for an alert with these labels: 64 hex digits."""
        group = self.group(labels)
        text = ", ".join(f"{name}={go_quoted(group[name])}" for name in sorted(group))
        # A lone surrogate is nothing that Alertmanager could have sent; it must not stop a message.
        return hashlib.sha256(f"{self.route_key}:{{{text}}}".encode(errors="replace")).hexdigest()

    def objection(self, forced: Collection[str]) -> str:
        """Why it cannot work where a source writes these labels over those of its alerts; empty when it can."""
        unseen = sorted(forced) if EVERY_LABEL in self.group_by else sorted(set(forced) & set(self.group_by))
        if not unseen:
            return ""
        return (
            f"pagerduty.join.group_by: the sources write the labels {', '.join(unseen)} themselves, so what "
            "Alertmanager groups by is not known here; name labels that come from Alertmanager"
        )


KEY = re.compile(r"[0-9a-f]{64}")
"""The form of every key of Alertmanager's."""
