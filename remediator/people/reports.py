"""Messages that tell of many remediations: digests, hand-overs. One renderer, the data comes from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.people import markup
from remediator.people.messages import (
    HEADER_LIMIT,
    SECTION_LIMIT,
    TEXT_LIMIT,
    Message,
    context,
    fitted,
    mrkdwn_line,
    section,
)
from remediator.people.parts import Line, raw


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSection:
    """One paragraph under a title; each line is spans as in parts.py (plain text, `Code`, `When`), all of it raw.

    `more` = how many there are beyond these lines. A section without lines is left out.
    """

    title: str
    lines: tuple[Line, ...]
    more: int = 0


def report(
    title: str, sections: Sequence[ReportSection], *, lead: str = "", links: Sequence[tuple[str, str]] = ()
) -> Message:
    """`title` begins with its own sign. `lead` is the sentence under it and, with it, what a lock screen shows.
    `links` are (text, address)."""
    head = {"type": "plain_text", "text": markup.plain_words(title, HEADER_LIMIT) or "-", "emoji": False}
    said = [section(f"*{markup.prose(lead, 1000)}*")] if markup.prose(lead) else []
    told = [s for s in sections if s.lines]
    pages = [markup.link(text, url) for text, url in links if markup.safe_url(url)][:10]
    blocks = fitted(
        [{"type": "header", "text": head}, *said], [_section(s) for s in told], context(*pages) if pages else None
    )
    return Message(markup.prose(f"{title} {lead}", TEXT_LIMIT) or "-", blocks)


def _section(part: ReportSection) -> dict[str, object]:
    more = [f"and {part.more} more"] if part.more else []
    lines = [*(f"• {mrkdwn_line(line)}" for line in part.lines), *more]
    return section(f"*{markup.prose(part.title, 150) or '-'}*\n{markup.bounded(lines, SECTION_LIMIT - 300)}")


def plain_report(title: str, sections: Sequence[ReportSection], *, lead: str = "") -> str:
    """The same for a terminal or an e-mail."""
    out = [markup.one_line(title), *([markup.one_line(lead)] if lead else [])]
    for part in sections:
        if part.lines:
            out += ["", markup.one_line(part.title), *(f"  {markup.one_line(raw(line))}" for line in part.lines)]
            out += [f"  and {part.more} more"] if part.more else []
    return "\n".join(out)
