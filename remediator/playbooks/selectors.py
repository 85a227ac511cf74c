"""Label selectors in API syntax: `app=shop,tier in (web, api),!canary`. Empty means "everything", so it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remediator.playbooks.names import is_label_key, is_label_value

_REQUIREMENT = re.compile(
    r"\s*(?:(?P<not>!)\s*(?P<absent>[^\s=!,()]+)"
    r"|(?P<key>[^\s=!,()]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[^\s=!,()]*)"
    r"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


def selector_problem(text: str) -> str:
    """Why this is no selector to act on; empty when it is fine."""
    if not text.strip():
        return "empty, which would select everything"
    chooses = False
    for part in _split(text):
        found = _REQUIREMENT.fullmatch(part)
        if not found:
            return f"{part.strip()!r} is no label requirement"
        key = found["absent"] or found["key"]
        if not is_label_key(key):
            return f"{key!r} is no label name"
        values = [found["value"]] if found["op"] else (found["values"] or "").split(",") if found["set"] else []
        for value in values:
            if not is_label_value(value.strip()):
                return f"{value.strip()!r} is no label value"
            if not value.strip():
                return f"the label {key} is compared with nothing"
        chooses = chooses or (not found["not"] and found["op"] != "!=" and found["set"] != "notin")
    return "" if chooses else "only says what not to select, which may be everything"


def _split(text: str) -> Iterator[str]:
    """At the commas that are not in parentheses."""
    return iter(re.split(r",(?![^()]*\))", text))
