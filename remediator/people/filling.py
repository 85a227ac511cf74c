"""A body that somebody else chose, filled in from an event: `${remediation.state}` in its texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"\$\{([a-z_]+(?:\.[a-z_]+)*)\}")


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its places filled in. A text that is one place and nothing else becomes that value, whatever it
    is; inside a longer text a value is shown as text. What does not exist becomes null, or nothing.

    Filled-in values are not looked at again, so nothing in them is a place.
    """
    if isinstance(template, Mapping):
        return {str(key): filled(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(item, values) for item in template]
    if not isinstance(template, str):
        return template
    if whole := _PLACE.fullmatch(template):
        return _value(whole[1], values)
    return _PLACE.sub(lambda place: _shown(_value(place[1], values)), template)


def places(template: Any) -> set[str]:
    """Every place in it, `remediation.state`."""
    if isinstance(template, Mapping):
        return {place for value in template.values() for place in places(value)}
    if isinstance(template, list | tuple):
        return {place for item in template for place in places(item)}
    return set(_PLACE.findall(template)) if isinstance(template, str) else set()


def _value(path: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(map(_shown, value))
    return str(value)
