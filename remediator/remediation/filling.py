"""Texts with `${...}` whose values must be written differently in different places: queries and addresses.

What fills in (`Render`) does not know the place, and what knows the place cannot evaluate. So the values are held back
first, and put in when their surroundings are known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from remediator.playbooks.durations import format_duration

Render = Callable[[str, Callable[[Any], str]], str]
"""Expands every `${...}` of a text; each value passes through the second argument, which quotes it for its place."""

# Private-use characters hold the place of a value. A literal part that contains them is refused.
_PLACE = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Held:
    """A value that came in through `${...}`, not yet quoted."""

    text: str


def parts_of(template: str, render: Render) -> tuple[str | Held, ...]:
    """The author's own words and the held values, in order. Raises: ValueError, and whatever `render` raises."""
    if "${" not in template:
        return (template,)
    if "\ue000" in template or "\ue001" in template:
        raise ValueError("a text with private-use characters cannot be filled in")
    values: list[str] = []

    def hold(value: Any) -> str:
        values.append(as_text(value))
        return f"\ue000{len(values) - 1}\ue001"

    pieces = _PLACE.split(render(template, hold))
    return tuple(part for at, piece in enumerate(pieces) if (part := Held(values[int(piece)]) if at % 2 else piece))


def as_text(value: Any) -> str:
    """A template's value as text. Raises: ValueError for what is no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    raise ValueError(f"expected text, a number or a duration, got {type(value).__name__}")
