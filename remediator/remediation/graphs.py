"""Which graphs tell a remediation's story, and their numbers.

What the playbook collects as `graph` or `promql`, else what its checks measure: the same queries, over a range. A
threshold of a check that measures the same becomes a line in the picture.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.errors import RemediatorError
from remediator.people.graph import TITLE_LIMIT, Graph, Limit, Mark, Unit, curves_of, humanise
from remediator.playbooks.model import Playbook
from remediator.redact import redact
from remediator.remediation.arguments import fill_plain
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.checks.threshold import Threshold
from remediator.remediation.collectors.graph import GRAPH, GraphArgs, asked
from remediator.remediation.conditions import final_verify

MOST_GRAPHS = 2
POINTS = 120
QUERY_TIMEOUT = timedelta(seconds=10)

_SHOWS: Mapping[str, tuple[str, ...]] = {
    "error_ratio": ("metric", "error", "where", "labels"),
    "latency": ("metric", "quantile", "where", "labels"),
}
"""Checks that a graph can show -> the arguments that say which numbers are meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One graph as the author wrote it: `args` as `graph` takes them, thresholds as checks take them."""

    args: Mapping[str, Any]
    success: str = ""
    failure: str = ""


def wanted_graphs(spec: Playbook) -> tuple[Wanted, ...]:
    """At most two, in the playbook's order. None where nothing is measured in Prometheus."""
    checks = [w for c in final_verify(spec).checks if (w := _of_check(c.kind, c.args)) is not None]
    collected = [_of_collect(c.kind, c.args) for c in spec.collect if c.kind in ("graph", "promql")]
    return tuple(_limited(w, checks) for w in collected)[:MOST_GRAPHS] or tuple(checks[:MOST_GRAPHS])


def _of_collect(kind: str, args: Mapping[str, Any]) -> Wanted:
    return Wanted(
        args=dict(args) if kind == "graph" else {"query": args.get("query", ""), "last": args.get("last", "1h")}
    )


def _of_check(kind: str, args: Mapping[str, Any]) -> Wanted | None:
    shown: Mapping[str, Any]
    if kind == "promql":
        shown = {"query": args.get("query", "")}
    elif kind in _SHOWS:
        shown = {kind: {name: args[name] for name in _SHOWS[kind] if name in args}}
    else:
        return None
    return Wanted(args=shown, success=str(args.get("success", "")), failure=str(args.get("failure") or ""))


def _limited(wanted: Wanted, checks: Sequence[Wanted]) -> Wanted:
    """With the thresholds of the check that measures the same."""
    same = next((c for c in checks if _about(c.args) == _about(wanted.args)), None)
    return wanted if same is None else Wanted(args=wanted.args, success=same.success, failure=same.failure)


def _about(args: Mapping[str, Any]) -> tuple[object, ...]:
    for kind in _SHOWS:
        if isinstance(found := args.get(kind), Mapping):
            metric = str(found.get("metric", "")).removesuffix("_bucket")
            return kind, metric, found.get("error", ""), found.get("where", ""), found.get("quantile", 0.95)
    return ("query", " ".join(str(args.get("query", "")).split()))


async def measure(
    wanted: Sequence[Wanted],
    context: CheckContext,
    *,
    playbook: str,
    subject: str,
    marks: Sequence[Mark],
    since: datetime | None = None,
) -> tuple[Graph, ...]:
    """The graphs up to `context.now`, from `since` on or as far back as each says. One that cannot be measured is left
    out: a picture is worth having, never worth failing for."""
    made = await asyncio.gather(
        *(_measure(w, context, playbook, subject, marks, since) for w in wanted), return_exceptions=True
    )
    for failed in made:
        if isinstance(failed, BaseException) and not isinstance(failed, RemediatorError | ValueError | TimeoutError):
            raise failed
    return tuple(graph for graph in made if isinstance(graph, Graph))


async def _measure(
    wanted: Wanted,
    context: CheckContext,
    playbook: str,
    subject: str,
    marks: Sequence[Mark],
    since: datetime | None,
) -> Graph:
    """Raises: Unknown, CannotSee, ValueError, TimeoutError."""
    args = GraphArgs.model_validate(fill_plain(wanted.args, context, GRAPH.late))
    query, what = asked(args, context)
    start = min(since or context.now, context.now - args.last)
    step_s = max(1.0, math.ceil((context.now - start).total_seconds() / POINTS))
    async with asyncio.timeout(QUERY_TIMEOUT.total_seconds()):
        found = await context.prometheus().range(query, start=start, end=context.now, step_s=step_s)
    curves, more = curves_of(found)
    unit: Unit = "ratio" if args.error_ratio else "seconds" if args.latency else ""
    about = f"{playbook}: {what}" if unit else playbook
    return Graph(
        title=redact(one_line(about, TITLE_LIMIT)),
        subtitle=redact(one_line(subject if unit else f"{subject}: {what}", TITLE_LIMIT)),
        start=start,
        end=context.now,
        step=timedelta(seconds=step_s),
        curves=curves,
        more=more,
        marks=tuple(mark for mark in marks if start <= mark.at <= context.now),
        limits=_limits(wanted, context, unit),
        unit=unit,
    )


def _limits(wanted: Wanted, context: CheckContext, unit: Unit) -> tuple[Limit, ...]:
    """`good < 2 %` and, where the author gave one, `bad > 5 %`; what is no threshold is left out."""
    limits = []
    for text, good in ((wanted.success, True), (wanted.failure, False)):
        try:
            threshold = Threshold.parse(context.text(text))
        except (RemediatorError, ValueError):
            continue
        word = "good" if good else "bad"
        limits.append(
            Limit(value=threshold.value, good=good, label=f"{word} {threshold.op} {humanise(threshold.value, unit)}")
        )
    return tuple(limits)
