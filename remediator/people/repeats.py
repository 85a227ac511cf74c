"""From when the newest state of a message may be shown once more (`again`), by our own steady clock. In memory.

An update without an answer may land late, on top of a newer one; so the newest state is shown again when nothing can be
under way any longer. A due time alone does not tell when that is: the wall clocks of two replicas may be an hour apart,
or be set. A process that sees a repetition of somebody else's waits as long as it would for its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.people.outbox_rows import SETTLE, OutboxRow

MOST_KNOWN = 1000
KEPT_S = 3600.0


class Repeats:
    """One per worker. Times are seconds that never jump."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._own: dict[tuple[str, str, object], float] = {}
        """By channel, key and time of our report: from when nothing of ours can be under way any longer."""
        self._seen: dict[tuple[int, object], float] = {}
        """By row and by when it was asked for: the same for what another worker left behind, or we did before a
        restart."""

    def unanswered(self, row: OutboxRow, reported_at: datetime, steady_s: float) -> None:
        """What we sent for the key of this row just now may land late."""
        self._forget(steady_s)
        self._own[(row.channel, row.key, reported_at.isoformat())] = steady_s + SETTLE.total_seconds()

    def ripe(self, rows: Sequence[OutboxRow], steady_s: float) -> tuple[OutboxRow, ...]:
        """The rows without those repetitions that have to wait."""
        self._forget(steady_s)
        return tuple(row for row in rows if row.kind != "again" or self._from(row, steady_s) <= steady_s)

    def _from(self, row: OutboxRow, steady_s: float) -> float:
        by = row.payload.get("by")
        if by is None:  # it was begun before, and has the message to show by now
            return steady_s
        at = row.payload.get("at")
        own = self._own.get((row.channel, row.key, at)) if by == self._worker else None
        if own is not None:
            return own
        return self._seen.setdefault((row.id, at), steady_s + SETTLE.total_seconds())

    def _forget(self, steady_s: float) -> None:
        """Forgetting too early costs a minute of waiting, no more."""
        if len(self._own) + len(self._seen) > MOST_KNOWN:
            self._own = {key: at for key, at in self._own.items() if at > steady_s - KEPT_S}
            self._seen = {key: at for key, at in self._seen.items() if at > steady_s - KEPT_S}
