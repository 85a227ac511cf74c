"""What brings messages to people: one carrier per outbox channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from remediator.people.outbox_rows import OutboxRow
from remediator.ports import MessageRef

Lanes = Mapping[str, timedelta]
"""The limits that one call falls under: a name for each, and the shortest time to the next call under it; 0 is a limit
without a figure, obeyed when the service says so. Carriers of one service share a lane by its name. The narrowest comes
first: it is blamed for a `Retry-After`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a channel may go, and how patient it is."""

    gap: timedelta
    """Shortest time between two calls for one destination; `lanes` may say it more exactly."""
    first_retry: timedelta
    longest_retry: timedelta
    give_up_after: timedelta = timedelta(hours=24)
    """Age at which a message is worth less than the trouble; it becomes a dead letter."""
    lanes: Callable[[OutboxRow], Lanes] | None = None

    def backoff(self, tries: int) -> timedelta:
        """Doubled with each try, up to the longest."""
        factor: int = 2 ** min(tries, 20)
        return min(self.longest_retry, self.first_retry * factor)

    def lanes_of(self, row: OutboxRow) -> Lanes:
        return self.lanes(row) if self.lanes else {f"{row.channel} {row.destination}": self.gap}


class Carrier(Protocol):
    """Takes rows of one channel. It never retries by itself: the outbox does, with due times that survive a restart."""

    @property
    def pace(self) -> Pace: ...

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Send it once. `main` is the main message of the row's key, if there is one; what is returned becomes it.
        It is cut off after 30 seconds.

        Raises: ChatError (`retry_after_s` None: never try again; `unanswered`: it may have arrived or may still do),
        JournalUnavailable (before anything was sent).
        """
        ...
