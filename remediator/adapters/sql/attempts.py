"""Attempt rows: written before the request, one row for one request, by one conditional statement."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, exists, func, insert, literal, null, or_, select, update

from remediator.adapters.sql import events, pauses
from remediator.adapters.sql.events import NewEvent
from remediator.adapters.sql.schema import attempts, remediations, reservations
from remediator.adapters.sql.values import AnyRow, from_us, to_us
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from remediator.remediation.journal import Attempt, AttemptOutcome, AttemptRefused, NewAttempt

LATE_OUTCOME = "late_outcome"
"""Type of the line that keeps an outcome which came too late to count."""

NOTHING_DONE: frozenset[AttemptOutcome] = frozenset({"conflict", "refused", "gone", "unavailable", "not_sent", "never"})
"""Outcomes that prove that the request altered nothing."""

FOUND_OUT: frozenset[AttemptOutcome] = frozenset({"happened", "never"})
"""Outcomes that a look at the cluster proved, later, by whoever has the remediation then."""


def record(connection: Connection, attempt: NewAttempt, now: datetime) -> Attempt | AttemptRefused:
    """One statement decides and writes: a pause or epoch committed before it refuses the row, one after it does not.

    Granted only while the remediation is unfinished, has this epoch and holds its reservation.
    """
    request = attempt.request
    number = (
        select(func.coalesce(func.max(attempts.c.number), 0) + 1)
        .where(attempts.c.remediation_id == attempt.remediation_id, attempts.c.effect_id == attempt.effect_id)
        .scalar_subquery()
    )
    values = {
        "remediation_id": literal(attempt.remediation_id),
        "effect_id": literal(attempt.effect_id),
        "number": number,
        "epoch": literal(attempt.epoch),
        "uid": literal(attempt.uid),
        "resource_version": literal(attempt.resource_version),
        "generation": literal(attempt.generation) if attempt.generation is not None else null(),
        "verb": literal(request.verb),
        "kind": literal(request.ref.kind),
        "namespace": literal(request.ref.namespace),
        "name": literal(request.ref.name),
        "content_type": literal(request.content_type),
        "body": literal(request.body, attempts.c.body.type),
        "at": literal(to_us(now)),
    }
    granted = select(*values.values()).where(
        exists().where(
            remediations.c.id == attempt.remediation_id,
            remediations.c.epoch == attempt.epoch,
            remediations.c.ended_at.is_(None),
        ),
        exists().where(
            reservations.c.held_by == attempt.remediation_id,
            reservations.c.released_at.is_(None),
        ),
        ~exists().where(pauses.covers(attempt.pause_scopes, now)),
    )
    row = connection.execute(insert(attempts).from_select(list(values), granted).returning(attempts)).one_or_none()
    return _attempt(row) if row is not None else _why_refused(connection, attempt, now)


def _why_refused(connection: Connection, attempt: NewAttempt, now: datetime) -> AttemptRefused:
    """For people; the statement has decided."""
    pause = pauses.first_covering(connection, attempt.pause_scopes, now)
    if pause is not None:
        return AttemptRefused(why="paused", detail=f"{pause.scope} is paused by {pause.who}: {pause.why}")
    present = connection.execute(
        select(remediations.c.epoch, remediations.c.state).where(remediations.c.id == attempt.remediation_id)
    ).one_or_none()
    if present is None:
        return AttemptRefused(why="fenced", detail="the journal does not know this remediation")
    if present.epoch != attempt.epoch:
        return AttemptRefused(why="fenced", detail=f"epoch {attempt.epoch} is over, {present.epoch} is in force")
    return AttemptRefused(why="fenced", detail=f"it holds no reservation any more ({present.state})")


def record_outcome(
    connection: Connection, attempt_id: str, outcome: AttemptOutcome, detail: str, now: datetime
) -> None:
    """How an attempt ended. A first definite word stays; an answer that comes after the sender was fenced is evidence.

    What a look at the cluster proved counts whoever looked: that is how an unanswered attempt of a dead process ends.
    """
    row = connection.execute(
        select(attempts.c.remediation_id, attempts.c.effect_id, attempts.c.number, attempts.c.epoch).where(
            attempts.c.id == int(attempt_id)
        )
    ).one_or_none()
    if row is None:
        return
    query = update(attempts).where(
        attempts.c.id == int(attempt_id),
        or_(attempts.c.outcome.is_(None), attempts.c.outcome == "uncertain"),
    )
    if outcome not in FOUND_OUT:
        query = query.where(exists().where(remediations.c.id == row.remediation_id, remediations.c.epoch == row.epoch))
    written = connection.execute(query.values(outcome=outcome, detail=detail, outcome_at=to_us(now)))
    if written.rowcount == 0:
        present = connection.scalar(select(attempts.c.outcome).where(attempts.c.id == int(attempt_id)))
        if present != outcome:
            data = {"effect": row.effect_id, "attempt": row.number, "epoch": row.epoch, "on_record": present}
            late = NewEvent(at=now, type=LATE_OUTCOME, reason=f"{outcome}: {detail}" if detail else outcome, data=data)
            events.note(connection, row.remediation_id, late)


def last(connection: Connection, remediation_id: str, effect_id: str) -> Attempt | None:
    row = connection.execute(
        select(attempts)
        .where(attempts.c.remediation_id == remediation_id, attempts.c.effect_id == effect_id)
        .order_by(attempts.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _attempt(row)


def of_remediation(connection: Connection, remediation_id: str) -> tuple[Attempt, ...]:
    """In the order in which they were recorded."""
    rows = connection.execute(
        select(attempts).where(attempts.c.remediation_id == remediation_id).order_by(attempts.c.id)
    )
    return tuple(map(_attempt, rows))


def knows_effect(connection: Connection, effect_id: str) -> bool:
    return connection.scalar(select(attempts.c.id).where(attempts.c.effect_id == effect_id).limit(1)) is not None


def maybe_done(connection: Connection, remediation_id: str) -> bool:
    """Whether some attempt of it happened, or is not proven not to have."""
    query = select(attempts.c.id).where(
        attempts.c.remediation_id == remediation_id,
        or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(NOTHING_DONE)),
    )
    return connection.scalar(query.limit(1)) is not None


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
            body=row.body,
        ),
        at=from_us(row.at),
        outcome=row.outcome,
        detail=row.detail,
    )
