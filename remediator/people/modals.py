"""Modals of Slack: everything about one proposal, and the two that ask for a reason.

A modal's `private_metadata` is an `Origin` (buttons.py): which proposal, and which message it was opened from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people import markup
from remediator.people.buttons import REASON, Dialog, Origin
from remediator.people.controls import dialog_actions, plain, proposal_of
from remediator.people.messages import Block, context, mrkdwn_line, section
from remediator.people.parts import Part, links, parts, reasoned
from remediator.people.story import EvidenceNote, Story, StoryAlert
from remediator.people.wording import clock, first_line, glyph, need
from remediator.remediation.break_glass import SHORTEST_REASON

View = dict[str, Any]

BLOCKS_LIMIT = 100
REASON_LIMIT = 500
SHOWN_GUARDS = 40
SHOWN_ALERTS = 15
SHOWN_EVIDENCE = 15
SHOWN_TIMELINE = 20


def details_modal(story: Story, *, origin: Origin | None = None) -> View:
    """All of it: what a message says and the full plan, every guard with its numbers and where they come from, alerts
    with their labels, evidence without log text, timeline, buttons, links. `origin` defaults to the
    story's own."""
    where = origin or Origin(proposal=proposal_of(story))
    said = markup.prose(need(story), 1500)
    blocks = [
        section(f"{glyph(story)} *{markup.prose(first_line(story), 600)}*" + (f"\n{said}" if said else "")),
        *_titled("Plan", [section(markup.code_block(story.plan, 2800))] if story.plan else []),
        *(_part(part) for part in parts(story) if part.name not in ("do", "change", "guards", "fires")),
        *_titled("Guards", _several([_guard(v) for v in _gravest_first(story.verdicts)], SHOWN_GUARDS)),
        *_titled("Alerts", _several([_alert(a, story) for a in story.alerts], SHOWN_ALERTS)),
        *_titled("Evidence", _several([_evidence(note) for note in story.evidence], SHOWN_EVIDENCE)),
        *_titled("So far", _several([markup.prose(line, 300) for line in story.timeline[-SHOWN_TIMELINE:]], 20)),
    ]
    buttons = dialog_actions(story)
    last = [*([buttons] if buttons else []), *_links(story)]
    return _modal(Dialog.DETAILS, "Details", where, [*_bounded(blocks, BLOCKS_LIMIT - len(last)), *last])


def loading_modal(origin: Origin) -> View:
    """Shown at once, since a trigger lives for three seconds; `details_modal` takes its place by `views.update`."""
    return _modal(Dialog.DETAILS, "Details", origin, [section("One moment …")])


def reject_modal(origin: Origin, *, what: str = "") -> View:
    """Asks why, which need not be answered. `what` is the headline of what is rejected, where it is known."""
    said = section("Nothing is changed, the alert is left to people. A reject is final.")
    return _modal(
        Dialog.REJECT, "Reject", origin, [*_what(what), said, _reason("Why?", optional=True)], submit="Reject"
    )


def break_glass_modal(origin: Origin, *, what: str = "") -> View:
    """Asks for the reason without which nobody breaks the glass."""
    said = section(
        "You approve this *alone*, although others were to agree. Your name and the reason are recorded, and the leads"
        " are told now. The guards still hold."
    )
    asked = _reason("Why can it not wait?", optional=False)
    return _modal(Dialog.BREAK_GLASS, "Break glass", origin, [*_what(what), said, asked], submit="Approve alone")


def message_modal(title: str, text: str, advice: str = "") -> View:
    """Says one thing in a modal that is open already, where an ephemeral message would stay behind it. `title` is ours,
    at most 24 characters."""
    lines = [said for line in (text, advice) if (said := markup.prose(line, 1400))]
    return {
        "type": "modal",
        "title": plain(title),
        "close": plain("Close"),
        "blocks": [section("\n".join(lines) or "-")],
    }


def _what(headline: str) -> list[Block]:
    said = markup.prose(headline, 600)
    return [section(f"*{said}*")] if said else []


def _reason(label: str, *, optional: bool) -> View:
    return {
        "type": "input",
        "block_id": REASON,
        "optional": optional,
        "label": plain(label),
        "element": {
            "type": "plain_text_input",
            "action_id": REASON,
            "multiline": True,
            "max_length": REASON_LIMIT,
            **({} if optional else {"min_length": SHORTEST_REASON}),
        },
    }


def _modal(dialog: Dialog, title: str, origin: Origin, blocks: list[Block], *, submit: str = "") -> View:
    return {
        "type": "modal",
        "callback_id": dialog.value,
        "private_metadata": origin.text(),
        "title": plain(title),
        "close": plain("Cancel" if submit else "Close"),
        **({"submit": plain(submit)} if submit else {}),
        "blocks": blocks,
    }


# --- details ----------------------------------------------------------------------------------------------------------


def _part(part: Part) -> Block:
    return section(f"*{part.label}*  {markup.bounded([mrkdwn_line(line) for line in part.lines], 2800)}")


def _titled(title: str, blocks: list[Block]) -> list[Block]:
    if not blocks:
        return []
    return [{"type": "divider"}, section(f"*{title}*"), *blocks]


def _several(texts: Sequence[str], limit: int) -> list[Block]:
    """Lines packed into as few sections as hold them; more than `limit` are counted."""
    texts = [text for text in texts if text]
    shown = [*texts[:limit], *([f"… ({len(texts) - limit} more)"] if len(texts) > limit else [])]
    packed: list[str] = []
    for text in shown:
        if packed and markup.size(packed[-1]) + markup.size(text) + 1 <= 2900:
            packed[-1] = f"{packed[-1]}\n{text}"
        else:
            packed.append(text)
    return [section(text) for text in packed]


_SIGNS = {Answer.PASS: "✓", Answer.ASK: "✋", Answer.SUGGEST: "💡", Answer.HOLD: "⏸", Answer.DENY: "⛔"}


def _gravest_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    asked = [v for v in verdicts if v.answer is not Answer.NOT_APPLICABLE]
    return sorted(asked, key=lambda v: -v.answer.rank)


def _guard(verdict: Verdict) -> str:
    """`⏸ rate_limit 5 of 5 in 1h. Next token 03:20 UTC. (journal 03:05:09)`"""
    name = f"{_SIGNS.get(verdict.answer, '·')} {markup.code(verdict.guardrail, 60)}"
    blind = "cannot see: " if verdict.cannot_see else ""
    said = markup.prose(f"{blind}{reasoned(verdict)}", 500)
    seen = ", ".join(dict.fromkeys(_source(source) for source in verdict.seen.values()))
    return f"{name} {said}" + (f" ({markup.prose(seen, 300)})" if seen else "")


def _source(seen: str) -> str:
    """`journal at 2025-06-02T10:01:01Z` as `journal 10:01:01`; anything else as it is."""
    source, at, when = seen.rpartition(" at ")
    return f"{source} {when[11:19]}" if at and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{8,}Z", when) else seen


def _alert(alert: StoryAlert, story: Story) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(alert.labels.items()) if key != "alertname")
    state = "resolved, fired" if alert.resolved else "since"
    head = f"{markup.code(alert.name, 120)} {state} {clock(alert.starts_at, story.now)}"
    more = [markup.prose(alert.summary, 500)] if alert.summary else []
    return "\n".join([head, *more, *([markup.code(labels, 900)] if labels else [])])


def _evidence(note: EvidenceNote) -> str:
    return f"*{markup.prose(note.title, 200)}* {markup.prose(note.text, 800)}".strip()


def _links(story: Story) -> list[Block]:
    pages = [markup.link(text, url) for text, url in links(story) if markup.safe_url(url)]
    facts = f"{story.remediation_id} · {story.playbook} · cluster {story.cluster}"
    return [{"type": "divider"}, context(markup.prose(facts, 600), *pages)]


def _bounded(blocks: list[Block], limit: int) -> list[Block]:
    if len(blocks) <= limit:
        return blocks
    return [*blocks[: limit - 1], context(f"… ({len(blocks) - limit + 1} more)")]
