"""A story cut into labelled parts, the same for Slack, the terminal and the pager.

A line is a tuple of spans: plain text, `Code` (exact machine text: names, commands), `When`. Everything is raw here.
Which parts a message has, and in which order, is the table `ORDER`: what a reader needs first depends on the tone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.guardrails import mode
from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.story import ApprovalNote, Measure, Risk, Story
from remediator.people.wording import ASKING, REPORT, Tone, clock, stopped, untouched, wording


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
    "ask": ("do", "fires", "change", "risk", "why", "undo", "guards", "approval"),
    "wait": ("why", "guards", "fires", "change"),
    "note": ("decided", "why", "found", "guards", "fires", "change", "undo"),
    "work": ("decided", "change", "fires", "why", "measures"),
    "good": ("why", "measures", "change", "decided", "fires"),
    "bad": ("why", "measures", "change", "decided", "fires", "undo"),
}

MAX_FOUND = 12
"""Pieces of a report that one message lists."""
MAX_ALERTS = 3
"""Alerts named one by one; ten crash-looping pods are one story."""


def parts(story: Story) -> tuple[Part, ...]:
    """The parts that have something to say, in reading order."""
    made = {
        "do": _do(story),
        "fires": _fires(story),
        "change": Part(
            "change",
            "Would change" if untouched(story) else "Change",
            tuple((Code(line),) for line in story.diff),
            block=True,
        ),
        "risk": Part("risk", "Risk", tuple((line,) for line in risk_lines(story.risk)) if story.risk else ()),
        "why": Part("why", "Why", _why(story)),
        "found": _found(story),
        "guards": _guards(story),
        "measures": _measures(story),
        "undo": Part("undo", "Undo", ((story.undo,),) if story.undo and _can_be_undone(story) else ()),
        "approval": _approval(story),
        "decided": Part("decided", "Decided", ((decided,),) if (decided := decided_by(story)) else ()),
    }
    return tuple(made[name] for name in ORDER[wording(story.state).tone] if made[name].lines)


def _do(story: Story) -> Part:
    """Until when an answer counts and, where there are no buttons, the two commands to choose from. Until when it is
    snoozed stands in the second line."""
    if story.taken_by:
        return Part("do", "Decide", ())
    answers = ("reject",) if stopped(story) else ("approve", "reject")
    commands: tuple[Line, ...] = tuple((Code(f"remediator {answer} {story.remediation_id}"),) for answer in answers)
    lines = () if story.interactive else commands
    if story.state == "snoozed" or not (story.approval and (expires := story.approval.expires_at)):
        return Part("do", "Decide", lines)
    left = remaining(expires - story.now)
    told = f", {left} left at {story.now:%H:%M}" if left else ", its time is over"
    return Part("do", "Decide by", ((When(expires, clock(expires, story.now)), told), *lines))


def remaining(left: timedelta) -> str:
    """`15 min`, `2 h 5 min`, `40 s`, `3 d`; empty when it is over."""
    seconds = int(left.total_seconds())
    if seconds <= 0:
        return ""
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 48:
        return f"{hours // 24} d"
    return " ".join(text for text in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if text)


def _why(story: Story) -> tuple[Line, ...]:
    """For an open proposal why this playbook; for everything else why it stands where it stands. A question is the
    second line of its message already."""
    if story.state == ASKING or (wording(story.state).tone == "ask" and not story.explanation):
        return ((story.description,),) if story.description else ()
    if story.state == "rejected" and decided_by(story):
        return ()  # who and why stands there
    return ((story.explanation,),) if story.explanation else ()


def risk_lines(risk: Risk) -> tuple[str, ...]:
    """What it takes, then what stays. `may take 2 of 5 healthy copies at once (40 %)`."""
    lines = [_takes(risk)]
    if risk.unplanned:
        steps = "1 later step is" if risk.unplanned == 1 else f"{risk.unplanned} later steps are"
        lines.append(f"{steps} planned in turn: how much those take is not known yet")
    if risk.lasting:
        lines.append(f"cannot be undone: {'; '.join(risk.lasting)}")
    return tuple(lines)


def _takes(risk: Risk) -> str:
    if risk.takes == 0:
        pods = f"; removes {_pods(risk.pods)} that is not healthy" if risk.pods == 1 else ""
        pods = f"; removes {_pods(risk.pods)}, none of them healthy" if risk.pods > 1 else pods
        return f"takes no healthy copy{pods}"
    if risk.of is None:
        return f"disruptive: may take {risk.takes} healthy {'copy' if risk.takes == 1 else 'copies'} at once"
    share = f" ({100 * min(risk.takes, risk.of) / risk.of:.0f} %)" if risk.of else ""
    whole = ", all there are" if risk.takes >= risk.of > 0 else ""
    return f"disruptive: may take {risk.takes} of {risk.of} healthy copies at once{share}{whole}"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _fires(story: Story) -> Part:
    lines: list[Line] = [(story.cause,)] if story.cause else []
    for alert in story.alerts[:MAX_ALERTS]:
        severity = f" ({alert.labels['severity']})" if alert.labels.get("severity") else ""
        since = clock(alert.starts_at, story.now)
        ago = remaining(story.now - alert.starts_at)
        state = f"resolved, fired {since}" if alert.resolved else f"since {since}" + (f" ({ago})" if ago else "")
        line: Line = (Code(alert.name), f"{severity} {state}")
        lines.append((*line, f": {alert.summary}") if alert.summary else line)
    if rest := len(story.alerts) - MAX_ALERTS:
        lines += [(f"… ({rest} more)",)] if rest > 0 else []
    over = wording(story.state).resolves or story.cleared_at
    label = "Began" if story.cause else "Fired" if over else "Fires"
    return Part("fires", label, tuple(lines))


def _found(story: Story) -> Part:
    """What a report has collected: counts and reasons. Log text is not for here."""
    if story.state != REPORT:
        return Part("found", "Found", ())
    shown = story.evidence[:MAX_FOUND]
    lines: list[Line] = [(Code(note.title), f" {note.text.removeprefix(note.title).strip()}") for note in shown]
    if rest := len(story.evidence) - len(shown):
        lines.append((f"… ({rest} more)",))
    return Part("found", "Found", tuple(lines))


def _guards(story: Story) -> Part:
    """One line when all pass, else the ones that do not, gravest first, with their numbers; none is told twice."""
    asks = wording(story.state).tone == "ask"
    # That the mode wants an approval is why it asks; it objects to nothing.
    asked = [v for v in story.verdicts if v.answer is not Answer.NOT_APPLICABLE and not (asks and _is_the_mode(v))]
    objections = sorted((v for v in asked if v.answer is not Answer.PASS), key=lambda v: -v.answer.rank)
    passed = len(asked) - len(objections)
    if not asked:
        return Part("guards", "Guards", ())
    if not objections:
        return Part("guards", "Guards", ((f"all {passed} pass" if passed > 1 else "1 passes",),))
    above = stopped(story) if asks else None
    lines = tuple(_objection(v) for v in objections if v is not above and not _told(v, story))
    return Part("guards", "Guards", (*lines, (f"the other {passed} pass",)) if passed else lines)


def _is_the_mode(verdict: Verdict) -> bool:
    return verdict.guardrail == mode.NAME and verdict.answer is Answer.ASK


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
    rest = reasoned(verdict)
    return (Code(verdict.guardrail), f" {says}: {rest}" if rest else f" {says}")


def reasoned(verdict: Verdict) -> str:
    """`5 of 5 in 1h. Next token 03:20 UTC.`"""
    changes = sentence(verdict.changes)
    return " ".join(text for text in (sentence(verdict.reason), f"{changes[:1].upper()}{changes[1:]}") if text)


def sentence(text: str) -> str:
    """The text with a full stop, so that two of them can stand in one line."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else f"{text}."


def _can_be_undone(story: Story) -> bool:
    """Whether it is of use to know: not where nothing was done, nor where it was taken back, nor twice."""
    if story.risk and story.risk.lasting and wording(story.state).tone == "ask":
        return not story.undo.lower().startswith("cannot be undone")
    return story.outcome != "undone" and (story.state == "suggested" or not untouched(story))


def _measures(story: Story) -> Part:
    label = "Before → now" if any(m.after for m in story.measures) else "Measured"
    return Part("measures", label, tuple(_measure(m) for m in story.measures))


_MARKS = {"good": " ✓", "bad": " ✗", "unknown": " (cannot tell)"}


def _measure(measure: Measure) -> Line:
    before = measure.before or "not measured"
    change = f" {before} → {measure.after}" if measure.after else f" {before}"
    return (Code(measure.check), change + _MARKS.get(measure.answer, ""))


def _approval(story: Story) -> Part:
    note = story.approval
    if note is None or story.taken_by:
        return Part("approval", "Who", ())
    who = ", ".join(note.approvers) or "anyone with the role approver"
    needed = f"{note.quorum} people needed" if note.quorum > 1 else "1 is enough"
    return Part("approval", "Who may", ((f"{who} ({needed})",),))


def decided_by(story: Story) -> str:
    """`approved by ann (on call in pagerduty/PABC) and bob at 03:06 UTC`, `rejected by cid: wrong cluster`, or
    empty."""
    note = story.approval
    if note is None:
        return ""
    if note.rejected_by:
        return f"rejected by {_named(note, note.rejected_by)}" + (f": {note.comment}" if note.comment else "")
    if not note.approved_by:
        return ""
    at = f" at {clock(note.approved_at, story.now)}" if note.approved_at else ""
    alone = f"; {note.approved_by[-1]} broke the glass: {note.alone}" if note.alone else ""
    return f"approved by {' and '.join(_named(note, who) for who in note.approved_by)}{at}{alone}"


def _named(note: ApprovalNote, who: str) -> str:
    right = note.rights.get(who, "")
    return f"{who} ({right})" if right else who


def origin(story: Story) -> str:
    """Where it comes from, for the small print: `r-4f2c · scale-up (approve) · cluster prod · team-checkout`."""
    mode = f" ({story.mode})" if story.mode else ""
    facts = (
        story.remediation_id,
        f"{story.playbook}{mode}",
        f"cluster {story.cluster}",
        story.owner,
        clock(story.now, story.now),
    )
    return " · ".join(fact for fact in facts if fact)


def links(story: Story) -> tuple[tuple[str, str], ...]:
    """(text, address) of the pages worth opening; addresses are not checked here."""
    pages = (("Console", story.console_url), ("Runbook", story.runbook), ("Graph", story.generator_url))
    return tuple((text, url) for text, url in pages if url)
