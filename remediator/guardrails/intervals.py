"""Half-open intervals of time and what can be made of them.

A stream is an iterator of intervals in ascending order; what these functions return is also disjoint, with a gap
between any two. Everything is lazy, so that a question about tonight does not expand a year of windows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple


class Source(NamedTuple):
    """Which window it is: its kind, what people call it, and the zone in which they think of it."""

    kind: str
    name: str
    zone: str


class Interval(NamedTuple):
    """[start, end), both UTC. Of several that became one, `by` is the source that ends last."""

    start: datetime
    end: datetime
    by: Source


Stream = Iterator[Interval]


class TooMany(Exception):
    """A stream went on for longer than anybody wants to look."""


def at_most(stream: Stream, count: int) -> Stream:
    """The same stream. Raises: TooMany after so many intervals, because a stream that just ended would be a lie."""
    yield from islice(stream, count)
    if next(stream, None) is not None:
        raise TooMany(count)


def union(streams: Iterable[Stream]) -> Stream:
    current: Interval | None = None
    for interval in heapq.merge(*streams, key=_start):
        if current is None:
            current = interval
        elif interval.start > current.end:
            yield current
            current = interval
        elif interval.end > current.end:
            current = Interval(current.start, interval.end, interval.by)
    if current is not None:
        yield current


def intersection(one: Stream, other: Stream) -> Stream:
    """What both cover; `by` is the source that ends first."""
    a, b = next(one, None), next(other, None)
    while a is not None and b is not None:
        first = a if a.end <= b.end else b
        start = max(a.start, b.start)
        if start < first.end:
            yield Interval(start, first.end, first.by)
        if first is a:
            a = next(one, None)
        else:
            b = next(other, None)


def without(stream: Stream, removed: Stream) -> Stream:
    """What `stream` covers and `removed` does not."""
    hole = next(removed, None)
    for interval in stream:
        start = interval.start
        while hole is not None and hole.start < interval.end:
            if hole.start > start:
                yield Interval(start, hole.start, interval.by)
            start = max(start, hole.end)
            if hole.end > interval.end:
                break  # it may reach into the next interval
            hole = next(removed, None)
        if start < interval.end:
            yield Interval(start, interval.end, interval.by)


def _start(interval: Interval) -> datetime:
    return interval.start
