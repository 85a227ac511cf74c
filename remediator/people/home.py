"""The App Home tab in Slack: what waits for people, what runs, what needs a look, what is paused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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

SHOWN = 10
"""Of each kind; the rest is counted."""


def home(
    stories: Sequence[Story],
    pauses: Sequence[Pause],
    *,
    now: datetime,
    mine: Collection[str] = (),
    console_url: str = "",
) -> dict[str, Any]:
    """The view for `views.publish`. `stories` are the open ones and the ended ones that still need somebody, in any
    order: what waits for whoever looks (`mine`, ids of remediations) comes first, the one with the least time left on
    top."""
    waiting = sorted((s for s in stories if _waits(s)), key=lambda s: s.deadline or s.now)
    yours = [s for s in waiting if s.remediation_id in mine]
    others = [s for s in waiting if s.remediation_id not in mine]
    look = [s for s in stories if not _waits(s) and wording(s.state).needs_person]
    running = [s for s in stories if not _waits(s) and not wording(s.state).needs_person]
    blocks: list[Block] = [
        section(f"*{markup.prose(_lead(len(yours), len(others), len(look), len(running), len(pauses)), 300)}*"),
        *_titled("Waits for you", [_asking(s) for s in yours]),
        *_titled("Waits for others", [_asking(s) for s in others], shown=max(2, SHOWN - len(yours))),
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


def _lead(yours: int, others: int, look: int, running: int, pauses: int) -> str:
    counts = (
        (yours, "waiting for you"),
        (others, "waiting for others"),
        (look, "to look at"),
        (running, "running"),
        (pauses, "paused"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{said[:1].upper()}{said[1:]}." if said else "All quiet: nothing waits for you, nothing runs."


def _titled(title: str, entries: list[list[Block]], *, shown: int = SHOWN) -> list[Block]:
    """At most 3 blocks, and two for each entry that asks, one for each other: with 10 of each kind, and 2 more of
    others' questions, these stay within the 100 of a view."""
    if not entries:
        return []
    more = [context(f"… ({len(entries) - shown} more)")] if len(entries) > shown else []
    return [{"type": "divider"}, section(f"*{title}*"), *(b for entry in entries[:shown] for b in entry), *more]


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
