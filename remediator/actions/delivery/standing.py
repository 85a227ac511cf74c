"""What every action on an operator's object asks first, and the fields that only tell an operator to do something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from remediator.actions.change import NotPossible
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.objects import JSON, Object, dig

MOST_SAID = 160
"""Characters of an operator's own message that are repeated: it is untrusted text of any length."""


def refuse_wrong(view: View, kinds: Collection[str]) -> None:
    """Raises: NotPossible for another kind, or an object that is being deleted."""
    if view.ref.kind not in kinds:
        known = " or ".join(kind.partition(".")[0] for kind in kinds) if len(kinds) < 5 else "kind that this takes"
        raise NotPossible(f"{view.ref} is no {known}: name another target")
    refuse_going(view)


def refuse_going(view: View) -> None:
    """Raises: NotPossible for an object that is being deleted: whatever is written to it is lost."""
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted: wait until it is gone, or was made again")


def condition_of(obj: Object, kind: str) -> Mapping[str, Any] | None:
    """The item of `status.conditions` with that type."""
    for condition in dig(obj, "status", "conditions") or ():
        if isinstance(condition, Mapping) and condition.get("type") == kind:
            return condition
    return None


def said(text: JSON) -> str:
    """Somebody else's message on one line, cut."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= MOST_SAID else f"{line[: MOST_SAID - 3]}..."


def is_time(text: JSON) -> bool:
    """Whether it is a Kubernetes time."""
    try:
        parse_time(str(text))
    except ValueError:
        return False
    return True
