"""A graph as plain data: what a playbook watches, when its alert began, when something was done. No pixels here.

Gaps stay gaps: a point that is no number is None, and a line never bridges what was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from remediator.people.markup import short
from remediator.ports import Series

Unit = Literal["", "ratio", "seconds"]
MarkKind = Literal["alert", "action", "undo"]

MOST_CURVES = 6
TITLE_LIMIT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line: (time, value) oldest first; None where there was no number."""

    name: str
    points: tuple[tuple[datetime, float | None], ...]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment that explains the curve."""

    kind: MarkKind
    at: datetime
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What the playbook calls good or bad: `good < 2 %`."""

    value: float
    good: bool
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Ready to be drawn. `more` = series that are left out; `step` = distance of two points, a longer one is a gap."""

    title: str
    subtitle: str = ""
    start: datetime
    end: datetime
    step: timedelta
    curves: tuple[Curve, ...]
    more: int = 0
    marks: tuple[Mark, ...] = ()
    limits: tuple[Limit, ...] = ()
    unit: Unit = ""

    @property
    def empty(self) -> bool:
        return not any(curve.values for curve in self.curves)


def curves_of(found: Sequence[Series]) -> tuple[tuple[Curve, ...], int]:
    """The series with the highest peaks, and how many are left out. A series without numbers is none."""
    every = [(one.labels, tuple((at, _number(v)) for at, v in one.points)) for one in found]
    ranked = sorted(((_peak(points), str(sorted(labels.items())), labels, points) for labels, points in every))
    told = [(labels, points) for peak, _, labels, points in reversed(ranked) if peak > -math.inf]
    shown = told[:MOST_CURVES]
    names = _names([labels for labels, _ in shown])
    curves = (Curve(name=name, points=points) for name, (_, points) in zip(names, shown, strict=True))
    return tuple(curves), len(told) - len(shown)


def _peak(points: Sequence[tuple[datetime, float | None]]) -> float:
    return max((value for _, value in points if value is not None), default=-math.inf)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _names(several: Sequence[Mapping[str, str]]) -> list[str]:
    """What tells them apart: the labels in which they differ, the bare value where that is a single one."""
    keys = sorted({key for labels in several for key in labels if key != "__name__"})
    differ = [key for key in keys if len({labels.get(key) for labels in several}) > 1] or keys
    if len(differ) == 1:
        return [short(labels.get(differ[0], "") or "all", 60) for labels in several]
    return [short(", ".join(f"{k}={labels[k]}" for k in differ if k in labels) or "all", 60) for labels in several]


def segments(curve: Curve, step: timedelta) -> list[list[tuple[datetime, float]]]:
    """The pieces without a gap, each at least one point."""
    pieces: list[list[tuple[datetime, float]]] = []
    last: datetime | None = None
    for at, value in curve.points:
        if value is None:
            last = None
            continue
        if last is None or at - last > step * 1.5:
            pieces.append([])
        pieces[-1].append((at, value))
        last = at
    return pieces


def bounds(graph: Graph) -> tuple[float, float]:
    """Lowest and highest value of the vertical axis. From zero where nothing is negative, because a cut axis lies.

    A limit far above everything is left out of the picture, rather than pressing the curve flat.
    """
    values = [value for curve in graph.curves for value in curve.values]
    if not values:
        return 0.0, 1.0
    low, high = min(0.0, *values), max(values)
    near = [limit.value for limit in graph.limits if limit.value <= max(4 * high, high + 1e-12) or high <= 0]
    high = max(high, *near) if near else high
    low = min(low, *near) if near else low
    if high - low < 1e-12:
        high = low + (abs(low) or 1.0)
    return low, high + (high - low) * 0.08


def ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """At most `most` round values between the two."""
    if not high > low or not math.isfinite(high - low):
        return (low,)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * round_ for round_ in (1, 2, 2.5, 5, 10) if (high - low) / (power * round_) <= most)
    first = math.ceil(low / step - 1e-9)
    return tuple(n * step for n in range(first, math.floor(high / step + 1e-9) + 1))


_TIME_STEPS = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880))


def time_ticks(start: datetime, end: datetime, most: int = 6) -> tuple[datetime, ...]:
    """At most `most` round moments between the two, UTC."""
    step = next((s for s in _TIME_STEPS if (end - start) / s <= most), _TIME_STEPS[-1])
    first = math.ceil(start.timestamp() / step.total_seconds())
    last = math.floor(end.timestamp() / step.total_seconds())
    moments = range(first, last + 1)
    return tuple(datetime.fromtimestamp(n * step.total_seconds(), tz=start.tzinfo) for n in moments)[: most + 1]


_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def humanise(value: float, unit: Unit = "") -> str:
    """`20 %`, `250 ms`, `1.5k`: three digits are enough on a phone."""
    if value == 0:
        return "0 %" if unit == "ratio" else "0"
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "seconds" and abs(value) < 1:
        return f"{value * 1e3:.3g} ms" if abs(value) >= 1e-3 else f"{value * 1e6:.3g} us"
    if unit == "seconds":
        return f"{value:.3g} s" if abs(value) < 120 else f"{value / 60:.3g} min"
    for scale, sign in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g}{sign}"
    return f"{value:.3g}"


def described(graph: Graph, *, named: bool = True) -> str:
    """The picture in words: for those who do not see it, and for the notification. `named`: with the name of the
    highest series, which is made of label values."""
    span = f"{graph.start:%H:%M} to {graph.end:%H:%M} UTC"
    if graph.empty:
        return short(f"{graph.title}, {span}: no data", 1500)
    top = graph.curves[0]
    numbers = f"highest {humanise(max(top.values), graph.unit)}, last {humanise(top.values[-1], graph.unit)}"
    several = (
        f" ({top.name}, the highest of {len(graph.curves) + graph.more})" if named and len(graph.curves) > 1 else ""
    )
    marks = "".join(f"; {mark.label} {mark.at:%H:%M}" for mark in graph.marks)
    limits = "".join(f"; {limit.label}" for limit in graph.limits)
    return short(f"{graph.title}, {span}: {numbers}{several}{marks}{limits}", 1500)
