"""Stories as Slack messages: Block Kit blocks and the fallback text that a phone's lock screen shows.

Made to be read on a phone at 3 a.m.: the header says what happens, the next line what is needed of you, everything else
follows in the order of `parts`, the buttons (controls.py) come last. Every limit is kept by cutting text, never by
sending less than the first two lines and the buttons.
Links are not previewed and nothing in a value can mention anybody; mentions come from the routes only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from remediator.people import controls, markup
from remediator.people.parts import Code, Line, Part, When, links, origin, parts, raw
from remediator.people.story import EvidenceNote, Story
from remediator.people.wording import clock, first_line, glyph, need, title, wording

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
TEXT_LIMIT = 3900
"""Slack's advice is to stay under 4,000."""
BLOCKS_LIMIT = 50
WHOLE_LIMIT = 12_000
"""`msg_blocks_too_long` has been seen from about 13,000 characters of blocks."""

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message: `text` is the fallback and the notification, `blocks` is what is shown."""

    text: str
    blocks: tuple[Block, ...]


def main_message(story: Story, *, mentions: Sequence[str] = ()) -> Message:
    """The one message of an episode in a channel, as it should read now.

    `mentions` are Slack ids (`U…`, `W…`, or `S…` for a group); they ring only in a message that is new.
    """
    asked = " ".join(text for text in (mentioned(mentions), _need(story, 1500)) if text)
    required = [_header(story), *([section(asked)] if asked else [])]
    optional = [_part(part) for part in parts(story)]
    buttons = controls.actions(story)
    return Message(_fallback(story), fitted(required, optional, buttons, _small_print(story, linked=bool(buttons))))


def state_reply(story: Story) -> Message:
    """A few lines for the thread, so that the thread keeps what the main message overwrites."""
    words = wording(story.state)
    if story.cleared_at is not None:
        head = f"{wording('superseded').glyph} *Cleared*, was: {markup.prose(title(story), 200)}"
        return Message(_fallback(story), (section(f"{head}\n{_need(story)}"),))
    head = f"{glyph(story)} *{markup.prose(title(story), 200)}* at {clock(story.now, story.now)}"
    asked = "" if words.tone == "ask" else _need(story)  # the main message asks, with the commands
    lines = (head, markup.prose(story.explanation, 1500), asked)
    return Message(_fallback(story), (section("\n".join(line for line in lines if line)),))


def call_reply(story: Story, mentions: Sequence[str]) -> Message:
    """One line in the thread that rings: updating the main message would not, and broadcasting is too much."""
    line = f"{mentioned(mentions)} {markup.prose(first_line(story), 600)}. {markup.prose(need(story), 500)}"
    return Message(_fallback(story), (section(line.strip()),))


def evidence_reply(story: Story, *, include_logs: bool = False) -> Message:
    """What was collected, for the thread. Log text only where the route asks for it."""
    head = f"Evidence for {story.remediation_id}"
    blocks = [_evidence(note, include_logs=include_logs) for note in story.evidence]
    return Message(markup.prose(head, 200), fitted([section(f"*{markup.prose(head, 200)}*")], blocks))


def refusal(text: str, advice: str = "") -> Message:
    """What only the one who clicked sees: that it was not done, why, and the next step."""
    said = markup.prose(text, 1000)
    lines = (f"*Not done:* {said}", markup.prose(advice, 1000))
    return Message(f"Not done: {said}", (section("\n".join(line for line in lines if line)),))


def _evidence(note: EvidenceNote, *, include_logs: bool) -> Block:
    text = f"*{markup.prose(note.title, 200)}* {markup.prose(note.text, 1000)}".strip()
    return section(f"{text}\n{markup.log_block(note.log, 1500)}" if include_logs and note.log else text)


def _fallback(story: Story) -> str:
    """What the lock screen shows: the ask first, with its time."""
    until = ""
    if wording(story.state).tone == "ask" and story.approval and story.approval.expires_at:
        until = f" by {clock(story.approval.expires_at, story.now)}"
    names = sorted({alert.name for alert in story.alerts})
    fires = f" [{', '.join(names[:3])}]" if names else ""
    said = f"{title(story)}{until}: {story.headline}{fires} {need(story)}"
    return markup.prose(f"{glyph(story)} {said}", TEXT_LIMIT)


def _header(story: Story) -> Block:
    text = markup.plain_words(f"{glyph(story)} {first_line(story)}", HEADER_LIMIT)
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _need(story: Story, limit: int = 500) -> str:
    said = need(story)
    return f"*{markup.prose(said, limit)}*" if said else ""


def mentioned(ids: Sequence[str]) -> str:
    return " ".join(f"<!subteam^{i}>" if i.startswith("S") else f"<@{i}>" for i in ids)


def _part(part: Part) -> Block:
    label = f"*{part.label}*"
    if part.block:
        lines = [half for line in part.lines for half in _halves(raw(line))]
        return section(f"{label}\n{markup.code_block(lines, 2000)}")
    lines = [mrkdwn_line(line, _SHORT.get(part.name, 500)) for line in part.lines]
    return section(f"{label}  {markup.bounded(lines, SECTION_LIMIT - 100)}")


_PHONE = 40
"""Characters of code in one line on a phone."""


def _halves(change: str) -> tuple[str, ...]:
    """A long `image a → b` as lines that begin at the same column, so that the difference meets the eye."""
    before, arrow, after = change.partition(" → ")
    if not arrow or len(change) <= _PHONE:
        return (change,)
    label, space, old = before.rpartition(" ")
    return (label, f"  {old}", f"→ {after}") if space and label.strip() else (f"  {before.strip()}", f"→ {after}")


_SHORT = {"fires": 240, "found": 240, "why": 700}
"""Characters of one span in a part: nobody scrolls past a novel to reach the buttons. Details show more."""


def mrkdwn_line(line: Line, limit: int = 1200) -> str:
    """A line of spans, inert."""
    return "".join(_span(span, limit) for span in line)


def _span(span: str | Code | When, limit: int) -> str:
    match span:
        case Code():
            return markup.code(span.text)
        case When():  # the reader's own time zone first, the one everybody shares behind it
            return f"<!date^{int(span.moment.timestamp())}^{{time}}|{span.shown}> ({span.shown})"
        case str():
            # Spans are joined, so the space between them must survive `one_line`.
            lead, trail = span[: len(span) - len(span.lstrip())], span[len(span.rstrip()) :]
            return f"{' ' if lead else ''}{markup.prose(span, limit)}{' ' if trail else ''}"


def _small_print(story: Story, *, linked: bool) -> Block:
    """`linked`: there is a button to the console."""
    pages = [
        markup.link(text, url)
        for text, url in links(story)
        if markup.safe_url(url) and not (linked and url == story.console_url)
    ]
    return context(markup.prose(origin(story), 600), *pages)


def context(*texts: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text) for text in texts]}


def section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Block:
    # verbatim: without it Slack turns bare addresses, #names and some @mentions in the text into live ones
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def fitted(required: list[Block], optional: list[Block], *last: Block | None) -> tuple[Block, ...]:
    """Required blocks, as many optional ones as fit, a note on how many did not, the last ones."""
    ends = [block for block in last if block]
    note = context(f"… ({len(optional)} more)")
    room = WHOLE_LIMIT - _weight([*required, *ends])
    if _weight(optional) <= room and len(required) + len(optional) + len(ends) <= BLOCKS_LIMIT:
        return (*required, *optional, *ends)
    kept: list[Block] = []
    for block in optional:
        room -= _weight([block])
        if room < _weight([note]) or len(required) + len(kept) + 1 + len(ends) >= BLOCKS_LIMIT:
            break
        kept.append(block)
    return (*required, *kept, context(f"… ({len(optional) - len(kept)} more)"), *ends)


def _weight(blocks: Sequence[Block]) -> int:
    return markup.size(json.dumps(blocks, ensure_ascii=False))


CONTINUED = Message(
    "Continued in a newer message below.", (section("Continued in a newer message of this incident, below."),)
)
"""What an older main message becomes when a newer one takes its place: nobody must act on a stale one."""
