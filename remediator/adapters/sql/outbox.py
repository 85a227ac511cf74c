"""The outbox's rows (people/outbox_rows.py): stored with the transition they tell of, sent later, at least once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from remediator.adapters.sql import incidents
from remediator.adapters.sql.dialect import insert_or_ignore, upsert
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import message_refs, outbox, outbox_holds
from remediator.adapters.sql.values import AnyRow, from_us, object_from_json, to_json, to_us
from remediator.people.outbox_rows import MAIN_KINDS, SETTLE, Letters, OutboxMessage, OutboxRow, Sending
from remediator.ports import MessageRef

PENDING = "pending"
IS_PENDING: ColumnElement[str] = literal_column("'pending'")
"""Spelt out in the statement: an index on pending rows is not used for a parameter."""
_FAILED: ColumnElement[str] = literal_column("'failed'")
_AGAIN: ColumnElement[str] = literal_column("'again'")
_MOST_ROWS = 2_000
"""Of one page. The newest are cut off: of no key is an older row hidden behind a newer one."""


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

_HURRY = Prepared(
    update(outbox).where(
        outbox.c.state == IS_PENDING,
        outbox.c.channel == bindparam("of_channel"),
        outbox.c.key == bindparam("of_key"),
        # What was tried, or is said again, waits for other reasons.
        outbox.c.tries == 0,
        outbox.c.kind != _AGAIN,
        outbox.c.due_at > bindparam("now"),
    ),
    "due_at",
)


def store(connection: Connection, messages: Sequence[OutboxMessage], now: datetime) -> None:
    """In this order. A message whose `once` is known is not stored again. One that cannot wait takes those of its key
    along that could."""
    for message in messages:
        due = max(now, message.not_before or now)
        if message.not_before is None:
            moment = to_us(now)
            _HURRY.execute(connection, of_channel=message.channel, of_key=message.key, now=moment, due_at=moment)
        _store(connection, message, due, due)


def _store(connection: Connection, message: OutboxMessage, due_at: datetime, now: datetime) -> None:
    _STORE.execute(
        connection,
        channel=message.channel,
        destination=message.destination,
        key=message.key,
        kind=message.kind,
        payload=to_json(message.payload),
        once=message.once or None,
        tries=0,
        due_at=to_us(due_at),
        created_at=to_us(now),
        state=PENDING,
    )


_head = outbox.alias("head")
_first = outbox.alias("first")
_waiting = select(_head.c.key).where(
    _head.c.id.in_(
        select(func.min(_first.c.id))
        .where(_first.c.state == IS_PENDING, _first.c.channel == bindparam("channel"), _first.c.kind != _AGAIN)
        .group_by(_first.c.key)
    ),
    _head.c.due_at > bindparam("now"),
)
"""Keys whose oldest pending row has to wait."""
_held = select(outbox_holds.c.key).where(
    outbox_holds.c.channel == bindparam("channel"), outbox_holds.c.until_at > bindparam("now")
)
_one = outbox.alias("one")
_rank = case((_one.c.kind.in_(("post", "event")), 0), (_one.c.kind == "reply", 2), else_=1)
_keys = (
    select(_one.c.key)
    .where(
        _one.c.state == IS_PENDING,
        _one.c.channel == bindparam("channel"),
        _one.c.due_at <= bindparam("now"),
        _one.c.destination.not_in(bindparam("skip", expanding=True)),
        _one.c.key.not_in(_waiting),
        _one.c.key.not_in(_held),
    )
    .group_by(_one.c.key)
    .order_by(func.min(_rank), func.min(_one.c.id))
    .limit(bindparam("limit"))
)
_main = (message_refs.c.channel.label("main_channel"), message_refs.c.ts.label("main_ts"))
_DUE = Prepared(
    select(outbox, *_main)
    .join(message_refs, message_refs.c.key == outbox.c.key, isouter=True)
    .where(
        outbox.c.state == IS_PENDING,
        outbox.c.channel == bindparam("channel"),
        outbox.c.due_at <= bindparam("now"),
        outbox.c.key.in_(_keys),
    )
    .order_by(outbox.c.id)
    .limit(_MOST_ROWS)
)


def due(
    connection: Connection, channel: str, now: datetime, limit: int, skip: Collection[str]
) -> tuple[OutboxRow, ...]:
    """Pending and due rows of keys that nobody holds, of the most useful keys, oldest first."""
    rows = _DUE.rows(connection, channel=channel, now=to_us(now), skip=sorted(skip), limit=limit)
    return tuple(map(_row, rows))


_PENDING_ROW = update(outbox).where(outbox.c.id == bindparam("row_id"), outbox.c.state == IS_PENDING)
_REWRITE = Prepared(_PENDING_ROW, "kind", "payload", "tries", "created_at")
_SUPERSEDE = Prepared(_PENDING_ROW.values(state="superseded"), "done_at")
_STILL_DUE = Prepared(
    select(func.count())
    .select_from(outbox)
    .where(
        outbox.c.id.in_(bindparam("ids", expanding=True)),
        outbox.c.state == IS_PENDING,
        outbox.c.due_at <= bindparam("now"),
    )
)
_older = outbox.alias("older")
_OLDER = Prepared(
    select(_older.c.id)
    .where(
        _older.c.state == IS_PENDING,
        _older.c.channel == bindparam("channel"),
        _older.c.key == bindparam("key"),
        _older.c.id < bindparam("row_id"),
        _older.c.kind.in_(bindparam("kinds", expanding=True)),
    )
    .limit(1)
)
_ROW = Prepared(
    select(outbox, *_main)
    .join(message_refs, message_refs.c.key == outbox.c.key, isouter=True)
    .where(outbox.c.id == bindparam("row_id"))
)
_TAKE = Prepared(lambda dialect: insert_or_ignore(dialect, outbox_holds), "channel", "key", "holder", "until_at")
_TAKE_OVER = Prepared(
    update(outbox_holds).where(
        outbox_holds.c.channel == bindparam("of_channel"),
        outbox_holds.c.key == bindparam("of_key"),
        outbox_holds.c.until_at <= bindparam("now"),
    ),
    "holder",
    "until_at",
)


def begin(connection: Connection, sending: Sending, holder: str, until: datetime, now: datetime) -> OutboxRow | None:
    row, at = sending.row, to_us(now)
    held = {"holder": holder, "until_at": to_us(until)}
    if not _TAKE.execute(connection, channel=row.channel, key=row.key, **held):
        if not _TAKE_OVER.execute(connection, of_channel=row.channel, of_key=row.key, now=at, **held):
            return None
        _say_again(connection, row, holder, now)  # who held it sent something and never said how it went
    ids = [row.id, *sending.superseded]
    kinds = ("post", "update") if row.kind in MAIN_KINDS else ("post", "update", "reply", "event")
    older = _OLDER.value(connection, channel=row.channel, key=row.key, row_id=row.id, kinds=kinds)
    if older is not None or _STILL_DUE.value(connection, ids=ids, now=at) != len(ids):
        _GIVE_BACK.execute(connection, of_channel=row.channel, of_key=row.key, of_holder=holder)
        return None
    if row.kind == "again":
        row = replace(row, payload=_newest(connection, row))
    if sending.changed or row.kind == "again":
        given = {"kind": row.kind, "payload": to_json(row.payload), "tries": row.tries}
        _REWRITE.execute(connection, row_id=row.id, created_at=to_us(row.created_at), **given)
    _SUPERSEDE.execute_many(connection, [{"row_id": row_id, "done_at": at} for row_id in sending.superseded])
    stored = _ROW.row(connection, row_id=row.id)
    return None if stored is None else _row(stored)


_NEWEST = Prepared(
    select(outbox.c.payload)
    .where(
        outbox.c.key == bindparam("of_key"),
        outbox.c.channel == bindparam("of_channel"),
        outbox.c.kind.in_(("post", "update")),
        outbox.c.state != _FAILED,
    )
    .order_by(outbox.c.id.desc())
    .limit(1)
)


def _newest(connection: Connection, row: OutboxRow) -> Mapping[str, Any]:
    """The newest main message of a key: rows are stored in order, and a merge moves a payload only to an older one."""
    found = _NEWEST.value(connection, of_key=row.key, of_channel=row.channel)
    return {} if found is None else object_from_json(found)


_LATER = Prepared(
    update(outbox).where(
        outbox.c.state == IS_PENDING,
        outbox.c.channel == bindparam("of_channel"),
        outbox.c.key == bindparam("of_key"),
        outbox.c.kind == _AGAIN,
        outbox.c.due_at > bindparam("now"),
    ),
    "due_at",
    "payload",
)


def _say_again(connection: Connection, row: OutboxRow, holder: str, now: datetime) -> None:
    """Something may land late on the main message of this row's key: show the newest state once more after that."""
    if row.kind not in MAIN_KINDS or message_ref(connection, row.key) is None:
        return
    due_at = now + SETTLE
    # One that is due may be under way just now: it says nothing of what lands after it.
    given = {"of_channel": row.channel, "of_key": row.key}
    by = {"by": holder, "at": now.isoformat()}
    if not _LATER.execute(connection, **given, now=to_us(now), due_at=to_us(due_at), payload=to_json(by)):
        again = OutboxMessage(channel=row.channel, destination=row.destination, key=row.key, kind="again", payload=by)
        _store(connection, again, due_at, now)


_GIVE_BACK = Prepared(
    delete(outbox_holds).where(
        outbox_holds.c.channel == bindparam("of_channel"),
        outbox_holds.c.key == bindparam("of_key"),
        outbox_holds.c.holder == bindparam("of_holder"),
    )
)


def _gives_back(connection: Connection, row: OutboxRow, holder: str) -> bool:
    """Whether the key was this worker's up to now."""
    return bool(_GIVE_BACK.execute(connection, of_channel=row.channel, of_key=row.key, of_holder=holder))


def release_all(connection: Connection) -> None:
    """At the start of the only process: whoever held something is dead, and what became of it is unknown."""
    waits = exists().where(
        outbox.c.state == IS_PENDING, outbox.c.channel == outbox_holds.c.channel, outbox.c.key == outbox_holds.c.key
    )
    connection.execute(delete(outbox_holds).where(~waits))
    connection.execute(update(outbox_holds).values(until_at=0))


def _refer(dialect: Dialect) -> Any:
    statement = upsert(dialect, message_refs)
    given = {name: statement.excluded[name] for name in ("channel", "ts", "at")}
    return statement.on_conflict_do_update(index_elements=[message_refs.c.key], set_=given)


_SENT = Prepared(update(outbox).where(outbox.c.id == bindparam("row_id")).values(state="sent", error=""), "done_at")
_REFER = Prepared(_refer, "key", "channel", "ts", "at")


def sent(connection: Connection, row_id: int, ref: MessageRef | None, holder: str, now: datetime) -> bool:
    """Delivered; False when the hold was lost meanwhile."""
    found = _ROW.row(connection, row_id=row_id)
    if found is None:
        return False
    row = _row(found)
    if not _gives_back(connection, row, holder):
        _say_again(connection, row, holder, now)
        return False
    _SENT.execute(connection, row_id=row_id, done_at=to_us(now))
    if ref is not None:
        _REFER.execute(connection, key=row.key, channel=ref.channel, ts=ref.ts, at=to_us(now))
    if row.channel == "pagerduty":
        incidents.sent(connection, row.payload, now)
    return True


_TRY_AGAIN = Prepared(_PENDING_ROW.values(tries=outbox.c.tries + 1), "error", "due_at")
_AS_POST = Prepared(_PENDING_ROW.values(tries=0, kind="post"), "error", "due_at")
_GIVEN_UP = Prepared(_PENDING_ROW.values(tries=outbox.c.tries + 1, state="failed"), "error", "done_at")


def failed(
    connection: Connection,
    row_id: int,
    error: str,
    retry_at: datetime | None,
    holder: str,
    now: datetime,
    *,
    unanswered: bool,
    as_post: bool,
) -> bool:
    found = _ROW.row(connection, row_id=row_id)
    if found is None:
        return False
    row = _row(found)
    mine = _gives_back(connection, row, holder)
    if unanswered:
        _say_again(connection, row, holder, now)
    if not mine:
        return False
    if retry_at is None:
        _GIVEN_UP.execute(connection, row_id=row_id, error=error, done_at=to_us(now))
    else:
        (_AS_POST if as_post else _TRY_AGAIN).execute(connection, row_id=row_id, error=error, due_at=to_us(retry_at))
    return True


def abandon(
    connection: Connection, serving: Collection[str], before: datetime, error: str, now: datetime
) -> Mapping[str, int]:
    """How many were given up, by channel."""
    statement = (
        update(outbox)
        .where(
            outbox.c.state == IS_PENDING,
            outbox.c.channel.not_in(sorted(serving)),
            outbox.c.created_at <= to_us(before),
        )
        .values(state="failed", error=error, done_at=to_us(now))
        .returning(outbox.c.channel)
    )
    return Counter(connection.scalars(statement))


def clock_set_back(connection: Connection, by: timedelta, now: datetime) -> None:
    at, earlier = to_us(now), outbox.c.due_at - by // timedelta(microseconds=1)
    waits = update(outbox).where(outbox.c.state == IS_PENDING, outbox.c.due_at > at)
    connection.execute(waits.values(due_at=case((earlier > at, earlier), else_=at)))
    until = to_us(now + SETTLE)
    connection.execute(update(outbox_holds).where(outbox_holds.c.until_at > until).values(until_at=until))


_MESSAGE_REF = Prepared(select(message_refs.c.channel, message_refs.c.ts).where(message_refs.c.key == bindparam("key")))


def message_ref(connection: Connection, key: str) -> MessageRef | None:
    row = _MESSAGE_REF.row(connection, key=key)
    return None if row is None else MessageRef(row.channel, row.ts)


def letters(connection: Connection, since: datetime) -> tuple[Letters, ...]:
    """How each channel is doing that has rows waiting, or given up since then."""
    dead = and_(outbox.c.state == _FAILED, outbox.c.done_at >= to_us(since))
    real = and_(outbox.c.state == IS_PENDING, outbox.c.kind != _AGAIN)
    counted = connection.execute(
        select(
            outbox.c.channel,
            func.count(case((outbox.c.state == IS_PENDING, 1))).label("pending"),
            func.count(case((dead, 1))).label("dead"),
            func.min(case((real, outbox.c.id))).label("oldest"),
            func.max(case((dead, outbox.c.id))).label("last"),
        )
        .where(or_(outbox.c.state == IS_PENDING, dead))
        .group_by(outbox.c.channel)
        .order_by(outbox.c.channel)
    ).all()
    told = {
        row.id: row
        for row in connection.execute(
            select(outbox.c.id, outbox.c.error, outbox.c.created_at).where(
                outbox.c.id.in_([id_ for row in counted for id_ in (row.oldest, row.last) if id_ is not None])
            )
        )
    }
    return tuple(
        Letters(
            channel=row.channel,
            pending=row.pending,
            oldest_at=None if row.oldest is None else from_us(told[row.oldest].created_at),
            dead=row.dead,
            error=next((told[id_].error for id_ in (row.last, row.oldest) if id_ is not None), ""),
        )
        for row in counted
    )


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
        main=None if row.main_ts is None else MessageRef(row.main_channel, row.main_ts),
    )
