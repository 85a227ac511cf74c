"""Prometheus' HTTP API as the `Queries` port; Thanos, Mimir and VictoriaMetrics speak it too.

Only a complete answer is an answer. Warnings mean that it may be partial (a Thanos store did not reply), so they are
CannotSee; infos are advice and ignored. Native histograms are not numbers, so they are CannotSee as well. An empty
vector is an answer: what it means is for the caller to say.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from remediator.adapters.json_api import Endpoint, JsonApi
from remediator.errors import CannotSee
from remediator.objects import dig
from remediator.ports import AlertRule, Sample, Series
from remediator.redact import redact

MAX_SERIES = 1000
"""More series than any check can mean; an answer cut there would be partial, so it is none."""

MAX_POINTS = 50_000
"""Points of a whole range answer: 1,000 series of 50, or 10 of 5,000."""


class PrometheusQueries:
    """The `Queries` port. Owns its connections; `close` it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._api = JsonApi(endpoint)
        self._name = endpoint.name
        self._timeout = f"{max(1, int(endpoint.timeout_s * 1000))}ms"

    async def instant(self, query: str) -> tuple[Sample, ...]:
        """Raises: CannotSee."""
        # One more than we take: servers that know `limit` cut there and warn, and that is CannotSee as it should be.
        form = [("query", query), ("timeout", self._timeout), ("limit", str(MAX_SERIES + 1))]
        return parse_instant(self._data(await self._api.post_form("/api/v1/query", form)))

    async def range(self, query: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        """Raises: CannotSee."""
        form = [
            ("query", query),
            ("start", f"{start.timestamp():.3f}"),
            ("end", f"{end.timestamp():.3f}"),
            ("step", f"{step_s:g}"),
            ("timeout", self._timeout),
            ("limit", str(MAX_SERIES + 1)),
        ]
        return parse_range(self._data(await self._api.post_form("/api/v1/query_range", form)))

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        """Raises: CannotSee."""
        # Servers that do not know `rule_name[]` answer all rules, so the names are compared here again.
        asked = [("type", "alert"), ("rule_name[]", alertname), ("exclude_alerts", "true")]
        return parse_rules(self._data(await self._api.get("/api/v1/rules", asked)), alertname)

    async def close(self) -> None:
        await self._api.close()

    def _data(self, answer: Any) -> Any:
        """The `data` of a complete success. Raises: CannotSee."""
        if not isinstance(answer, Mapping) or answer.get("status") != "success":
            raise CannotSee(f"{self._name}: {_short(dig(answer, 'error', default='not an answer of Prometheus'))}")
        if warnings := answer.get("warnings"):
            first = warnings[0] if isinstance(warnings, list) else warnings
            raise CannotSee(f"{self._name} warns that the answer may be partial: {_short(first)}")
        return answer.get("data")


def parse_instant(data: Any) -> tuple[Sample, ...]:
    """The `data` of an instant query: a vector, or a scalar as one sample without labels. Raises: CannotSee."""
    kind, result = dig(data, "resultType"), dig(data, "result")
    try:
        if kind == "scalar":
            at, value = _point(result)
            return (Sample({}, value, at),)
        if kind == "vector":
            _bounded(len(result), MAX_SERIES, "series")
            return tuple(_sample(one) for one in result)
    except (TypeError, ValueError, KeyError, OverflowError, OSError) as exc:
        raise CannotSee(f"Prometheus' answer cannot be read: {type(exc).__name__} {_short(exc)}") from exc
    raise CannotSee(f"the query gives a {_short(kind)}, not numbers at one moment")


def parse_range(data: Any) -> tuple[Series, ...]:
    """The `data` of a range query. Raises: CannotSee."""
    kind, result = dig(data, "resultType"), dig(data, "result")
    try:
        if kind == "matrix":
            _bounded(len(result), MAX_SERIES, "series")
            _bounded(sum(len(one.get("values") or ()) for one in result), MAX_POINTS, "points")
            return tuple(_series(one) for one in result)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, OSError) as exc:
        raise CannotSee(f"Prometheus' answer cannot be read: {type(exc).__name__} {_short(exc)}") from exc
    raise CannotSee(f"the query gives a {_short(kind)}, not series over time")


def parse_rules(data: Any, alertname: str) -> tuple[AlertRule, ...]:
    """The `data` of the rules API: the alerting rules of that name. Raises: CannotSee.

    A rule whose last evaluation failed comes back without `last_evaluation`: the state it left behind is not news.
    """
    try:
        return tuple(
            _rule(rule, group)
            for group in data["groups"]
            for rule in group.get("rules") or ()
            if rule.get("type", "alerting") == "alerting" and rule.get("name") == alertname
        )
    except (TypeError, ValueError, KeyError, AttributeError) as exc:
        raise CannotSee(f"Prometheus' rules cannot be read: {type(exc).__name__} {_short(exc)}") from exc


def _sample(one: Mapping[str, Any]) -> Sample:
    if "histogram" in one:
        raise CannotSee("the query gives a native histogram: make a number of it, such as histogram_quantile(...)")
    at, value = _point(one["value"])
    return Sample(_labels(one["metric"]), value, at)


def _series(one: Mapping[str, Any]) -> Series:
    if one.get("histograms"):
        raise CannotSee("the query gives native histograms: make a number of them, such as histogram_quantile(...)")
    return Series(_labels(one["metric"]), tuple(_point(p) for p in one["values"]))


def _point(pair: Any) -> tuple[datetime, float]:
    """`[1718000000.123, "0.5"]`; the value is a text and may be NaN, +Inf or -Inf."""
    at, value = pair
    if not isinstance(value, str):
        raise TypeError(f"a value that is no text: {value!r:.40}")
    return datetime.fromtimestamp(float(at), UTC), float(value)


def _labels(metric: Any) -> dict[str, str]:
    if not all(isinstance(v, str) for v in metric.values()):
        raise TypeError("a label that is no text")
    return dict(metric)


def _rule(rule: Mapping[str, Any], group: Mapping[str, Any]) -> AlertRule:
    healthy = rule.get("health", "ok") == "ok"
    return AlertRule(
        name=str(rule["name"]),
        query=str(rule["query"]),
        for_s=float(rule.get("duration") or 0),
        keep_firing_for_s=float(rule.get("keepFiringFor") or 0),
        interval_s=float(group.get("interval") or 60),
        last_evaluation=_time(rule.get("lastEvaluation") or group.get("lastEvaluation")) if healthy else None,
        labels=_labels(rule.get("labels") or {}),
    )


def _time(text: Any) -> datetime | None:
    """RFC 3339 with up to nine digits; the year 1 means never."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r:.40}")
    return None if moment.year <= 1 else moment.astimezone(UTC)


def _bounded(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise CannotSee(f"the query gives more than {limit} {what}: narrow it, or aggregate")


def _short(value: object) -> str:
    return redact(" ".join(str(value).split())[:400])[:200]
