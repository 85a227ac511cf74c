"""Regular expressions as Alertmanager reads them: RE2 syntax, whole value, linear time.

Python's `re` is not used on purpose. It reads `a{,2}`, `\\Z`, `(?i)` in the middle, possessive quantifiers and
classes like `[[:alpha:]]` differently, so a playbook could match other alerts here than its author tried out in
Alertmanager; and label values are untrusted text of any length, on which a backtracking engine can be made to hang.
"""

from __future__ import annotations

import re
from typing import Protocol

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_LITERALS = re.compile(rf"(?:[^\\.^$*+?{{}}\[\]()]|\\{_PUNCTUATION})*", re.DOTALL)
_PIECE = re.compile(r"\\(.)|(\|)|([^\\|]+)", re.DOTALL)


class NotRE2(ValueError):
    """A pattern that RE2 does not read; the message is RE2's."""


class Regex(Protocol):
    """A compiled pattern. It is given UTF-8, which spares RE2 the mapping of byte to character positions."""

    def fullmatch(self, text: bytes) -> object | None: ...


def compile_regex(pattern: str) -> Regex:
    """Raises: NotRE2."""
    options = re2.Options()
    options.log_errors = False  # it would write to stderr
    try:
        re2.compile(pattern, options)  # alone, or `a)|(b` would escape from the anchors
        compiled: Regex = re2.compile(f"^(?:{pattern})$", options)
    except (re2.error, UnicodeEncodeError) as exc:
        raise NotRE2(_message(exc)) from exc
    return compiled


def literal_alternatives(pattern: str) -> frozenset[str] | None:
    """The finite set of values that a plain alternation such as `A|B`, `(A|B)` or `(?:A|B\\.c)` matches, or None."""
    inner = pattern
    if inner.startswith("(") and inner.endswith(")") and not inner.endswith("\\)"):
        inner = inner[1:-1].removeprefix("?:")
    if not _LITERALS.fullmatch(inner):
        return None
    values = [""]
    for escaped, bar, text in _PIECE.findall(inner):
        if bar:
            values.append("")
        else:
            values[-1] += escaped or text
    return frozenset(values)


def _message(exc: Exception) -> str:
    text = exc.args[0] if exc.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(exc)
