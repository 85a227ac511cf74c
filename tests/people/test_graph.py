"""A graph as data: gaps stay gaps, axes tell the truth, units are for people."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.people.graph import (
    MOST_CURVES,
    Curve,
    Graph,
    Limit,
    Mark,
    Unit,
    bounds,
    curves_of,
    described,
    humanise,
    segments,
    ticks,
    time_ticks,
)
from remediator.ports import Series

NOW = datetime(2025, 6, 2, 3, 5, tzinfo=UTC)
STEP = timedelta(seconds=30)


def points(*values: float | None) -> tuple[tuple[datetime, float | None], ...]:
    return tuple((NOW - STEP * (len(values) - 1 - i), value) for i, value in enumerate(values))


def graph(*values: float | None, unit: Unit = "", limits: tuple[Limit, ...] = ()) -> Graph:
    return Graph(
        title="rollback: error ratio",
        start=NOW - timedelta(hours=1),
        end=NOW,
        step=STEP,
        curves=(Curve(name="all", points=points(*values)),),
        unit=unit,
        limits=limits,
    )


def series(peak: float, **labels: str) -> Series:
    return Series(labels, ((NOW, peak),))


def test_the_highest_are_shown_and_the_rest_is_counted() -> None:
    curves, more = curves_of([series(float(i), pod=f"p{i}") for i in range(9)])
    assert [curve.name for curve in curves] == ["p8", "p7", "p6", "p5", "p4", "p3"]
    assert (len(curves), more) == (MOST_CURVES, 3)


def test_a_name_is_what_tells_them_apart() -> None:
    found = [series(2.0, pod="a", zone="z", job="j"), series(1.0, pod="b", zone="y", job="j")]
    assert [curve.name for curve in curves_of(found)[0]] == ["pod=a, zone=z", "pod=b, zone=y"]
    assert [curve.name for curve in curves_of([series(1.0, pod="a", job="j")])[0]] == ["job=j, pod=a"]
    assert [curve.name for curve in curves_of([series(1.0)])[0]] == ["all"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_gap(value: float) -> None:
    (curve,), _ = curves_of([Series({}, ((NOW - STEP, value), (NOW, 1.0)))])
    assert curve.points == ((NOW - STEP, None), (NOW, 1.0))
    assert curves_of([Series({}, ((NOW, value),))]) == ((), 0)


def test_a_line_bridges_neither_a_missing_number_nor_a_missing_point() -> None:
    hole = Curve(name="", points=points(1, 2, None, 3))
    assert [[v for _, v in piece] for piece in segments(hole, STEP)] == [[1, 2], [3]]
    missing = Curve(name="", points=(*points(1, 2), (NOW + STEP * 3, 3.0)))
    assert [[v for _, v in piece] for piece in segments(missing, STEP)] == [[1, 2], [3]]


def test_the_axis_begins_at_zero_and_holds_the_limit() -> None:
    assert bounds(graph(5.0, 10.0)) == (0.0, 10.8)
    assert bounds(graph(-5.0, 10.0))[0] == -5.0
    near, far = Limit(value=20.0, good=True, label=""), Limit(value=900.0, good=False, label="")
    assert bounds(graph(5.0, 10.0, limits=(near, far))) == (0.0, 21.6)
    assert bounds(graph(None)) == (0.0, 1.0)
    low, high = bounds(graph(0.0, 0.0))
    assert high > low


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0, "", "0"),
        (0.0, "ratio", "0 %"),
        (0.2091, "ratio", "20.9 %"),
        (0.25, "seconds", "250 ms"),
        (0.0000125, "seconds", "12.5 us"),
        (1.5, "seconds", "1.5 s"),
        (600.0, "seconds", "10 min"),
        (999.0, "", "999"),
        (1500.0, "", "1.5k"),
        (2.5e6, "", "2.5M"),
        (7e9, "", "7G"),
        (-1500.0, "", "-1.5k"),
        (0.00042, "", "0.00042"),
    ],
)
def test_units_are_for_people(value: float, unit: Unit, expected: str) -> None:
    assert humanise(value, unit) == expected


def test_round_ticks() -> None:
    assert ticks(0, 0.226) == (0, 0.05, 0.1, 0.15000000000000002, 0.2)
    assert ticks(0, 10.8) == (0, 2.5, 5, 7.5, 10)
    assert ticks(3, 3) == (3,)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 6 or span < 1e-6
    assert all(low - span * 0.01 <= tick <= low + span * 1.01 for tick in found)


@pytest.mark.parametrize("minutes", [5, 30, 60, 90, 360, 1440, 10080])
def test_times_are_round_and_few(minutes: int) -> None:
    found = time_ticks(NOW - timedelta(minutes=minutes), NOW)
    assert 2 <= len(found) <= 7
    assert all(NOW - timedelta(minutes=minutes) <= at <= NOW and at.second == 0 for at in found)


def test_the_picture_in_words() -> None:
    marks = (Mark(kind="alert", at=NOW - timedelta(minutes=33), label="alert"),)
    shown = graph(0.001, 0.2, None, 0.1, unit="ratio", limits=(Limit(value=0.02, good=True, label="good < 2 %"),))
    shown = Graph(**{**{f: getattr(shown, f) for f in shown.__slots__}, "marks": marks})
    assert described(shown) == (
        "rollback: error ratio, 02:05 to 03:05 UTC: highest 20 %, last 10 %; alert 02:32; good < 2 %"
    )
    assert described(graph(None)) == "rollback: error ratio, 02:05 to 03:05 UTC: no data"
