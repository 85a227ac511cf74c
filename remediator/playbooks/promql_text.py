"""PromQL as text, for lint: brackets, divisions, selectors. Not a parser: it says what is surely there and no more.

Where the optional package `promql-parser` (the Rust parser that GreptimeTeam keeps level with Prometheus) is installed,
`syntax_problem` asks it; otherwise only brackets and quotes are checked.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

from remediator.playbooks.templates import Template, parse_template

_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`|#[^\n]*', re.DOTALL)
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_NAMESPACE = re.compile(
    r"(?:^|,)\s*\"?(?:(?:exported_|kubernetes_|k8s_|destination_)?namespace(?:_name)?|node|instance)\"?\s*(?:=~?)"
)
"""Or a node, or one scraped address: those are in no namespace, and are no more than the author meant."""
_METRIC = re.compile(r"(?<![\w:.])([a-zA-Z_:][a-zA-Z0-9_:]*)(?![\w:]|\s*\()")
_WORDS = frozenset(
    "by without on ignoring group_left group_right offset bool and or unless atan2 inf nan start end".split()  # noqa: SIM905
)
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_CLOSING = {")": "(", "]": "[", "}": "{"}
_PLACEHOLDERS = ("1", "x", "5m")
"""What a template may stand for, tried one after the other: a number, a name (or text in quotes), a duration."""


def syntax_problem(query: str) -> str:
    """What is wrong with a query whose `${...}` may stand for anything; empty when nothing was found."""
    template = parse_template(query)
    if problem := bracket_problem("".join(_filled(template, itertools.repeat("x")))):
        return problem
    parser = _parser()
    if parser is None:
        return ""
    first = ""
    for values in _values(len(template.expressions)):
        try:
            parser.parse("".join(_filled(template, iter(values))))
        except ValueError as exc:
            first = first or str(exc)
        else:
            return ""
    return first


def bracket_problem(query: str) -> str:
    """Unbalanced brackets or an unclosed quote."""
    code = without_strings(query)
    if any(quote in code.replace('""', "") for quote in "\"'`"):
        return "a quote is not closed"
    stack: list[str] = []
    for char in code:
        if char in "([{":
            stack.append(char)
        elif char in _CLOSING and (not stack or stack.pop() != _CLOSING[char]):
            return f"{char} closes nothing"
    return f"{stack[-1]} is not closed" if stack else ""


def without_strings(query: str) -> str:
    """The query with strings emptied and comments left out."""
    return _STRING.sub(lambda found: "" if found.group().startswith("#") else '""', query)


def has_division(query: str) -> bool:
    """Whether one series is divided by another; a division by a number makes no NaN out of nothing."""
    code = re.sub(r"\[[^\]]*\]", "", without_strings(query))
    return re.search(r"/\s*(?![\s\d.])", code) is not None


def unscoped(query: str) -> tuple[str, ...]:
    """The metrics that are selected without a namespace, node or address, so that series of others count as well."""
    flat = re.sub(r"\[[^\]]*\]", "", _STRING.sub(_label_text, query))
    found: list[str] = []
    for match in _METRIC.finditer(_GROUPING.sub(" ", _SELECTOR.sub(_selector_mark, flat))):
        name, behind = match[1], match.string[match.end() :].lstrip()
        if name.lower() in _WORDS or behind.startswith("\x01"):
            continue
        found.append(name)
    return tuple(dict.fromkeys(found))


def _label_text(found: re.Match[str]) -> str:
    return "" if found.group().startswith("#") else '""'


def _selector_mark(found: re.Match[str]) -> str:
    """`{...}` as one character: \x01 when it names a namespace, \x02 when not."""
    return " \x01 " if _NAMESPACE.search(found[1]) else " \x02 "


def _filled(template: Template, values: Iterator[str]) -> Iterator[str]:
    return (part if isinstance(part, str) else next(values) for part in template.parts)


def _values(count: int) -> Iterator[tuple[str, ...]]:
    """All combinations for a few templates; the same placeholder everywhere for many."""
    if count <= 4:
        return itertools.product(_PLACEHOLDERS, repeat=count)
    return ((one,) * count for one in _PLACEHOLDERS)


def _parser() -> Any:
    try:
        return importlib.import_module("promql_parser")
    except ImportError:
        return None
