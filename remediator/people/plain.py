"""Stories as plain text, for terminals: the same parts as in Slack, without markup.

Values cannot move the cursor or colour the screen: control characters are removed like everywhere else.
"""

from __future__ import annotations

import textwrap

from remediator.people.markup import one_line
from remediator.people.parts import Code, links, origin, parts, raw
from remediator.people.story import Story
from remediator.people.wording import first_line, glyph, need

_LABEL_WIDTH = 16


def plain_message(story: Story, *, width: int = 100) -> str:
    """The whole message, wrapped to `width` columns; lines of code are not wrapped, so that they can be copied."""
    out = [*_wrapped(f"{glyph(story)} {first_line(story)}", "", "  ", width)]
    if said := need(story):
        out += _wrapped(said, "  ", "  ", width)
    for part in parts(story):
        for number, line in enumerate(part.lines):
            label = f"  {part.label if number == 0 else '':<{_LABEL_WIDTH - 2}}"
            text = one_line(raw(line))
            code_only = all(isinstance(span, Code) for span in line)
            out += [label + text] if code_only else _wrapped(text, label, " " * _LABEL_WIDTH, width)
    out += _wrapped(one_line(origin(story)), "  ", "  ", width)
    out += [f"  {text}: {one_line(url)}" for text, url in links(story)]
    return "\n".join(out)


def plain_reply(story: Story) -> str:
    """One line per change of state, for a log that scrolls by."""
    return one_line(f"{story.now:%H:%M:%S} {glyph(story)} {first_line(story)}")


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        one_line(text),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
