"""Questions to the outbox by those who keep ladders and digests: what became of a message, was a thread ever begun."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from remediator.adapters.sql.outbox import IS_PENDING, message_ref
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import outbox

_STATES = Prepared(select(outbox.c.once, outbox.c.state).where(outbox.c.once.in_(bindparam("onces", expanding=True))))
_WAITS = Prepared(
    select(outbox.c.id).where(outbox.c.state == IS_PENDING, outbox.c.key == bindparam("key")).limit(bindparam("one"))
)


def states(connection: Connection, onces: Collection[str]) -> dict[str, str]:
    """What became of messages by their `once`; one that was never stored is left out."""
    return {row.once: row.state for row in _STATES.rows(connection, onces=sorted(onces))} if onces else {}


def knows_key(connection: Connection, key: str) -> bool:
    """Whether there is a main message of this key, or something of it that waits."""
    return message_ref(connection, key) is not None or _WAITS.row(connection, key=key, one=1) is not None
