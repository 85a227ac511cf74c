"""A story cut into labelled parts, the same for Slack, the terminal and the pager.

A line is a tuple of spans: plain text, `Code` (exact machine text: names, commands), `When`. Everything is raw here.
Which parts a message has, and in which order, is the table `ORDER`: what a reader needs first depends on the tone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.story import Measure, Story
from remediator.people.wording import ASKING, Tone, clock, wording


@dataclass(frozen=True, slots=True)
class Code:
    """Machine text, shown exactly and never formatted."""

    text: str


@dataclass(frozen=True, slots=True)
class When:
    """A moment worth reading in one's own time zone."""

    moment: datetime
    shown: str


Span = str | Code | When
Line = tuple[Span, ...]


def raw(line: Line) -> str:
    """The line as bare text."""
    return "".join(s if isinstance(s, str) else s.text if isinstance(s, Code) else s.shown for s in line)


@dataclass(frozen=True, slots=True)
class Part:
    """One labelled paragraph. `block` shows the lines as one block of code."""

    name: str
    label: str
    lines: tuple[Line, ...]
    block: bool = False


ORDER: Mapping[Tone, tuple[str, ...]] = {
    "ask": ("do", "fires", "change", "why", "guards", "undo", "approval"),
    "wait": ("why", "guards", "fires", "change"),
    "note": ("why", "guards", "fires", "change", "undo"),
    "work": ("change", "fires", "why", "measures"),
    "good": ("why", "measures", "change", "fires"),
    "bad": ("why", "measures", "change", "fires", "undo"),
}

MAX_ALERTS = 3
"""Alerts named one by one; ten crash-looping pods are one story."""


def parts(story: Story) -> tuple[Part, ...]:
    """The parts that have something to say, in reading order."""
    made = {
        "do": _do(story),
        "fires": _fires(story),
        "change": Part("change", "Change", tuple((Code(line),) for line in story.diff), block=True),
        "why": Part("why", "Why", ((story.explanation,),) if story.explanation and story.state != ASKING else ()),
        "guards": _guards(story),
        "measures": Part("measures", "Before → now", tuple(_measure(m) for m in story.measures)),
        "undo": Part("undo", "Undo", ((story.undo,),) if story.undo else ()),
        "approval": _approval(story),
    }
    return tuple(made[name] for name in ORDER[wording(story.state).tone] if made[name].lines)


def _do(story: Story) -> Part:
    """Until when an answer counts, and the two commands to choose from."""
    approve = (Code(f"remediator approve {story.remediation_id}"),)
    reject = (Code(f"remediator reject {story.remediation_id}"),)
    if story.approval and (expires := story.approval.expires_at):
        return Part("do", "Decide by", ((When(expires, clock(expires, story.now)),), approve, reject))
    return Part("do", "Decide", (approve, reject))


def _fires(story: Story) -> Part:
    lines: list[Line] = []
    for alert in story.alerts[:MAX_ALERTS]:
        severity = f" ({alert.labels['severity']})" if alert.labels.get("severity") else ""
        state = "resolved, fired" if alert.resolved else "since"
        line: Line = (Code(alert.name), f"{severity} {state} {clock(alert.starts_at, story.now)}")
        lines.append((*line, f": {alert.summary}") if alert.summary else line)
    if rest := len(story.alerts) - MAX_ALERTS:
        lines += [(f"… ({rest} more)",)] if rest > 0 else []
    return Part("fires", "Fired" if wording(story.state).resolves or story.cleared_at else "Fires", tuple(lines))


def _guards(story: Story) -> Part:
    """One line when all pass, else the ones that do not, gravest first, with their numbers; none is told twice."""
    asked = [v for v in story.verdicts if v.answer is not Answer.NOT_APPLICABLE]
    objections = sorted((v for v in asked if v.answer is not Answer.PASS), key=lambda v: -v.answer.rank)
    passed = len(asked) - len(objections)
    if not asked:
        return Part("guards", "Guards", ())
    if not objections:
        return Part("guards", "Guards", ((f"all {passed} pass" if passed > 1 else "1 passes",),))
    lines = tuple(_objection(v) for v in objections if not _told(v, story))
    return Part("guards", "Guards", (*lines, (f"the other {passed} pass",)) if passed else lines)


def _told(verdict: Verdict, story: Story) -> bool:
    """Whether the explanation, which stands right above, says all of it."""
    said = story.explanation.lower() if story.state != ASKING else ""
    return all(text.strip().rstrip(".").lower() in said for text in (verdict.reason, verdict.changes))


_SAYS = {
    Answer.DENY: "says no",
    Answer.HOLD: "holds",
    Answer.SUGGEST: "allows a suggestion only",
    Answer.ASK: "wants an approval",
}


def _objection(verdict: Verdict) -> Line:
    says = "cannot see" if verdict.cannot_see else _SAYS.get(verdict.answer, verdict.answer.value)
    changes = sentence(verdict.changes)
    rest = " ".join(text for text in (sentence(verdict.reason), f"{changes[:1].upper()}{changes[1:]}") if text)
    return (Code(verdict.guardrail), f" {says}: {rest}" if rest else f" {says}")


def sentence(text: str) -> str:
    """The text with a full stop, so that two of them can stand in one line."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else f"{text}."


_MARKS = {"good": " ✓", "bad": " ✗", "unknown": " (cannot tell)"}


def _measure(measure: Measure) -> Line:
    before = measure.before or "not measured"
    change = f" {before} → {measure.after}" if measure.after else f" {before}"
    return (Code(measure.check), change + _MARKS.get(measure.answer, ""))


def _approval(story: Story) -> Part:
    note = story.approval
    if note is None:
        return Part("approval", "Who", ())
    who = ", ".join(note.approvers) or "anyone with the role approver"
    needed = f"{note.quorum} needed" if note.quorum > 1 else "1 is enough"
    so_far = f", so far {', '.join(note.approved_by)}" if note.approved_by else ""
    return Part("approval", "Who may", ((f"{who} ({needed}{so_far})",),))


def decided_by(story: Story) -> str:
    """`approved by ann, bob`, or empty."""
    note = story.approval
    if note is None:
        return ""
    if note.rejected_by:
        return f"rejected by {note.rejected_by}" + (f": {note.comment}" if note.comment else "")
    return f"approved by {', '.join(note.approved_by)}" if note.approved_by else ""


def origin(story: Story) -> str:
    """Where it comes from, for the small print: `r-4f2c · scale-up (approve) · cluster prod · team-checkout`."""
    mode = f" ({story.mode})" if story.mode else ""
    facts = (
        story.remediation_id,
        f"{story.playbook}{mode}",
        f"cluster {story.cluster}",
        story.owner,
        decided_by(story),
        clock(story.now, story.now),
    )
    return " · ".join(fact for fact in facts if fact)


def links(story: Story) -> tuple[tuple[str, str], ...]:
    """(text, address) of the pages worth opening; addresses are not checked here."""
    pages = (("Console", story.console_url), ("Runbook", story.runbook), ("Graph", story.generator_url))
    return tuple((text, url) for text, url in pages if url)
