"""Rings again for what we acknowledged and did not bring forward: only where `routes.pagerduty.acknowledge` is on.

An acknowledged incident is silent: PagerDuty no longer looks for somebody else. So a remediation that has not moved for
ten minutes opens its incident anew. That helps while we live; a service in PagerDuty should have an acknowledgement
timeout for when we do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from remediator.people.markup import short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import SUMMARY_LIMIT, resolve_event, trigger_event
from remediator.people.routes import PagerRoutes, page_key, page_message
from remediator.people.story import Story
from remediator.ports import Clock
from remediator.remediation.journal import Journal
from remediator.remediation.state import Remediation, State

AFTER = timedelta(minutes=10)
EVERY_S = 30.0
AT_ONCE = 200

UNDER_WAY = (State.ACTING, State.UNCERTAIN, State.WAITING, State.VERIFYING, State.UNDOING)

Stories = Callable[[Sequence[Remediation]], Awaitable[Sequence[Story]]]


class Overdue:
    """One per process; what it stores is stored once, however many look."""

    def __init__(self, journal: Journal, stories: Stories, routes: PagerRoutes, clock: Clock) -> None:
        self._journal = journal
        self._stories = stories
        self._routes = routes
        self._clock = clock

    async def turn(self) -> float:
        """Look once; returns in how many seconds to look again. Raises: JournalUnavailable."""
        now = self._clock.now()
        for state in UNDER_WAY:
            still = [r for r in await self._journal.recent(AT_ONCE, state=state) if now - _moved_at(r) >= AFTER]
            for r, story in zip(still, await self._stories(still), strict=True):
                await self._journal.store_messages(overdue_messages(story, _moved_at(r), self._routes), now)
        return EVERY_S


def _moved_at(r: Remediation) -> datetime:
    return max(filter(None, (r.since, r.acted_at)))


def overdue_messages(story: Story, moved_at: datetime, routes: PagerRoutes) -> tuple[OutboxMessage, ...]:
    """Close and open it anew; once for each time that it stood still. Nothing once a person has taken it, or where
    this severity never rings."""
    service = routes.service(story)
    if not routes.acknowledge or not service or story.taken_by or routes.policy_for(story) == "never":
        return ()
    once = f"{page_key(service, story)}/overdue/{story.remediation_id}/{moved_at.isoformat()}"
    ring = trigger_event(story)
    summary = f"No progress for {AFTER.total_seconds() / 60:.0f} min: {ring['payload']['summary']}"
    ring["payload"]["summary"] = short(summary, SUMMARY_LIMIT)
    return (
        page_message(service, story, resolve_event(story), once=f"{once}/anew"),
        page_message(service, story, ring, once=once),
    )
