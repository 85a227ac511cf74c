"""The append-only record of each remediation, hash-chained: changing or dropping a line in the middle shows.

Facts (what the guards looked at) are large and repeat, so they are stored once by the hash of their content and the
event names that hash; the chain covers them through it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, bindparam, insert, select, update

from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import events, facts, remediations
from remediator.adapters.sql.values import from_us, object_from_json, to_json, to_us
from remediator.remediation.draft import Decision
from remediator.remediation.events import Chosen, GateSampled, PlanMade, ReserveRefused, StepPlanned, Watched
from remediator.remediation.journal import JournalEvent

ROUTINE = (PlanMade, StepPlanned, ReserveRefused, GateSampled, Watched)
"""Re-checks come round every few seconds; they are on record when they say something new, not each time."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of one remediation's chain."""

    seq: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One line to be: `data` is JSON, `facts` may be large."""

    at: datetime
    type: str
    from_state: str = ""
    to_state: str = ""
    reason: str = ""
    data: Mapping[str, object]
    facts: Mapping[str, object] | None = None


def append(connection: Connection, remediation_id: str, head: Head, event: NewEvent) -> Head:
    """Add a line after `head`; returns the new head, which the caller stores with the remediation."""
    facts_hash = None if event.facts is None else _store_facts(connection, event.facts, event.at)
    row = {
        "remediation_id": remediation_id,
        "seq": head.seq + 1,
        "at": to_us(event.at),
        "type": event.type,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "reason": event.reason,
        "data": to_json(event.data),
        "facts_hash": facts_hash,
        "prev_hash": head.hash,
    }
    row["hash"] = line_hash(row)
    _INSERT.execute(connection, **row)
    return Head(head.seq + 1, str(row["hash"]))


_HASHED = (
    "remediation_id",
    "seq",
    "at",
    "type",
    "from_state",
    "to_state",
    "reason",
    "data",
    "facts_hash",
    "prev_hash",
)
_INSERT = Prepared(insert(events), *_HASHED, "hash")
_INSERT_FACTS = Prepared(lambda dialect: insert_or_ignore(dialect, facts), "hash", "at", "json")
_HEAD = Prepared(
    select(remediations.c.event_seq, remediations.c.event_hash).where(remediations.c.id == bindparam("remediation_id"))
)
_SET_HEAD = Prepared(
    update(remediations).where(remediations.c.id == bindparam("remediation_id")), "event_seq", "event_hash"
)
_LINES = Prepared(
    select(events, facts.c.json.label("facts_json"))
    .select_from(events.outerjoin(facts, facts.c.hash == events.c.facts_hash))
    .where(events.c.remediation_id == bindparam("of"))
    .order_by(events.c.seq)
)


def line_hash(row: Mapping[str, object]) -> str:
    """SHA-256 over the line's columns; `prev_hash` is one of them, which makes the chain."""
    return hashlib.sha256(to_json({name: row[name] for name in _HASHED}).encode()).hexdigest()


def _store_facts(connection: Connection, content: Mapping[str, object], at: datetime) -> str:
    text = to_json(content)
    digest = hashlib.sha256(text.encode()).hexdigest()
    _INSERT_FACTS.execute(connection, hash=digest, at=to_us(at), json=text)
    return digest


def note(connection: Connection, remediation_id: str, event: NewEvent) -> bool:
    """Add a line to a remediation that does not otherwise change. False when there is no such remediation."""
    row = _HEAD.row(connection, remediation_id=remediation_id)
    if row is None:
        return False
    head = append(connection, remediation_id, Head(row.event_seq, row.event_hash), event)
    _SET_HEAD.execute(connection, remediation_id=remediation_id, event_seq=head.seq, event_hash=head.hash)
    return True


def history(connection: Connection, remediation_id: str) -> tuple[JournalEvent, ...]:
    """Oldest first. `data["facts"]` holds the facts where the event has some."""
    found = []
    for row in _LINES.rows(connection, of=remediation_id):
        data = dict(object_from_json(row.data))
        if row.facts_json is not None:
            data["facts"] = object_from_json(row.facts_json)
        found.append(
            JournalEvent(
                seq=row.seq,
                at=from_us(row.at),
                type=row.type,
                from_state=row.from_state,
                to_state=row.to_state,
                reason=row.reason,
                data=data,
            )
        )
    return tuple(found)


def broken_at(connection: Connection, remediation_id: str) -> int | None:
    """The first seq that does not follow from the one before it or does not fit its facts; None = it is whole."""
    head = Head()
    for row in _LINES.rows(connection, of=remediation_id):
        content = row._asdict()
        # The hash covers seq and prev_hash, so a line that is missing or moved shows as well.
        whole = row.prev_hash == head.hash and row.hash == line_hash(content)
        if row.facts_hash is not None:
            text = row.facts_json
            whole = whole and text is not None and hashlib.sha256(text.encode()).hexdigest() == row.facts_hash
        if not whole:
            return int(row.seq)
        head = Head(row.seq, row.hash)
    end = _HEAD.row(connection, remediation_id=remediation_id)
    return head.seq + 1 if end is not None and (end.event_seq, end.event_hash) != (head.seq, head.hash) else None


# What a decision leaves behind ----------------------------------------------------------------------------------------


def says_something(decision: Decision, reason_before: str) -> bool:
    """Whether a transition gets a line of its own: anything but a routine re-check that came to the same."""
    r = decision.remediation
    return not (
        isinstance(decision.event, ROUTINE)
        and r.state is decision.came_from
        and (decision.ignored or _timeless(r.reason) == _timeless(reason_before))
        and not (decision.reserve or decision.release or decision.refund or decision.child or decision.notices)
    )


_DURATION = re.compile(r"\b(?:\d+[dhms])+\b")


def _timeless(reason: str) -> str:
    """Without durations: "7m ago" that has become "8m ago" is no news."""
    return _DURATION.sub("", reason)


def of_decision(decision: Decision, now: datetime, given_facts: Mapping[str, object] | None) -> NewEvent:
    """The line of a transition: event with its fields, rule, verdicts with their numbers, and what came with it."""
    r = decision.remediation
    payload, large = _payload(decision)
    data: dict[str, object] = {"rule": decision.rule, "version": r.version, "event": payload}
    if r.epoch:
        data["epoch"] = r.epoch
    if decision.ignored:
        data["ignored"] = True
    if decision.notices:
        data["notices"] = [notice.value for notice in decision.notices]
    if decision.child:
        data["next_rung"] = decision.child
    if decision.known_bad:
        data["known_bad"] = list(decision.known_bad)
    if r.outcome and r.ended:
        data["outcome"] = r.outcome.value
    content = {**large, **(given_facts or {})}
    return NewEvent(
        at=now,
        type=type(decision.event).__name__,
        from_state=decision.came_from.value,
        to_state=r.state.value,
        reason=r.reason,
        data=data,
        facts=content or None,
    )


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _payload(decision: Decision) -> tuple[dict[str, object], dict[str, object]]:
    """The event's fields as JSON, and apart from them what is large and repeats: plan and playbook."""
    event = decision.event
    kind: type = type(event)
    fields: dict[str, object] = _adapter(kind).dump_python(event, mode="json", by_alias=True)
    large: dict[str, object] = {}
    if isinstance(event, PlanMade | StepPlanned) and event.plan is not None:
        large["plan"] = fields.pop("plan")
        fields["digest"] = event.plan.digest
    if isinstance(event, Chosen):
        large["playbook"] = fields.pop("spec")
        fields["playbook"] = event.spec.name
    return fields, large
