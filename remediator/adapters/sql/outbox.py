"""The outbox's rows (people/outbox_rows.py): stored with the transition they tell of, sent later, at least once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select, update

from remediator.adapters.sql.dialect import upsert
from remediator.adapters.sql.schema import message_refs, outbox
from remediator.adapters.sql.values import AnyRow, from_us, maybe_us, object_from_json, to_json, to_us
from remediator.people.outbox_rows import OutboxChannel, OutboxMessage, OutboxRow
from remediator.ports import MessageRef

PENDING = "pending"
IS_PENDING: ColumnElement[str] = literal_column("'pending'")
"""Spelt out in the statement: an index on pending rows is not used for a parameter."""


def store(connection: Connection, messages: Sequence[OutboxMessage], now: datetime) -> None:
    """In this order. A message whose `once` is known is not stored again."""
    for message in messages:
        statement = upsert(connection, outbox).values(
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
        connection.execute(statement.on_conflict_do_nothing())


def due(
    connection: Connection, channel: OutboxChannel, now: datetime, limit: int, skip: Collection[str]
) -> tuple[OutboxRow, ...]:
    """Pending and due rows, oldest first; a key waits as a whole, for its oldest pending row."""
    oldest_ids = (
        select(func.min(outbox.c.id))
        .where(outbox.c.state == IS_PENDING, outbox.c.channel == channel)
        .group_by(outbox.c.key)
    )
    oldest = outbox.alias("oldest")
    query = (
        select(outbox)
        .join(oldest, and_(oldest.c.channel == outbox.c.channel, oldest.c.key == outbox.c.key))
        .where(
            outbox.c.state == IS_PENDING,
            outbox.c.channel == channel,
            outbox.c.due_at <= to_us(now),
            oldest.c.id.in_(oldest_ids),
            oldest.c.due_at <= to_us(now),
        )
        .order_by(outbox.c.id)
        .limit(limit)
    )
    if skip:
        query = query.where(outbox.c.destination.not_in(skip))
    return tuple(map(_row, connection.execute(query)))


def merge(connection: Connection, row: OutboxRow, superseded: Collection[int]) -> None:
    connection.execute(
        update(outbox)
        .where(outbox.c.id == row.id, outbox.c.state == IS_PENDING)
        .values(kind=row.kind, payload=to_json(row.payload), tries=row.tries, due_at=to_us(row.due_at))
    )
    if superseded:
        connection.execute(
            update(outbox)
            .where(outbox.c.id.in_(superseded), outbox.c.state == IS_PENDING)
            .values(state="superseded", done_at=to_us(row.due_at))
        )


def sent(connection: Connection, row_id: int, ref: MessageRef | None, now: datetime) -> None:
    """Delivered. Said twice, it is still delivered."""
    key = connection.scalar(
        update(outbox)
        .where(outbox.c.id == row_id)
        .values(state="sent", done_at=to_us(now), error="")
        .returning(outbox.c.key)
    )
    if ref is not None and key is not None:
        given = {"channel": ref.channel, "ts": ref.ts, "at": to_us(now)}
        statement = upsert(connection, message_refs).values(key=key, **given)
        connection.execute(statement.on_conflict_do_update(index_elements=[message_refs.c.key], set_=given))


def failed(connection: Connection, row_id: int, error: str, retry_at: datetime | None, now: datetime) -> None:
    values: dict[str, Any] = {"tries": outbox.c.tries + 1, "error": error}
    if retry_at is None:
        values |= {"state": "failed", "done_at": to_us(now)}
    else:
        values |= {"due_at": maybe_us(retry_at)}
    connection.execute(update(outbox).where(outbox.c.id == row_id, outbox.c.state == IS_PENDING).values(**values))


def message_ref(connection: Connection, key: str) -> MessageRef | None:
    row = connection.execute(
        select(message_refs.c.channel, message_refs.c.ts).where(message_refs.c.key == key)
    ).one_or_none()
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
