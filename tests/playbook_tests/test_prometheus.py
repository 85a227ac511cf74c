"""Which queries find the series that a story gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.errors import CannotSee
from remediator.playbook_tests.prometheus import Prometheus

NOW = datetime(2025, 6, 2, 10, tzinfo=UTC)


def given() -> Prometheus:
    made = Prometheus(lambda: NOW, lambda query: None)
    made.add_series('queue{namespace="shop", queue="a"}', lambda at: 7.0)
    made.add_series('queue{namespace="shop", queue="b"}', lambda at: 3.0)
    made.add_series('queue{namespace="lab", queue="a"}', lambda at: 1.0)
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('queue{namespace="lab"}', {("lab", "a"): 1.0}),
        ('sum(queue{namespace="shop"})', {("", ""): 10.0}),
        ("sum by (namespace) (queue)", {("shop", ""): 10.0, ("lab", ""): 1.0}),
        ('max by (queue) (queue{namespace="shop"})', {("", "a"): 7.0, ("", "b"): 3.0}),
        ('max_over_time(queue{namespace="lab"}[30m])', {("lab", "a"): 1.0}),
        ('max(avg_over_time(queue{namespace="shop"}[1h]))', {("", ""): 7.0}),
        ('queue{namespace="none"}', {}),
    ],
)
async def test_a_series_is_found(query: str, found: dict[tuple[str, str], float]) -> None:
    samples = await given().instant(query)
    assert {(s.labels.get("namespace", ""), s.labels.get("queue", "")): s.value for s in samples} == found


@pytest.mark.parametrize("query", ["rate(queue[5m])", "sum without (queue) (queue)", "queue / queue", "other"])
async def test_what_is_not_evaluated_is_not_answered(query: str) -> None:
    with pytest.raises(CannotSee, match="the test says nothing about"):
        await given().instant(query)


@pytest.mark.parametrize(
    ("function", "value"),
    [("max_over_time", 9.0), ("min_over_time", 1.0), ("last_over_time", 1.0), ("avg_over_time", 3.0)],
)
async def test_what_a_series_was_over_a_time(function: str, value: float) -> None:
    """9 until 15 minutes ago, 1 since then."""
    made = Prometheus(lambda: NOW, lambda query: None)
    made.add_series("load", lambda at: 9.0 if at <= NOW - timedelta(minutes=15) else 1.0)
    (sample,) = await made.instant(f"{function}(load[20m])")
    assert sample.value == pytest.approx(value, abs=0.1)
