"""What brings messages to people: one carrier per outbox channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from remediator.people.outbox_rows import OutboxRow
from remediator.ports import MessageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a channel may go, and how patient it is."""

    gap: timedelta
    """Shortest time between two calls for one destination."""
    first_retry: timedelta
    longest_retry: timedelta
    give_up_after: timedelta = timedelta(hours=24)
    """Age at which a message is worth less than the trouble; it becomes a dead letter."""

    def backoff(self, tries: int) -> timedelta:
        """Doubled with each try, up to the longest."""
        factor: int = 2 ** min(tries, 20)
        return min(self.longest_retry, self.first_retry * factor)


class Carrier(Protocol):
    """Takes rows of one channel. It never retries by itself: the outbox does, with due times that survive a restart."""

    @property
    def pace(self) -> Pace: ...

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Send it once. `main` is the main message of the row's key, if there is one; what is returned becomes it.

        Raises: ChatError (`retry_after_s` None: never try again), JournalUnavailable (before anything was sent).
        """
        ...
