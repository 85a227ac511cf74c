"""Times, durations and counts as explanations write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def about(duration: timedelta) -> str:
    """`42s`, `7m`, `2h5m`, `3d2h`: two units at most, cut off, never negative."""
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    units = (("d", seconds // 86400), ("h", seconds // 3600 % 24), ("m", seconds // 60 % 60))
    first = next(index for index, (_, count) in enumerate(units) if count)
    return "".join(f"{count}{unit}" for unit, count in units[first : first + 2] if count)


def clock(moment: datetime, now: datetime, zone: str, *, with_zone: bool = True) -> str:
    """`14:32 Europe/Berlin`, with the date when it is another day there. An unknown zone is UTC, never an error."""
    try:
        tz: ZoneInfo = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone, tz = "UTC", ZoneInfo("UTC")
    there = moment.astimezone(tz)
    same_day = there.date() == now.astimezone(tz).date()
    text = there.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M")
    return f"{text} {zone}" if with_zone else text


def iso(moment: datetime) -> str:
    """For `Verdict.facts`, which hold JSON only."""
    return moment.astimezone(UTC).isoformat()


def many(count: int, one: str, several: str = "") -> str:
    """`1 copy`, `3 copies`."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def first_of(texts: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 2 more`."""
    more = len(texts) - most
    return f"{', '.join(texts[:most])} and {more} more" if more > 0 else ", ".join(texts)


def listed(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)
