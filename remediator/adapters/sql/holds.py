"""Holds of drift correction: a row for each, from the commit that records it as done until somebody has ended it.

Begun and noted is one transaction, compared with what was known of it, so that two releases never begin for one hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from remediator.adapters.sql import outbox
from remediator.adapters.sql import remediations as remediations_sql
from remediator.adapters.sql.schema import holds
from remediator.adapters.sql.values import from_us, maybe_time, to_us
from remediator.people.outbox_rows import OutboxMessage
from remediator.remediation.journal import WaitingHold
from remediator.remediation.state import Remediation


def waiting(connection: Connection, limit: int) -> tuple[WaitingHold, ...]:
    """Oldest first."""
    query = select(holds).where(holds.c.settled_at.is_(None)).order_by(holds.c.at).limit(limit)
    return tuple(
        WaitingHold(
            effect_id=row.effect_id,
            remediation_id=row.remediation_id,
            at=from_us(row.at),
            told_at=maybe_time(row.told_at),
            release_id=row.release_id or "",
        )
        for row in connection.execute(query)
    )


def release(connection: Connection, hold: WaitingHold, now: datetime, opened: Remediation) -> Remediation | None:
    """See Journal.release_hold."""
    was = holds.c.release_id == hold.release_id if hold.release_id else holds.c.release_id.is_(None)
    if not _set(connection, hold.effect_id, was, release_id=opened.id):
        return None
    return remediations_sql.open_new(connection, opened, now, tie=False)


def told(connection: Connection, effect_id: str, now: datetime, messages: Sequence[OutboxMessage]) -> bool:
    """See Journal.told_of_hold."""
    first = _set(connection, effect_id, holds.c.told_at.is_(None), told_at=to_us(now))
    if first:
        outbox.store(connection, messages, now)
    return first


def settle(connection: Connection, effect_id: str, now: datetime, detail: str) -> None:
    _set(connection, effect_id, settled_at=to_us(now), detail=detail)


def _set(connection: Connection, effect_id: str, *also: ColumnElement[bool], **values: object) -> bool:
    this = (holds.c.effect_id == effect_id, holds.c.settled_at.is_(None))
    return connection.execute(update(holds).where(*this, *also).values(**values)).rowcount == 1
