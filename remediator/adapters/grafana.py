"""Annotations on Grafana's dashboards: a mark when something is done, a region once it is over."""

from __future__ import annotations

from datetime import timedelta

from remediator.adapters.json_out import JsonOut
from remediator.people.carrier import Pace
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef

PACE = Pace(
    gap=timedelta(seconds=0.2),
    first_retry=timedelta(seconds=5),
    longest_retry=timedelta(minutes=5),
    give_up_after=timedelta(hours=2),
)
"""A mark that is missing for hours is missed by nobody."""
CHANGEABLE = ("time", "timeEnd", "text", "tags")
"""Where an annotation is can not be changed."""


class GrafanaCarrier:
    """Channel `grafana`; a destination is the uid of a dashboard. Its references hold the annotation's id."""

    pace = PACE

    def __init__(self, out: JsonOut) -> None:
        self._out = out

    async def close(self) -> None:
        await self._out.close()

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        if main is not None and row.kind == "update":
            change = {name: row.payload[name] for name in CHANGEABLE}
            await self._out.send("PATCH", f"/api/annotations/{main.ts}", change)
            return None
        answer = await self._out.send("POST", "/api/annotations", row.payload)
        number = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(number, int):
            raise ChatError("Grafana's answer names no annotation")
        return MessageRef(row.destination, str(number))
