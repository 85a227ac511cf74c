"""PromQL answered by the text of the query."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest

from remediator.adapters.simulated import SimulatedQueries, VirtualClock
from remediator.errors import CannotSee
from remediator.ports import AlertRule, Sample


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def queries(clock: VirtualClock) -> SimulatedQueries:
    return SimulatedQueries(clock)


async def test_what_nobody_answers_cannot_be_seen(queries: SimulatedQueries) -> None:
    with pytest.raises(CannotSee):
        await queries.instant("up")
    assert queries.asked == ["up"]


async def test_values(queries: SimulatedQueries, clock: VirtualClock) -> None:
    queries.set("errors", 0.5)
    queries.set(re.compile(r"^up\{"), {"a": 1.0, "b": math.nan})
    queries.set("none", ())
    queries.set("labelled", [Sample({"pod": "x"}, 3.0, clock.now())])
    assert await queries.instant("rate(errors[5m])") == (Sample({}, 0.5, clock.now()),)
    assert [s.labels for s in await queries.instant('up{job="x"}')] == [{"name": "a"}, {"name": "b"}]
    assert await queries.instant("none") == ()
    clock.advance(60)
    assert await queries.instant("labelled") == (Sample({"pod": "x"}, 3.0, clock.now()),)


async def test_the_last_answer_wins(queries: SimulatedQueries) -> None:
    queries.set("up", 0)
    queries.set('up{job="x"}', 1)
    assert (await queries.instant('up{job="x"}'))[0].value == 1
    assert (await queries.instant("up"))[0].value == 0


async def test_values_over_time(queries: SimulatedQueries, clock: VirtualClock) -> None:
    start = clock.now()
    queries.set("growing", lambda at: (at - start).total_seconds())
    queries.set("gone", lambda at: None if at > start else 1.0)
    clock.advance(30)
    assert (await queries.instant("growing"))[0].value == 30.0
    (series,) = await queries.range("growing", start=start, end=start + timedelta(seconds=30), step_s=15)
    assert [value for _, value in series.points] == [0.0, 15.0, 30.0]
    with pytest.raises(CannotSee):
        await queries.instant("gone")


async def test_prometheus_can_be_down(queries: SimulatedQueries) -> None:
    queries.set("up", 1)
    queries.down = True
    with pytest.raises(CannotSee):
        await queries.instant("up")
    with pytest.raises(CannotSee):
        await queries.rules("Any")


async def test_rules_are_evaluated_now_unless_they_say_otherwise(
    queries: SimulatedQueries, clock: VirtualClock
) -> None:
    queries.add_rule(AlertRule("High", "errors > 1", for_s=60))
    queries.add_rule(AlertRule("High", "other > 1", last_evaluation=clock.now()))
    clock.advance(90)
    fresh, stale = await queries.rules("High")
    assert fresh.last_evaluation == clock.now()
    assert stale.last_evaluation == clock.now() - timedelta(seconds=90)
    assert await queries.rules("Other") == ()
