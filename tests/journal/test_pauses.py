"""Pauses: who, why, until; only a person or the clock ends one."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.state import State
from tests.journal.given import HOUR, MINUTE, SECOND, moved, opened, to
from tests.support.building import NOW


async def test_a_pause_is_live_until_somebody_resumes_it(journal: SqlJournal) -> None:
    pause = await journal.pause("namespace:c1/shop", "ann", "migration", None, NOW)
    assert (pause.scope, pause.who, pause.why, pause.until, pause.created_at) == (
        "namespace:c1/shop",
        "ann",
        "migration",
        None,
        NOW,
    )
    assert await journal.pauses(NOW + 999 * HOUR) == (pause,)
    assert await journal.resume(pause.id, "bob", NOW)
    assert await journal.pauses(NOW) == ()
    assert not await journal.resume(pause.id, "bob", NOW)


async def test_a_pause_with_an_end_ends_by_itself(journal: SqlJournal) -> None:
    pause = await journal.pause("everything", "ann", "", NOW + HOUR, NOW)
    assert await journal.pauses(NOW + HOUR - SECOND) == (pause,)
    assert await journal.pauses(NOW + HOUR) == ()
    assert not await journal.resume(pause.id, "ann", NOW + HOUR)


async def test_two_pauses_of_one_scope_both_count(journal: SqlJournal) -> None:
    first = await journal.pause("everything", "ann", "", None, NOW)
    second = await journal.pause("everything", "bob", "", None, NOW)
    assert first.id != second.id
    await journal.resume(first.id, "ann", NOW)
    assert await journal.pauses(NOW) == (second,)


async def test_resuming_what_is_no_pause_says_so(journal: SqlJournal) -> None:
    for pause_id in ("p-1", "", "1; DROP TABLE pauses", "p-x"):
        assert not await journal.resume(pause_id, "ann", NOW)


@pytest.mark.parametrize(
    ("state", "changes", "at_once"),
    [
        pytest.param(State.HELD, {}, True, id="held"),
        pytest.param(State.APPROVED, {}, True, id="approved"),
        pytest.param(State.WAITING, {"waiting_for": "pause"}, True, id="waiting for the pause"),
        pytest.param(State.WAITING, {"waiting_for": "timer"}, False, id="a wait step waits its time"),
        pytest.param(State.AWAITING_APPROVAL, {}, False, id="waits for a person"),
    ],
)
async def test_what_waited_for_the_end_of_a_pause_is_due_at_once(
    journal: SqlJournal, state: State, changes: dict[str, Any], at_once: bool
) -> None:
    pause = await journal.pause("everything", "ann", "", None, NOW)
    later = NOW + 30 * SECOND
    r = await moved(journal, to(await opened(journal), state, due=later, deadline=NOW + 15 * MINUTE, **changes))
    assert not await journal.resume("p-99", "bob", NOW + SECOND)
    assert await journal.next_due() == later
    assert await journal.resume(pause.id, "bob", NOW + SECOND)
    assert await journal.next_due() == (NOW + SECOND if at_once else later)
    after = await journal.get(r.id)
    assert after is not None
    assert (after.due, after.version) == (NOW + SECOND if at_once else later, r.version)
