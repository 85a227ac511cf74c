"""What happened in a stretch of time, for digests and hand-overs. Bounded: nobody waits behind a busy day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select

from remediator.adapters.sql.schema import events, outbox, remediations
from remediator.adapters.sql.values import from_us, to_us
from remediator.remediation.journal import DeadLetter
from remediator.remediation.state import Remediation, State, load

AT_ONCE = 200
QUESTION = State.AWAITING_APPROVAL.value
ANSWERS = (State.APPROVED.value, State.REJECTED.value)
ERROR_LIMIT = 200
LETTERS = 200


def ended(
    connection: Connection, since: datetime, until: datetime, limit: int, after: tuple[datetime, str] | None
) -> tuple[Remediation, ...]:
    """Those that ended in [since, until), oldest first; `after` is the last one of the page before."""
    at, key = remediations.c.ended_at, remediations.c.id
    where = [at >= to_us(since), at < to_us(until)]
    if after is not None:
        moment = to_us(after[0])
        where.append(or_(at > moment, and_(at == moment, key > after[1])))
    docs = connection.scalars(select(remediations.c.doc).where(*where).order_by(at, key).limit(limit))
    return tuple(map(load, docs))


def count_ended(connection: Connection, since: datetime, until: datetime) -> int:
    at = remediations.c.ended_at
    return connection.scalar(select(func.count()).where(at >= to_us(since), at < to_us(until))) or 0


def waits(connection: Connection, ids: Sequence[str]) -> dict[str, timedelta]:
    """From the first time that each was asked about to the first answer of a person; without one it is left out."""
    found: dict[str, timedelta] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        query = (
            select(events.c.remediation_id, events.c.at, events.c.to_state)
            .where(
                events.c.remediation_id.in_(some),
                events.c.from_state != events.c.to_state,
                events.c.to_state.in_((QUESTION, *ANSWERS)),
            )
            .order_by(events.c.remediation_id, events.c.seq)
        )
        asked: dict[str, datetime] = {}
        for row in connection.execute(query):
            if row.to_state == QUESTION:
                asked.setdefault(row.remediation_id, from_us(row.at))
            elif row.remediation_id in asked and row.remediation_id not in found:
                # A clock that was set back in between makes no negative waits.
                found[row.remediation_id] = max(timedelta(0), from_us(row.at) - asked[row.remediation_id])
    return found


def dead_letters(connection: Connection, since: datetime, until: datetime) -> tuple[DeadLetter, ...]:
    """Messages that were given up in [since, until), newest first, at most `LETTERS`."""
    query = (
        select(outbox.c.channel, outbox.c.destination, outbox.c.error)
        .where(outbox.c.state == "failed", outbox.c.done_at >= to_us(since), outbox.c.done_at < to_us(until))
        .order_by(outbox.c.id.desc())
        .limit(LETTERS)
    )
    return tuple(
        DeadLetter(channel=row.channel, destination=row.destination, error=row.error[:ERROR_LIMIT])
        for row in connection.execute(query)
    )
