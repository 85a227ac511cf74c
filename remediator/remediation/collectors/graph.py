"""`promql` and `graph`: how a number moved, as numbers: minimum, maximum, mean, last, and a few points for a picture.

graph: {error_ratio: {metric: http_requests_total, error: 'code=~"5.."'}, last: 1h}
graph: {latency: {metric: http_request_duration_seconds, quantile: 0.95}, last: 1h}
promql: {query: 'sum(rate(http_requests_total{namespace="shop"}[5m]))', last: 30m}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration
from remediator.ports import Series
from remediator.remediation.checks.base import CheckContext, MetricLabels, one_line
from remediator.remediation.checks.traffic import MatchersText
from remediator.remediation.checks.workload import metric_matchers
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, bounded
from remediator.remediation.promql import METRIC_NAME, parse_matchers, select

POINTS = 60
MOST_SERIES = 10
LONGEST = timedelta(days=7)
WINDOW = timedelta(minutes=5)
_BARS = "▁▂▃▄▅▆▇█"


def _not_too_long(value: timedelta) -> timedelta:
    if value > LONGEST:
        raise ValueError(f"at most {format_duration(LONGEST)}")
    return value


Last = Annotated[PositiveDuration, AfterValidator(_not_too_long)]


class PromqlEvidenceArgs(CollectArgs):
    """`last`: how far back from now."""

    query: str = Field(min_length=1)
    last: Last = timedelta(hours=1)


class TrafficGraph(CollectArgs):
    """The part of the checks' arguments that says which numbers are meant."""

    metric: str = Field(pattern=METRIC_NAME)
    where: MatchersText = ""
    labels: MetricLabels | None = None

    def series(self, context: CheckContext, metric: str, *more: str) -> str:
        """A range selector for the target's series."""
        where = tuple(str(m) for m in parse_matchers(context.promql(self.where)))
        base = metric_matchers(context, self.labels or context.labels, narrowed=bool(where))
        return select(metric, *base, *where, *more, window=WINDOW)


class ErrorRatioGraph(TrafficGraph):
    error: MatchersText = Field(min_length=1)

    def query(self, context: CheckContext) -> str:
        """Errors per request, 0 where only errors are missing; a gap where there were no requests."""
        failed = tuple(str(m) for m in parse_matchers(context.promql(self.error)))
        total = f"sum(rate({self.series(context, self.metric)}))"
        return f"(sum(rate({self.series(context, self.metric, *failed)})) or {total} * 0) / {total}"


class LatencyGraph(TrafficGraph):
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95

    def query(self, context: CheckContext) -> str:
        """The quantile in seconds, never above the last finite bucket."""
        metric = self.metric.removesuffix("_bucket") + "_bucket"
        return f"histogram_quantile({self.quantile:g}, sum by (le) (rate({self.series(context, metric)})))"


class GraphArgs(CollectArgs):
    """Exactly one of `error_ratio`, `latency` and `query`."""

    error_ratio: ErrorRatioGraph | None = None
    latency: LatencyGraph | None = None
    query: str = ""
    last: Last = timedelta(hours=1)

    @model_validator(mode="after")
    def _one(self) -> GraphArgs:
        if sum(map(bool, (self.error_ratio, self.latency, self.query))) != 1:
            raise ValueError("give exactly one of error_ratio, latency and query")
        return self


async def collect_promql(args: PromqlEvidenceArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, CannotSee."""
    query = context.promql(args.query)
    return await _collect("promql", query, query, args.last, context)


async def collect_graph(args: GraphArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, CannotSee."""
    query, title = asked(args, context)
    return await _collect("graph", query, title, args.last, context)


def asked(args: GraphArgs, context: CheckContext) -> tuple[str, str]:
    """The query, and what it shows in words. Raises: Unknown."""
    if args.error_ratio:
        return args.error_ratio.query(context), f"error ratio of {args.error_ratio.metric}"
    if args.latency:
        return args.latency.query(context), f"p{args.latency.quantile * 100:g} of {args.latency.metric}"
    query = context.promql(args.query)
    return query, query


async def _collect(kind: str, query: str, title: str, last: timedelta, context: CheckContext) -> Evidence:
    step_s = max(1.0, math.ceil(last.total_seconds() / POINTS))
    found = await context.prometheus().range(query, start=context.now - last, end=context.now, step_s=step_s)
    shown = sorted(found, key=_peak, reverse=True)[:MOST_SERIES]
    told = [_numbers(s) for s in shown]
    text, cut = bounded([_line(one) for one in told], keep="begin")
    return Evidence(
        kind=kind,
        title=one_line(f"{title}, last {format_duration(last)}", 200),
        text=text or "no data",
        data={"query": query, "step_s": step_s, "series": told},
        taken_at=context.now,
        truncated=cut or len(found) > MOST_SERIES,
        summary=_spoken(told),
    )


def _peak(series: Series) -> float:
    values = _finite(series.points)
    return max(values, default=-math.inf)


def _finite(points: Sequence[tuple[datetime, float]]) -> list[float]:
    return [v for _, v in points if math.isfinite(v)]


def _numbers(series: Series) -> dict[str, Any]:
    """JSON has no NaN: a point that is no number is a gap (None)."""
    values = _finite(series.points)
    return {
        "labels": dict(series.labels),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "mean": sum(values) / len(values) if values else None,
        "last": values[-1] if values else None,
        "points": [[int(at.timestamp()), v if math.isfinite(v) else None] for at, v in series.points[-POINTS - 1 :]],
    }


def _line(one: dict[str, Any]) -> str:
    labels = ",".join(f"{k}={v}" for k, v in sorted(one["labels"].items())) or "all"
    if one["last"] is None:
        return f"{one_line(labels, 120)}: no numbers"
    picture = sparkline([v for _, v in one["points"]])
    return f"{one_line(labels, 120)}: {_min_max_last(one)}  {picture}"


def _min_max_last(one: dict[str, Any]) -> str:
    return f"min {one['min']:.4g}, max {one['max']:.4g}, last {one['last']:.4g}"


def _spoken(told: list[dict[str, Any]]) -> str:
    numbered = [one for one in told if one["last"] is not None]
    if not numbered:
        return "no data"
    first = f"{_min_max_last(numbered[0])}"
    return first if len(told) == 1 else f"{first} (the highest of {len(told)} series)"


def sparkline(values: Sequence[float | None]) -> str:
    """A picture of one line; gaps are blanks. All bars are low when nothing moves."""
    known = [v for v in values if v is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(_BARS) - 1) / (high - low) if math.isfinite(high - low) and high > low else None
    return "".join(" " if v is None else _BARS[int((v - low) * scale) if scale else 0] for v in values)


PROMQL = CollectorKind("promql", PromqlEvidenceArgs, collect_promql, late=frozenset({"query"}))
GRAPH = CollectorKind(
    "graph",
    GraphArgs,
    collect_graph,
    late=frozenset({"query", "error_ratio.where", "error_ratio.error", "latency.where"}),
)
