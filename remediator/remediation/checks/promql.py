"""`promql`: a query of the author's own, compared with thresholds.

All series must satisfy `success` for good; one that satisfies `failure` is enough for bad. Without `failure`, whatever
is not a success is bad. Between the two, NaN, or no data: unknown.

An empty result is not a zero and not a failure (after a good rollback no 5xx series exists). `on_empty` says what it
means, but only while its second query proves that somebody is scraping.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from remediator.playbooks.durations import format_duration
from remediator.ports import Sample
from remediator.remediation.checks.base import CLOCK_TOLERANCE, CheckArgs, CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.threshold import Threshold, ThresholdText
from remediator.remediation.promql import largest_range
from remediator.remediation.samples import CheckAnswer, CheckSample

NAME = "promql"

RELATIVE_TOLERANCE = 0.1
"""Noise of a metric we know nothing about: a tenth worse than before still counts as not worse."""


class OnEmpty(BaseModel):
    """`value` stands for an empty result while `while` returns series and all of them are above zero."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    value: Annotated[float, Field(allow_inf_nan=False)]
    while_: str = Field(alias="while", min_length=1)


class Thresholds(CheckArgs):
    """`success` and, apart from it, `failure`; what lies between is neither."""

    success: ThresholdText
    failure: ThresholdText | None = None

    @model_validator(mode="after")
    def _apart(self) -> Thresholds:
        literal = "${" not in self.success + (self.failure or "")
        if self.failure and literal and Threshold.parse(self.success).overlaps(Threshold.parse(self.failure)):
            raise ValueError(f"success {self.success} and failure {self.failure} overlap: a value could be both")
        return self


class PromqlArgs(Thresholds):
    """`tolerance`: how much worse than before still counts as not worse; a tenth of the value where it is not given."""

    query: str = Field(min_length=1)
    on_empty: OnEmpty | None = None
    tolerance: float | None = Field(None, ge=0)

    @property
    def about(self) -> str:
        return self.query


async def sample(args: PromqlArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, TemplateError."""
    queries = context.prometheus()
    query = context.promql(args.query)
    require_window_after_effect(context, query, context.now)
    found = await queries.instant(query)
    if found:
        for one in found:
            context.require_fresh(one.at)
        values, at = [s.value for s in found], min(s.at for s in found)
        require_window_after_effect(context, query, at)
        note = f"{len(values)} series" if len(values) > 1 else ""
    else:
        value, at = await _instead(args, context)
        values, note = [value], "empty, and scraping is proven"
    verdict, detail, badness = weigh(values, args)
    tolerance = abs(badness or 0.0) * RELATIVE_TOLERANCE if args.tolerance is None else args.tolerance
    return answer(NAME, verdict, f"{detail} ({note})" if note else detail, at, badness=badness, tolerance=tolerance)


async def _instead(args: PromqlArgs, context: CheckContext) -> tuple[float, datetime]:
    """The value that stands for an empty result, and when that was proven."""
    if args.on_empty is None:
        raise Unknown("the result is empty, and on_empty does not say what that means")
    at = await prove(args.on_empty.while_, context)
    return args.on_empty.value, at


async def prove(query: str, context: CheckContext) -> datetime:
    """When the author's proof of scraping held: series, all fresh and above zero. Raises: Unknown, CannotSee."""
    found = await context.prometheus().instant(context.promql(query))
    if not found:
        raise Unknown("the result is empty, and so is the query that should prove scraping")
    for one in found:
        context.require_fresh(one.at, "the proof of scraping")
        if not one.value > 0:  # NaN as well
            raise Unknown(f"the result is empty, and the query that should prove scraping gives {one.value:g}")
    return min(s.at for s in found)


def weigh(values: list[float], args: Thresholds) -> tuple[CheckAnswer, str, float | None]:
    """Answer, detail and badness of measured values. Raises: Unknown for NaN, ValueError for what is no threshold."""
    success = Threshold.parse(args.success)
    failure = Threshold.parse(args.failure) if args.failure else None
    if any(math.isnan(v) for v in values):
        raise Unknown("the value is NaN, which is no measurement")
    turned = [b for v in values if (b := success.badness(v)) is not None]
    badness = max(turned) if turned else None
    worst = values[turned.index(badness)] if badness is not None else values[0]
    is_good = all(success.holds(v) for v in values)
    is_bad = any(failure.holds(v) if failure else not success.holds(v) for v in values)
    if is_good and not is_bad:
        return "good", f"{worst:.4g} {success}", badness
    if is_bad and not is_good:
        return "bad", f"{worst:.4g}, wanted {success}", badness
    return "unknown", f"{worst:.4g}, between success {success} and failure {failure}", badness


def require_window_after_effect(context: CheckContext, query: str, at: datetime) -> None:
    """Raises: Unknown while the query's range still reaches back before the last effect."""
    if context.since is None:
        return
    reach = largest_range(query)
    if at - reach < context.since - CLOCK_TOLERANCE:
        when = context.since + reach
        raise Unknown(f"its range of {format_duration(reach)} reaches back before the effect until {when:%H:%M:%S} UTC")


def values_of(found: tuple[Sample, ...], context: CheckContext, what: str) -> Sample | None:
    """The single sample of an aggregated query, None for an empty result. Raises: Unknown for several, or stale."""
    if len(found) > 1:
        raise Unknown(f"{what} returned {len(found)} series instead of one")
    if not found:
        return None
    context.require_fresh(found[0].at, what)
    return found[0]


KIND = CheckKind(NAME, PromqlArgs, sample, late=frozenset({"query", "on_empty.while"}))
