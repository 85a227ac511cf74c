"""What is called in a schedule, outside the Kubernetes API: requests get there, or get lost, or get there later."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from remediator.errors import CannotSee, Refused, Unavailable, Uncertain
from remediator.ports import Found

REFUSED, NOT_SENT = "call refused", "call not sent"
LOST, NO_REPLY, LATER = "call lost", "call done, reply lost", "call done later"
FAULTS = (REFUSED, NOT_SENT, LOST, NO_REPLY, LATER)
BLIND = "no answer to what became of a call"

VIAS = ("sure", "half", "blind")
"""`sure` takes a key only once, and knows of each key whether it came, will never come, or may still come. `half` sees
what was done, and cannot tell what is lost from what is late: as most of them are. `blind` sees nothing."""


class Callee:
    """One `via`. `on_done` hears of each request as it is carried out. `rate` = the share of requests that go wrong."""

    def __init__(
        self,
        via: str,
        rng: random.Random,
        *,
        travel: Callable[[], Awaitable[None]],
        at: Callable[[float, Callable[[], None]], None],
        happened: Callable[[str], None],
        on_done: Callable[[str, str, Mapping[str, Any], str], None],
    ) -> None:
        self.via = via
        self.rate = 0.0
        self.late_s = 5.0
        self._rng, self._travel, self._at, self._happened, self._on_done = rng, travel, at, happened, on_done
        self._done: set[str] = set()
        self._under_way: Counter[str] = Counter()

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        await self._look()
        return {}

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        await self._look()
        return ""

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        await self._travel()
        fault = self._rng.choice(FAULTS) if self.rate and self._rng.random() < self.rate else ""
        if fault:
            self._happened(fault)
        match fault:
            case "call refused":
                raise Refused("simulated: the other side says no")
            case "call not sent":
                raise Unavailable("nothing was sent: simulated refusal", retry_after_s=1.0)
            case "call done later":
                self._under_way[key] += 1
                self._at(self._rng.uniform(0.0, self.late_s), lambda: self._land(place, request, key))
            case _:
                pass
        if fault in (LOST, LATER):
            raise Uncertain("no answer: simulated")
        self._carry_out(place, request, key)
        await self._travel()
        if fault == NO_REPLY:
            raise Uncertain("no answer: simulated")
        return {"says": "done"}

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        await self._look()
        if self.via == "blind":
            return "unknown"
        if key in self._done:
            return "happened"
        if self.via == "half":
            return "unknown"
        if self._under_way[key]:
            if self._rng.random() < 0.7:
                raise CannotSee("simulated: it may still be under way")
            return "unknown"
        return "never"

    async def close(self) -> None:
        return

    async def _look(self) -> None:
        await self._travel()
        if self.rate and self._rng.random() < self.rate / 4:
            self._happened(BLIND)
            raise CannotSee("simulated: no answer")

    def _land(self, place: str, request: Mapping[str, Any], key: str) -> None:
        self._under_way[key] -= 1
        self._carry_out(place, request, key)

    def _carry_out(self, place: str, request: Mapping[str, Any], key: str) -> None:
        if self.via == "sure" and key in self._done:
            return
        self._done.add(key)
        self._on_done(self.via, place, request, key)


def expected() -> list[str]:
    return [*FAULTS, BLIND]
