"""Digests: what a channel hears once a day instead of message by message. Configuration (`digests:`), counts, words.

A day ends at `at` on the clocks of its zone, so one of them is 23 or 25 hours long twice a year. A digest that could
not be sent (we were down) is sent late, and covers everything since the last one that was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from statistics import median
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from remediator.guardrails.wall_time import earliest
from remediator.guardrails.words import about
from remediator.people.messages import Message
from remediator.people.parts import Code, Line
from remediator.people.reports import ReportSection, report
from remediator.people.wording import OUTCOMES
from remediator.playbooks.fields import PositiveDuration, Strict
from remediator.playbooks.windows_model import Zone

CATCH_UP_DAYS = 7
LINES = 10
"""Remediations named one by one in a section; the rest is counted."""

Channel = Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Digest(Strict):
    """One daily summary. `namespaces` and `projects` limit what it is about; none: everything."""

    channels: Annotated[tuple[Channel, ...], Field(min_length=1)]
    at: ClockTime = "08:00"
    zone: Annotated[Zone, Field(min_length=1)] = "UTC"
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,40}$")] = "daily"
    """For its title, and to tell two digests of one channel apart."""
    namespaces: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    minutes_saved: PositiveDuration = timedelta(minutes=20)
    """What a person would have needed for one that was handled alone; a guess of yours."""

    def covers(self, passed: Passed) -> bool:
        asked = ((self.namespaces, passed.namespace), (self.projects, passed.project))
        return all(not globs or any(fnmatchcase(value, glob) for glob in globs) for globs, value in asked)

    def ends(self, day: date) -> datetime:
        """The instant at which its day ends."""
        hour, minute = map(int, self.at.split(":"))
        return earliest(datetime.combine(day, time(hour, minute)), ZoneInfo(self.zone))

    def last_day(self, now: datetime) -> date:
        """The newest day that has ended."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        return today if self.ends(today) <= now else today - timedelta(days=1)

    def once(self, channel: str, day: date) -> str:
        return f"digest/{channel}/{self.name}/{day.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One remediation as digests and hand-overs count it. `state` as people are told it, `what` = what it does or would
    have done. `waited` = from the first question to its answer, None where nobody answered. `denied_by` = the guardrail
    that decided a denial. `effects` = when and what was changed."""

    id: str
    episode: str = ""
    cluster: str = ""
    namespace: str = ""
    project: str = ""
    target: str
    playbook: str
    state: str
    outcome: str = ""
    what: str = ""
    reason: str = ""
    ended_at: datetime | None = None
    waited: timedelta | None = None
    agreed_by: tuple[str, ...] = ()
    denied_by: str = ""
    effects: tuple[tuple[datetime, str], ...] = ()


UNANSWERED = frozenset({"expired", "held_too_long", "not_started"})
"""Outcomes of `escalated` that are no failure of what was done: nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Every remediation of the period is in exactly one of these."""

    alone: tuple[Passed, ...] = ()
    """Verified, and nobody was asked."""
    agreed: tuple[Passed, ...] = ()
    """Verified after people said yes."""
    cleared: tuple[Passed, ...] = ()
    """The alerts went away before anything was done."""
    denied: tuple[Passed, ...] = ()
    rejected: tuple[Passed, ...] = ()
    unanswered: tuple[Passed, ...] = ()
    failed: tuple[Passed, ...] = ()
    suggested: tuple[Passed, ...] = ()
    observed: tuple[Passed, ...] = ()
    other: tuple[Passed, ...] = ()
    """Void approvals, taken by a person, left alone."""

    @property
    def waits(self) -> tuple[timedelta, ...]:
        return tuple(p.waited for group in self.groups for p in group if p.waited is not None)

    @property
    def groups(self) -> tuple[tuple[Passed, ...], ...]:
        return (
            self.alone,
            self.agreed,
            self.cleared,
            self.denied,
            self.rejected,
            self.unanswered,
            self.failed,
            self.suggested,
            self.observed,
            self.other,
        )


def group_of(passed: Passed) -> str:
    """The field of `Summary` that it is counted in."""
    match passed.state:
        case "succeeded":
            return "agreed" if passed.agreed_by else "alone"
        case "superseded":
            return "cleared"
        case "report":
            return "observed"
        case "denied" | "rejected" | "suggested" | "observed":
            return passed.state
        case "escalated":
            return "unanswered" if passed.outcome in UNANSWERED else "failed"
        case _:
            return "other"


def summarise(passed: Iterable[Passed]) -> Summary:
    found: dict[str, list[Passed]] = {}
    for one in passed:
        found.setdefault(group_of(one), []).append(one)
    return Summary(**{group: tuple(ones) for group, ones in found.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a digest tells besides remediations: dead letters as (channel, destination, error), and what is open now.
    `left_out` = remediations of the period beyond those that were read."""

    dead_letters: tuple[tuple[str, str, str], ...] = ()
    open: tuple[ReportSection, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    since: datetime
    until: datetime
    zone: str = "UTC"
    days: int = field(default=1)
    """More than one: days without a digest are caught up with."""

    @property
    def text(self) -> str:
        there = ZoneInfo(self.zone)
        since, until = (at.astimezone(there) for at in (self.since, self.until))
        return f"{since:%a %d %b %H:%M} to {until:%a %d %b %H:%M} {self.zone}"


def digest_message(settings: Digest, summary: Summary, beside: Beside, period: Period, *, console: str = "") -> Message:
    """The message of one channel; a quiet day says so in one line."""
    late = f" ({period.days} days: none could be sent before)" if period.days > 1 else ""
    links = (("Console", f"{console}/remediations"),) if console else ()
    return report(
        f"🗒 Remediations, {settings.name} digest",
        sections(settings, summary, beside),
        lead=f"{period.text}{late}. {lead(settings, summary)}",
        links=links,
    )


def lead(settings: Digest, summary: Summary) -> str:
    """The counts that matter, in one sentence."""
    counts = (
        (len(summary.alone), "handled alone"),
        (len(summary.agreed), "after a yes"),
        (len(summary.failed), "failed"),
        (len(summary.unanswered), "waited in vain"),
        (len(summary.denied), "denied"),
        (len(summary.observed) + len(summary.suggested), "only looked at"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{said}." if said else "Nothing happened."


def sections(settings: Digest, summary: Summary, beside: Beside) -> tuple[ReportSection, ...]:
    """In the order in which somebody wants to know: what needs a look first."""
    found = (
        _listed("Failures to look at", summary.failed, _failure),
        _listed("Nobody answered", summary.unanswered, _failure),
        _lines("People", _people(summary)),
        _lines("Handled alone", _alone(settings, summary)),
        _lines("Denied", [f"{count} x {guard}" for guard, count in _denials(summary)]),
        _listed("Would have been done (observe)", summary.observed, _what),
        _listed("Suggested", summary.suggested, _what),
        *beside.open,
        _lines("Messages that could not be delivered", _letters(beside.dead_letters)),
        _lines("Left out", [f"{beside.left_out} more, see the console"] if beside.left_out else ()),
    )
    return tuple(section for section in found if section is not None)


def _people(summary: Summary) -> Sequence[str]:
    waits = summary.waits
    lines = []
    if waits:
        half = timedelta(seconds=median(wait.total_seconds() for wait in waits))
        lines.append(f"{len(waits)} answered, median wait {about(half)}, longest {about(max(waits))}")
    if summary.agreed:
        lines.append(f"{len(summary.agreed)} fixed after a yes")
    if summary.rejected:
        lines.append(f"{len(summary.rejected)} rejected")
    return lines


def _alone(settings: Digest, summary: Summary) -> Sequence[str]:
    count = len(summary.alone)
    if not count:
        return ()
    by_playbook = Counter(p.playbook for p in summary.alone)
    saved = saved_time(settings, summary)
    return (
        *(f"{n} x {name}" for name, n in by_playbook.most_common(LINES)),
        f"about {about(saved)} saved (an estimate: {count} x {about(settings.minutes_saved)})",
    )


def saved_time(settings: Digest, summary: Summary) -> timedelta:
    """What was handled alone times what one would have taken: an estimate, nothing that was measured."""
    return len(summary.alone) * settings.minutes_saved


def _denials(summary: Summary) -> Sequence[tuple[str, int]]:
    return Counter(p.denied_by or "other" for p in summary.denied).most_common(LINES)


def _letters(dead: Sequence[tuple[str, str, str]]) -> Sequence[str]:
    counted = Counter(dead)
    return [f"{n} x {channel} {destination}: {error}" for (channel, destination, error), n in counted.most_common()]


def _failure(passed: Passed) -> Line:
    how = OUTCOMES.get(passed.outcome, (passed.outcome.replace("_", " "), ""))[0]
    return (Code(passed.id), f" {passed.playbook} on ", Code(passed.target), f": {how or passed.reason}")


def _what(passed: Passed) -> Line:
    return (f"{passed.playbook} on ", Code(passed.target), f": {passed.what}" if passed.what else "")


def _listed(title: str, passed: Sequence[Passed], line: object) -> ReportSection | None:
    assert callable(line)
    if not passed:
        return None
    return ReportSection(
        title=f"{title} ({len(passed)})",
        lines=tuple(line(p) for p in passed[:LINES]),
        more=max(0, len(passed) - LINES),
    )


def _lines(title: str, lines: Sequence[str]) -> ReportSection | None:
    if not lines:
        return None
    return ReportSection(title=title, lines=tuple((line,) for line in lines[:LINES]), more=max(0, len(lines) - LINES))
