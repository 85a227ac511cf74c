"""`latency`: a quantile of the target's requests, from a classic histogram.

    latency: {metric: http_request_duration_seconds, quantile: 0.95, success: "< 500ms", failure: "> 2s"}

The quantile is computed here, from one query of the buckets: `histogram_quantile` answers the highest finite bound for
whatever lies beyond it, and a latency of minutes would pass as the 10 s of the last bucket.
"""

from __future__ import annotations

import math

from pydantic import Field, field_validator

from remediator.playbooks.durations import format_duration
from remediator.ports import Sample
from remediator.remediation.checks.base import CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.promql import weigh
from remediator.remediation.checks.traffic import LATE, TrafficArgs, idle_sample, require_after_effect, window_of
from remediator.remediation.promql import METRIC_NAME
from remediator.remediation.samples import CheckSample

NAME = "latency"


class LatencyArgs(TrafficArgs):
    """`metric`: the histogram, with or without `_bucket`. `min_requests`: with fewer, a bad quantile proves nothing.

    `tolerance`: seconds worse than before that still count as not worse; a tenth of the latency where it is not given.
    """

    metric: str = Field(pattern=METRIC_NAME)
    quantile: float = Field(0.95, gt=0, lt=1)
    min_requests: int = Field(10, ge=0)
    tolerance: float | None = Field(None, ge=0)

    @field_validator("metric")
    @classmethod
    def _base_name(cls, value: str) -> str:
        return value.removesuffix("_bucket")

    @property
    def about(self) -> str:
        return f"p{self.quantile * 100:g} {super().about}"


async def sample(args: LatencyArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, TemplateError."""
    window = window_of(args, context)
    metric = f"{args.metric}_bucket"
    found = await context.prometheus().instant(f"sum by (le) (rate({window.select(metric)}))")
    buckets = parse_buckets(found)
    rate = buckets[-1][1] if buckets else 0.0
    if rate == 0:
        return await idle_sample(NAME, metric, args, context, window, counted=bool(buckets))
    at = min(s.at for s in found)
    context.require_fresh(at)
    require_after_effect(context, window, at)
    seconds = quantile_of(args.quantile, buckets)
    verdict, detail, badness = weigh([seconds], args)
    requests = rate * window.length.total_seconds()
    if math.isinf(seconds):
        detail += (
            f" (beyond the last bucket, {buckets[-2][0]:g} s)" if len(buckets) > 1 else " (there is only one bucket)"
        )
    detail = f"p{args.quantile * 100:g} {detail} s, {requests:.0f} requests in {format_duration(window.length)}"
    if verdict == "bad" and requests < args.min_requests:
        detail = f"{detail}: fewer than {args.min_requests}, too few to call it bad"
        verdict, badness = "unknown", None
    tolerance = args.tolerance
    if tolerance is None:
        tolerance = seconds * 0.1 if math.isfinite(seconds) else 0.0
    return answer(NAME, verdict, detail, at, badness=badness, tolerance=tolerance)


def parse_buckets(found: tuple[Sample, ...]) -> list[tuple[float, float]]:
    """(upper bound, requests per second up to it), ascending, the last bound infinite.

    Raises: Unknown for a bound that is no number, NaN, or a histogram without `+Inf`, which would hide the slowest.
    """
    try:
        buckets = sorted((float(s.labels["le"]), s.value) for s in found)
    except (KeyError, ValueError):
        raise Unknown("a bucket of the histogram has no readable bound (le)") from None
    if any(math.isnan(v) or math.isnan(bound) for bound, v in buckets):
        raise Unknown("a bucket of the histogram is NaN")
    if buckets and buckets[-1][0] != math.inf:
        raise Unknown("the histogram has no +Inf bucket")
    return buckets


def quantile_of(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """The quantile by linear interpolation, as Prometheus does it, but infinite where it lies in the last bucket.

    `buckets` as from `parse_buckets`, not empty and with requests.
    """
    rank = quantile * buckets[-1][1]
    highest = 0.0
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in buckets:
        highest = max(highest, count)  # rates of buckets scraped a moment apart may dip
        if highest >= rank:
            if math.isinf(bound):
                return math.inf
            if bound <= 0 or highest == lower_count:
                return bound
            return lower_bound + (bound - lower_bound) * (rank - lower_count) / (highest - lower_count)
        lower_bound, lower_count = max(bound, 0.0), highest
    return math.inf


KIND = CheckKind(NAME, LatencyArgs, sample, late=LATE)
