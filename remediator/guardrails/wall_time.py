"""From what clocks on a wall show to instants, where daylight saving makes that a question.

A wall time that exists twice has an earliest and a latest instant. One that does not exist, because clocks were put
forward over it, is for both the moment at which they were.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo


def earliest(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant (UTC) at which clocks in `zone` show `wall` (naive) or later."""
    return _instant(wall, zone, fold=0)


def latest(wall: datetime, zone: tzinfo) -> datetime:
    """The last instant (UTC) up to which clocks in `zone` have shown less than `wall` (naive)."""
    return _instant(wall, zone, fold=1)


def _instant(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    found = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    # In a gap the offset from before it leads to an instant after it, and the other way round (PEP 495).
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return _change(before, after, zone)


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The instant in (before, after] at which the clocks were changed; to the second, as zone files have it."""
    low, high = 0, int((after - before).total_seconds())
    new = after.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == new:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)
