"""Pictures for people: a graph with the proposal or the first effect, and one at the end that shows before and after.

It works beside the loop that acts, on what was committed: nothing waits for a picture, and a crash or a slow Prometheus
costs the picture, never the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.graph import Mark
from remediator.people.graph_png import draw
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pictures import picture_rows
from remediator.people.quiet_hours import QuietHours, can_wait
from remediator.people.routes import Routes
from remediator.ports import Clock
from remediator.remediation.draft import Decision, Notice
from remediator.remediation.graphs import wanted_graphs
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.state import Remediation, State
from remediator.remediation.telling import Teller
from remediator.remediation.verifier import Verifier

log = structlog.get_logger(__name__)

PICTURE_FAILED = "picture_failed"
PICTURE_DROPPED = "picture_dropped"

Moment = Literal["start", "end"]

MOST_WAITING = 100
LEAD = timedelta(minutes=10)
"""How much is shown from before the alert began."""
LONGEST = timedelta(hours=6)
"""An alert that began earlier than that is not shown from its beginning."""


def moment(decision: Decision) -> Moment | None:
    """Whether a picture is due now. Endings without an effect have no before and after."""
    before, r = decision.before, decision.remediation
    if r.spec is None or not wanted_graphs(r.spec):
        return None
    if r.done and before.state is not r.state and (r.ended or r.state is State.INCONCLUSIVE):
        return "end"
    if Notice.PROPOSED in decision.notices or (r.done and not before.done):
        return "start"
    return None


class Pictures:
    """`saw` is called after each commit, `run` draws. `on_told`: something lies in the outbox."""

    def __init__(
        self,
        *,
        journal: Journal,
        verifier: Verifier,
        teller: Teller,
        routes: Routes,
        clock: Clock,
        quiet: QuietHours | None = None,
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._verifier = verifier
        self._teller = teller
        self._routes = routes
        self._clock = clock
        self._quiet = quiet
        self._on_told = on_told
        self._waiting: asyncio.Queue[tuple[Remediation, Moment]] = asyncio.Queue(MOST_WAITING)

    def saw(self, decision: Decision) -> None:
        """Never blocks: where too much waits already, as in a storm, the picture is left out."""
        due = moment(decision)
        if due is None:
            return
        try:
            self._waiting.put_nowait((decision.remediation, due))
        except asyncio.QueueFull:
            log.warning(PICTURE_DROPPED, remediation=decision.remediation.id, moment=due)

    async def run(self) -> None:
        """Until cancelled, one at a time."""
        while True:
            r, due = await self._waiting.get()
            try:
                await self.show(r, due)
            except JournalUnavailable as exc:
                log.warning(PICTURE_FAILED, remediation=r.id, moment=due, error=str(exc))
            except Exception:
                log.exception(PICTURE_FAILED, remediation=r.id, moment=due)

    async def show(self, r: Remediation, due: Moment) -> int:
        """Measure, draw, store; how many rows. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts)
        story = (await self._teller.stories([r]))[0]
        channels = tuple(self._routes.slack.channels(story))
        if not channels:
            return 0
        marks = _marks(r, records)
        began = min((mark.at for mark in marks), default=None)
        since = began - LEAD if began and self._clock.now() - began <= LONGEST else None
        rows: list[OutboxMessage] = []
        for number, graph in enumerate(await self._verifier.graphs(r, marks, since), 1):
            if not graph.empty or due == "end":
                png = await asyncio.to_thread(draw, graph)
                rows += picture_rows(story, graph, png, name=f"{due}-{number}", channels=channels)
        if rows:
            now = self._clock.now()
            # With the message that it belongs to: before that it would be tried for an hour and given up.
            later = self._quiet.until(story, now) if self._quiet is not None and can_wait(story) else None
            await self._journal.store_messages([replace(row, not_before=later) for row in rows], now)
            self._on_told()
        return len(rows)


def _marks(r: Remediation, records: Sequence[AlertRecord]) -> tuple[Mark, ...]:
    """When the first alert began, each step's first effect, and when it was taken back."""
    marks = [Mark(kind="alert", at=min(a.alert.starts_at for a in records), label="alert")] if records else []
    steps: set[int] = set()
    for done in r.done:
        if done.step not in steps:
            steps.add(done.step)
            action = r.spec.steps[done.step].action if r.spec and done.step < len(r.spec.steps) else ""
            marks.append(Mark(kind="action", at=done.at, label=action.replace("_", " ") or "change"))
    if r.undo_sent and r.acted_at:
        marks.append(Mark(kind="undo", at=r.acted_at, label="undone"))
    return tuple(marks)
