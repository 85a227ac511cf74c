"""The promise of the outbox, over seeded schedules in virtual time: what people see last is the newest state, nothing
older shows after something newer, and no service is called faster than it documents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from remediator.adapters.sql import outbox as outbox_sql
from remediator.adapters.sql.values import object_from_json
from remediator.people.outbox_rows import OutboxRow
from tests.support.outbox_sim import Plan, tell

CALM = Plan(keys=8)
BAD = Plan(keys=8, faults=0.3, store_faults=0.05, storms=True, busy_s=120.0)
LATE = Plan(keys=8, faults=0.4, late=True, busy_s=120.0)
MANY = Plan(keys=8, channels=3, faults=0.2, storms=True, busy_s=120.0)
TWO = Plan(keys=8, workers=2, faults=0.3, store_faults=0.05, late=True, crashes=True, freezes=True, busy_s=120.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("plan", [CALM, BAD, LATE, MANY, TWO], ids=["calm", "bad", "late", "many", "two workers"])
def test_people_see_the_newest_state_and_never_go_back(plan: Plan, seed: int) -> None:
    told = tell(seed, plan)
    assert told.wrongs == []
    if plan.workers == 1:  # each worker paces itself
        assert (told.too_fast, told.impatient) == ([], [])


@pytest.mark.slow
def test_five_hundred_remediations_in_a_minute_in_one_channel() -> None:
    """At one post a second and 50 updates a minute; storms of 429, timeouts with and without the message, `ok: false`,
    calls that land late."""
    told = tell(1, Plan(keys=500, faults=0.1, late=True, storms=True, busy_s=900.0))
    assert told.wrongs == []
    assert (told.too_fast, told.impatient) == ([], [])
    assert told.final_s < 1_500, "the final states do not wait for the threads"
    assert told.calls.total() < 1_500, "what waits together is sent together"
    assert told.seconds < 2_500
    assert {"late", "answer lost", "5xx, done", "ok: false"} <= set(told.fates)


def _noticed(plan: Plan, seeds: range) -> bool:
    return any(tell(seed, plan).wrongs for seed in seeds)


def test_a_schedule_notices_that_nothing_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_sql, "_say_again", lambda *given: None)
    assert _noticed(LATE, range(60))


def test_a_schedule_notices_that_what_is_said_again_is_not_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_sql, "_newest", _oldest)
    assert _noticed(LATE, range(12))


def _oldest(connection: Any, row: OutboxRow) -> Any:
    found = connection.exec_driver_sql(
        "select payload from outbox where key = ? and kind in ('post', 'update') order by id limit 1", (row.key,)
    ).scalar()
    return object_from_json(found)


def test_a_schedule_notices_that_two_workers_send_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the repetition, which would mend it, and without faults."""
    plan = Plan(keys=8, workers=2)
    monkeypatch.setattr(outbox_sql, "_say_again", lambda *given: None)
    assert not _noticed(plan, range(10))
    monkeypatch.setattr(outbox_sql, "begin", _without_hold(outbox_sql.begin))
    assert _noticed(plan, range(60))


def _without_hold(real: Callable[..., OutboxRow | None]) -> Callable[..., OutboxRow | None]:
    def begin(connection: Any, *given: Any) -> OutboxRow | None:
        connection.exec_driver_sql("update outbox_holds set until_at = 0")
        row = real(connection, *given)
        connection.exec_driver_sql("update outbox_holds set until_at = 0")
        return row

    return begin


def test_a_schedule_notices_that_retry_after_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.people.lanes.Traffic.slow_down", lambda *given: None)
    plan = Plan(keys=20, faults=0.1, storms=True, busy_s=120.0)
    assert any(tell(seed, plan).impatient for seed in range(6))


def test_a_schedule_notices_that_nobody_paces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.people.lanes.Traffic.leave", _no_rest)
    assert any(tell(seed, CALM).too_fast for seed in range(3))


def _no_rest(self: Any, lanes: Any, now: datetime) -> None:
    for name in lanes:
        self._busy.discard(name)


@pytest.mark.parametrize("seed", [8, 22, 26])
def test_two_workers_whose_clocks_are_an_hour_apart_end_with_the_newest_state(seed: int) -> None:
    """Holds and due times go by wall clocks, so older states may show for a while; they do not stay."""
    plan = Plan(keys=8, workers=2, faults=0.4, late=True, apart_s=3600.0, busy_s=120.0)
    assert [wrong for wrong in tell(seed, plan).wrongs if "people see" in wrong] == []
