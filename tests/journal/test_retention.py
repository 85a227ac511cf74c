"""What is removed when, in small steps, and what stays because something still needs it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.actions.view import Revision
from remediator.adapters.sql import retention
from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.journal import Accepted
from remediator.remediation.state import State
from tests.journal.given import (
    DAY,
    HOUR,
    SECOND,
    alert,
    attempt,
    ended,
    moved,
    opened,
    reserved,
    resolved,
    to,
)
from tests.support.building import NOW
from tests.support.outbox_contract import message, send


async def _decided(journal: SqlJournal, *names: str) -> None:
    await journal.accept([alert(name) for name in names], NOW)
    await journal.decide_alerts({r.id: "no_playbook" for r in await journal.undecided(99_999)}, NOW)


async def _names(journal: SqlJournal) -> set[str]:
    return {record.alert.name for record in await journal.recent_alerts(9999)}


async def test_resolved_alerts_go_after_a_week(journal: SqlJournal) -> None:
    await _decided(journal, "Over", "Open")
    await journal.accept([resolved("Over", ends_at=NOW)], NOW)
    assert (await journal.purge(NOW + 7 * DAY))["alerts"] == 0
    removed = await journal.purge(NOW + 7 * DAY + SECOND)
    assert removed["alerts"] == 1
    assert await _names(journal) == {"Open"}
    assert await journal.accept([alert("Over")], NOW + 8 * DAY) == Accepted(new=1)


async def test_silent_alerts_go_after_a_month_and_resends_keep_them(journal: SqlJournal) -> None:
    await _decided(journal, "Silent", "Loud")
    await journal.accept([alert("Loud")], NOW + 20 * DAY)
    await journal.purge(NOW + 30 * DAY)
    assert await _names(journal) == {"Silent", "Loud"}
    await journal.purge(NOW + 30 * DAY + SECOND)
    assert await _names(journal) == {"Loud"}


async def test_what_is_not_decided_is_never_removed(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    await journal.accept([resolved(ends_at=NOW)], NOW)
    await journal.purge(NOW + 999 * DAY)
    (record,) = await journal.undecided(9)
    assert record.alert.labels["namespace"] == "shop"


async def test_what_an_unfinished_remediation_refers_to_stays(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(9)
    r = await opened(journal, alerts=(record.id,))
    await journal.accept([resolved(ends_at=NOW)], NOW)
    await journal.purge(NOW + 99 * DAY)
    assert len(await journal.alerts([record.id])) == 1
    await ended(journal, r, now=NOW + 99 * DAY)
    await journal.purge(NOW + 99 * DAY)
    assert await journal.alerts([record.id]) == ()


async def test_bodies_of_silent_alerts_go_after_a_week_and_come_back(journal: SqlJournal) -> None:
    await _decided(journal, "Busy")
    removed = await journal.purge(NOW + 7 * DAY + SECOND)
    assert (removed["alerts"], removed["alert_bodies"]) == (0, 1)
    (record,) = await journal.recent_alerts(1)
    assert record.alert.labels == {"alertname": "Busy"}
    assert await journal.accept([alert()], NOW + 8 * DAY) == Accepted(new=1)
    (record,) = await journal.recent_alerts(1)
    assert record.alert.labels == {"alertname": "Busy", "namespace": "shop"}


async def test_remediations_go_whole_after_90_days(journal: SqlJournal) -> None:
    over = await ended(journal, await reserved(journal, await opened(journal, 1)), now=NOW)
    young = await ended(journal, await opened(journal, 2), now=NOW + 10 * DAY)
    running = await opened(journal, 3)
    await moved(journal, to(running, State.HELD), facts={"n": 1})
    assert (await journal.purge(NOW + 90 * DAY))["remediations"] == 0
    removed = await journal.purge(NOW + 90 * DAY + SECOND)
    assert removed["remediations"] == 1
    assert await journal.get(over.id) is None
    assert await journal.history(over.id) == ()
    assert await journal.runs(NOW, 999 * DAY) == ()
    for kept in (young, running):
        assert await journal.get(kept.id) is not None
        assert await journal.history_broken_at(kept.id) is None
        assert len(await journal.history(kept.id)) == 2


async def test_a_long_running_remediation_keeps_its_slot_and_token(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal))
    await journal.purge(NOW + 500 * DAY)
    assert len(await journal.runs(NOW + 500 * DAY, HOUR)) == 1


async def test_effects_are_known_for_400_days(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    await journal.record_attempt(attempt(r), NOW)
    await ended(journal, r)
    await journal.purge(NOW + 400 * DAY)
    assert await journal.get(r.id) is None
    assert await journal.knows_effect("r-1/0.0")
    removed = await journal.purge(NOW + 400 * DAY + SECOND)
    assert removed["attempts"] == 1
    assert not await journal.knows_effect("r-1/0.0")


async def test_facts_go_with_the_last_event_that_names_them(journal: SqlJournal) -> None:
    first = await moved(journal, to(await opened(journal, 1), State.HELD), facts={"n": 1})
    second = await moved(journal, to(await opened(journal, 2), State.HELD), facts={"n": 1})
    await ended(journal, first, now=NOW)
    assert (await journal.purge(NOW + 91 * DAY))["facts"] == 0
    await ended(journal, second, now=NOW)
    assert (await journal.purge(NOW + 91 * DAY))["facts"] == 1


async def test_episodes_go_with_their_last_remediation(journal: SqlJournal) -> None:
    r = await ended(journal, await opened(journal))
    await journal.close_episodes(NOW + DAY, HOUR)
    assert (await journal.purge(NOW + 90 * DAY + SECOND))["episodes"] == 0
    assert (await journal.purge(NOW + 92 * DAY))["episodes"] == 1
    assert await journal.episode(r.episode) is None


async def test_sent_messages_go_after_a_week_but_once_is_once(journal: SqlJournal) -> None:
    messages = [message(key="k1"), message(key="k2", once="page/e-1"), message(key="k3")]
    await journal.store_messages(messages, NOW)
    for row in (await journal.due("slack", NOW, 9))[:2]:
        await send(journal, row, None, NOW)
    removed = await journal.purge(NOW + 8 * DAY)
    assert removed["outbox"] == 1
    await journal.store_messages([message(key="k2", once="page/e-1")], NOW + 8 * DAY)
    assert [row.key for row in await journal.due("slack", NOW + 8 * DAY, 9)] == ["k3"], "what waits stays"
    assert (await journal.purge(NOW + 401 * DAY))["outbox"] == 1


async def test_pauses_and_revisions_stay_while_they_mean_something(journal: SqlJournal) -> None:
    await journal.pause("everything", "ann", "", None, NOW)
    await journal.resume((await journal.pause("playbook:x", "ann", "", None, NOW)).id, "ann", NOW)
    available = Revision(workload_uid="w", template_hash="now", available_since=NOW, healthy=True)
    old = Revision(workload_uid="w", template_hash="old", available_since=NOW, available_until=NOW)
    await journal.save_revisions("c1", [available, old], NOW)
    removed = await journal.purge(NOW + 401 * DAY)
    assert (removed["pauses"], removed["revisions"]) == (1, 1)
    assert len(await journal.pauses(NOW + 401 * DAY)) == 1
    assert await journal.revisions("c1", "w") == (available,)


@pytest.mark.parametrize("count", [20, 21])
async def test_much_is_removed_in_small_steps(journal: SqlJournal, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    await _decided(journal, *(f"A{n}" for n in range(count)))
    removed = await journal.purge(NOW + timedelta(days=31))
    assert removed["alerts"] == count
    assert await journal.recent_alerts(1) == ()
