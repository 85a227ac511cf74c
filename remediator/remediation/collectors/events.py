"""`events`: what Kubernetes said about the target and its most troubled pods, newest last."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from remediator.actions.times import parse_time
from remediator.errors import ReadError
from remediator.objects import Object, dig, uid_of
from remediator.people.beside import CONTROLLER
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import (
    CollectArgs,
    CollectorKind,
    Evidence,
    bounded,
    target_objects,
    target_pods,
)

NAME = "events"

PODS = 3
_REASON = re.compile(r"[A-Za-z0-9]{1,64}")


class EventsArgs(CollectArgs):
    """`limit`: how many, the newest."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20


async def collect(args: EventsArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    targets = await target_objects(context)
    try:
        pods = (await target_pods(context))[:PODS]
    except (ReadError, Unknown):
        pods = []
    lists = await asyncio.gather(*(_about(context, obj) for obj in (*targets, *pods)))
    found = sorted((e for events in lists for e in events), key=event_time)
    kept = found[-args.limit :]
    text, cut = bounded([_line(e) for e in kept])
    reasons: Counter[str] = Counter()
    for e in found:
        reasons[_reason(e)] += _count(e) if e.get("type") == "Warning" else 0
    reasons = +reasons
    told = ", ".join(f"{reason} x{n}" for reason, n in reasons.most_common(5))
    return Evidence(
        kind=NAME,
        title=f"{len(kept)} events",
        text=text,
        data={"warnings": dict(reasons), "total": len(found)},
        taken_at=context.now,
        truncated=cut or len(kept) < len(found),
        summary=f"warnings: {told}" if told else f"{len(found)} events, no warnings",
        private=True,
    )


async def _about(context: CheckContext, obj: Object) -> tuple[Object, ...]:
    namespace = str(dig(obj, "metadata", "namespace", default="")) or "default"
    found = await context.cluster.list("Event", namespace, fields=f"involvedObject.uid={uid_of(obj)}")
    return tuple(e for e in found.items if e.get("reportingComponent") != CONTROLLER)  # what we have said ourselves


def event_time(event: Object) -> datetime:
    """The last time it happened; each of the fields may be null."""
    for text in (
        dig(event, "series", "lastObservedTime"),
        event.get("eventTime"),
        event.get("lastTimestamp"),
        event.get("firstTimestamp"),
        dig(event, "metadata", "creationTimestamp"),
    ):
        if text:
            return parse_time(text)
    return datetime.min.replace(tzinfo=UTC)


def _line(event: Object) -> str:
    involved = event.get("involvedObject") or {}
    count = _count(event)
    who = f"{involved.get('kind', '')}/{involved.get('name', '')}"
    times = f" (x{count})" if count > 1 else ""
    said = one_line(str(event.get("message") or ""), 400)
    return f"{event_time(event):%Y-%m-%d %H:%M:%S} {event.get('type', '')} {_reason(event)} {who}: {said}{times}"


def _count(event: Object) -> int:
    return int(dig(event, "series", "count") or event.get("count") or 1)


def _reason(event: Object) -> str:
    """A reason is one word; what is not comes from somebody who wants it printed."""
    reason = str(event.get("reason") or "")
    return reason if _REASON.fullmatch(reason) else "Other"


KIND = CollectorKind(NAME, EventsArgs, collect)
