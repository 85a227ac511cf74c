"""Durations as people write them: `90s`, `15m`, `2h`, `1h30m`, `7d`, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

LONGEST = timedelta(days=366)
"""Nothing in a playbook is unlimited; a longer one is a slip of the keyboard."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)


def duration_of(value: object) -> timedelta:
    """`1h30m`, seconds or a timedelta as a timedelta of 0 to 366 days. Raises: ValueError."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str):
        found = _from_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # Checked before the conversion: timedelta raises OverflowError for infinities and ValueError for NaN.
        if not 0 <= value <= LONGEST.total_seconds():
            raise ValueError(f"expected 0 to 366 days, got {value} seconds")
        found = timedelta(seconds=value)
    else:
        raise ValueError(f"expected a duration such as 90s, 15m or 2h, got {value!r}")
    if not timedelta(0) <= found <= LONGEST:
        raise ValueError(f"expected 0 to 366 days, got {value}")
    return found


@lru_cache(maxsize=1000)  # a stored remediation has a dozen, the same ones each time that it is read
def _from_text(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip()) if len(text) <= 40 else None
    if not match or not any(match.groups()):
        raise ValueError(f"expected a duration such as 90s, 15m or 2h, got {text[:40]!r}")
    days, hours, minutes, seconds, millis = (float(group) if group else 0.0 for group in match.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds + millis / 1000
    if total > LONGEST.total_seconds():
        raise ValueError(f"expected at most 366 days, got {text!r}")
    return timedelta(seconds=total)


def format_duration(value: timedelta) -> str:
    """The shortest text that Prometheus and this module both read back: `1h30m`, `500ms`, `0s`.

    Whole milliseconds; what is below is cut off. Raises: ValueError for a negative duration, which PromQL has not.
    """
    if value < timedelta(0):
        raise ValueError(f"a negative duration cannot be written: {value}")
    rest = value // timedelta(milliseconds=1)
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
