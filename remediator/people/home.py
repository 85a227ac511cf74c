"""The App Home tab in Slack: what waits for people, what runs, what needs a look, what is paused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import lifted_by, paused_by
from remediator.guardrails.scopes import EPISODE, describe_scope
from remediator.people import markup
from remediator.people.buttons import Button
from remediator.people.controls import actions, button, console_button, proposal_of, readable
from remediator.people.messages import Block, context, section
from remediator.people.parts import remaining, risk_lines
from remediator.people.story import Story
from remediator.people.wording import QUESTIONS, clock, first_line, glyph, need, offered, wording

SHOWN = 12
"""Of each kind; the rest is counted."""


def home(stories: Sequence[Story], pauses: Sequence[Pause], *, now: datetime, console_url: str = "") -> dict[str, Any]:
    """The view for `views.publish`. `stories` are the open ones and the ended ones that still need somebody, in any
    order: what waits comes first, the one with the least time left on top."""
    waiting = sorted((s for s in stories if _waits(s)), key=lambda s: s.deadline or s.now)
    look = [s for s in stories if not _waits(s) and wording(s.state).needs_person]
    running = [s for s in stories if not _waits(s) and not wording(s.state).needs_person]
    blocks: list[Block] = [
        section(f"*{markup.prose(_lead(len(waiting), len(look), len(running), len(pauses)), 300)}*"),
        *_titled("Waits for an answer", [_asking(s) for s in waiting]),
        *_titled("Needs a look", [[_told(s, need(s))] for s in look]),
        *_titled("Runs now", [[_told(s, need(s))] for s in running]),
        *_titled("Paused", [[_pause(p, now)] for p in pauses]),
    ]
    console = console_button(console_url, "Open the console")
    last: list[Block] = [{"type": "actions", "elements": [console]}] if console else []
    told = context(f"As of {clock(now, now)}. Open this tab again for what is new.")
    return {"type": "home", "blocks": [*blocks, {"type": "divider"}, told, *last]}


def _waits(story: Story) -> bool:
    return story.state in (*QUESTIONS, "snoozed") and not story.taken_by


def _lead(waiting: int, look: int, running: int, pauses: int) -> str:
    counts = ((waiting, "waiting for an answer"), (look, "to look at"), (running, "running"), (pauses, "paused"))
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{said[:1].upper()}{said[1:]}." if said else "All quiet: nothing waits for you, nothing runs."


def _titled(title: str, entries: list[list[Block]]) -> list[Block]:
    """At most 3 + 2 * SHOWN blocks; four of these stay within the 100 of a view, one kind having two an entry."""
    if not entries:
        return []
    more = [context(f"… ({len(entries) - SHOWN} more)")] if len(entries) > SHOWN else []
    return [{"type": "divider"}, section(f"*{title}*"), *(b for entry in entries[:SHOWN] for b in entry), *more]


def _asking(story: Story) -> list[Block]:
    """With the buttons of its message: it can be answered from here."""
    left = remaining(story.deadline - story.now) if story.deadline else ""
    when = f"{clock(story.deadline, story.now)}, {left or 'no time'} left" if story.deadline else "no deadline"
    until = f"Asks again at {when}" if story.state == "snoozed" else f"Decide by {when}"
    risk = f" Risk: {'; '.join(risk_lines(story.risk))}." if story.risk else ""
    told = _told(story, f"{until}. {need(story)}{risk}")
    buttons = actions(story)
    if buttons is None:
        return [told]
    told.pop("accessory", None)
    return [told, buttons]


def _told(story: Story, said: str) -> Block:
    facts = f"{story.remediation_id} · {story.playbook} · cluster {story.cluster}"
    head = f"{glyph(story)} *{markup.prose(first_line(story), 300)}*"
    block = section(f"{head}\n{markup.prose(said, 600)}\n{markup.prose(facts, 300)}")
    if Button.DETAILS in offered(story) and readable(story):
        block["accessory"] = button(Button.DETAILS, "Details", proposal_of(story))
    elif console := console_button(story.console_url):
        block["accessory"] = console
    return block


def _pause(pause: Pause, now: datetime) -> Block:
    until = f" until {clock(pause.until, now)}" if pause.until else ""
    why = f": {pause.why}" if pause.why else ""
    what = f"⏸ {describe_scope(pause.scope)} by {pause.who}{until}{why}"
    if pause.scope.startswith(EPISODE):
        what = f"🙋 {describe_scope(pause.scope)} {paused_by(pause)}"
    return section(f"{markup.prose(what, 600)}\n{markup.code(lifted_by(pause))}")
