"""Whether people can be reached: each channel is asked, seldom, and never for ever."""

from __future__ import annotations

import asyncio

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.people.reach import BAD_FOR_S, GOOD_FOR_S, Reach
from remediator.ports import ChatError


class Tried:
    def __init__(self, problem: str = "") -> None:
        self.problem, self.times = problem, 0

    async def probe(self) -> None:
        self.times += 1
        if self.problem:
            raise ChatError(self.problem)


async def test_every_channel_says_how_it_is() -> None:
    reach = Reach({"Slack": Tried("no answer"), "PagerDuty shop": Tried()}, VirtualClock())
    assert [(c.name, c.problem) for c in await reach.channels()] == [("Slack", "no answer"), ("PagerDuty shop", "")]


async def test_answers_are_kept_for_a_while_a_failure_for_less() -> None:
    clock, good, bad = VirtualClock(), Tried(), Tried("down")
    reach = Reach({"good": good, "bad": bad}, clock)
    await asyncio.gather(*(reach.channels() for _ in range(5)))
    assert (good.times, bad.times) == (1, 1)
    clock.advance(BAD_FOR_S)
    await reach.channels()
    assert (good.times, bad.times) == (1, 2)
    clock.advance(GOOD_FOR_S)
    await reach.channels()
    assert (good.times, bad.times) == (2, 3)


async def test_a_channel_that_hangs_is_a_channel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs:
        async def probe(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("remediator.people.reach.PATIENCE_S", 0.0)
    (channel,) = await Reach({"Slack": Hangs()}, VirtualClock()).channels()
    assert "no answer within" in channel.problem
