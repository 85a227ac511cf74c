"""Rows of channel `pagerduty`: events for the incident of their key. Destination: the name of a service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from remediator.people.carrier import Pace
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef, Pager

# PagerDuty takes about 120 events a minute for a routing key, and asks for retries 30 s apart
PACE = Pace(gap=timedelta(seconds=0.5), first_retry=timedelta(seconds=5), longest_retry=timedelta(seconds=60))


class PagerDutyCarrier:
    def __init__(self, pagers: Mapping[str, Pager], pace: Pace = PACE) -> None:
        """`pagers` by the name of their service."""
        self._pagers = pagers
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """The payload is the event. Raises: ChatError."""
        pager = self._pagers.get(row.destination)
        if pager is None:
            raise ChatError(f"no pager service is called {row.destination!r}")
        await pager.send(row.payload)
        return None
