"""What collectors share that list things: which namespaces, what could not be read, ages, one way to hand it over.

A list that could not be read is a sentence in its place, never an empty list; a kind that the API server does not know
is "not installed". Whoever reads it at night must see the difference.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.times import parse_time
from remediator.errors import Forbidden, NotFound, ReadError
from remediator.kinds import KINDS
from remediator.objects import Object, dig
from remediator.ports import Sample
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.checks.condition import namespace_of
from remediator.remediation.collectors.base import CollectArgs, Evidence, bounded
from remediator.remediation.promql import equals, one_of

EVERYWHERE = "*"
MOST_ROWS = 100
"""In `data`; the text has its own bound."""

_BROKEN = "could not be read"
_WORD = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)


class ScopedArgs(CollectArgs):
    """`namespace`: by default the target's, or all where there is no target; `"*"` = all."""

    namespace: Annotated[str, Field(max_length=63)] = ""


@dataclass(frozen=True, slots=True)
class Part:
    """All objects of a kind, or why they are not there, in a sentence."""

    items: tuple[Object, ...] = ()
    problem: str = ""
    installed: bool = True

    @property
    def unread(self) -> str:
        """Why we cannot see; empty where there is nothing to be seen."""
        return self.problem if self.installed else ""


def namespaces_of(args: ScopedArgs, context: CheckContext) -> tuple[str, ...]:
    """What to list in; `("",)` is everywhere."""
    if args.namespace == EVERYWHERE:
        return ("",)
    if args.namespace:
        return (args.namespace,)
    found = sorted({namespace_of(t.ref) for t in context.targets} - {""})
    return tuple(found) or ("",)


def place_of(namespaces: Sequence[str]) -> str:
    """For titles: `in shop`, `in the cluster`."""
    return f"in {', '.join(namespaces)}" if any(namespaces) else "in the cluster"


async def read(
    context: CheckContext, kind: str, namespaces: Sequence[str] = ("",), *, labels: str = "", fields: str = ""
) -> Part:
    """Never raises a ReadError. Half a list is no list."""
    plain, known = kind.partition(".")[0], KINDS[kind]
    spaces = namespaces if known.namespaced else ("",)
    try:
        lists = await asyncio.gather(
            *(context.cluster.list(kind, space, labels=labels, fields=fields) for space in spaces)
        )
    except NotFound:
        return Part(problem=f"{plain} ({known.group or 'core'}): not installed", installed=False)
    except Forbidden:
        return Part(problem=f"{plain}: {_BROKEN}, we may not list {known.plural}")
    except ReadError as exc:
        return Part(problem=f"{plain}: {_BROKEN}, {one_line(str(exc) or type(exc).__name__, 150)}")
    return Part(tuple(item for found in lists for item in found.items))


async def ask(context: CheckContext, query: str) -> tuple[tuple[Sample, ...], str]:
    """The numbers of an instant query, without those that are none; or why there are none."""
    if context.queries is None:
        return (), "no Prometheus is configured"
    try:
        found = await context.queries.instant(query)
    except ReadError as exc:
        return (), f"Prometheus {_BROKEN}: {one_line(str(exc) or type(exc).__name__, 150)}"
    return tuple(s for s in found if math.isfinite(s.value)), ""


def metric_scope(context: CheckContext, namespaces: Sequence[str] = ("",), *more: str) -> tuple[str, ...]:
    """Matchers for this cluster and these namespaces, by the configured labels."""
    labels, parts = context.labels, list(more)
    if labels.cluster:
        parts.append(equals(labels.cluster, labels.cluster_value or context.cluster.name))
    if labels.namespace and any(namespaces):
        parts.append(one_of(labels.namespace, [n for n in namespaces if n]))
    return tuple(parts)


def hand_over(
    kind: str,
    context: CheckContext,
    *,
    title: str,
    lines: Iterable[str],
    summary: str,
    parts: Sequence[Part] = (),
    problems: Sequence[str] = (),
    rows: Sequence[Mapping[str, Any]] = (),
    data: Mapping[str, Any] | None = None,
    private: bool = False,
) -> Evidence:
    """One piece: first what could not be read, then the lines, as far as there is room.

    `summary` goes to chat: numbers and names of our own. Where nothing at all could be read it says that instead.
    """
    said = [p.problem for p in parts if p.problem]
    unread = [*(p.unread for p in parts if p.unread), *(p for p in problems if p)]
    text, cut = bounded([*said, *(p for p in problems if p), *lines], keep="begin")
    if parts and all(p.problem for p in parts):
        summary = "not available" if unread else "not installed"
    elif unread:
        summary = f"{summary} (not all could be read)"
    return Evidence(
        kind=kind,
        title=one_line(title, 200),
        text=text or "nothing found",
        data={**(data or {}), **({"rows": [dict(r) for r in rows[:MOST_ROWS]]} if rows else {})},
        taken_at=context.now,
        truncated=cut or len(rows) > MOST_ROWS,
        error=one_line("; ".join(unread)),
        summary=summary,
        private=private,
    )


# --- small things


def where(obj: Object) -> str:
    """`shop/api`, or the name alone."""
    name, namespace = str(dig(obj, "metadata", "name", default="")), dig(obj, "metadata", "namespace")
    return f"{namespace}/{name}" if namespace else name


def word(value: object, limit: int = 60) -> str:
    """A reason or phase from elsewhere, short; `-` for none."""
    return one_line(str(value or ""), limit) or "-"


def one_word(value: object) -> str:
    """A reason or phase that may go to chat: one word. What is not one comes from somebody who wants it printed."""
    text = str(value or "")
    return text if _WORD.fullmatch(text) else "Other" if text else "-"


def said(value: object, limit: int = 200) -> str:
    """`: message`, or nothing."""
    text = one_line(str(value or ""), limit)
    return f": {text}" if text else ""


def time_of(value: object) -> datetime | None:
    """A Kubernetes time; None for none, or for what is no time."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def age(now: datetime, value: object) -> str:
    """How long ago: `45s`, `12m`, `5h`, `3d`; `?` where that is not known."""
    at = value if isinstance(value, datetime) else time_of(value)
    return "?" if at is None else span(now - at)


def span(length: timedelta) -> str:
    """A length in the largest unit of which it has two, with a minus where it is negative."""
    seconds = int(length.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{sign}{seconds // size}{unit}"
    return f"{sign}{seconds}s"


def condition(obj: Object, kind: str) -> Object:
    """The status condition of that type, empty where there is none."""
    for one in dig(obj, "status", "conditions") or ():
        if one.get("type") == kind:
            found: Object = one
            return found
    return {}


def count(number: int, what: str) -> str:
    """`1 pod`, `2 pods`, `3 Ingresses`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"


def size(count_of_bytes: float) -> str:
    """Bytes for people: `512 MiB`, `1.5 GiB`."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(count_of_bytes) >= factor:
            return f"{count_of_bytes / factor:.3g} {unit}"
    return f"{count_of_bytes:.0f} B"
