"""Stories for everything that is neither Slack nor a pager: letters (e-mail, Teams, ...), webhooks, status pages.

A letter says first what is wanted, then how to answer: there is no button outside Slack, so every message that asks
carries the two commands and the console's address. Nothing here holds log text.
"""

from __future__ import annotations

import html
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from remediator.people.inert import inert
from remediator.people.markup import one_line, safe_url, short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.parts import links, origin, parts, raw
from remediator.people.severity import sev_of
from remediator.people.story import Story
from remediator.people.wording import QUESTIONS, calls_somebody, clock, first_line, need, title, wording

TITLE_LIMIT = 120
LINE_LIMIT = 300
LINES = 8
"""Of one part; the console has the rest."""
TEXT_LIMIT = 3500
"""Telegram takes 4,096 characters, and nobody reads more on a phone."""
VALUE_LIMIT = 1000
"""Of one text in a webhook."""
ITEM_LIMIT = 300
"""Of one text in a list, of which there may be many."""
ITEMS = 20
VERDICTS = 60
VERSION = 1
"""Of the webhook's schema (docs/channels.md). Fields are added without a new version, never changed."""

_EVENTS = uuid.UUID("6f1d9c1e-2f0b-5b7e-9a54-3d2f4e1f7c11")
"""Namespace of the ids of our events."""

StatusWord = Literal["investigating", "identified", "monitoring", "resolved"]
_STATUS: Mapping[str, StatusWord] = {
    **dict.fromkeys(("approved", "acting", "waiting", "asking", "uncertain", "undoing"), "identified"),
    "verifying": "monitoring",
    "inconclusive": "monitoring",
    "succeeded": "resolved",
    "superseded": "resolved",
}


def commands(story: Story) -> dict[str, str]:
    """How to answer from a terminal; empty when nothing is asked."""
    if wording(story.state).tone != "ask":
        return {}
    remediation = one_line(story.remediation_id)
    return {verb: f"remediator {verb} {remediation}" for verb in ("approve", "reject")}


# --- letters --------------------------------------------------------------------------------------------------------


def letter(story: Story) -> dict[str, Any]:
    """The payload of an `apprise` row: `title` (at most 120 characters, one line), `text`, `html`, `thread`.

    `text` reads well as it is and as Markdown; `html` is for those that show it. Both say the same.
    """
    head = inert(f"{title(story)}: {story.headline}", TITLE_LIMIT)
    answers = [(verb.capitalize(), inert(text, LINE_LIMIT)) for verb, text in commands(story).items()]
    if answers and story.approval and story.approval.expires_at:
        answers.insert(0, ("Decide by", clock(story.approval.expires_at, story.now)))
    pages = [(text, url) for text, address in links(story) if (url := safe_url(address))]
    told = [(p.label, [inert(raw(line), LINE_LIMIT) for line in p.lines]) for p in parts(story) if p.name != "do"]
    wanted, small = inert(need(story), LINE_LIMIT), inert(origin(story), LINE_LIMIT)
    return {
        "title": head,
        "text": _as_text(wanted, answers, pages, told, small),
        "html": _as_html(wanted, answers, pages, told, small),
        "thread": inert(story.episode_id, 100),
    }


_Pairs = Sequence[tuple[str, str]]
_Parts = Sequence[tuple[str, Sequence[str]]]


def _as_text(wanted: str, answers: _Pairs, pages: _Pairs, told: _Parts, small: str) -> str:
    must = [wanted, *(f"{label}: {text}" for label, text in (*answers, *pages))]
    room = TEXT_LIMIT - sum(len(block) + 2 for block in (*must, small))
    blocks: list[str] = []
    for label, lines in told:
        block = f"{label}: {lines[0]}" if len(lines) == 1 else "\n".join((f"{label}:", *_items(lines, "- ")))
        if (room := room - len(block) - 2) < 0:
            break
        blocks.append(block)
    return "\n\n".join(block for block in (*must, *blocks, small) if block)


def _as_html(wanted: str, answers: _Pairs, pages: _Pairs, told: _Parts, small: str) -> str:
    esc = html.escape
    out = [f"<p><b>{esc(wanted)}</b></p>"] if wanted else []
    out += [f"<p>{esc(label)}: <code>{esc(text)}</code></p>" for label, text in answers]
    out += [f'<p><a href="{esc(url)}">{esc(label)}</a></p>' for label, url in pages]
    out += [f"<p><b>{esc(label)}</b><br>{'<br>'.join(map(esc, _items(lines, '')))}</p>" for label, lines in told]
    return "\n".join((*out, f"<p><small>{esc(small)}</small></p>"))


def _items(lines: Sequence[str], mark: str) -> list[str]:
    rest = len(lines) - LINES
    return [*(f"{mark}{line}" for line in lines[:LINES]), *([f"{mark}… ({rest} more)"] if rest > 0 else [])]


def letters(story: Story, news: str, destination: str) -> tuple[OutboxMessage, ...]:
    """What a channel of apprise hears of this news (`News`): what is asked, what needs a person, and how it ended.

    Whoever reads mail does not want the steps between. What was never asked of them and went away is not told either.
    """
    words = wording(story.state)
    if news == "state":
        quiet = story.state == "superseded" and story.approval is None
        wanted = not quiet and (words.fresh or words.resolves or calls_somebody(story))
    else:
        wanted = news == "cleared"
    if not wanted:
        return ()
    key = f"apprise/{destination}/{story.episode_id}"
    return (
        OutboxMessage(
            channel="apprise",
            destination=destination,
            key=key,
            kind="post",
            payload=letter(story),
            once=f"{key}/{_moment(story, news)}",
        ),
    )


def _moment(story: Story, news: str) -> str:
    """Names what is told, so that it is told once: an alert that comes back is judged anew with the same answer."""
    if news == "cleared":
        return "cleared"
    if story.state in ("denied", "suggested"):
        return f"{story.state}/{story.playbook}"
    asked = f"/{story.step}/{story.digest[:16]}" if story.state in QUESTIONS else ""
    return f"{story.remediation_id}/{story.state}/{story.outcome}{asked}"


# --- webhooks -------------------------------------------------------------------------------------------------------


def webhook_event(story: Story, news: str) -> dict[str, Any]:
    """The body of a generic webhook, as docs/channels.md describes it. Texts are one line each, raw and bounded."""
    kind = "cleared" if news == "cleared" else story.state
    told = "/".join((story.instance_id, story.remediation_id, kind, str(story.step), story.now.isoformat()))
    return {
        "version": VERSION,
        "id": str(uuid.uuid5(_EVENTS, told.encode("utf-8", "replace").decode())),
        "type": f"remediation.{_text(kind)}",
        "at": _time(story.now),
        "instance": _text(story.instance_id),
        "title": short(first_line(story), TITLE_LIMIT),
        "text": _text(need(story)),
        "status": status_of(story),
        "remediation": {
            "id": _text(story.remediation_id),
            "state": _text(story.state),
            "outcome": _text(story.outcome),
            "step": story.step,
            "playbook": _text(story.playbook),
            "mode": _text(story.mode),
            "owner": _text(story.owner),
            "headline": _text(story.headline),
            "explanation": _text(story.explanation),
            "undo": _text(story.undo),
            "next_playbook": _text(story.next_rung),
        },
        "episode": _text(story.episode_id),
        "severity": _text(story.severity),
        "sev": sev_of(story).value,
        "team": _text(story.team),
        "target": {
            "cluster": _text(story.cluster),
            "namespace": _text(story.namespace),
            "name": _text(story.target),
        },
        "alerts": [
            {
                "name": _item(alert.name),
                "summary": _item(alert.summary),
                "starts_at": _time(alert.starts_at),
                "resolved": alert.resolved,
            }
            for alert in story.alerts[:ITEMS]
        ],
        "diff": [_item(line) for line in story.diff[:ITEMS]],
        "verdicts": [
            {
                "guardrail": _item(v.guardrail),
                "answer": v.answer.value,
                "cannot_see": v.cannot_see,
                "reason": _item(v.reason),
                "changes": _item(v.changes),
            }
            for v in story.verdicts[:VERDICTS]
        ],
        "measures": [
            {"check": _item(m.check), "before": _item(m.before), "after": _item(m.after), "answer": m.answer}
            for m in story.measures[:ITEMS]
        ],
        "approval": _approval(story),
        "links": {name.lower(): url for name, address in links(story) if (url := safe_url(address))},
        "deadline": _time(story.deadline),
        "cleared_at": _time(story.cleared_at),
    }


def _approval(story: Story) -> dict[str, Any] | None:
    note = story.approval
    if note is None:
        return None
    return {
        "approvers": [_item(who) for who in note.approvers[:ITEMS]],
        "quorum": note.quorum,
        "approved_by": [_item(who) for who in note.approved_by[:ITEMS]],
        "rejected_by": _text(note.rejected_by),
        "expires_at": _time(note.expires_at),
        "commands": commands(story),
    }


def _text(text: str) -> str:
    return short(text, VALUE_LIMIT)


def _item(text: str) -> str:
    return short(text, ITEM_LIMIT)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def webhooks(story: Story, news: str, destination: str) -> tuple[OutboxMessage, ...]:
    """One event for each state, in order; details and evidence are no events."""
    return (_event(story, news, destination),) if news in ("state", "cleared") else ()


def _event(story: Story, news: str, destination: str) -> OutboxMessage:
    event = webhook_event(story, news)
    key = f"webhook/{destination}/{story.episode_id}"
    return OutboxMessage(
        channel="webhook", destination=destination, key=key, kind="event", payload=event, once=f"{key}/{event['id']}"
    )


# --- status pages ---------------------------------------------------------------------------------------------------


def status_of(story: Story) -> StatusWord:
    """The incident in the four words of status pages."""
    if story.cleared_at is not None:
        return "resolved"
    return _STATUS.get(story.state, "investigating")


PUBLIC = {
    "investigating": "We are looking into it.",
    "identified": "The cause is being worked on.",
    "monitoring": "A fix is in place and is being watched.",
    "resolved": "It is over.",
}
"""All that a public page says by itself: names of objects, alerts and people are nobody's business there."""


def status_update(story: Story, destination: str) -> OutboxMessage:
    """A row for a webhook that feeds a status page. Its fields are for the `template` of that webhook; only `status`
    and `public` are meant for strangers. Told once for each of the four words."""
    key = f"status/{destination}/{story.episode_id}"
    status = status_of(story)
    event = webhook_event(story, "state") | {"public": PUBLIC[status]}
    return OutboxMessage(
        channel="webhook", destination=destination, key=key, kind="event", payload=event, once=f"{key}/{status}"
    )
