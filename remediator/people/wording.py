"""The words for each state: what is said first, whether anybody must do something, and how loud that is.

One table, because "who is told what, when" is what operators ask about. A message's first line is `title: headline`,
its second is `need`: at 3 a.m. nobody should have to read further to know whether to get up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.buttons import Button
from remediator.people.story import Story

Tone = Literal["ask", "wait", "note", "work", "good", "bad"]
"""Chooses the parts of a message and their order."""

PageGroup = Literal["", "ask", "end"]
"""Why somebody may be called. One call per remediation and group, so an ending that is told twice rings once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How one state is told.

    `told` False: nothing is sent. `fresh`: a new message, since only a new message reaches a phone. `needs_person`: the
    ending that the state machine promises to bring to somebody. `loud`: it must be heard, so it is a new message too
    where neither a mention nor the pager makes a sound. `page`: see `PageGroup`; whether it rings is policy.
    `resolves`: recovery was verified, the incident is closed. `need`: what is needed of the reader. `offers`: what the
    reader can answer with a click, see `offered`.
    """

    glyph: str
    title: str
    tone: Tone
    need: str = ""
    told: bool = True
    fresh: bool = False
    needs_person: bool = False
    loud: bool = False
    page: PageGroup = ""
    resolves: bool = False
    offers: tuple[Button, ...] = ()


_DECIDE = (Button.APPROVE, Button.REJECT, Button.SNOOZE, Button.DETAILS)
_ANSWERS = (Button.APPROVE, Button.REJECT, Button.DETAILS)
_TAKE = (Button.TAKE, Button.DETAILS)

CHANGED_NOTHING = "Nothing was changed."
CHECK_FAILED = "check_failed"
"""Outcome `failed` of one that did nothing: a gate before its first effect said no."""
_NOBODY = "Nothing needed from you."
_ALERT_IS_YOURS = "The alert is yours."
DONE = "Done"
"""A success that was asked for: nothing was broken that could be fixed."""
_ANSWER = "Please approve or reject. Without an answer nothing is changed and a person is asked."

# Not every state is told by its own name: `telling.told_as` finds those that are no states, and says why.
ASKING = "asking"
LEFT_ALONE = "left_alone"
TAKEN = "taken"
REPORT = "report"
LEFT_AS_IT_IS = "left_as_it_is"
RELEASED = "released"
HOLD_OVER = "hold_over"
HOLD_STAYS = "hold_stays"
BESIDE_ITS_END = frozenset({LEFT_AS_IT_IS, HOLD_OVER, HOLD_STAYS})
"""Told of a remediation that may have ended long ago, and may have called somebody for that."""
QUESTIONS = frozenset({"awaiting_approval", ASKING})
"""Told states in which people are waited for now."""

WORDINGS: dict[str, Wording] = {
    # Before anything is done
    "received": Wording(glyph="·", title="Received", tone="wait", told=False),
    "planned": Wording(glyph="·", title="Planned", tone="wait", told=False),
    "reserved": Wording(glyph="·", title="Reserved", tone="work", told=False),
    "observed": Wording(glyph="·", title="Observed", tone="note", told=False),  # goes into a digest
    "held": Wording(glyph="⏸", title="On hold", tone="wait", offers=_TAKE),
    "awaiting_approval": Wording(
        glyph="✋",
        title="Approval needed",
        tone="ask",
        need=_ANSWER,
        fresh=True,
        needs_person=True,
        page="ask",
        offers=_DECIDE,
    ),
    "snoozed": Wording(glyph="💤", title="Snoozed", tone="ask", need=_ANSWER, offers=_DECIDE),
    "approved": Wording(
        glyph="▶",
        title="Approved",
        tone="work",
        need=f"{_NOBODY} It is planned and checked once more, then it starts.",
    ),
    # While it is done
    "acting": Wording(glyph="▶", title="Acting", tone="work", need=_NOBODY),
    "waiting": Wording(glyph="▶", title="Between steps", tone="work", need=_NOBODY),
    ASKING: Wording(
        glyph="✋",
        title="Answer needed",
        tone="ask",
        need="Approve to go on, reject to stop here. Without an answer it stops and a person is asked.",
        fresh=True,
        needs_person=True,
        page="ask",
        offers=_ANSWERS,
    ),
    "uncertain": Wording(
        glyph="❔",
        title="Not sure it landed",
        tone="work",
        need="Nothing needed yet. No answer came back, so the cluster is read before anything else is sent.",
    ),
    "verifying": Wording(
        glyph="🔎", title="Checking if it helped", tone="work", need=f"{_NOBODY} Fresh measurements decide."
    ),
    "undoing": Wording(
        glyph="↩",
        title="Undoing",
        tone="work",
        need="Nothing needed yet. It got measurably worse, so the change is being taken back.",
    ),
    # Endings that need nobody
    REPORT: Wording(glyph="📋", title="Report", tone="note", need=f"{_NOBODY} {CHANGED_NOTHING}", fresh=True),
    "succeeded": Wording(glyph="✅", title="Fixed", tone="good", need=_NOBODY, resolves=True),
    "superseded": Wording(
        glyph="✅", title="Cleared by itself", tone="good", need=f"{_NOBODY} {CHANGED_NOTHING}", resolves=True
    ),
    # Endings that somebody decided or must hear of
    "suggested": Wording(
        glyph="💡",
        title="Suggestion",
        tone="note",
        need=f"{CHANGED_NOTHING} This playbook only suggests; if you agree, do it by hand.",
        needs_person=True,
        offers=_TAKE,
    ),
    "denied": Wording(
        glyph="⛔",
        title="Not done",
        tone="note",
        need=f"{CHANGED_NOTHING} {_ALERT_IS_YOURS}",
        needs_person=True,
        page="end",
        offers=_TAKE,
    ),
    "rejected": Wording(
        glyph="⛔",
        title="Rejected",
        tone="note",
        need=f"{CHANGED_NOTHING} {_ALERT_IS_YOURS}",
        needs_person=True,
        offers=_TAKE,
    ),
    "cancelled": Wording(
        glyph="⛔",
        title="Approval void",
        tone="note",
        need=f"Please look. {CHANGED_NOTHING} What was approved is not what would run now.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
    LEFT_ALONE: Wording(
        glyph="⛔",
        title="Left alone",
        tone="note",
        need=f"Please look. {CHANGED_NOTHING} Somebody changed it after it was planned.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
    # What was only to last for a time
    RELEASED: Wording(
        glyph="↩", title="Hold released", tone="good", need=f"{_NOBODY} From here on Git decides again what it is like."
    ),
    LEFT_AS_IT_IS: Wording(
        glyph="✋",
        title="Left as it is",
        tone="note",
        need="Nothing is put back by itself any more. If it should not stay like this, put it back by hand.",
        needs_person=True,
        offers=_TAKE,
    ),
    HOLD_OVER: Wording(
        glyph="⌛",
        title="Held for too long",
        tone="bad",
        need="Please look. Git takes the live change back.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
    HOLD_STAYS: Wording(
        glyph="⏸",
        title="Hold stays",
        tone="bad",
        need="Please look. Until it is released Git corrects nothing there.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
    TAKEN: Wording(
        glyph="🙋", title="With a person", tone="note", need="Somebody has taken it. Nothing more is sent for it."
    ),
    "inconclusive": Wording(
        glyph="❔",
        title="Cannot tell if it helped",
        tone="bad",
        need="Please look. The change is in place, and the measurements do not say whether it helped.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
    "escalated": Wording(
        glyph="🚨",
        title="Needs a person",
        tone="bad",
        need="Please look.",
        needs_person=True,
        loud=True,
        page="end",
        offers=_TAKE,
    ),
}

OUTCOMES: dict[str, tuple[str, str]] = {
    "held_too_long": ("held too long", CHANGED_NOTHING),
    "taken": ("taken by a person", "Nothing more is sent for it."),
    "expired": ("nobody approved", CHANGED_NOTHING),
    "not_started": ("not started in time", CHANGED_NOTHING),
    "refused": ("refused", "It was refused, and nothing more will be sent."),
    "uncertain": ("not sure it landed", "Whether the change happened is unknown. Nothing more will be sent."),
    "stopped": ("stopped", "It was stopped, and nothing more will be sent."),
    "failed": ("did not help", "What was changed is still in place."),
    CHECK_FAILED: ("a check failed", CHANGED_NOTHING),
    "inconclusive": ("cannot tell if it helped", "What was changed is still in place."),
    "undone": ("did not help, undone", "The change was taken back, the problem is still there."),
    "undo_failed": ("undo failed", "The change made it worse and could not be taken back."),
}
"""How an escalated one came to its end: the word for it, and the state in which the target is left."""


def wording(state: str) -> Wording:
    """The words for a state. An unknown one is told by its name: saying something odd beats saying nothing."""
    return WORDINGS.get(state) or Wording(glyph="•", title=_named(state), tone="work")


def _named(state: str) -> str:
    return state.replace("_", " ").capitalize()


def title(story: Story) -> str:
    """`Approval needed`, `Needs a person (undo failed)`, `Did not help` when another rung follows."""
    words = wording(story.state)
    if story.taken_by and words.tone in ("ask", "wait", "work"):
        return f"Taken by {story.taken_by}"
    if story.cause and story.state == "succeeded":
        return DONE
    if words.tone == "ask" and (stop := stopped(story)) is not None:
        return "Paused" if stop.guardrail == "pause" else "Held by a storm"
    if story.state != "escalated" or not story.outcome:
        return words.title
    short, _ = OUTCOMES.get(story.outcome, (story.outcome.replace("_", " "), ""))
    return _named(short) if story.next_rung else f"{words.title} ({short})"


def first_line(story: Story) -> str:
    return f"{title(story)}: {story.headline}"


def glyph(story: Story) -> str:
    """The sign before the first line."""
    words = wording(story.state)
    if story.taken_by and words.tone in ("ask", "wait", "work"):
        return "🙋"
    return "⏸" if words.tone == "ask" and stopped(story) else words.glyph


STOPS = ("pause", "storm")
"""Guardrails under which nothing can be approved, only looked at."""


def stopped(story: Story) -> Verdict | None:
    """What keeps a yes from being taken now."""
    return next((v for v in story.verdicts if v.guardrail in STOPS and v.answer is Answer.HOLD), None)


def offered(story: Story) -> tuple[Button, ...]:
    """What can be answered with a click now; empty where clicks do not reach us or nothing can be answered."""
    if not story.interactive or story.taken_by or story.cleared_at is not None or story.next_rung:
        return ()
    offers = wording(story.state).offers
    if Button.APPROVE not in offers:
        return offers
    if stopped(story) is not None:
        return tuple(button for button in offers if button is not Button.APPROVE)
    return (*offers, Button.BREAK_GLASS) if story.break_glass_offered else offers


def clock(moment: datetime, now: datetime) -> str:
    """`14:20 UTC`, with the date when that is not today's."""
    shown = f"{moment:%H:%M} UTC"
    return shown if moment.date() == now.date() else f"{moment:%Y-%m-%d} {shown}"


def need(story: Story) -> str:
    """What is needed of the reader, in one or two short sentences. Commands and times are separate, see `parts`."""
    words = wording(story.state)
    if story.cleared_at is not None and not words.resolves:
        return f"The alert cleared at {clock(story.cleared_at, story.now)}. Have a look when you are up."
    _, left = OUTCOMES.get(story.outcome, ("", ""))
    if story.taken_by and not words.resolves:
        back = "" if left else f"Give it back: remediator give-back {story.remediation_id}"
        return f"{story.taken_by} has taken this: nothing more is sent for it. {left or back}"
    if story.next_rung and words.needs_person:
        return f"{left} Playbook {story.next_rung} is tried next.".strip()
    if words.tone == "ask" and (stop := stopped(story)) is not None:
        told = [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in (stop.reason, stop.changes) if text]
        return " ".join(("It cannot be approved now.", *told))
    if story.state == "snoozed":
        by = f" by {story.snoozed_by}" if story.snoozed_by else ""
        until = f" until {clock(story.deadline, story.now)}, then it is asked again" if story.deadline else ""
        return f"Snoozed{by}{until}. It can be answered before."
    if words.tone == "ask" and (note := story.approval) and note.approved_by and note.missing:
        asked = f"{story.explanation} " if story.state == ASKING else ""
        more = "one" if note.missing == 1 else str(note.missing)
        have = f"{len(note.approved_by)} of {note.quorum}: {', '.join(note.approved_by)}"
        return f"{asked}{have}; {more} more needed. A reject by anybody is final."
    if story.state == ASKING:
        return f"{story.explanation} {words.need}".strip()
    if story.state == "held":
        said = "Nothing needed yet: nothing was changed, and it is tried again by itself."
        return f"{said} A person is asked at {clock(story.deadline, story.now)}." if story.deadline else said
    if story.cause and words.need.endswith(_ALERT_IS_YOURS):
        return CHANGED_NOTHING
    if story.state == "escalated":
        look = "Please look now." if story.outcome == "undo_failed" else words.need
        return f"{look} {left}".strip()
    return words.need


def untouched(story: Story) -> bool:
    """Whether it stands where nothing of what it shows was done."""
    if story.state == "escalated":
        return OUTCOMES.get(story.outcome, ("", ""))[1] == CHANGED_NOTHING
    return wording(story.state).tone in ("wait", "note") and story.state not in (TAKEN, LEFT_AS_IT_IS)


def calls_somebody(story: Story) -> bool:
    """Whether this state promises that somebody hears of it; not while another rung takes over."""
    return wording(story.state).needs_person and not story.next_rung
