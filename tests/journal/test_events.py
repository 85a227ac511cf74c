"""The append-only record: what gets a line, what is in it, and that tampering shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from remediator.adapters.sql import events as events_sql
from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.decide import decide
from remediator.remediation.draft import Notice
from remediator.remediation.events import Chosen, PlanMade, TimerFired, Watched
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.journal.given import ME, MINUTE, SECOND, claimed, ended, moved, opened, reserved, to
from tests.support.building import NOW, made, plan, playbook, verdict


async def test_the_first_line_is_the_opening(journal: SqlJournal) -> None:
    await opened(journal, reason="gathering", severity="critical")
    (line,) = await journal.history("r-1")
    assert (line.seq, line.at, line.type) == (1, NOW, "opened")
    assert (line.from_state, line.to_state, line.reason) == ("", "planned", "gathering")
    assert line.data["severity"] == "critical"


async def test_a_transition_is_a_line_with_all_it_was_decided_on(journal: SqlJournal) -> None:
    r = await opened(journal)
    no = replace(verdict("hold", "min_available", "3 of 5 ready"), facts={"ready": 3, "desired": 5})
    event = PlanMade(plan=plan(root=r.root), verdicts=(no,), explanation="HELD: 3 of 5 ready")
    await moved(journal, decide(r, event, NOW + SECOND), now=NOW + SECOND, facts={"pods": ["a", "b"]})
    line = (await journal.history("r-1"))[-1]
    assert (line.seq, line.type, line.from_state, line.to_state) == (2, "PlanMade", "planned", "held")
    assert (line.at, line.reason) == (NOW + SECOND, "HELD: 3 of 5 ready")
    payload = line.data["event"]
    assert isinstance(payload, dict)
    assert payload["verdicts"][0]["facts"] == {"ready": 3, "desired": 5}
    assert payload["digest"] == "d1"
    facts = line.data["facts"]
    assert isinstance(facts, dict)
    assert facts["pods"] == ["a", "b"]
    assert facts["plan"]["steps"][0]["summary"] == "replicas 3 -> 5"
    assert "rule" in line.data
    assert line.data["notices"] == ["held"]


async def test_a_choice_is_recorded_with_the_playbook_it_chose(journal: SqlJournal) -> None:
    r = await opened(journal, state=State.RECEIVED, spec=None)
    event = Chosen(spec=playbook(), playbook_hash="h1", mode="auto", alert_id="a-1", not_chosen=("other: lower",))
    await moved(journal, decide(r, event, NOW))
    data = (await journal.history("r-1"))[-1].data
    assert data["event"]["playbook"] == "scale-api"  # type: ignore[index]
    assert data["facts"]["playbook"]["steps"][0]["with"] == {"to": 5, "min": 1, "max": 9}  # type: ignore[index]


async def test_an_ending_says_how(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    await ended(journal, r, State.ESCALATED, outcome=StepOutcome.FAILED, known_bad=("w1", "h1"))
    data = (await journal.history("r-1"))[-1].data
    assert (data["outcome"], data["epoch"], data["known_bad"]) == ("failed", r.epoch, ["w1", "h1"])


async def test_a_recheck_that_says_the_same_leaves_no_line(journal: SqlJournal) -> None:
    """Journaled when the reason changes, not at each check; the row is moved all the same."""
    r = await claimed(journal)
    first = (await journal.commit(decide(r, made("hold"), NOW), NOW, holder=ME)).remediation  # type: ignore[union-attr]
    later = NOW + 30 * SECOND
    second = (await journal.commit(decide(first, made("hold"), later), later, holder=ME)).remediation  # type: ignore[union-attr]
    assert await journal.get(r.id) == second
    assert (second.version, second.due) == (2, later + 30 * SECOND)
    assert len(await journal.history(r.id)) == 2
    news = replace(made("hold"), explanation="something else")
    await journal.commit(decide(second, news, later), later, holder=ME)
    assert [line.reason for line in await journal.history(r.id)][1:] == ["explained", "something else"]


async def test_a_duration_that_grew_is_no_news_and_a_number_that_changed_is(journal: SqlJournal) -> None:
    r = await claimed(journal)
    now = NOW
    for reason in ("last r-1 7m ago", "last r-1 8m ago", "last r-1 1h5m ago", "3 of 5 ready", "2 of 5 ready"):
        now += 30 * SECOND
        held = replace(made("hold"), explanation=reason)
        r = (await journal.commit(decide(r, held, now), now, holder=ME)).remediation  # type: ignore[union-attr]
    reasons = [line.reason for line in await journal.history(r.id)][1:]
    assert reasons == ["last r-1 7m ago", "3 of 5 ready", "2 of 5 ready"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: replace(d, notices=(Notice.PROGRESS,)), id="people are told"),
        pytest.param(lambda d: replace(d, release=True), id="locks are released"),
        pytest.param(lambda d: replace(d, event=TimerFired()), id="another kind of event"),
    ],
)
async def test_a_recheck_with_consequences_is_a_line(journal: SqlJournal, change: Callable) -> None:
    r = await opened(journal)
    held = await moved(journal, decide(r, made("hold"), NOW))
    again = change(decide(held, made("hold"), NOW + MINUTE))
    await moved(journal, again, now=NOW + MINUTE)
    assert len(await journal.history(r.id)) == 3


async def test_another_state_is_a_line_also_for_the_same_reason(journal: SqlJournal) -> None:
    r = await opened(journal)
    await moved(journal, to(r, State.HELD, event=made("hold"), reason=r.reason))
    assert len(await journal.history(r.id)) == 2


async def test_notes_are_lines_that_change_no_state(journal: SqlJournal) -> None:
    r = await opened(journal)
    await journal.note(r.id, "evidence", "2 lines of log", {"lines": ["a", "b"]}, NOW + SECOND)
    line = (await journal.history(r.id))[-1]
    assert (line.type, line.reason, line.data) == ("evidence", "2 lines of log", {"lines": ["a", "b"]})
    assert (line.from_state, line.to_state) == ("", "")
    assert await journal.get(r.id) == r
    await moved(journal, to(r, State.HELD))
    assert [line.seq for line in await journal.history(r.id)] == [1, 2, 3]
    await journal.note("r-9", "evidence", "of nothing", {}, NOW)
    assert await journal.history("r-9") == ()


async def test_a_note_may_hold_what_json_does_not_know(journal: SqlJournal) -> None:
    r = await opened(journal)
    await journal.note(r.id, "evidence", "odd", {"at": NOW, "who": State.HELD, "n": {1: None}}, NOW)
    assert (await journal.history(r.id))[-1].data == {"at": NOW.isoformat(), "who": "held", "n": {"1": None}}


async def test_the_chain_holds(journal: SqlJournal) -> None:
    r = await moved(journal, to(await opened(journal), State.HELD))
    await journal.note(r.id, "evidence", "x", {}, NOW)
    await moved(journal, decide(r, made("hold", plan_=plan(root=r.root)), NOW), facts={"n": 1})
    assert await journal.history_broken_at(r.id) is None
    assert await journal.history_broken_at("r-9") is None


TAMPERING = {
    "a reason": ("UPDATE events SET reason = 'approved' WHERE seq = 2", 2),
    "a time": ("UPDATE events SET at = at + 1 WHERE seq = 1", 1),
    "data": ("UPDATE events SET data = '{}' WHERE seq = 3", 3),
    "a line gone": ("DELETE FROM events WHERE seq = 2", 3),
    "the last line gone": ("DELETE FROM events WHERE seq = 3", 3),
    "facts": ("UPDATE facts SET json = '{}'", 3),
    "facts gone": ("DELETE FROM facts", 3),
}


@pytest.mark.parametrize(("statement", "seq"), TAMPERING.values(), ids=TAMPERING)
async def test_tampering_shows(path: Path, statement: str, seq: int) -> None:
    journal = SqlJournal.open_file(path)
    r = await moved(journal, to(await opened(journal), State.HELD))
    await moved(journal, to(r, State.PLANNED), facts={"pods": 3})
    await journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    journal = SqlJournal.open_file(path)
    assert await journal.history_broken_at("r-1") == seq
    await journal.close()


async def test_a_line_rewritten_with_a_fitting_hash_shows_in_the_next(path: Path) -> None:
    journal = SqlJournal.open_file(path)
    await moved(journal, to(await moved(journal, to(await opened(journal), State.HELD)), State.PLANNED))
    await journal.close()
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        line = dict(connection.execute("SELECT * FROM events WHERE seq = 2").fetchone())
        line["reason"] = "approved"
        forged = (line["reason"], events_sql.line_hash(line))
        connection.execute("UPDATE events SET reason = ?, hash = ? WHERE seq = 2", forged)
    connection.close()
    journal = SqlJournal.open_file(path)
    assert await journal.history_broken_at("r-1") == 3
    await journal.close()


async def test_equal_facts_are_stored_once(path: Path) -> None:
    journal = SqlJournal.open_file(path)
    r: Remediation = await opened(journal)
    for n in range(3):
        r = await moved(journal, to(r, State.HELD, reason=str(n)), facts={"b": [1, 2], "a": {"x": 1}})
    await moved(journal, to(r, State.HELD, event=Watched(quiet_since=None)), facts={"a": {"x": 1}, "b": [1, 2]})
    await journal.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM facts").fetchone() == (1,)
    assert connection.execute("SELECT count(DISTINCT facts_hash), count(facts_hash) FROM events").fetchone() == (1, 4)
    connection.close()
