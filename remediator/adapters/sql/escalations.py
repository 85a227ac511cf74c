"""Ladders: one row each, written with the messages of the rung that was climbed, so that each is called once.

A partial unique index keeps a second one from being opened for an episode; every later write compares the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection, bindparam, select, update

from remediator.adapters.sql import outbox
from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import escalations
from remediator.adapters.sql.values import AnyRow, to_us
from remediator.people.ladder import Ladder
from remediator.people.outbox_rows import OutboxMessage

_ADAPTER: TypeAdapter[Ladder] = TypeAdapter(Ladder)
_OPEN = Prepared(select(escalations).where(escalations.c.ended_at.is_(None)).order_by(escalations.c.id))
_OF_EPISODE = Prepared(
    select(escalations).where(escalations.c.episode_id == bindparam("episode")).order_by(escalations.c.id)
)


def open_ones(connection: Connection) -> tuple[Ladder, ...]:
    return tuple(map(_ladder, _OPEN.rows(connection)))


def of_episode(connection: Connection, episode: str) -> tuple[Ladder, ...]:
    """Also those that have ended; an open one is the last."""
    rows = sorted(_OF_EPISODE.rows(connection, episode=episode), key=lambda row: (row.ended_at is None, row.id))
    return tuple(map(_ladder, rows))


def save(
    connection: Connection, ladder: Ladder, messages: Sequence[OutboxMessage], now: datetime, *, over: bool = False
) -> bool:
    """See Journal.save_ladder."""
    values = {
        "doc": _ADAPTER.dump_json(replace(ladder, version=0)).decode(),
        "version": ladder.version + 1,
        "ended_at": to_us(now) if over else None,
    }
    if ladder.version:
        unchanged = update(escalations).where(
            escalations.c.id == ladder.id,
            escalations.c.version == ladder.version,
            escalations.c.ended_at.is_(None),
        )
        written = connection.execute(unchanged.values(**values)).rowcount
    else:
        row = {"id": ladder.id, "episode_id": ladder.episode, **values}
        written = connection.execute(insert_or_ignore(connection.dialect, escalations).values(**row)).rowcount
    if written == 1:
        outbox.store(connection, messages, now)
    return written == 1


def _ladder(row: AnyRow) -> Ladder:
    return replace(_ADAPTER.validate_json(row.doc), version=row.version, ended=row.ended_at is not None)
