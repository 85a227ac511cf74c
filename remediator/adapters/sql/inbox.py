"""The inbox's rows (people/inbox_rows.py): what was said to us, stored before the answer, dealt with later."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import inbox, message_refs
from remediator.adapters.sql.values import AnyRow, from_json, from_us, to_json, to_us
from remediator.people.inbox_rows import Incoming, Undone
from remediator.ports import MessageRef

_TAKE_IN = Prepared(
    lambda dialect: insert_or_ignore(dialect, inbox), "source", "key", "body", "tries", "received_at", "due_at"
)
_INCOMING = Prepared(
    select(inbox)
    .where(
        inbox.c.done_at.is_(None),
        inbox.c.id.not_in(bindparam("skip", expanding=True)),
        inbox.c.source.not_in(bindparam("full", expanding=True)),
        # What came in the future, and was not put off since, came before the clock was set back: a person waits now.
        or_(
            inbox.c.due_at <= bindparam("now"),
            and_(inbox.c.received_at > bindparam("now"), inbox.c.due_at >= inbox.c.received_at),
        ),
    )
    .order_by(inbox.c.id)
    .limit(bindparam("limit"))
)
_UNDONE = Prepared(
    select(
        func.count(inbox.c.id).label("count"),
        func.min(inbox.c.received_at).label("oldest_at"),
    ).where(inbox.c.done_at.is_(None))
)
_ERROR = Prepared(
    select(inbox.c.result)
    .where(inbox.c.done_at.is_(None), inbox.c.tries > bindparam("tries"))
    .order_by(inbox.c.id)
    .limit(bindparam("one"))
)
_NOT_DONE = update(inbox).where(inbox.c.id == bindparam("row_id"), inbox.c.done_at.is_(None))
# The body goes: it may hold addresses to answer at, and what was decided is in the journal. The key stays.
_DEALT_WITH = Prepared(_NOT_DONE.values(body="null"), "done_at", "result")
_PUT_OFF = Prepared(_NOT_DONE.values(tries=inbox.c.tries + 1), "due_at", "result")

_KEYS = Prepared(
    select(message_refs.c.key).where(
        message_refs.c.ts == bindparam("ts"), message_refs.c.channel == bindparam("channel")
    )
)


def take_in(connection: Connection, item: Incoming, now: datetime) -> bool:
    """False when it is known, dealt with or not."""
    at = to_us(now)
    row = {"source": item.source, "key": item.key, "body": to_json(item.body), "tries": 0}
    return _TAKE_IN.execute(connection, **row, received_at=at, due_at=at) == 1


def incoming(
    connection: Connection, now: datetime, limit: int, skip: Collection[int], full: Collection[str]
) -> tuple[Incoming, ...]:
    rows = _INCOMING.rows(connection, now=to_us(now), limit=limit, skip=sorted(skip), full=sorted(full))
    return tuple(map(_item, rows))


def undone(connection: Connection) -> Undone:
    row, tried = _UNDONE.row(connection), _ERROR.row(connection, tries=0, one=1)
    assert row is not None  # a count has one row
    oldest = from_us(row.oldest_at) if row.oldest_at is not None else None
    return Undone(count=row.count, oldest_at=oldest, error=(tried.result or "") if tried else "")


def dealt_with(connection: Connection, item_id: int, result: str, now: datetime) -> None:
    _DEALT_WITH.execute(connection, row_id=item_id, result=result, done_at=to_us(now))


def put_off(connection: Connection, item_id: int, error: str, until: datetime) -> None:
    _PUT_OFF.execute(connection, row_id=item_id, result=error, due_at=to_us(until))


def keys_of_message(connection: Connection, ref: MessageRef) -> tuple[str, ...]:
    """Which keys have this message as their main one now."""
    return tuple(_KEYS.column(connection, ts=ref.ts, channel=ref.channel))


def _item(row: AnyRow) -> Incoming:
    return Incoming(
        id=row.id,
        source=row.source,
        key=row.key,
        body=from_json(row.body),
        tries=row.tries,
        received_at=from_us(row.received_at),
    )
