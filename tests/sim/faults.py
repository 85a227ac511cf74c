"""What can go wrong with a call to the API server, drawn by a seeded generator; each kind says that it has happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from remediator.adapters.simulated import FailRead, LandLater, LoseReply, LoseRequest, Reject, Stale
from remediator.adapters.simulated.faults import ReadFault, ReadVerb, WriteFault
from remediator.errors import CannotSee, Conflict, Refused, Unavailable, Uncertain
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest

WRITES: dict[str, Callable[[], WriteFault]] = {
    "409": lambda: Reject(Conflict("409 Conflict: simulated")),
    "429": lambda: Reject(Unavailable("429: simulated overload", retry_after_s=1.0)),
    "connection refused": lambda: Reject(Unavailable("nothing was sent: simulated refusal")),
    "403": lambda: Reject(Refused("403 Forbidden: simulated", forbidden=True)),
    "500": lambda: Reject(Uncertain("500 InternalError: simulated")),
    "timeout, applied": LoseReply,
    "timeout, never applied": LoseRequest,
}
UNANSWERED = ("timeout, applied", "timeout, never applied", "timeout, applied later")
BUDGET = "429 by a disruption budget"
LATER = "timeout, applied later"
STALE = "stale read"
NO_ANSWER = "read without an answer"


MODES = {
    "down": ("connection refused",),
    "hangs": ("timeout, applied", "timeout, never applied"),
    "mute": ("timeout, never applied",),
    "conflicts": ("409",),
    "forbids": ("403",),
}
REHEARSALS = 0.3
"""Rehearsals go wrong less often than requests: otherwise few requests would ever be sent."""


class ApiFaults:
    """`writes` and `reads` are shares of calls. `late_s` and `stale_s` bound how late and how stale; 0 = not at all.
    `mode`: up, down (nothing arrives), hangs (nothing is answered), mute (no write arrives or is answered), conflicts
    (each write is a 409), forbids (403)."""

    def __init__(
        self,
        rng: random.Random,
        happened: Callable[[str], None],
        *,
        writes: float,
        reads: float,
        late_s: float,
        stale_s: float,
        favourite: str = "",
    ) -> None:
        self.mode = "up"
        self._rng = rng
        self._favourite = favourite
        self._happened = happened
        self._writes, self._reads = writes, reads
        self._late_s, self._stale_s = late_s, stale_s

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
        kind = self._kind(request, dry_run)
        if not kind:
            return None
        self._happened(f"{kind}{' to a rehearsal' if dry_run else ''}")
        if kind == LATER:
            return LandLater(self._rng.uniform(0.0, self._late_s))
        if kind == BUDGET:
            text = "429: Cannot evict pod as it would violate the pod's disruption budget."
            return Reject(Unavailable(text, disruption_budget=True))
        return WRITES[kind]()

    def _kind(self, request: WriteRequest, dry_run: bool) -> str:
        if self.mode != "up":
            return self._rng.choice(MODES[self.mode]) if not dry_run or self.mode in ("down", "hangs") else ""
        if self._rng.random() >= self._writes * (REHEARSALS if dry_run else 1.0):
            return ""
        kinds = [*WRITES, *((LATER,) if self._late_s else ()), *((BUDGET,) if request.verb == "evict" else ())]
        return self._favourite if self._favourite in kinds and self._rng.random() < 0.8 else self._rng.choice(kinds)

    def on_read(self, verb: ReadVerb, ref: ObjectRef) -> ReadFault | None:
        if self.mode in ("down", "hangs"):
            return FailRead(CannotSee(f"simulated: the API server {self.mode}"))
        if self._rng.random() >= self._reads:
            return None
        if self._stale_s and verb in ("get", "list") and self._rng.random() < 0.5:
            self._happened(STALE)
            return Stale(self._rng.uniform(0.0, self._stale_s))
        self._happened(NO_ANSWER)
        return FailRead(CannotSee("simulated: no answer"))


def expected() -> list[str]:
    """Every kind of fault that schedules must have had, by name."""
    rehearsed: list[Any] = [f"{kind} to a rehearsal" for kind in (*WRITES, LATER)]
    return [*WRITES, LATER, BUDGET, STALE, NO_ANSWER, *rehearsed]
