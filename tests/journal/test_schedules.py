"""Schedules in the store: a time of a playbook begins one remediation, whoever comes, whatever breaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.objects import ObjectRef
from remediator.remediation.journal import ScheduleRun
from remediator.remediation.state import Remediation, State
from tests.journal.given import DAY, HOUR, MINUTE
from tests.support.building import NOW, remediation

KEY = ("nightly", "0 2 * * * Europe/Berlin")
OTHER = ("nightly", "0 2,3 * * * Europe/Berlin")
DUE = NOW + HOUR


def begun(number: int = 1, **changes: object) -> Remediation:
    values = {"id": f"r-{number}", "episode": "", "alerts": (), "cause": "scheduled", "spec": None, **changes}
    return remediation(State.PLANNED, **values)


async def settle(journal: SqlJournal, key: tuple[str, str] = KEY, number: int = 1) -> str:
    """The id of what was opened; empty = nothing."""
    run = ScheduleRun(due=DUE)
    opened = await journal.settle_schedule(key, NOW, DUE, DUE, run=run, remediation=begun(number))
    return opened.id if opened else ""


async def test_it_counts_from_when_it_was_first_seen(journal: SqlJournal) -> None:
    assert await journal.begin_schedule(KEY, NOW) == NOW
    assert await journal.begin_schedule(KEY, NOW + DAY) == NOW
    assert await journal.begin_schedule(OTHER, NOW + DAY) == NOW + DAY


async def test_what_begins_and_that_it_did_are_one(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    assert await settle(journal) == "r-1"
    assert await journal.begin_schedule(KEY, NOW) == DUE
    assert await journal.schedule_runs("nightly", 9) == (ScheduleRun(due=DUE, remediation_id="r-1"),)
    stored = await journal.get("r-1")
    assert stored is not None
    assert stored.cause == "scheduled"


async def test_who_comes_second_opens_nothing(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    assert await settle(journal) == "r-1"
    assert await settle(journal, number=2) == ""
    assert len(await journal.recent(9)) == 1


async def test_the_same_time_by_another_rule_opens_nothing(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    await journal.begin_schedule(OTHER, NOW)
    assert await settle(journal) == "r-1"
    assert await settle(journal, OTHER, 2) == ""
    assert await journal.begin_schedule(OTHER, NOW) == DUE, "it is dealt with all the same"
    assert [r.id for r in await journal.recent(9)] == ["r-1"]


async def test_what_was_skipped_is_on_record_and_opens_nothing(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    skipped = (ScheduleRun(due=NOW + MINUTE, detail="missed"), ScheduleRun(due=DUE, detail="missed by 3h"))
    assert await journal.settle_schedule(KEY, NOW, DUE, NOW + DAY, skipped=skipped) is None
    assert await journal.schedule_runs("nightly", 9) == tuple(reversed(skipped))
    assert await journal.schedule_runs("nightly", 1) == (skipped[1],)
    assert await journal.schedule_runs("another", 9) == ()
    assert await journal.recent(9) == ()


async def test_a_forgotten_one_begins_anew(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    await journal.forget_schedule(KEY)
    assert await settle(journal) == "", "nobody knows it"
    assert await journal.begin_schedule(KEY, NOW + DAY) == NOW + DAY


async def test_behind_one_that_has_not_begun_it_is_skipped(journal: SqlJournal) -> None:
    """What could not be aimed at gathers under the playbook's own name, one at a time."""
    await journal.begin_schedule(KEY, NOW)
    root = ObjectRef("Playbook", "", "nightly")
    waits = remediation(State.RECEIVED, id="r-0", episode="", alerts=(), cause="scheduled", spec=None, root=root)
    await journal.open(waits, NOW)
    blank = replace(waits, id="r-1")
    opened = await journal.settle_schedule(KEY, NOW, DUE, DUE, run=ScheduleRun(due=DUE), remediation=blank)
    assert opened is None
    (run,) = await journal.schedule_runs("nightly", 9)
    assert (run.remediation_id, run.detail) == ("", "the one before it has not begun")


async def test_a_crash_before_the_commit_leaves_it_to_the_next_process() -> None:
    class Crash(BaseException):
        pass

    class Faults:
        armed = False

        async def before_commit(self, name: str) -> None:
            if self.armed:
                raise Crash

        async def after_commit(self, name: str) -> None:
            return

        async def before_read(self, name: str) -> None:
            return

    database, faults = SqliteMemory(), Faults()
    journal = SqlJournal.in_memory(database, faults=faults)
    await journal.begin_schedule(KEY, NOW)
    faults.armed = True
    with pytest.raises(Crash):
        await settle(journal)
    after = SqlJournal.in_memory(database)
    assert await after.schedule_runs("nightly", 9) == ()
    assert await settle(after, number=2) == "r-2"
    database.dispose()


async def test_what_is_old_goes(journal: SqlJournal) -> None:
    await journal.begin_schedule(KEY, NOW)
    await journal.settle_schedule(KEY, NOW, DUE, DUE, skipped=(ScheduleRun(due=DUE, detail="missed"),))
    await journal.purge(NOW + timedelta(days=399))
    assert len(await journal.schedule_runs("nightly", 9)) == 1
    assert (await journal.purge(NOW + timedelta(days=402)))["schedule_runs"] == 1
    assert await journal.schedule_runs("nightly", 9) == ()


async def test_what_did_not_come_from_an_alert_is_no_arrival(journal: SqlJournal) -> None:
    await journal.open(begun(), NOW)
    await journal.open(remediation(State.PLANNED, id="r-2", episode="", alerts=()), NOW)
    assert [a.target_key for a in await journal.arrivals("c1", NOW - HOUR)] == ["c1/Deployment/shop/api"]
