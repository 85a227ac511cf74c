"""`error_ratio`: errors per request of the target, from a counter whose labels tell errors from successes.

    error_ratio: {metric: http_requests_total, error: 'code=~"5.."', success: "< 2%", failure: "> 5%"}

The numerator is filled with 0 only where the same evaluation sees requests; without requests the `idle` rule decides.
"""

from __future__ import annotations

import asyncio
import math

from pydantic import Field

from remediator.playbooks.durations import format_duration
from remediator.remediation.checks.base import CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.promql import weigh
from remediator.remediation.checks.traffic import (
    LATE,
    MatchersText,
    TrafficArgs,
    Window,
    ask_one,
    idle_sample,
    require_after_effect,
    window_of,
)
from remediator.remediation.promql import Matcher, parse_matchers, select
from remediator.remediation.samples import CheckSample

NAME = "error_ratio"


class ErrorRatioArgs(TrafficArgs):
    """`error`: the matchers of failed requests. `min_requests`: with fewer in the window a bad ratio proves nothing.

    `tolerance`: how many more errors per request than before still count as not worse.
    """

    error: MatchersText = Field(min_length=1)
    min_requests: int = Field(10, ge=0)
    tolerance: float = Field(0.02, ge=0)


def ratio_query(args: ErrorRatioArgs, window: Window, errors: tuple[Matcher, ...]) -> str:
    """Errors per request. Empty without request series, NaN without requests, 0 where only errors are missing."""
    total = f"sum(rate({window.select(args.metric)}))"
    failed = f"sum(rate({window.select(args.metric, *map(str, errors))}))"
    return f"({failed} or {total} * 0) / {total}"


def requests_query(args: ErrorRatioArgs, window: Window) -> str:
    """Requests per second."""
    return f"sum(rate({window.select(args.metric)}))"


async def sample(args: ErrorRatioArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, TemplateError."""
    window = window_of(args, context)
    errors = parse_matchers(context.promql(args.error))
    ratio, rate = await asyncio.gather(
        ask_one(context, ratio_query(args, window, errors), "the error ratio"),
        ask_one(context, requests_query(args, window), "the request rate"),
    )
    if rate is None or rate.value == 0:
        return await idle_sample(NAME, args.metric, args, context, window, counted=rate is not None)
    if ratio is None or math.isnan(ratio.value):
        raise Unknown("the error ratio is no number, although there are requests")
    require_after_effect(context, window, ratio.at)
    if ratio.value == 0:
        await _error_labels_exist(args, context, window, errors)
    verdict, detail, badness = weigh([ratio.value], args)
    requests = rate.value * window.length.total_seconds()
    detail = f"error ratio {detail}, {requests:.0f} requests in {format_duration(window.length)}"
    if verdict == "bad" and requests < args.min_requests:
        detail = f"{detail}: fewer than {args.min_requests}, too few to call it bad"
        verdict, badness = "unknown", None
    return answer(NAME, verdict, detail, min(ratio.at, rate.at), badness=badness, tolerance=args.tolerance)


async def _error_labels_exist(
    args: ErrorRatioArgs, context: CheckContext, window: Window, errors: tuple[Matcher, ...]
) -> None:
    """A misspelt label in `error` finds no errors, for ever. Raises: Unknown when the requests carry no such label."""
    present = [f'{label}!=""' for label in sorted({m.label for m in errors})]
    if (
        await ask_one(context, f"count({select(args.metric, *window.matchers, *present)})", "the count of series")
        is None
    ):
        raise Unknown(
            f"no series of {args.metric} has {' and '.join(sorted({m.label for m in errors}))}: is `error` right?"
        )


KIND = CheckKind(NAME, ErrorRatioArgs, sample, late=LATE | {"error"})
