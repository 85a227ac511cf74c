"""However deliveries are grouped into transactions, the outcome is that of one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.adapters.sql import alerts as alerts_sql
from remediator.adapters.sql.alerts import Delivery
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.alert import Alert
from remediator.remediation.journal import AlertRecord
from tests.journal.given import alert, resolved
from tests.support.building import NOW

MINUTES = st.integers(0, 60).map(lambda n: timedelta(minutes=n))


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    name = draw(st.sampled_from(["A", "B"]))
    starts = NOW + draw(MINUTES)
    if draw(st.booleans()):
        return alert(name, starts_at=starts)
    ends = draw(st.one_of(st.none(), MINUTES))
    return resolved(name, starts_at=starts, ends_at=None if ends is None else NOW + ends)


DELIVERIES = st.lists(st.lists(alerts(), min_size=1, max_size=3), min_size=1, max_size=8)


def _deliveries(content: list[list[Alert]]) -> list[Delivery]:
    return [Delivery(tuple(given), NOW + timedelta(minutes=5 * n)) for n, given in enumerate(content)]


def _outcome(groups: list[list[Delivery]]) -> tuple[list[Any], tuple[AlertRecord, ...]]:
    """What the senders hear, and what is stored, when each group is one transaction."""
    database = SqliteMemory()
    connection = database.connect_writer()
    heard: list[Any] = []
    for group in groups:
        with connection.begin():
            heard += alerts_sql.accept(connection, group)
    journal = SqlJournal.in_memory(database)
    stored = asyncio.run(journal.recent_alerts(99))
    database.dispose()
    # Numbers are given out when a transaction stores its rows; which interval has which one is no promise.
    plain = sorted((replace(record, id="") for record in stored), key=repr)
    return heard, tuple(plain)


@given(content=DELIVERIES, cut=st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_grouping_changes_nothing(content: list[list[Alert]], cut: int) -> None:
    deliveries = _deliveries(content)
    one_by_one = _outcome([[delivery] for delivery in deliveries])
    assert _outcome([deliveries]) == one_by_one
    assert _outcome([group for group in (deliveries[:cut], deliveries[cut:]) if group]) == one_by_one


@given(content=DELIVERIES)
@settings(max_examples=40, deadline=None)
def test_one_interval_is_open_and_what_fires_last_is_in_it(content: list[list[Alert]]) -> None:
    heard, stored = _outcome([_deliveries(content)])
    assert sum(a.new + a.known + a.resolved for a in heard) == sum(len(given) for given in content)
    for name in "AB":
        mine = [record for record in stored if record.alert.name == name]
        assert len([record for record in mine if record.resolved_at is None]) <= 1
        messages = [a for given in content for a in given if a.name == name]
        if messages and messages[-1].status == "firing":
            assert any(record.resolved_at is None for record in mine)
        if not any(a.status == "firing" for a in messages):
            assert mine == []


@given(content=DELIVERIES)
@settings(max_examples=40, deadline=None)
def test_the_same_deliveries_again_start_nothing_new(content: list[list[Alert]]) -> None:
    """Alertmanager repeats what it is not sure of: an exact repetition at the same moment adds nothing that is new."""
    deliveries = [Delivery(d.alerts, NOW) for d in _deliveries(content)]
    once = _outcome([deliveries])[0]
    twice = _outcome([deliveries, deliveries])[0]
    assert sum(a.new for a in twice) == sum(a.new for a in once)
