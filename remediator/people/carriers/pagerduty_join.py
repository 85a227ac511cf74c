"""Rows of channel `pagerduty_join`: resolves of incidents that Alertmanager's own receiver opened.

One of these speaks for all alerts of a group, also for those that we have never seen. So it is sent only when
Alertmanager itself knows no alert with these group labels any more, whatever its route, silenced ones included. That is
more than the group, so it can only be too careful: then Alertmanager resolves its incident itself, as it does anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from remediator.errors import CannotSee
from remediator.people.carrier import Pace
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, Clock, MessageRef, Pager

log = structlog.get_logger(__name__)

LEFT_TO_ALERTMANAGER = "incident_left_to_alertmanager"

PACE = Pace(gap=timedelta(seconds=0.5), first_retry=timedelta(seconds=15), longest_retry=timedelta(minutes=2))

TRIES = 30
"""With PACE about an hour."""
SETTLED = timedelta(minutes=15)
"""An Alertmanager that runs for less may not have been told of everything yet: alerts are only in its memory."""


class Groups(Protocol):
    """What fires, as Alertmanager knows it."""

    async def started_at(self) -> datetime:
        """Since when it runs. Raises: CannotSee."""
        ...

    async def firing_like(self, labels: Mapping[str, str], absent: Collection[str]) -> int:
        """How many alerts have all these labels and none of the absent ones, muted ones too. Raises: CannotSee."""
        ...


class JoinedResolveCarrier:
    def __init__(self, pagers: Mapping[str, Pager], groups: Groups, clock: Clock, pace: Pace = PACE) -> None:
        self._pagers = pagers
        self._groups = groups
        self._clock = clock
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        pager = self._pagers.get(row.destination)
        if pager is None:
            raise ChatError(f"pagerduty.services has no {row.destination!r}, which pagerduty.join.service names")
        if doubt := await self._doubt(row):
            if row.tries < TRIES:
                raise ChatError(doubt, retry_after_s=self.pace.first_retry.total_seconds())
            log.info(LEFT_TO_ALERTMANAGER, row=row.id, key=row.key, why=doubt)
            return None
        await pager.send({"event_action": "resolve", "dedup_key": row.payload["dedup_key"]})
        return None

    async def _doubt(self, row: OutboxRow) -> str:
        """Why the group may not be over; empty when it is."""
        try:
            if self._clock.now() - await self._groups.started_at() < SETTLED:
                return "Alertmanager has just started and may not know of every alert yet"
            firing = await self._groups.firing_like(row.payload["labels"], row.payload["absent"])
        except CannotSee as exc:
            return f"Alertmanager cannot be asked: {exc}"
        return f"{firing} alerts that may be of this group still fire" if firing else ""
