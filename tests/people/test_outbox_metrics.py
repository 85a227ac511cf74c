"""What the metrics tell of the outbox."""

from __future__ import annotations

from datetime import timedelta

from remediator.adapters.sql.journal import SqlJournal
from remediator.counting import Counting
from remediator.metrics import Metrics
from remediator.upkeep import Housekeeping
from tests.http.harness import FakeClock
from tests.support.building import NOW
from tests.support.outbox_contract import fail, message


def value(metrics: Metrics, name: str, channel: str) -> float | None:
    return metrics.registry.get_sample_value(f"remediator_outbox_{name}", {"channel": channel})


async def test_what_waits_by_channel_and_zero_when_it_is_gone() -> None:
    journal, clock, metrics = SqlJournal.in_memory(), FakeClock(NOW), Metrics()
    keeping = Housekeeping(journal, clock, metrics)
    await journal.store_messages([message(), message(channel="ticket", kind="event")], NOW - timedelta(minutes=5))
    await keeping.turn()
    assert value(metrics, "pending", "slack") == 1
    assert value(metrics, "oldest_seconds", "slack") == 300
    (row,) = await journal.due("slack", NOW, 9)
    await fail(journal, row, "is_archived", None, now=NOW)
    await keeping.turn()
    assert value(metrics, "pending", "slack") == 0
    assert value(metrics, "oldest_seconds", "slack") == 0
    assert value(metrics, "pending", "ticket") == 1


def test_what_is_given_up_is_counted() -> None:
    metrics = Metrics()
    counting = Counting(metrics, FakeClock(NOW))
    for result in ("sent", "retried", "failed", "superseded"):
        counting.message("slack", result)
    assert value(metrics, "dead_letters_total", "slack") == 1
