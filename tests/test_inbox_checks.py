"""`doctor` on what people click: does it reach us, and is it dealt with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.inbox_checks import INBOX, LATE, SOCKET, inbox_checks
from remediator.people.inbox_rows import Incoming


async def test_an_empty_inbox_is_good_and_without_socket_mode_nobody_asks_for_it() -> None:
    checks = inbox_checks(SqlJournal.in_memory(), VirtualClock(), None)
    assert list(checks) == [INBOX]
    assert (await checks[INBOX]()).ok


async def test_what_waits_is_counted_and_bad_once_somebody_has_waited_for_long() -> None:
    journal, clock = SqlJournal.in_memory(), VirtualClock()
    for key in ("k1", "k2", "k3"):
        await journal.take_in(Incoming(source="slack", key=key, body={}), clock.now())
    first, second, _ = await journal.incoming(clock.now(), 3)
    await journal.dealt_with(first.id, "done", clock.now())
    clock.advance(LATE.total_seconds())
    await journal.put_off(second.id, "users.info: timeout", clock.now() + timedelta(hours=1), clock.now())
    check = inbox_checks(journal, clock, None)[INBOX]
    found = await check()
    assert (found.ok, found.said) == (
        True,
        "2 clicks or webhooks wait, the oldest for 1 min; last error: users.info: timeout",
    )
    clock.advance(1)
    found = await check()
    assert found.ok is False
    assert "Mend what the error names" in found.next


@pytest.mark.parametrize("connected", [True, False])
async def test_the_socket_is_asked(connected: bool) -> None:
    found = await inbox_checks(SqlJournal.in_memory(), VirtualClock(), lambda: connected)[SOCKET]()
    assert found.ok is connected
    assert bool(found.next) is not connected
