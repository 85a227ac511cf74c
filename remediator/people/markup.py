"""Untrusted text made inert in Slack's mrkdwn, and kept within its limits.

Three dangers, three answers. Control sequences (`<!channel>`, `<@U1>`, `<url|text>`) need `<`, `>` and `&`: these are
escaped. Formatting (`*_~` and backticks) is switched off: machine text goes into inline code, where nothing is parsed;
in prose a marker is replaced by a look-alike where it could start or end a format, and stays where it cannot
(`http_requests_total`), so that names can still be copied; the first colon of `:fire:` is replaced, too. Lines and
hidden characters (bidirectional overrides, which could turn `3 → 5` around, and other controls) are removed: a label
value has one line.

Nothing is cut in the middle of an escape: text is measured as it will be sent, in UTF-16 units, because that is the
larger of the two ways in which Slack may count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

_INERT = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "*": "\N{ASTERISK OPERATOR}",
    "_": "\N{MODIFIER LETTER LOW MACRON}",
    "~": "\N{TILDE OPERATOR}",
    "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
    ":": "\N{RATIO}",
}
_PLAIN = {
    "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
}
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_ACCENTS = {"Mn", "Me"}
_MOST_ACCENTS = 2
"""On one letter; no language needs more, and a tower of them covers the lines above."""
_LEFTWARD = {"R", "AL", "AN"}
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that show nothing."""
_SAFE_IN_URL = "/:?#[]@!$&'()*+,;=%~-._"
_MAX_URL = 1500
_MAX_INDENT = 24


_IN_PROSE = re.compile(r"[&<>`]|(?<![^\W_])[*_~]|[*_~](?![^\W_])|:(?=[a-z0-9_+'-]*[a-z][a-z0-9_+'-]*:)")
"""What is shown differently in running text: escapes everywhere, markers only at the edge of a word, and the colon that
begins the name of an emoji."""
_IN_CODE = re.compile(r"[&<>`]")
_IN_PLAIN = re.compile(r"[<>]")
_NOTHING = re.compile(r"(?!)")


def size(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def one_line(text: str) -> str:
    """The text on one line: white space collapsed, control and invisible characters removed, towers of accents cut.

    Letters that run from right to left are followed by a mark that ends their reign: without it a name could turn the
    `3 → 5` behind it around.
    """
    line = " ".join(text.split())
    if line.isascii() and line.isprintable():
        return line
    kept: list[str] = []
    accents, leftward = 0, False
    for char in line:
        category = unicodedata.category(char)
        if category in _HIDDEN:
            continue
        if category in _ACCENTS:
            accents += 1
            if accents > _MOST_ACCENTS:
                continue
        else:
            accents = 0
            turned = unicodedata.bidirectional(char) in _LEFTWARD
            if leftward and not turned:
                kept.append(_LEFT_TO_RIGHT)
            leftward = turned
        kept.append(" " if char in _BLANK else char)
    if leftward:
        kept.append(_LEFT_TO_RIGHT)
    return " ".join("".join(kept).split())


def _cut(text: str, limit: int, special: re.Pattern[str], shown_as: Mapping[str, str]) -> str:
    """The text on one line, special characters replaced, ended by `… (n more characters)` to fit the limit.

    What lies far beyond the limit is only counted: an annotation may be a megabyte.
    """
    reach = 4 * limit
    line = one_line(text[:reach])
    beyond = max(0, len(text) - reach)
    shown = list(line)
    for found in special.finditer(line):
        shown[found.start()] = shown_as[found[0]]
    whole = "".join(shown)
    if not beyond and size(whole) <= limit:
        return whole
    room = limit - len(f"… ({len(line) + beyond} more characters)")
    kept = 0
    while kept < len(shown) and room >= size(shown[kept]):
        room -= size(shown[kept])
        kept += 1
    return "".join(shown[:kept]) + f"… ({len(line) - kept + beyond} more characters)"


def prose(text: str, limit: int = 3000) -> str:
    """One line of running text in which nothing formats, links or notifies."""
    return _cut(text, limit, _IN_PROSE, _INERT)


def code(text: str, limit: int = 300) -> str:
    """Machine text as inline code; empty text becomes a dash, because an empty pair of backticks is shown as such."""
    return f"`{_in_code(text, limit) or '-'}`"


def _in_code(text: str, limit: int) -> str:
    return _cut(text, limit, _IN_CODE, _INERT)


def code_block(lines: Sequence[str], limit: int) -> str:
    """Lines of machine text as one block, indented as they are; lines that do not fit are counted."""
    rendered = [" " * min(len(line) - len(line.lstrip(" ")), _MAX_INDENT) + _in_code(line, 600) for line in lines]
    return f"```\n{bounded(rendered, limit - 8)}\n```"


def log_block(text: str, limit: int) -> str:
    """The END of a log as one block: with logs the last lines are the ones that matter."""
    lines = [_in_code(line, 400) for line in text.splitlines() if line.strip()]
    kept: list[str] = []
    room = limit - 8 - len(f"… ({len(lines)} earlier)\n")
    for line in reversed(lines):
        if (room := room - size(line) - 1) < 0:
            break
        kept.insert(0, line)
    if earlier := len(lines) - len(kept):
        kept.insert(0, f"… ({earlier} earlier)")
    return "```\n" + "\n".join(kept) + "\n```"


def bounded(rendered: Sequence[str], limit: int) -> str:
    """Rendered lines joined, as many as fit, then `… (n more)`."""
    if sum(size(line) + 1 for line in rendered) - 1 <= limit:
        return "\n".join(rendered)
    room = limit - len(f"… ({len(rendered)} more)")
    kept = []
    for line in rendered:
        if (room := room - size(line) - 1) < 0:
            break
        kept.append(line)
    return "\n".join([*kept, f"… ({len(rendered) - len(kept)} more)"])


def short(text: str, limit: int) -> str:
    """One line that fits the limit, otherwise unchanged: for places where nothing is parsed."""
    return _cut(text, limit, _NOTHING, {})


def plain_words(text: str, limit: int) -> str:
    """Text for a `plain_text` object, which parses nothing; angle brackets go all the same, nothing needs them."""
    return _cut(text, limit, _IN_PLAIN, _PLAIN)


def safe_url(url: str) -> str:
    """The address with everything that could end a link percent-encoded, or empty if it is not plain http(s)."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return ""
    encoded = quote(one_line(url).replace(_LEFT_TO_RIGHT, ""), safe=_SAFE_IN_URL) if usable else ""
    return encoded if len(_escaped_url(encoded)) <= _MAX_URL else ""


def _escaped_url(url: str) -> str:
    return url.replace("&", "&amp;")


def link(text: str, url: str) -> str:
    """`<url|text>` for one of our own link texts; just the text when the address is no good."""
    safe = safe_url(url)
    return f"<{_escaped_url(safe)}|{prose(text, 100)}>" if safe else prose(text, 100)
