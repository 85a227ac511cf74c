"""Attempt rows: written before the request, one row for one request, by one conditional statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, func, insert, or_, select, update

from remediator.adapters.sql import events, pauses
from remediator.adapters.sql.events import NewEvent
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import attempts, remediations, reservations
from remediator.adapters.sql.values import AnyRow, from_us, to_us
from remediator.guardrails.pause import paused_by
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from remediator.remediation.journal import Attempt, AttemptOutcome, AttemptRefused, NewAttempt

LATE_OUTCOME = "late_outcome"
"""Type of the line that keeps an outcome which came too late to count."""

NOTHING_DONE: frozenset[AttemptOutcome] = frozenset({"conflict", "refused", "gone", "unavailable", "not_sent", "never"})
"""Outcomes that prove that the request altered nothing."""

FOUND_OUT: frozenset[AttemptOutcome] = frozenset({"happened", "never"})
"""Outcomes that a look at the cluster proved, later, by whoever has the remediation then."""


_GIVEN = (
    "remediation_id",
    "effect_id",
    "epoch",
    "uid",
    "resource_version",
    "generation",
    "verb",
    "kind",
    "namespace",
    "name",
    "content_type",
    "subresource",
    "body",
    "at",
)


def _granted() -> Select[Any]:
    """The row to be: one, or none where it must not be."""
    given = {name: bindparam(f"new_{name}", type_=attempts.c[name].type) for name in _GIVEN}
    number = (
        select(func.coalesce(func.max(attempts.c.number), 0) + 1)
        .where(
            attempts.c.remediation_id == given["remediation_id"],
            attempts.c.effect_id == given["effect_id"],
        )
        .scalar_subquery()
    )
    return select(*given.values(), number).where(
        exists().where(
            remediations.c.id == given["remediation_id"],
            remediations.c.epoch == given["epoch"],
            remediations.c.ended_at.is_(None),
        ),
        exists().where(
            reservations.c.held_by == given["remediation_id"],
            reservations.c.released_at.is_(None),
        ),
        ~exists().where(pauses.COVERING),
    )


_RECORD = Prepared(insert(attempts).from_select([*_GIVEN, "number"], _granted()).returning(attempts))


def record(connection: Connection, attempt: NewAttempt, now: datetime) -> Attempt | AttemptRefused:
    """One statement decides and writes: a pause or epoch committed before it refuses the row, one after it does not.

    Granted only while the remediation is unfinished, has this epoch and holds its reservation.
    """
    if attempt.not_after is not None and now >= attempt.not_after:
        return _why_refused(connection, attempt, now)
    request = attempt.request
    row = _RECORD.row(
        connection,
        new_remediation_id=attempt.remediation_id,
        new_effect_id=attempt.effect_id,
        new_epoch=attempt.epoch,
        new_uid=attempt.uid,
        new_resource_version=attempt.resource_version,
        new_generation=attempt.generation,
        new_verb=request.verb,
        new_kind=request.ref.kind,
        new_namespace=request.ref.namespace,
        new_name=request.ref.name,
        new_content_type=request.content_type,
        new_subresource=request.subresource,
        new_body=request.body,
        new_at=to_us(now),
        pause_scopes=pauses.covered(attempt.pause_scopes),
        now=to_us(now),
    )
    return _attempt(row) if row is not None else _why_refused(connection, attempt, now)


def _why_refused(connection: Connection, attempt: NewAttempt, now: datetime) -> AttemptRefused:
    """For people; the statement has decided."""
    pause = pauses.first_covering(connection, attempt.pause_scopes, now)
    if pause is not None:
        return AttemptRefused(why="paused", detail=paused_by(pause))
    if attempt.not_after is not None and now >= attempt.not_after:
        return AttemptRefused(why="closed", detail=f"the window closed at {attempt.not_after:%Y-%m-%d %H:%M:%S} UTC")
    present = connection.execute(
        select(remediations.c.epoch, remediations.c.state).where(remediations.c.id == attempt.remediation_id)
    ).one_or_none()
    if present is None:
        return AttemptRefused(why="fenced", detail="the journal does not know this remediation")
    if present.epoch != attempt.epoch:
        return AttemptRefused(why="fenced", detail=f"epoch {attempt.epoch} is over, {present.epoch} is in force")
    return AttemptRefused(why="fenced", detail=f"it holds no reservation any more ({present.state})")


_ROW = Prepared(select(attempts).where(attempts.c.id == bindparam("row_id")))
_settle = update(attempts).where(
    attempts.c.id == bindparam("row_id"),
    or_(attempts.c.outcome.is_(None), attempts.c.outcome == "uncertain"),
)
_SETTLE = Prepared(_settle, "outcome", "detail", "outcome_at")
_SETTLE_UNFENCED = Prepared(
    _settle.where(
        exists().where(remediations.c.id == attempts.c.remediation_id, remediations.c.epoch == attempts.c.epoch)
    ),
    "outcome",
    "detail",
    "outcome_at",
)


def record_outcome(
    connection: Connection, attempt_id: str, outcome: AttemptOutcome, detail: str, now: datetime
) -> None:
    """How an attempt ended. A first definite word stays; an answer that comes after the sender was fenced is evidence.

    What a look at the cluster proved counts whoever looked: that is how an unanswered attempt of a dead process ends.
    """
    row_id = int(attempt_id)
    row = _ROW.row(connection, row_id=row_id)
    if row is None:
        return
    settle = _SETTLE if outcome in FOUND_OUT else _SETTLE_UNFENCED
    written = settle.execute(connection, row_id=row_id, outcome=outcome, detail=detail, outcome_at=to_us(now))
    if not written and row.outcome != outcome:
        data = {"effect": row.effect_id, "attempt": row.number, "epoch": row.epoch, "on_record": row.outcome}
        late = NewEvent(at=now, type=LATE_OUTCOME, reason=f"{outcome}: {detail}" if detail else outcome, data=data)
        events.note(connection, row.remediation_id, late)


_mine = attempts.c.remediation_id == bindparam("of")
_OF_REMEDIATION = Prepared(select(attempts).where(_mine).order_by(attempts.c.id))
_LAST = Prepared(
    select(attempts)
    .where(_mine, attempts.c.effect_id == bindparam("effect_id"))
    .order_by(attempts.c.number.desc())
    .limit(1)
)
_KNOWS = Prepared(select(attempts.c.id).where(attempts.c.effect_id == bindparam("effect_id")).limit(1))
_MAYBE_DONE = Prepared(
    select(attempts.c.id)
    .where(_mine, or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(sorted(NOTHING_DONE))))
    .limit(1)
)


def last(connection: Connection, remediation_id: str, effect_id: str) -> Attempt | None:
    row = _LAST.row(connection, of=remediation_id, effect_id=effect_id)
    return None if row is None else _attempt(row)


def of_remediation(connection: Connection, remediation_id: str) -> tuple[Attempt, ...]:
    """In the order in which they were recorded."""
    return tuple(map(_attempt, _OF_REMEDIATION.rows(connection, of=remediation_id)))


def knows_effect(connection: Connection, effect_id: str) -> bool:
    return _KNOWS.row(connection, effect_id=effect_id) is not None


def maybe_done(connection: Connection, remediation_id: str) -> bool:
    """Whether some attempt of it happened, or is not proven not to have."""
    return _MAYBE_DONE.row(connection, of=remediation_id) is not None


def _attempt(row: AnyRow) -> Attempt:
    return Attempt(
        id=str(row.id),
        remediation_id=row.remediation_id,
        effect_id=row.effect_id,
        number=row.number,
        epoch=row.epoch,
        uid=row.uid,
        resource_version=row.resource_version,
        generation=row.generation,
        request=WriteRequest(
            verb=row.verb,
            ref=ObjectRef(row.kind, row.namespace, row.name),
            content_type=row.content_type,
            subresource=row.subresource,
            body=row.body,
        ),
        at=from_us(row.at),
        outcome=row.outcome,
        detail=row.detail,
    )
