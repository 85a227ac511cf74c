"""Pauses: who, why, until; only a person or the clock ends one."""

from __future__ import annotations

from remediator.adapters.sql.journal import SqlJournal
from tests.journal.given import HOUR, SECOND
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
