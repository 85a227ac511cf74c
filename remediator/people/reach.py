"""Whether people can be reached at this moment: asked before something disruptive is done by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from remediator.guardrails.facts import Channel
from remediator.ports import ChatError, Clock, Reachable

GOOD_FOR_S = 30.0
BAD_FOR_S = 5.0
"""How long an answer is believed; a channel that failed is asked again sooner."""
PATIENCE_S = 3.0


class Reach:
    """One per process; `asked` by the name that people know. Answers are kept for a few seconds, so that a burst of
    plans asks once."""

    def __init__(self, asked: Mapping[str, Reachable], clock: Clock) -> None:
        self._asked = dict(asked)
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}
        self._turn = asyncio.Lock()

    async def channels(self) -> tuple[Channel, ...]:
        """Every configured channel. Never raises: what fails is the channel's problem."""
        async with self._turn:
            now = self._clock.boot()
            stale = [name for name in self._asked if not self._fresh(name, now)]
            answers = await asyncio.gather(*(self._ask(name) for name in stale))
            self._known |= {name: (now, problem) for name, problem in zip(stale, answers, strict=True)}
        return tuple(Channel(name=name, problem=self._known[name][1]) for name in self._asked)

    def _fresh(self, name: str, now: float) -> bool:
        if name not in self._known:
            return False
        at, problem = self._known[name]
        return now - at < (BAD_FOR_S if problem else GOOD_FOR_S)

    async def _ask(self, name: str) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._asked[name].probe()
        except ChatError as exc:
            return str(exc)
        except TimeoutError:
            return f"no answer within {PATIENCE_S:g} s"
        return ""
