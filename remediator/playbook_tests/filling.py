"""Values that a story cannot know when it is written, filled into what it gives: times, uids, names of what was made.

${now}  ${now - 2h}  ${now + 90d}       a time, as objects carry it
${uid of Order.acme.cert-manager.io shop/tls}
${object.metadata.name}                 of the object that an operator reacts to; a lone one keeps its type
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.objects import Object, ObjectRef, uid_of
from remediator.playbook_tests.placed import parse_object
from remediator.playbooks.durations import duration_of

_HOLE = re.compile(r"\$\{([^}]*)\}")
_NOW = re.compile(r"now(?:\s*([+-])\s*(\S+))?")
_UID = re.compile(r"uid of (.+)")
_FIELD = re.compile(r"object\.(.+)")

KNOWN = "Known are ${now}, ${now - 2h}, ${uid of KIND NAMESPACE/NAME}, and for operators ${object.PATH}."


class CannotFill(Exception):
    """There is no such value."""


@dataclass(frozen=True, slots=True)
class Filler:
    """`about` is the object that is reacted to, None where there is none."""

    now: datetime
    peek: Callable[[ObjectRef], Object | None]
    about: Object | None = None

    def fill(self, value: Any) -> Any:
        """The same with every placeholder in its texts filled in. Raises: CannotFill."""
        if isinstance(value, Mapping):
            return {str(self.fill(key)): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(inner) for inner in value]
        if isinstance(value, datetime):  # YAML reads a time without quotes as one
            return stamp(value)
        if not isinstance(value, str):
            return value
        if whole := _HOLE.fullmatch(value):
            return self._value(whole[1].strip())
        return _HOLE.sub(lambda hole: str(self._value(hole[1].strip())), value)

    def _value(self, said: str) -> Any:
        if found := _NOW.fullmatch(said):
            return stamp(self.now + _span(found[1], found[2]))
        if found := _UID.fullmatch(said):
            return self._uid(found[1])
        if self.about is not None and (found := _FIELD.fullmatch(said)):
            return _at(self.about, found[1])
        raise CannotFill(f"${{{said}}} says nothing here. {KNOWN}")

    def _uid(self, said: str) -> str:
        try:
            ref = parse_object(said.strip())
        except ValueError as exc:
            raise CannotFill(str(exc)) from None
        obj = self.peek(ref)
        if obj is None:
            raise CannotFill(f"there is no {ref}, so it has no uid; write it further up")
        return uid_of(obj)


def stamp(at: datetime) -> str:
    """RFC 3339 in seconds, UTC."""
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _span(sign: str | None, text: str | None) -> timedelta:
    if text is None:
        return timedelta(0)
    try:
        span = duration_of(text)
    except ValueError as exc:
        raise CannotFill(str(exc)) from None
    return -span if sign == "-" else span


def _at(value: Any, path: str) -> Any:
    """By a path of keys with points; a key may hold points itself (`metadata.labels.app.kubernetes.io/name`)."""
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        for key in value:
            if path.startswith(f"{key}."):
                return _at(value[key], path.removeprefix(f"{key}."))
    raise CannotFill(f"the object has no {path}")
