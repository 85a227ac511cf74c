"""Rows of channel `pagerduty_change`: change events. Destination: the name of a service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from remediator.people.carrier import Lanes, Pace
from remediator.people.changes import CHANNEL as CHANNEL
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef


def _lanes(row: OutboxRow) -> Lanes:
    """Half of what PagerDuty takes for a routing key in a minute: the other half is for pages, which never wait for a
    change. What is said to pages of the same key is obeyed."""
    return {f"{row.channel} {row.destination}": timedelta(seconds=1), f"pagerduty {row.destination}": timedelta(0)}


PACE = Pace(
    gap=timedelta(seconds=1), first_retry=timedelta(seconds=30), longest_retry=timedelta(minutes=5), lanes=_lanes
)


class Changes(Protocol):
    """One service that takes change events."""

    async def send_change(self, event: Mapping[str, object]) -> None:
        """`event` without routing_key. Raises: ChatError."""
        ...


class ChangeCarrier:
    def __init__(self, services: Mapping[str, Changes], pace: Pace = PACE) -> None:
        self._services = services
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """The payload is the event. Raises: ChatError."""
        service = self._services.get(row.destination)
        if service is None:
            raise ChatError(f"pagerduty.services has no {row.destination!r}")
        await service.send_change(row.payload)
        return None
