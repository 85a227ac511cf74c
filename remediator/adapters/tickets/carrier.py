"""Channel `ticket`: one ticket for each key (an episode in one system), then comments on it.

A create that got no answer may have created the ticket all the same. So before each create the system is asked for one
with our marker, and the first retry comes late enough for its search index to know what it has just been given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from remediator.people.carrier import Pace
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef

PACE = Pace(gap=timedelta(seconds=1), first_retry=timedelta(seconds=30), longest_retry=timedelta(minutes=15))
PATIENT = frozenset({401})
"""An expired token is renewed by somebody within the day, and then the ticket is still wanted."""

Payload = Mapping[str, Any]
"""As `people/tickets.py` makes it."""


class TicketSystem(Protocol):
    """Every method raises ChatError."""

    async def find(self, ticket: Payload) -> str | None:
        """The id of a ticket that carries the marker, open or not."""
        ...

    async def create(self, ticket: Payload) -> str:
        """The new ticket's id."""
        ...

    async def comment(self, ticket_id: str, comment: Payload) -> None: ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class TicketCarrier:
    """Destinations are names of the configuration. Its references hold the ticket's id and the moment of its text."""

    pace = PACE

    def __init__(self, systems: Mapping[str, TicketSystem]) -> None:
        self._systems = systems

    async def close(self) -> None:
        for system in self._systems.values():
            await system.close()

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        system = self._systems.get(row.destination)
        if system is None:
            raise ChatError(f"channels has no ticket system called {row.destination!r}")
        at = str(row.payload.get("at", ""))
        if row.kind == "post":
            if main is not None:
                return None  # one for each episode
            found = await system.find(row.payload)
            return MessageRef(found or await system.create(row.payload), at)
        if main is not None and at > main.ts:
            await system.comment(main.channel, row.payload)
        return None


def only_text(answer: Any, *path: str) -> str:
    """A text deep in an answer. Raises: ChatError when it is not there: without an id the ticket cannot be found."""
    for key in path:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(answer, str | int) or not str(answer):
        raise ChatError(f"the answer names no {path[-1]}", retry_after_s=PACE.first_retry.total_seconds())
    return str(answer)
