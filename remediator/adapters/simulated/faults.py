"""What can go wrong between us and an API server, as data that a test hands to the simulated cluster.

A fault is chosen per call, before it, by a `Faults` object: scripted one by one, or drawn from a seeded generator. The
cluster itself knows only the few ways in which a call can go wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from remediator.errors import CannotSee, Conflict, EffectError, ReadError, Refused, Unavailable, Uncertain
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest

# Writes


@dataclass(frozen=True, slots=True)
class Reject:
    """The write is answered with this error and nothing is done: 409, 429, 403, a refused connection."""

    error: EffectError


@dataclass(frozen=True, slots=True)
class LoseReply:
    """The write is carried out and the answer is lost: Uncertain, and it happened."""


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """The write never arrives and nobody says so: Uncertain, and it did not happen."""


@dataclass(frozen=True, slots=True)
class LandLater:
    """Uncertain now; carried out `delay_s` later, if its preconditions hold then."""

    delay_s: float


WriteFault = Reject | LoseReply | LoseRequest | LandLater

# Reads


@dataclass(frozen=True, slots=True)
class FailRead:
    """The read is answered with this error."""

    error: ReadError


@dataclass(frozen=True, slots=True)
class Stale:
    """The read is answered with the state of `age_s` ago, as by a cache that lags behind."""

    age_s: float


ReadFault = FailRead | Stale

ReadVerb = Literal["get", "list", "watch", "logs"]


class Faults(Protocol):
    """Chooses what goes wrong with a call; None = nothing."""

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None: ...

    def on_read(self, verb: ReadVerb, ref: ObjectRef) -> ReadFault | None:
        """`ref.name` is empty for list and watch."""
        ...


class NoFaults:
    """Everything works."""

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
        return None

    def on_read(self, verb: ReadVerb, ref: ObjectRef) -> ReadFault | None:
        return None


class Script:
    """Faults planned one by one: each applies to the next `times` calls that it matches."""

    def __init__(self) -> None:
        self._writes: list[_Planned] = []
        self._reads: list[_Planned] = []

    def write(
        self,
        fault: WriteFault,
        *,
        verb: str = "",
        kind: str = "",
        name: str = "",
        dry_run: bool = False,
        times: int = 1,
    ) -> None:
        """Plan a fault for writes (or, with `dry_run`, for rehearsals). Empty = any."""
        self._writes.append(_Planned(fault, verb, kind, name, dry_run, times))

    def read(self, fault: ReadFault, *, verb: str = "", kind: str = "", name: str = "", times: int = 1) -> None:
        """Plan a fault for reads. Empty = any."""
        self._reads.append(_Planned(fault, verb, kind, name, False, times))

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
        fault = _take(self._writes, request.verb, request.ref, dry_run)
        return fault if not isinstance(fault, FailRead | Stale) else None

    def on_read(self, verb: ReadVerb, ref: ObjectRef) -> ReadFault | None:
        fault = _take(self._reads, verb, ref, False)
        return fault if isinstance(fault, FailRead | Stale) else None


@dataclass(slots=True)
class _Planned:
    fault: WriteFault | ReadFault
    verb: str
    kind: str
    name: str
    dry_run: bool
    left: int


def _take(planned: list[_Planned], verb: str, ref: ObjectRef, dry_run: bool) -> WriteFault | ReadFault | None:
    for plan in planned:
        wanted = (plan.verb or verb, plan.kind or ref.kind, plan.name or ref.name, plan.dry_run)
        if plan.left > 0 and wanted == (verb, ref.kind, ref.name, dry_run):
            plan.left -= 1
            return plan.fault
    return None


class RandomFaults:
    """Faults at random, the same ones for the same generator.

    `writes` and `reads` are the shares of calls that go wrong. Late writes land within `late_s`, stale reads are up to
    `stale_s` old; 0 leaves that kind of fault out (a real API server never answers a `get` stale).
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        writes: float = 0.1,
        reads: float = 0.05,
        late_s: float = 30.0,
        stale_s: float = 0.0,
    ) -> None:
        self._rng = rng
        self._writes = writes
        self._reads = reads
        self._late_s = late_s
        self._stale_s = stale_s

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> WriteFault | None:
        if self._rng.random() >= self._writes:
            return None
        faults: list[Callable[[], WriteFault]] = [
            lambda: Reject(Conflict("409 Conflict: simulated")),
            lambda: Reject(Unavailable("429: simulated overload", retry_after_s=1.0)),
            lambda: Reject(Unavailable("nothing was sent: simulated refusal")),
            lambda: Reject(Refused("403 Forbidden: simulated", forbidden=True)),
            lambda: Reject(Uncertain("500 InternalError: simulated")),
            LoseReply,
            LoseRequest,
        ]
        if self._late_s:
            faults.append(lambda: LandLater(self._rng.uniform(0.0, self._late_s)))
        return self._rng.choice(faults)()

    def on_read(self, verb: ReadVerb, ref: ObjectRef) -> ReadFault | None:
        if self._rng.random() >= self._reads:
            return None
        if self._stale_s and verb in ("get", "list") and self._rng.random() < 0.5:
            return Stale(self._rng.uniform(0.0, self._stale_s))
        return FailRead(CannotSee("simulated: no answer"))
