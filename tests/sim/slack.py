"""Slack and PagerDuty of a schedule: they fail in each way that is documented for Slack.

`ok: false` with an error that passes or one that does not, 429 with Retry-After, 5xx, and no answer: with the message
posted, without, or later.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any

from remediator.objects import Object
from remediator.ports import ChatError, MessageRef

LATE = "timeout, made later"
"""An update that lands after newer ones."""
LATE_S = 40.0
PASSING = ("ok: false, for now", "429", "5xx", "timeout", "timeout, posted anyway", LATE)
GONE = "ok: false, for good"
"""An update of a message that was deleted, or is too old to be edited."""


class Slack:
    """`mode`: up, down (5xx), limited (429), refuses (`ok: false`). `messages` are the main ones, by channel and ts."""

    def __init__(
        self, rng: random.Random, travel: Callable[[], Awaitable[None]], happened: Callable[[str], None]
    ) -> None:
        self._rng, self._travel, self._happened = rng, travel, happened
        self.fault_rate = 0.0
        self.mode = "up"
        self.messages: dict[MessageRef, str] = {}
        self.replies: Counter[MessageRef] = Counter()
        self.posts: Counter[str] = Counter()
        """How often each text was posted."""
        self.unanswered = 0

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        def carry_out() -> MessageRef:
            self.posts[text] += 1
            ref = MessageRef(channel, f"{self.posts.total()}.0")
            if thread:
                self.replies[MessageRef(channel, thread)] += 1
            else:
                self.messages[ref] = text
            return ref

        ref: MessageRef = await self._call(carry_out)
        return ref

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        if self.fault_rate and self._rng.random() < self.fault_rate / 4:
            await self._travel()
            self._happened(GONE)
            raise ChatError("Slack: cant_update_message")
        await self._call(lambda: self.messages.__setitem__(ref, text))

    async def probe(self) -> None:
        await self._travel()
        if self.mode != "up":
            raise ChatError(f"simulated: {self.mode}", retry_after_s=1.0)

    async def _call(self, carry_out: Callable[[], Any]) -> Any:
        await self._travel()
        fault = self._fault()
        if not fault or fault == "timeout, posted anyway":
            result = carry_out()
        elif fault == LATE:
            loop = asyncio.get_running_loop()
            loop.call_later(self._rng.uniform(0.0, LATE_S), carry_out, context=Context())
        await self._travel()
        if not fault:
            return result
        self._happened(fault)
        self.unanswered += fault == "timeout, posted anyway"
        unanswered = fault in ("5xx", LATE) or fault.startswith("timeout")
        raise ChatError(f"simulated: {fault}", retry_after_s=self._rng.choice((1.0, 5.0, 30.0)), unanswered=unanswered)

    def _fault(self) -> str:
        modes = {"down": "5xx", "limited": "429", "refuses": "ok: false, for now"}
        if self.mode in modes:
            return modes[self.mode]
        return self._rng.choice(PASSING) if self.fault_rate and self._rng.random() < self.fault_rate else ""


class Pager:
    """Takes everything; one incident per dedup key."""

    def __init__(self, travel: Callable[[], Awaitable[None]]) -> None:
        self._travel = travel
        self.incidents: dict[str, str] = {}

    async def send(self, event: Mapping[str, object]) -> None:
        await self._travel()
        self.incidents[str(event["dedup_key"])] = str(event["event_action"])


def expected() -> list[str]:
    return [*PASSING, GONE]
