"""The outbox's rows keep their contract, and are committed with the transition they tell of."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.schema import outbox
from remediator.adapters.sql.values import to_us
from remediator.people.outbox_rows import OutboxStore, Sending
from remediator.remediation.journal import Journal, ReservationRefused, StaleRemediation
from remediator.remediation.state import State
from tests.journal.given import SECOND, ended, moved, opened, request, reserved, to
from tests.support.building import NOW
from tests.support.outbox_contract import OutboxContract, message


def both_ports(journal: SqlJournal) -> tuple[Journal, OutboxStore]:
    """mypy holds SqlJournal to both Protocols here."""
    return journal, journal


class TestSqlOutbox(OutboxContract):
    @pytest.fixture
    def outbox(self, journal: SqlJournal) -> SqlJournal:
        return journal


async def test_messages_are_stored_with_their_transition(journal: SqlJournal) -> None:
    r = await opened(journal)
    told = [message("proposed", kind="post"), message("page", channel="pagerduty", kind="event", key="p")]
    await moved(journal, to(r, State.AWAITING_APPROVAL), messages=told)
    assert [row.payload["text"] for row in await journal.due("slack", NOW, 9)] == ["proposed"]
    assert [row.key for row in await journal.due("pagerduty", NOW, 9)] == ["p"]
    assert await journal.outbox_pending() == 2


async def test_a_stale_transition_tells_nobody(journal: SqlJournal) -> None:
    r = await opened(journal)
    await moved(journal, to(r, State.HELD))
    with pytest.raises(StaleRemediation):
        await moved(journal, to(r, State.AWAITING_APPROVAL), messages=[message()])
    assert await journal.outbox_pending() == 0


async def test_a_refused_reservation_tells_nobody(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal, 1), locks=("k",))
    r = await opened(journal, 2)
    result = await journal.commit(
        to(r, State.RESERVED, reserve=True), NOW, holder="", reserve=request(r, locks=("k",)), messages=[message()]
    )
    assert isinstance(result, ReservationRefused)
    assert await journal.outbox_pending() == 0


async def test_once_holds_across_transitions(journal: SqlJournal) -> None:
    r = await opened(journal)
    r = await moved(journal, to(r, State.HELD), messages=[message(once="held/e-1")])
    await ended(journal, r)
    other = await opened(journal, 2)
    await moved(journal, to(other, State.HELD), messages=[message(once="held/e-1")])
    assert await journal.outbox_pending() == 1


async def test_a_later_row_of_a_key_waits_for_its_own_time_too(journal: SqlJournal) -> None:
    await journal.store_messages([message("first", kind="reply"), message("second", kind="reply")], NOW)
    first, second = await journal.due("slack", NOW, 9)
    await journal._writer.control(
        "later", lambda c: c.execute(update(outbox).where(outbox.c.id == second.id).values(due_at=to_us(NOW + SECOND)))
    )
    assert [row.id for row in await journal.due("slack", NOW, 9)] == [first.id]


async def test_a_new_process_takes_over_what_the_dead_one_was_sending(journal: SqlJournal) -> None:
    await journal.store_messages([message()], NOW)
    (row,) = await journal.due("slack", NOW, 9)
    await journal.begin(Sending(row), "dead", NOW + 60 * SECOND, NOW)
    assert await journal.due("slack", NOW, 9) == ()
    await journal.takeover("new")
    assert await journal.due("slack", NOW, 9) == (row,)
    assert not await journal.sent(row.id, None, "another", NOW), "its word does not count"
