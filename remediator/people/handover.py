"""The hand-over of a shift: what is open and for whom, what is held back and why, what was changed, what comes. Pure.

One value, shown as text (CLI), as JSON (API) and as a message (slash command, digest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.guardrails.words import about
from remediator.people.messages import Message
from remediator.people.parts import Code, Line
from remediator.people.reports import ReportSection, plain_report, report
from remediator.people.wording import clock, wording

LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """One remediation that has not ended, or that ended with a person needed while its alerts still fire.

    `waits_for`: `people`, `a guard`, `time`, `measurements`; `who` may answer. `until` = when the state gives up
    by itself, `next_look` = when it is looked at again. `rung` = how far its ladder has been climbed.
    """

    id: str
    episode: str
    state: str
    target: str
    playbook: str
    severity: str
    since: datetime
    waits_for: str
    who: str = ""
    reason: str = ""
    until: datetime | None = None
    next_look: datetime | None = None
    taken_by: str = ""
    rung: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One effect of the shift."""

    at: datetime
    id: str
    target: str
    playbook: str
    what: str
    approved_by: tuple[str, ...] = ()
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseItem:
    id: str
    covers: str
    who: str
    why: str
    until: datetime | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """A window or freeze that begins or ends soon."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """`since` is where the shift began. Lists are complete unless `left_out` says how many were not read."""

    since: datetime
    now: datetime
    open: tuple[OpenItem, ...] = ()
    pauses: tuple[PauseItem, ...] = ()
    changed: tuple[Changed, ...] = ()
    failures: tuple[OpenItem, ...] = ()
    """What ended without success in the shift, worth a look."""
    coming: tuple[Coming, ...] = ()
    undelivered: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def waiting(self) -> tuple[OpenItem, ...]:
        return tuple(item for item in self.open if item.waits_for == "people")

    @property
    def held(self) -> tuple[OpenItem, ...]:
        return tuple(item for item in self.open if item.waits_for == "a guard")

    @property
    def running(self) -> tuple[OpenItem, ...]:
        return tuple(item for item in self.open if item.waits_for not in ("people", "a guard"))


def title(handover: Handover) -> str:
    return f"🤝 Hand-over, last {about(handover.now - handover.since)}"


def lead(handover: Handover) -> str:
    counts = (
        (len(handover.waiting), "waiting for people"),
        (len(handover.held), "held"),
        (len(handover.running), "at work"),
        (len(handover.pauses), "paused"),
        (len(handover.changed), "changes made"),
        (len(handover.failures), "to look at"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{said}." if said else "Nothing is open and nothing was changed."


def sections(handover: Handover) -> tuple[ReportSection, ...]:
    now = handover.now
    return _told(
        _waiting_part(handover),
        ("Failures to look at", [_failure(item, now) for item in handover.failures]),
        *_standing(handover),
        ("Changed in this shift", [_changed(item, now) for item in handover.changed]),
        ("Coming", _coming(handover)),
        ("Messages that could not be delivered", [(line,) for line in handover.undelivered]),
        ("Left out", [(f"{handover.left_out} more, see the console",)] if handover.left_out else []),
    )


def open_sections(handover: Handover) -> tuple[ReportSection, ...]:
    """What is open now, for a digest, which counts what has ended itself."""
    return _told(_waiting_part(handover), *_standing(handover), ("Coming", _coming(handover)))


_Part = tuple[str, Sequence[Line]]


def _waiting_part(handover: Handover) -> _Part:
    return "Waiting for people", [_waiting(item, handover.now) for item in handover.waiting]


def _standing(handover: Handover) -> tuple[_Part, ...]:
    now = handover.now
    return (
        ("Held", [_held(item, now) for item in handover.held]),
        ("At work", [_running(item, now) for item in handover.running]),
        ("Paused", [_pause(item, now) for item in handover.pauses]),
    )


def _coming(handover: Handover) -> Sequence[Line]:
    return [(f"{clock(item.at, handover.now)}: {item.what}",) for item in handover.coming]


def _told(*parts: _Part) -> tuple[ReportSection, ...]:
    return tuple(
        ReportSection(title=f"{name} ({len(lines)})", lines=tuple(lines[:LINES]), more=max(0, len(lines) - LINES))
        for name, lines in parts
        if lines
    )


def handover_message(handover: Handover, *, console: str = "") -> Message:
    links = (("Console", f"{console}/remediations"),) if console else ()
    return report(title(handover), sections(handover), lead=lead(handover), links=links)


def handover_text(handover: Handover) -> str:
    return plain_report(title(handover), sections(handover), lead=lead(handover))


def _head(item: OpenItem, now: datetime) -> Line:
    return (Code(item.id), f" {item.playbook or 'no playbook yet'} on ", Code(item.target), f" ({item.severity})")


def _waiting(item: OpenItem, now: datetime) -> Line:
    said = [f", {wording(item.state).title.lower()} for {about(now - item.since)}"]
    said += [f", answer by {clock(item.until, now)}"] if item.until else []
    said += [f", with {item.taken_by}"] if item.taken_by else [f": {item.who}"] if item.who else []
    said += [f". {item.rung}"] if item.rung else []
    return (*_head(item, now), *said)


def _held(item: OpenItem, now: datetime) -> Line:
    looked = f" Next look {clock(item.next_look, now)}." if item.next_look else ""
    until = f" A person is asked {clock(item.until, now)}." if item.until else ""
    return (*_head(item, now), f": {item.reason}{looked}{until}")


def _running(item: OpenItem, now: datetime) -> Line:
    return (*_head(item, now), f": {wording(item.state).title.lower()} for {about(now - item.since)}")


def _failure(item: OpenItem, now: datetime) -> Line:
    taken = f" With {item.taken_by}." if item.taken_by else ""
    return (*_head(item, now), f", {clock(item.since, now)}: {item.reason}{taken}")


def _pause(item: PauseItem, now: datetime) -> Line:
    until = f"until {clock(item.until, now)}" if item.until else "until it is lifted"
    why = f": {item.why}" if item.why else ""
    return (f"{item.covers} by {item.who}, {until}{why} (", Code(f"remediator resume {item.id}"), ")")


def _changed(item: Changed, now: datetime) -> Line:
    agreed = f", approved by {', '.join(item.approved_by)}" if item.approved_by else ", by itself"
    said = f" {item.what}{agreed}{f', {item.result}' if item.result else ''}"
    return (f"{clock(item.at, now)} ", Code(item.id), f" {item.playbook} on ", Code(item.target), said)


def as_json(handover: Handover) -> dict[str, Any]:
    """Times are RFC 3339 in UTC with `Z`; a key is never left out."""
    return {
        "since": _time(handover.since),
        "now": _time(handover.now),
        "waiting": _items(handover.waiting),
        "held": _items(handover.held),
        "running": _items(handover.running),
        "failures": _items(handover.failures),
        "pauses": [_fields(item) for item in handover.pauses],
        "changed": [_fields(item) for item in handover.changed],
        "coming": [_fields(item) for item in handover.coming],
        "undelivered": list(handover.undelivered),
        "left_out": handover.left_out,
        "text": handover_text(handover),
    }


def _items(items: Sequence[OpenItem]) -> list[dict[str, Any]]:
    return [_fields(item) for item in items]


def _fields(item: Any) -> dict[str, Any]:
    named: Mapping[str, Any] = {name: getattr(item, name) for name in item.__slots__}
    return {name: _plain(value) for name, value in named.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _time(value)
    return list(value) if isinstance(value, tuple) else value


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
