"""What `error_ratio` and `latency` share: one workload's requests, and what silence means.

Both write their own PromQL, because the obvious form is wrong in three ways. It reads other workloads' series when a
selector is missing. It divides by nothing after a good rollback, when no error series exists. And it takes a window
that reaches back before the effect. Here the window is cut so that it begins after the effect, and "no requests" is
told apart from "nobody scrapes", "not scraped often enough yet" and "no such metric".
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration
from remediator.ports import Sample
from remediator.remediation.checks import pods_ready, rollout
from remediator.remediation.checks.base import (
    CLOCK_TOLERANCE,
    CheckContext,
    MetricLabels,
    Unknown,
    answer,
)
from remediator.remediation.checks.promql import Thresholds, prove, values_of
from remediator.remediation.checks.workload import metric_matchers
from remediator.remediation.promql import METRIC_NAME, parse_matchers, select
from remediator.remediation.samples import CheckSample

SHORTEST_WINDOW = timedelta(seconds=55)
"""Two scrapes at the usual 30 s, less the moment between an effect and the first sample after the settle time."""

KNOWN_WITHIN = timedelta(hours=1)
"""A metric that this workload had no series of for this long is a misspelt one, not an idle one."""

FEWEST_SCRAPES = 3
"""Scrapes a target needs in the window before silence counts as "no requests": a rate needs two points."""


LATE = frozenset({"where", "while"})


def _matchers(text: str) -> str:
    if "${" not in text:
        parse_matchers(text)
    return text


MatchersText = Annotated[str, AfterValidator(_matchers)]


class TrafficArgs(Thresholds):
    """One workload's requests.

    `where`: further matchers (`route="/pay"`). `labels`: where this metric differs from the configured label names.
    `idle`: what no requests mean; `healthy` = good when rollout and pods_ready hold, `unknown` = nothing.
    `while`: a query that proves scraping where `up` with the same labels cannot (a mesh's or ingress's metrics).
    """

    metric: str = Field(pattern=METRIC_NAME)
    window: PositiveDuration = timedelta(minutes=5)
    where: MatchersText = ""
    labels: MetricLabels | None = None
    idle: Literal["healthy", "unknown"] = "healthy"
    while_: str = Field("", alias="while")

    @property
    def about(self) -> str:
        return f"{self.metric}{{{self.where}}}" if self.where else self.metric


@dataclass(frozen=True, slots=True)
class Window:
    """What part of the past and which series a sample looks at."""

    length: timedelta
    matchers: tuple[str, ...]

    def select(self, metric: str, *more: str) -> str:
        """A range selector over this window."""
        return select(metric, *self.matchers, *more, window=self.length)


def window_of(args: TrafficArgs, context: CheckContext) -> Window:
    """The window that ends now and begins after the last effect. Raises: Unknown while that is too short."""
    length = args.window
    if context.since is not None:
        length = min(length, timedelta(seconds=int((context.now - context.since).total_seconds())))
    if length < min(args.window, SHORTEST_WINDOW):
        raise Unknown(
            f"only {format_duration(max(length, timedelta(0)))} have passed since the effect: too short to measure"
        )
    where = tuple(str(m) for m in parse_matchers(context.promql(args.where)))
    labels = args.labels or context.labels
    return Window(length, (*metric_matchers(context, labels, narrowed=bool(where)), *where))


async def ask_one(context: CheckContext, query: str, what: str) -> Sample | None:
    """One aggregated number, fresh. Raises: Unknown, CannotSee."""
    return values_of(await context.prometheus().instant(query), context, what)


def require_after_effect(context: CheckContext, window: Window, at: datetime) -> None:
    """Raises: Unknown when, by Prometheus' own clock, the window begins before the effect."""
    if context.since is not None and at - window.length < context.since - CLOCK_TOLERANCE:
        raise Unknown("by Prometheus' clock the window begins before the effect")


async def idle_sample(
    check: str, series: str, args: TrafficArgs, context: CheckContext, window: Window, *, counted: bool
) -> CheckSample:
    """The answer when the workload served no requests. `series` is the metric whose absence has to be explained.

    `counted`: a rate was there and it was 0; else there was none at all.
    Raises: Unknown when nothing proves that it is idleness, CannotSee.
    """
    at = await _scraping_proven(args, context, window)
    young = f"count(count_over_time({window.select(series)}))"
    if not counted and await ask_one(context, young, "the count of series") is not None:
        raise Unknown(f"{series} has only just begun to be counted: too early to tell")
    seen = select(series, *window.matchers, window=KNOWN_WITHIN)
    if await ask_one(context, f"count(count_over_time({seen}))", "the count of series") is None:
        raise Unknown(
            f"{series} has had no series of this target for {format_duration(KNOWN_WITHIN)}: is the name right?"
        )
    if args.idle == "unknown":
        raise Unknown(f"no requests in {format_duration(window.length)}")
    healthy = await asyncio.gather(
        rollout.sample(rollout.RolloutArgs(), context), pods_ready.sample(pods_ready.PodsReadyArgs(), context)
    )
    if all(h.answer == "good" for h in healthy):
        return answer(check, "good", f"no requests in {format_duration(window.length)}, and all copies are ready", at)
    why = next(h.detail for h in healthy if h.answer != "good")
    raise Unknown(f"no requests in {format_duration(window.length)}, and {why}")


async def _scraping_proven(args: TrafficArgs, context: CheckContext, window: Window) -> datetime:
    """When it was proven that this workload is being scraped. Raises: Unknown."""
    if args.while_:
        return await prove(args.while_, context)
    here = select("up", *window.matchers)
    # Only targets that exist now: one that went away with its pod has few scrapes in the window, and rightly.
    scrapes = f"min(count_over_time({window.select('up')}) and {here})"
    up, count = await asyncio.gather(
        ask_one(context, f"min({here})", "up"), ask_one(context, scrapes, "the number of scrapes")
    )
    if up is None or count is None:
        raise Unknown(
            "no requests, and no `up` series with these labels proves scraping; `while` can name another proof"
        )
    if not up.value > 0:
        raise Unknown("no requests, and a scrape of this workload fails")
    if count.value < FEWEST_SCRAPES:
        raise Unknown(f"no requests, but only {count.value:g} scrapes since the effect: too few to tell")
    return min(up.at, count.at)
