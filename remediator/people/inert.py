"""Untrusted text made inert wherever we do not know what will draw it: e-mail, Teams, Mattermost, tickets, dashboards.

One form that means nothing in HTML, Markdown, wiki markup and chat: what could start a tag, a link, a mention, a
reference or a format is replaced by a look-alike. Each replacement is one character for one, so that limits hold.
"""

from __future__ import annotations

import re

from remediator.people.markup import short

_LOOK_ALIKES = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "[": "\N{FULLWIDTH LEFT SQUARE BRACKET}",
        "]": "\N{FULLWIDTH RIGHT SQUARE BRACKET}",
        "{": "\N{FULLWIDTH LEFT CURLY BRACKET}",
        "}": "\N{FULLWIDTH RIGHT CURLY BRACKET}",
        "@": "\N{FULLWIDTH COMMERCIAL AT}",
        "#": "\N{FULLWIDTH NUMBER SIGN}",
        "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
        "*": "\N{ASTERISK OPERATOR}",
        "~": "\N{TILDE OPERATOR}",
        "\\": "\N{SET MINUS}",
    }
)
_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore that could format; inside a word (`http_requests_total`) it stays."""


def inert(text: str, limit: int) -> str:
    """One line of at most `limit` characters in which nothing formats, links, mentions or refers."""
    return _EDGE.sub("\N{MODIFIER LETTER LOW MACRON}", short(text, limit)).translate(_LOOK_ALIKES)
