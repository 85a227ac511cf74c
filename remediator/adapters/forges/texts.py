"""Texts of pull requests on their last way out: whatever they hold does nothing at the forge but be read.

Mentions, references, closing words, quick actions (`/merge` at the start of a line), HTML, links and images, and words
that steer a pipeline (`[skip ci]`). What stands in `code` is left as it is: forges look for nothing there.
"""

from __future__ import annotations

import re

MAX_TITLE = 200
MAX_BODY = 20_000

_ACTIVE = str.maketrans(
    {
        "@": "\N{FULLWIDTH COMMERCIAL AT}",
        "#": "\N{FULLWIDTH NUMBER SIGN}",
        "!": "\N{FULLWIDTH EXCLAMATION MARK}",
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        "[": "\N{FULLWIDTH LEFT SQUARE BRACKET}",
        "]": "\N{FULLWIDTH RIGHT SQUARE BRACKET}",
        "&": "\N{FULLWIDTH AMPERSAND}",
        "~": "\N{TILDE OPERATOR}",
        "$": "\N{FULLWIDTH DOLLAR SIGN}",
        "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
    }
)
_LINK = re.compile(r":(?=//)|(?<=\bwww)\.(?=\w)", re.IGNORECASE)
_KEY = re.compile(r"\b([A-Za-z][A-Za-z0-9_]{0,20})-(?=\d)")
"""`GH-12` and the keys of trackers: behind a closing word they close."""
_DRAFT = re.compile(r"^\s*[(\uff3b]?\s*(draft|wip)\b", re.IGNORECASE)
_CODE = re.compile(r"((?<![`\\])`[^`\n]+`(?!`))")
"""As Markdown pairs them: runs of one backquote, that no backslash stands before."""
_HEADLINE = re.compile(r"^(\s*)/", re.MULTILINE)


def line(text: str, limit: int = MAX_TITLE) -> str:
    """A title, or the first line of a commit's message."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    quiet = _quiet(" ".join(printable.split()))
    quiet = f"Change: {quiet}" if _DRAFT.match(quiet) or not quiet else quiet
    return quiet if len(quiet) <= limit else f"{quiet[: limit - 3]}..."


def markdown(text: str, limit: int = MAX_BODY) -> str:
    """A description; lists, line breaks and `code` stay."""
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text.replace("\r\n", "\n"))
    whole = printable if len(printable) <= limit else f"{printable[: limit - 4]}\n..."
    parts = _CODE.split(whole)
    return _HEADLINE.sub(r"\1 / ", "".join(p if n % 2 else _quiet(p) for n, p in enumerate(parts)))


def _quiet(text: str) -> str:
    return _KEY.sub(r"\1 ", _LINK.sub(" ", text)).translate(_ACTIVE)
