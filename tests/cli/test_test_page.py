"""`remediator test-page`: one page that says that nothing is wrong, through the outbox like every other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from remediator.pager_test import PagerTest, ringing
from remediator.service_errors import InvalidRequest
from tests.cli.conftest import Run
from tests.support.world import World as Core

AT = datetime(2026, 3, 1, 3, 0, 30, tzinfo=UTC)


def test_it_says_who_asked_and_that_nothing_is_wrong() -> None:
    message = ringing("ann", "shop", AT)
    payload = message.payload["payload"]
    assert (message.channel, message.destination) == ("pagerduty", "shop")
    assert payload["severity"] == "info"
    assert "ann" in payload["summary"]
    assert "Nothing is wrong" in payload["summary"]


def test_two_within_a_minute_are_one_incident() -> None:
    first, second = ringing("ann", "shop", AT), ringing("bob", "shop", AT.replace(second=59))
    assert first.key == second.key == first.once
    assert ringing("ann", "shop", AT.replace(minute=1)).key != first.key


@pytest.mark.parametrize(
    ("services", "default", "asked", "rung"),
    [
        pytest.param(("shop", "data"), "shop", "", "shop", id="the default one"),
        pytest.param(("shop", "data"), "shop", "data", "data", id="the one that is named"),
        pytest.param(("shop",), "", "", "shop", id="the only one"),
    ],
)
async def test_which_service_is_rung(services: tuple[str, ...], default: str, asked: str, rung: str) -> None:
    core, poked = Core(), []
    pager = PagerTest(core.journal, core.clock, services, default=default, on_told=lambda: poked.append(1))
    assert (await pager.ring("ann", asked))["service"] == rung
    assert await core.journal.outbox_pending() == 1
    assert poked == [1]


async def test_a_service_that_is_not_there_is_said_and_nothing_is_stored() -> None:
    core = Core()
    with pytest.raises(InvalidRequest, match="'data'"):
        await PagerTest(core.journal, core.clock, ("shop",)).ring("ann", "data")
    assert await core.journal.outbox_pending() == 0


async def test_without_a_pager_the_command_says_so(run: Run) -> None:
    result = await run("test-page", role="operator")
    assert result.exit_code != 0
    assert "no pager is configured" in result.stderr


async def test_a_viewer_rings_nobody(run: Run) -> None:
    assert (await run("test-page", role="viewer")).exit_code == 1
