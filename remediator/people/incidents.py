"""The pager's incidents as we read and annotate them: the port, and the notes that we write on them.

Two kinds of incident get notes: our own, once it has rung, and the one that Alertmanager's own receiver opened for the
same alerts (people/join.py). On that one we never do more, but for the resolve that join_resolve.py is careful about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from remediator.people.join import Join
from remediator.people.markup import safe_url, short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import dedup_key
from remediator.people.parts import decided_by, links, parts, raw
from remediator.people.routes import News
from remediator.people.story import Story
from remediator.people.wording import BESIDE_ITS_END, LEFT_ALONE, QUESTIONS, TAKEN, first_line, need, wording


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedIncident:
    """When the pager last took our word that somebody is needed, and that all is well again."""

    rang_at: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.rang_at is not None and (self.resolved_at is None or self.resolved_at < self.rang_at)


Paged = Callable[[str], Awaitable[PagedIncident | None]]
"""By the key that the pager knows an incident by. Raises: JournalUnavailable."""

NOTES = "pagerduty_note"
JOINED_RESOLVE = "pagerduty_join"

NOTE_LIMIT = 3000
LINE_LIMIT = 500
LINES = 12

_NOTED = frozenset(
    {
        *QUESTIONS,
        *("approved", "verifying", "undoing", "succeeded", "superseded", "inconclusive", "escalated"),
        *("suggested", "denied", "rejected", "cancelled", LEFT_ALONE, TAKEN, *BESIDE_ITS_END),
    }
)
"""States that a reader of the incident wants to know of; the steps between them are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident of the pager. `key` is the deduplication key that opened it."""

    id: str
    key: str
    status: str
    """triggered, acknowledged or resolved."""
    changed_at: datetime | None = None
    """Since when it has this status; None = the pager does not say."""

    @property
    def open(self) -> bool:
        return self.status != "resolved"


class Incidents(Protocol):
    """Reading and annotating incidents. Every method raises ChatError."""

    async def find(self, key: str) -> Sequence[Incident]:
        """The open ones with this key (each service has its own), else the newest one; none when there is none."""
        ...

    async def get(self, incident_id: str) -> Incident | None: ...

    async def notes(self, incident_id: str) -> Sequence[str]: ...

    async def annotate(self, incident_id: str, text: str) -> None: ...


def note_text(story: Story) -> str:
    """Who decided, what was done, the numbers and the pages worth opening: plain lines, bounded, never a log's text."""
    told = {part.name: part for part in parts(story)}
    shown = [told[name] for name in ("do", "why", "change", "measures", "undo", "guards") if name in told]
    blocks = [
        [f"remediator: {first_line(story)} [{story.cluster}]"],
        [need(story)],
        [decided_by(story).capitalize()],
        *([f"{part.label}: {raw(line)}" for line in part.lines] for part in shown),
        [f"{note.title}: {note.text}".strip(": ") for note in story.evidence],
        [f"{text}: {safe_url(url)}" for text, url in links(story) if safe_url(url)],
        [f"{story.remediation_id}, playbook {story.playbook}"],
    ]
    lines = [line for block in blocks for line in _bounded(block)]
    return _cut(lines)


def _bounded(block: Sequence[str]) -> list[str]:
    lines = [short(line, LINE_LIMIT) for line in block if line.strip()]
    rest = len(lines) - LINES
    return [*lines[:LINES], f"… ({rest} more)"] if rest > 0 else lines


def _cut(lines: Sequence[str]) -> str:
    """As many whole lines as fit; the last one, which says whose note this is, always does."""
    *body, last = lines
    room = NOTE_LIMIT - len(last) - 2
    kept: list[str] = []
    for line in body:
        room -= len(line) + 1
        if room < 0:
            kept.append("…")
            break
        kept.append(line)
    return "\n".join([*kept, last])


def note(key: str, text: str, once: str, *, joined: bool = False) -> OutboxMessage:
    """A note on the incident with this key."""
    return OutboxMessage(
        channel=NOTES,
        destination=key,
        key=f"{NOTES}/{key}",
        kind="event",
        payload={"incident_key": key, "text": text, "joined": joined},
        once=f"{NOTES}/{key}/{once}" if once else "",
    )


class IncidentNotes:
    """What is noted on incidents for one piece of news. `paged` looks up what the pager has taken from us."""

    def __init__(self, paged: Paged, *, join: Join | None = None, resolves: bool = False) -> None:
        """`resolves`: Alertmanager can be asked whether a group of its alerts is over."""
        self._paged = paged
        self._join = join
        self._resolves = resolves and join is not None and bool(join.service)

    async def __call__(self, story: Story, news: News) -> Sequence[OutboxMessage]:
        """Raises: JournalUnavailable."""
        made: list[OutboxMessage] = []
        if once := _once(story, news):
            text = note_text(story)
            own = dedup_key(story)
            if story.state not in QUESTIONS and (paged := await self._paged(own)) and paged.open:
                made.append(note(own, text, once))
            made += [note(key, text, once, joined=True) for key in self._joined(story)]
        over = news is News.CLEARED or (news is News.STATE and wording(story.state).resolves)
        if self._resolves and over:
            made += [self._resolve(key, group, story) for key, group in self._joined(story).items()]
        return made

    def _joined(self, story: Story) -> Mapping[str, Mapping[str, str]]:
        """Key of each incident of Alertmanager's that this story's alerts belong to, with the labels of its group."""
        if self._join is None:
            return {}
        return {self._join.key(alert.labels): self._join.group(alert.labels) for alert in story.alerts}

    def _resolve(self, key: str, group: Mapping[str, str], story: Story) -> OutboxMessage:
        assert self._join is not None
        payload: dict[str, Any] = {"dedup_key": key, "labels": dict(group), "absent": list(self._join.without(group))}
        return OutboxMessage(
            channel=JOINED_RESOLVE,
            destination=self._join.service,
            key=f"{JOINED_RESOLVE}/{key}",
            kind="event",
            payload=payload,
            once=f"{JOINED_RESOLVE}/{key}/{story.remediation_id}",
        )


def _once(story: Story, news: News) -> str:
    """What makes a note the same as one already written; empty when this news is none for a note."""
    match news:
        case News.STATE if story.state in _NOTED:
            return f"{story.remediation_id}/{story.state}/{story.step}"
        case News.EVIDENCE if story.evidence:
            return f"{story.remediation_id}/evidence"
        case News.CLEARED:
            return f"{story.remediation_id}/cleared"
        case _:
            return ""
