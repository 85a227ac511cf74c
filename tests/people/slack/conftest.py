"""A virtual clock that the fake Slack goes by as well, and one service on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.adapters.simulated import VirtualClock
from tests.people.slack.bed import Bed, bed
from tests.support.fake_slack import FakeSlack


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def slack(clock: VirtualClock) -> AsyncIterator[FakeSlack]:
    async with FakeSlack(clock=clock.boot, wall=lambda: clock.now().timestamp()) as slack:
        yield slack
        assert slack.violations == []


@pytest.fixture
async def one(slack: FakeSlack, clock: VirtualClock) -> AsyncIterator[Bed]:
    """A service that proposes to restart shop/api; Ann, Bob and Cat may approve."""
    async with bed(slack, clock) as one:
        yield one
