"""A transition under construction: what the functions named in the table write into, and what `decide` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from remediator.remediation.events import Event
from remediator.remediation.state import ENDINGS, Remediation, State, StepOutcome


class Notice(StrEnum):
    """What people are told about. Each is given at most once per rung, except PROGRESS, which updates in place."""

    PROPOSED = "proposed"
    HELD = "held"
    PROGRESS = "progress"
    DENIED = "denied"
    SUGGESTED = "suggested"
    SUCCEEDED = "succeeded"
    QUIET_END = "quiet_end"
    """superseded, observed: recorded, the open message is updated, nobody is called."""
    ENDED_BY_PERSON = "ended_by_person"
    ESCALATED = "escalated"
    NEXT_RUNG = "next_rung"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One transition: the next state and what must be committed with it, in the same transaction.

    `reserve` asks the store for locks, slots, tokens and an epoch (all or nothing; refused = `ReserveRefused`).
    `release` gives locks and slots back, `refund` the tokens as well (a definite no-effect).
    `child` names the playbook of the next rung, created in this transaction; locks pass over to it.
    `known_bad` is the (workload uid, template hash) that a rollback left.
    `ignored`: no rule for this event in this state; recorded, nothing changes but the time of the next look.
    """

    before: Remediation
    remediation: Remediation
    event: Event
    rule: str = ""
    reserve: bool = False
    release: bool = False
    refund: bool = False
    notices: tuple[Notice, ...] = ()
    child: str = ""
    known_bad: tuple[str, str] | None = None
    ignored: bool = False

    @property
    def came_from(self) -> State:
        return self.before.state


@dataclass(slots=True)
class Draft:
    """Mutable only inside one call of `decide`."""

    r: Remediation
    event: Any
    """The event; the rule's event type says which fields it has."""
    now: datetime
    changes: dict[str, Any] = field(default_factory=dict)
    reserve: bool = False
    release: bool = False
    refund: bool = False
    notices: list[Notice] = field(default_factory=list)
    child: str = ""
    known_bad: tuple[str, str] | None = None

    def set(self, **changes: Any) -> None:
        self.changes.update(changes)

    def get(self, name: str) -> Any:
        """The value after the changes so far."""
        return self.changes.get(name, getattr(self.r, name))

    def due_in(self, seconds: float) -> None:
        self.set(due=self.now + timedelta(seconds=seconds))

    def tell(self, notice: Notice) -> None:
        if notice is Notice.PROGRESS:
            self.notices.append(notice)
        elif notice.value not in self.get("told"):
            self.set(told=(*self.get("told"), notice.value))
            self.notices.append(notice)

    def finish(self, to: State, rule: str, deadline: datetime | None) -> Decision:
        """Seal the transition. Entering a state sets `since` and `deadline`; staying keeps both unless changed."""
        entered = to is not self.r.state
        if entered:
            self.changes.setdefault("since", self.now)
            self.changes.setdefault("deadline", deadline)
            self.changes.setdefault("due", self.now)
        if to in ENDINGS:
            self.changes.update(due=None, deadline=None, ended_at=self.now)
            self.release = self.release or not self.child
        self.changes.update(state=to, version=self.r.version + 1)
        return Decision(
            before=self.r,
            remediation=replace(self.r, **self.changes),
            event=self.event,
            rule=rule,
            reserve=self.reserve,
            release=self.release,
            refund=self.refund,
            notices=tuple(self.notices),
            child=self.child,
            known_bad=self.known_bad,
        )


Do = Callable[[Draft], None]
When = Callable[[Draft], bool]

LADDER_OUTCOMES = frozenset({StepOutcome.FAILED, StepOutcome.UNDONE, StepOutcome.REFUSED})
"""Endings after which the next playbook of the ladder may still help. Unknown states go to a person instead."""
