"""Prometheus of a story: its alerts, and what it says is measured. PromQL is not evaluated, apart from plain selectors
(or what they were at most, at least, on average over time) and one aggregation around them. What the story says nothing
about is not answered, and that is noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import promql_parser

from remediator.errors import CannotSee
from remediator.objects import ObjectRef
from remediator.playbooks.durations import format_duration
from remediator.ports import AlertRule, Sample, Series

Level = Callable[[datetime], float | None]
"""A measured value at a time; None = nothing is measured."""

EVALUATED = timedelta(seconds=15)
BUCKET = 0.999
"""Width of the histogram bucket that a latency lies in."""
SCRAPES = 10.0
AGGREGATIONS: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "avg": lambda values: sum(values) / len(values),
    "count": lambda values: float(len(values)),
}
OVER_TIME: Mapping[str, Callable[[list[float]], float]] = {
    "max_over_time": max,
    "min_over_time": min,
    "avg_over_time": lambda values: sum(values) / len(values),
    "last_over_time": lambda values: values[-1],
}


class Prometheus:
    """The `Queries` port. `unanswered` hears of queries that nobody has said anything about."""

    def __init__(self, now: Callable[[], datetime], unanswered: Callable[[str], None]) -> None:
        self._now, self._unanswered = now, unanswered
        self._answers: list[tuple[Callable[[str], bool], Callable[[datetime], tuple[Sample, ...]]]] = []
        self._series: list[tuple[Mapping[str, str], Level]] = []
        self.firing: dict[int, Mapping[str, str]] = {}
        """Labels of what fires, by the number of the alert."""
        self.seen: dict[int, Mapping[str, str]] = {}
        """The same of everything that has fired."""
        self.look_back: dict[str, timedelta] = {}
        """How far the rule of each alert looks back, by its name."""
        self.down = False

    def answer(self, query: str, level: Level) -> None:
        """To every query that contains this text."""
        self._answers.append((lambda asked: query in asked, lambda at: one({}, level(at), at)))

    def add_series(self, text: str, level: Level) -> None:
        """Raises: ValueError, as `series_labels`."""
        self._series.append((series_labels(text), level))

    def requests(self, metric: str, of: ObjectRef | None, rate: Level, errors: Level, latency: Level) -> None:
        """What error_ratio and latency ask about a metric, of any workload or of one."""
        ours = _about(of)

        def asks(pattern: str) -> Callable[[str], bool]:
            compiled = re.compile(pattern.replace("METRIC", re.escape(metric)))
            return lambda query: compiled.search(query) is not None and ours(query)

        def ratio(at: datetime) -> tuple[Sample, ...]:
            return one({}, errors(at), at) if rate(at) else ()

        def buckets(at: datetime) -> tuple[Sample, ...]:
            seconds, per_second = latency(at), rate(at)
            if seconds is None or per_second is None:
                return ()
            counts = {f"{seconds * BUCKET:g}": 0.0, f"{seconds:g}": per_second, "+Inf": per_second}
            return tuple(Sample({"le": le}, value, at) for le, value in counts.items())

        self._answers += [
            (asks(r" / sum\(rate\(METRIC\{"), ratio),
            (asks(r"sum by \(le\) \(rate\(METRIC(_bucket)?\{"), buckets),
            (asks(r"^sum\(rate\(METRIC\{"), lambda at: one({}, rate(at), at)),
            (asks(r"^count\(.*METRIC(_bucket)?\{"), lambda at: one({}, 3.0, at)),
        ]

    # The port

    async def instant(self, query: str) -> tuple[Sample, ...]:
        found = self._at(query, self._now())
        if found is None:
            self._unanswered(query)
            raise CannotSee(f"the test says nothing about {query}")
        return found

    async def range(self, query: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        points: dict[tuple[tuple[str, str], ...], list[tuple[datetime, float]]] = {}
        at = start
        while at <= end:
            for sample in self._at(query, at) or ():
                points.setdefault(tuple(sorted(sample.labels.items())), []).append((at, sample.value))
            at += timedelta(seconds=step_s)
        return tuple(Series(dict(labels), tuple(values)) for labels, values in points.items())

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        self._up()
        if alertname not in self.look_back:
            return ()
        query = f"rate(of_the_story[{format_duration(self.look_back[alertname])}])"
        return (AlertRule(alertname, query, interval_s=EVALUATED.total_seconds(), last_evaluation=self._now()),)

    async def close(self) -> None:
        """Nothing to close."""

    # Answers

    def _up(self) -> None:
        if self.down:
            raise CannotSee("the test says that Prometheus is down")

    def _at(self, query: str, at: datetime) -> tuple[Sample, ...] | None:
        """None: nobody has said anything about it. Raises: CannotSee while it is down."""
        self._up()
        for asked, answer in self._answers:
            if asked(query):
                return answer(at)
        try:
            parsed: Any = promql_parser.parse(query)
        except ValueError as exc:
            raise CannotSee(f"400 Bad Request: {exc}") from None
        if "ALERTS{" in query:
            return self._alerts(parsed, at)
        aggregation, by = "", _grouped_by(parsed)
        if by is not None:
            aggregation, parsed = str(parsed.op), parsed.expr
        if (found := self._found(parsed, at)) is not None:
            if not aggregation or not found:
                return found
            if aggregation in AGGREGATIONS:
                return _aggregated(found, AGGREGATIONS[aggregation], by or (), at)
        if re.search(r"\bup\b(?!\()", query):  # everything is scraped, unless a series says something else
            return one({}, SCRAPES if "count_over_time" in query else 1.0, at)
        return None

    def _alerts(self, parsed: Any, at: datetime) -> tuple[Sample, ...]:
        """What fires, with the time of the evaluation where it is asked for; or, looking back, what has fired."""
        among = self.firing
        beat: tuple[Sample, ...] = ()
        if isinstance(parsed, promql_parser.Call):
            among, parsed = self.seen, parsed.args[0].vector_selector
        elif isinstance(parsed, promql_parser.BinaryExpr):
            beat, parsed = one({}, at.timestamp(), at), parsed.lhs
        matchers = [(m.name, _op(m), m.value) for m in parsed.matchers.matchers]
        series = ({"__name__": "ALERTS", "alertstate": "firing", **labels} for labels in among.values())
        return (*(Sample(s, 1.0, at) for s in series if _matched(matchers, s)), *beat)

    def _found(self, parsed: Any, at: datetime) -> tuple[Sample, ...] | None:
        """Of a selector, or of what it was over a time; None for anything else, and where there is no such series."""
        if isinstance(parsed, promql_parser.VectorSelector):
            return self._selected(parsed, at)
        if not isinstance(parsed, promql_parser.Call) or parsed.func.name not in OVER_TIME:
            return None
        matrix, values = parsed.args[0], dict[tuple[tuple[str, str], ...], list[float]]()
        for step in range(int(matrix.range / EVALUATED), -1, -1):
            selected = self._selected(matrix.vector_selector, at - step * EVALUATED)
            if selected is None:
                return None
            for sample in selected:
                values.setdefault(tuple(sample.labels.items()), []).append(sample.value)
        function = OVER_TIME[parsed.func.name]
        return tuple(Sample(dict(labels), function(each), at) for labels, each in values.items())

    def _selected(self, selector: Any, at: datetime) -> tuple[Sample, ...] | None:
        """Of the story's series; None where it has none of that name."""
        named = [(labels, level) for labels, level in self._series if labels["__name__"] == selector.name]
        if not named:
            return None
        matchers = [(m.name, _op(m), m.value) for m in selector.matchers.matchers]
        found = (one(labels, level(at), at) for labels, level in named if _matched(matchers, labels))
        return tuple(sample for samples in found for sample in samples)


def _grouped_by(parsed: Any) -> tuple[str, ...] | None:
    """The labels that an aggregation keeps; None for what is none, or says which ones it drops."""
    if not isinstance(parsed, promql_parser.AggregateExpr):
        return None
    if parsed.modifier is None:
        return ()
    return tuple(parsed.modifier.labels) if str(parsed.modifier.type).endswith("By") else None


def _aggregated(
    found: tuple[Sample, ...], function: Callable[[list[float]], float], by: tuple[str, ...], at: datetime
) -> tuple[Sample, ...]:
    groups: dict[tuple[str, ...], list[float]] = {}
    for sample in found:
        groups.setdefault(tuple(sample.labels.get(name, "") for name in by), []).append(sample.value)
    return tuple(Sample(dict(zip(by, key, strict=True)), function(values), at) for key, values in groups.items())


def one(labels: Mapping[str, str], value: float | None, at: datetime) -> tuple[Sample, ...]:
    return () if value is None else (Sample(dict(labels), float(value), at),)


def _about(of: ObjectRef | None) -> Callable[[str], bool]:
    if of is None:
        return lambda query: True
    return lambda query: f'="{of.namespace}"' in query and of.name in query


def series_labels(text: str) -> Mapping[str, str]:
    """`queue_depth{namespace="shop"}` as labels. Raises: ValueError for anything else."""
    parsed: Any = promql_parser.parse(text)
    if not isinstance(parsed, promql_parser.VectorSelector) or not parsed.name:
        raise ValueError(f"{text}: a series is a metric with its labels")
    if any(_op(m) != "=" for m in parsed.matchers.matchers):
        raise ValueError(f"{text}: a series has its labels with =")
    return {"__name__": str(parsed.name), **{m.name: m.value for m in parsed.matchers.matchers}}


_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _op(matcher: Any) -> str:
    return _OPS[str(matcher.op).rpartition(".")[2]]


def _matched(matchers: Iterable[tuple[str, str, str]], labels: Mapping[str, str]) -> bool:
    return all(_holds(op, value, labels.get(name, "")) for name, op, value in matchers)


def _holds(op: str, wanted: str, value: str) -> bool:
    if op in ("=", "!="):
        return (value == wanted) == (op == "=")
    return (re.fullmatch(wanted, value) is not None) == (op == "=~")
