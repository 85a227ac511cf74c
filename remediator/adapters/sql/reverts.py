"""What waits to be taken back: a row for each remediation that left something behind for a time.

Begun and settled is one transaction, so that nothing is taken back twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from remediator.adapters.sql import outbox
from remediator.adapters.sql import remediations as remediations_sql
from remediator.adapters.sql.schema import reverts
from remediator.adapters.sql.values import from_us, maybe_time, maybe_us, to_us
from remediator.people.outbox_rows import OutboxMessage
from remediator.remediation.journal import WaitingRevert
from remediator.remediation.state import Remediation


def waiting(connection: Connection, limit: int) -> tuple[WaitingRevert, ...]:
    """Newest first: what was changed last has to be put back first."""
    query = select(reverts).where(reverts.c.settled_at.is_(None)).order_by(reverts.c.at.desc()).limit(limit)
    return tuple(
        WaitingRevert(
            remediation_id=row.remediation_id,
            at=from_us(row.at),
            quiet_since=maybe_time(row.quiet_since),
            looked_at=maybe_time(row.looked_at),
        )
        for row in connection.execute(query)
    )


def looked(connection: Connection, remediation_id: str, quiet_since: datetime | None, now: datetime) -> None:
    values = {"quiet_since": maybe_us(quiet_since), "looked_at": to_us(now)}
    connection.execute(update(reverts).where(reverts.c.remediation_id == remediation_id).values(**values))


def settle(
    connection: Connection,
    remediation_id: str,
    now: datetime,
    revert: Remediation | None,
    detail: str,
    messages: Sequence[OutboxMessage],
) -> Remediation | None:
    """See Journal.settle_revert."""
    this = (reverts.c.remediation_id == remediation_id, reverts.c.settled_at.is_(None))
    values = {"settled_at": to_us(now), "revert_id": revert.id if revert else None, "detail": detail}
    if connection.execute(update(reverts).where(*this).values(**values)).rowcount != 1:
        return None
    outbox.store(connection, messages, now)
    return remediations_sql.open_new(connection, revert, now, tie=False) if revert is not None else None
