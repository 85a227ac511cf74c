"""`self_check` and `link`: what remediator itself can reach, and an address for a person to look at."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import AfterValidator, Field

from remediator.errors import ReadError
from remediator.remediation.checks.base import MAX_AGE, CheckContext, NetworkProbe, one_line
from remediator.remediation.checks.http import check_literal_parts, render_url
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import hand_over

SELF, LINK = "self_check", "link"

LOOKED_AT = ("Pod", "Deployment", "Node", "Event")
"""Kinds without which little can be said about anything."""


class SelfArgs(CollectArgs):
    """No arguments."""


def _url(text: str) -> str:
    check_literal_parts(text)
    return text


class LinkArgs(CollectArgs):
    """`url`: a `${...}` in it is percent-encoded, or one label of a host that goes on literally. `title`: its text."""

    url: Annotated[str, AfterValidator(_url)]
    title: Annotated[str, Field(min_length=1, max_length=120)] = "look here"


async def self_check(args: SelfArgs, context: CheckContext) -> Evidence:
    """Whether the cluster and Prometheus answer, with clocks that agree, and what we may read there."""
    told = await asyncio.gather(_cluster(context), _prometheus(context), *(_may(context, k) for k in LOOKED_AT))
    lines = [(problem, said) for problem, said in told]
    probe = "none" if context.http is None else "HTTP and network" if isinstance(context.http, NetworkProbe) else "HTTP"
    callers = ", ".join(sorted(context.callers)) or "none"
    bad = [said for problem, said in lines if problem]
    return hand_over(
        SELF,
        context,
        title="what remediator can reach",
        lines=[*(said for _, said in lines), f"probes: {probe}", f"asks outside by: {callers}"],
        summary=f"{len(bad)} of {len(lines)} do not answer as they should" if bad else "everything answers",
        data={"cluster": context.cluster.name, "problems": len(bad), "callers": sorted(context.callers)},
    )


async def _cluster(context: CheckContext) -> tuple[bool, str]:
    """Whether something is wrong, and the sentence."""
    try:
        at = await context.cluster.server_time()
    except ReadError as exc:
        return True, f"cluster {context.cluster.name}: no answer, {one_line(str(exc) or type(exc).__name__, 150)}"
    apart = abs(at - context.now)
    return apart > MAX_AGE, f"cluster {context.cluster.name}: answers, clocks {apart.total_seconds():.0f} s apart"


async def _prometheus(context: CheckContext) -> tuple[bool, str]:
    if context.queries is None:
        return True, "Prometheus: none is configured, so alert_resolved and all numbers stay unknown"
    try:
        found = await context.queries.instant("vector(1)")
    except ReadError as exc:
        return True, f"Prometheus: no answer, {one_line(str(exc) or type(exc).__name__, 150)}"
    if len(found) != 1:
        return True, "Prometheus: its answer is not one number"
    apart = abs(found[0].at - context.now)
    return apart > MAX_AGE, f"Prometheus: answers, clocks {apart.total_seconds():.0f} s apart"


async def _may(context: CheckContext, kind: str) -> tuple[bool, str]:
    try:
        allowed = await context.cluster.allowed("list", kind, "")
    except ReadError as exc:
        return True, f"list {kind}: not known, {one_line(str(exc) or type(exc).__name__, 150)}"
    return not allowed, f"list {kind}: {'allowed' if allowed else 'not allowed in the whole cluster'}"


async def link(args: LinkArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, TemplateError. Nobody goes there: it is for a person to click."""
    url = render_url(args.url, context)
    return Evidence(
        kind=LINK,
        title=one_line(args.title, 120),
        text=url,
        data={"url": url},
        taken_at=context.now,
        summary=one_line(args.title, 120),
    )


KINDS_OF_EVIDENCE = (
    CollectorKind(SELF, SelfArgs, self_check),
    CollectorKind(LINK, LinkArgs, link, late=frozenset({"url"})),
)
