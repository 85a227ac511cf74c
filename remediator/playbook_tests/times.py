"""When something happens in a story: so long after its beginning, or after something that the service did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from remediator.playbooks.durations import duration_of, format_duration
from remediator.playbooks.fields import DURATION_SCHEMA, complaint

ANCHORS = ("effect", "asked", "undo")
"""The first change that is made, the first question to people, the first change that is taken back."""

_ANCHORED = re.compile(rf"({'|'.join(ANCHORS)})(?:\s*\+\s*(\S+))?")


@dataclass(frozen=True, slots=True)
class Moment:
    """`after` the anchor; without one, after the beginning of the story. Where the anchor never comes, it never is."""

    after: timedelta
    anchor: str = ""

    def __str__(self) -> str:
        span = format_duration(self.after)
        return f"{self.anchor} + {span}" if self.anchor else span


def parse_moment(value: Any) -> Moment:
    """`90s`, `effect`, `asked + 2m`. Raises: a complaint."""
    if isinstance(value, Moment):
        return value
    found = _ANCHORED.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if found:
            return Moment(duration_of(found[2] or 0), found[1])
        return Moment(duration_of(value))
    except ValueError as exc:
        hint = "Write it like 90s or 2h, or counted from what the service does: effect, asked + 30s, undo + 1m."
        raise complaint(str(exc), hint) from None


_SCHEMA = {
    "anyOf": [
        *DURATION_SCHEMA["anyOf"],
        {"type": "string", "pattern": rf"^({'|'.join(ANCHORS)})(\s*\+\s*\S+)?$"},
    ],
    "description": "90s, 15m, 2h after the beginning; or effect, asked, undo, also with + 30s",
}
When = Annotated[Moment, BeforeValidator(parse_moment), WithJsonSchema(_SCHEMA)]


def clock_text(seconds: float) -> str:
    """Time in a story for people: `2m05s`, `1h00m20s`; a minus is before it began."""
    sign, whole = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, rest = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes:02}m{rest:02}s"
    return f"{sign}{minutes}m{rest:02}s" if minutes else f"{sign}{rest}s"
