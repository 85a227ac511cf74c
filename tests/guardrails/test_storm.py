"""`storm`: many targets at once hold everything; few do not; it ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.guardrails.facts import Arrival
from remediator.guardrails.storm import check, last_peak, limit_for
from remediator.guardrails.verdict import Answer
from tests.guardrails.make import facts

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def arrivals(*seconds_ago: float, same: bool = False) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(target_key="one" if same else f"t{n}", at=NOW - timedelta(seconds=s)) for n, s in enumerate(seconds_ago)
    )


@pytest.mark.parametrize(("workloads", "limit"), [(0, 5), (100, 5), (300, 6), (1000, 20)])
def test_the_limit_grows_with_the_cluster(workloads: int, limit: int) -> None:
    assert limit_for(workloads) == limit


@pytest.mark.parametrize(
    ("found", "storm"),
    [
        pytest.param(arrivals(*[1] * 5), False, id="as many as the limit"),
        pytest.param(arrivals(*[1] * 6), True, id="one more"),
        pytest.param(arrivals(*[1] * 6, same=True), False, id="six times the same target"),
        pytest.param(arrivals(0, 70, 140, 210, 280, 350), False, id="six within six minutes"),
        pytest.param(arrivals(*[600] * 6), True, id="ten minutes ago: not yet quiet for fifteen"),
        pytest.param(arrivals(*[1300] * 6), False, id="long ago"),
    ],
)
def test_what_is_a_storm(found: tuple[Arrival, ...], storm: bool) -> None:
    assert (last_peak(found, 5, NOW) is not None) is storm


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        pytest.param(arrivals(*[1] * 5), Answer.PASS, id="as many as the limit"),
        pytest.param(arrivals(*[1] * 6), Answer.HOLD, id="one more"),
        pytest.param(arrivals(*[899] * 6), Answer.HOLD, id="quiet for just under fifteen minutes"),
        pytest.param(arrivals(*[900] * 6), Answer.PASS, id="quiet for fifteen minutes"),
    ],
)
def test_everything_is_held_until_it_is_quiet(found: tuple[Arrival, ...], answer: Answer) -> None:
    assert check(facts(now=NOW, arrivals=found)).answer is answer


def test_it_says_how_many_and_until_when() -> None:
    verdict = check(facts(now=NOW, arrivals=arrivals(*[60] * 9)))
    assert verdict.reason == "9 targets in 5m (limit 5); one shared cause is likely"
    assert verdict.changes == "over at 03:14 UTC if no more come"
    verdict = check(facts(now=NOW, arrivals=arrivals(*[60] * 9), known_workloads=1000))
    assert (verdict.answer, verdict.reason) == (Answer.PASS, "9 targets in 5m, a storm is more than 20")
