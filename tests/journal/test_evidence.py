"""What the observer saw, and the last good playbooks."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from remediator.actions.view import Revision
from remediator.adapters.simulated.clock import VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.last_good import JournalLastGood
from remediator.remediation.state import State
from tests.journal.given import HOUR, moved, opened, to
from tests.support.building import NOW

GOOD = Revision(
    workload_uid="w1",
    template_hash="h1",
    available_since=NOW,
    available_until=NOW + HOUR,
    healthy=True,
    alerts=("Busy", "Down"),
)


async def test_revisions_come_back_as_they_were_seen(journal: SqlJournal) -> None:
    young = Revision(workload_uid="w1", template_hash="h2")
    await journal.save_revisions("c1", [GOOD, young], NOW)
    assert await journal.revisions("c1", "w1") == (GOOD, young)
    assert await journal.revisions("c1", "w2") == ()
    assert await journal.revisions("c2", "w1") == ()


async def test_the_newest_look_counts(journal: SqlJournal) -> None:
    await journal.save_revisions("c1", [GOOD], NOW)
    later = replace(GOOD, available_until=None, healthy=False, alerts=())
    await journal.save_revisions("c1", [later], NOW + HOUR)
    assert await journal.revisions("c1", "w1") == (later,)


async def test_known_bad_stays_known_bad(journal: SqlJournal) -> None:
    """The observer writes what it sees; it does not know what was rolled back meanwhile."""
    await journal.save_revisions("c1", [GOOD], NOW)
    r = await opened(journal)
    await moved(journal, to(r, State.VERIFYING, known_bad=("w1", "h1")))
    await journal.save_revisions("c1", [GOOD], NOW)
    assert await journal.revisions("c1", "w1") == (replace(GOOD, known_bad=True),)


async def test_bad_is_known_also_of_what_was_never_seen(journal: SqlJournal) -> None:
    r = await opened(journal)
    await moved(journal, to(r, State.VERIFYING, known_bad=("w9", "h9")))
    assert await journal.revisions("c1", "w9") == (Revision(workload_uid="w9", template_hash="h9", known_bad=True),)


async def test_last_good_playbooks_are_kept_by_name(journal: SqlJournal) -> None:
    assert await journal.last_good() == {}
    await journal.save_good("b", "name: b", "h1", NOW)
    await journal.save_good("a", "name: a", "h2", NOW)
    await journal.save_good("b", "name: b # 2", "h3", NOW)
    assert await journal.last_good() == {"a": "name: a", "b": "name: b # 2"}
    await journal.forget_good("a")
    await journal.forget_good("z")
    assert await journal.last_good() == {"b": "name: b # 2"}


async def test_a_playbook_that_was_removed_on_purpose_is_remembered(journal: SqlJournal) -> None:
    await journal.save_good("a", "", "", NOW)
    assert await journal.last_good() == {"a": ""}


async def test_the_folder_reaches_it_from_its_thread(journal: SqlJournal) -> None:
    last_good = JournalLastGood(journal, asyncio.get_running_loop(), VirtualClock(NOW))
    await asyncio.to_thread(last_good.save, "a", "name: a", "h")
    assert await asyncio.to_thread(last_good.load) == {"a": "name: a"}
