"""The outbox's rows (people/outbox_rows.py): stored with the transition they tell of, sent later, at least once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, and_, bindparam, func, literal_column, select, update

from remediator.adapters.sql.dialect import insert_or_ignore, upsert
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import message_refs, outbox
from remediator.adapters.sql.values import AnyRow, from_us, object_from_json, to_json, to_us
from remediator.people.outbox_rows import OutboxChannel, OutboxMessage, OutboxRow
from remediator.ports import MessageRef

PENDING = "pending"
IS_PENDING: ColumnElement[str] = literal_column("'pending'")
"""Spelt out in the statement: an index on pending rows is not used for a parameter."""


_STORE = Prepared(
    lambda dialect: insert_or_ignore(dialect, outbox),
    "channel",
    "destination",
    "key",
    "kind",
    "payload",
    "once",
    "tries",
    "due_at",
    "created_at",
    "state",
)


def store(connection: Connection, messages: Sequence[OutboxMessage], now: datetime) -> None:
    """In this order. A message whose `once` is known is not stored again."""
    for message in messages:
        _STORE.execute(
            connection,
            channel=message.channel,
            destination=message.destination,
            key=message.key,
            kind=message.kind,
            payload=to_json(message.payload),
            once=message.once or None,
            tries=0,
            due_at=to_us(now),
            created_at=to_us(now),
            state=PENDING,
        )


_oldest = outbox.alias("oldest")
_DUE = Prepared(
    select(outbox)
    .join(_oldest, and_(_oldest.c.channel == outbox.c.channel, _oldest.c.key == outbox.c.key))
    .where(
        outbox.c.state == IS_PENDING,
        outbox.c.channel == bindparam("channel"),
        outbox.c.due_at <= bindparam("now"),
        outbox.c.destination.not_in(bindparam("skip", expanding=True)),
        _oldest.c.id.in_(
            select(func.min(outbox.c.id))
            .where(outbox.c.state == IS_PENDING, outbox.c.channel == bindparam("channel"))
            .group_by(outbox.c.key)
        ),
        _oldest.c.due_at <= bindparam("now"),
    )
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)


def due(
    connection: Connection, channel: OutboxChannel, now: datetime, limit: int, skip: Collection[str]
) -> tuple[OutboxRow, ...]:
    """Pending and due rows, oldest first; a key waits as a whole, for its oldest pending row."""
    rows = _DUE.rows(connection, channel=channel, now=to_us(now), skip=sorted(skip), limit=limit)
    return tuple(map(_row, rows))


_PENDING_ROW = update(outbox).where(outbox.c.id == bindparam("row_id"), outbox.c.state == IS_PENDING)
_MERGE = Prepared(_PENDING_ROW, "kind", "payload", "tries", "due_at", "created_at")
_SUPERSEDE = Prepared(_PENDING_ROW, "state", "done_at")


def merge(connection: Connection, row: OutboxRow, superseded: Collection[int]) -> None:
    payload = to_json(row.payload)
    times = {"due_at": to_us(row.due_at), "created_at": to_us(row.created_at)}
    _MERGE.execute(connection, row_id=row.id, kind=row.kind, payload=payload, tries=row.tries, **times)
    _SUPERSEDE.execute_many(
        connection,
        [{"row_id": row_id, "state": "superseded", "done_at": to_us(row.due_at)} for row_id in superseded],
    )


def _refer(dialect: Dialect) -> Any:
    statement = upsert(dialect, message_refs)
    given = {name: statement.excluded[name] for name in ("channel", "ts", "at")}
    return statement.on_conflict_do_update(index_elements=[message_refs.c.key], set_=given)


_SENT = Prepared(
    update(outbox).where(outbox.c.id == bindparam("row_id")).values(state="sent", error="").returning(outbox.c.key),
    "done_at",
)
_REFER = Prepared(_refer, "key", "channel", "ts", "at")


def sent(connection: Connection, row_id: int, ref: MessageRef | None, now: datetime) -> None:
    """Delivered. Said twice, it is still delivered."""
    key = _SENT.value(connection, row_id=row_id, done_at=to_us(now))
    if ref is not None and key is not None:
        _REFER.execute(connection, key=key, channel=ref.channel, ts=ref.ts, at=to_us(now))


_AGAIN = Prepared(_PENDING_ROW.values(tries=outbox.c.tries + 1), "error", "due_at")
_GIVEN_UP = Prepared(_PENDING_ROW.values(tries=outbox.c.tries + 1, state="failed"), "error", "done_at")


def failed(connection: Connection, row_id: int, error: str, retry_at: datetime | None, now: datetime) -> None:
    if retry_at is None:
        _GIVEN_UP.execute(connection, row_id=row_id, error=error, done_at=to_us(now))
    else:
        _AGAIN.execute(connection, row_id=row_id, error=error, due_at=to_us(retry_at))


_MESSAGE_REF = Prepared(select(message_refs.c.channel, message_refs.c.ts).where(message_refs.c.key == bindparam("key")))


def message_ref(connection: Connection, key: str) -> MessageRef | None:
    row = _MESSAGE_REF.row(connection, key=key)
    return None if row is None else MessageRef(row.channel, row.ts)


def pending(connection: Connection) -> int:
    """How many wait, for the metric."""
    return connection.scalar(select(func.count()).select_from(outbox).where(outbox.c.state == IS_PENDING)) or 0


def _row(row: AnyRow) -> OutboxRow:
    return OutboxRow(
        id=row.id,
        channel=row.channel,
        destination=row.destination,
        key=row.key,
        kind=row.kind,
        payload=object_from_json(row.payload),
        tries=row.tries,
        due_at=from_us(row.due_at),
        created_at=from_us(row.created_at),
    )
