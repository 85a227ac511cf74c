"""Statements of other people's sessions as we may show them: without literals, on one line, bounded."""

from __future__ import annotations

import hashlib
import re

from remediator.redact import redact

SHOWN = 200
"""Characters of a statement that people see."""

# Also what is cut off: `track_activity_query_size` ends a text in the middle of a literal. Of comments in comments the
# end is hard to find, so all that follows goes with them.
_PARTS = re.compile(
    r"(?P<comment>--[^\n]*|/\*(?:(?!/\*|\*/).)*\*/|/\*.*\Z)"
    r"|(?P<dollar>\$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|\Z))"
    r"|(?P<text>'(?:[^']|'')*(?:'|\Z))"
    r"|(?P<keep>\"(?:[^\"]|\"\")*(?:\"|\Z)|\$\d+|[^\W\d][\w$]*)"
    r"|(?P<number>\d[\w.]*)",
    re.DOTALL,
)


def without_literals(sql: str) -> str:
    """The statement with `?` for every literal and without comments, on one line, cut at 200 characters."""
    if "\\" in sql:
        # What a backslash means depends on the session: from the first quote on, nothing is surely no literal.
        sql = sql.split("'", 1)[0] + ("'" if "'" in sql else "")
    bare = _PARTS.sub(lambda m: m["keep"] or (" " if m["comment"] else "?"), sql)
    return one_line(bare, SHOWN)


def fingerprint(sql: str) -> str:
    """Twelve digits that are the same for the same statement with other literals, of the whole text."""
    if "\\" not in sql:
        sql = _PARTS.sub(lambda m: m["keep"] or (" " if m["comment"] else "?"), sql)
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()[:12]


def one_line(text: str, limit: int) -> str:
    """Untrusted text as one redacted, printable, bounded line."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in redact(text)).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
