"""Pauses. Only a person ends one, or the time that a person gave it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from remediator.adapters.sql.schema import pauses
from remediator.adapters.sql.values import AnyRow, from_us, maybe_time, maybe_us, to_us
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import EVERYTHING


def _live(now: datetime) -> ColumnElement[bool]:
    return and_(pauses.c.ended_at.is_(None), or_(pauses.c.until_at.is_(None), pauses.c.until_at > to_us(now)))


def covers(scopes: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """A live pause on one of these scopes, or on everything, whether the caller thought of that or not."""
    return and_(pauses.c.scope.in_(sorted({*scopes, EVERYTHING})), _live(now))


def first_covering(connection: Connection, scopes: Sequence[str], now: datetime) -> Pause | None:
    row = connection.execute(select(pauses).where(covers(scopes, now)).order_by(pauses.c.id).limit(1)).one_or_none()
    return None if row is None else _pause(row)


def add(connection: Connection, scope: str, who: str, why: str, until: datetime | None, now: datetime) -> Pause:
    row = connection.execute(
        insert(pauses)
        .values(scope=scope, who=who, why=why, until_at=maybe_us(until), created_at=to_us(now))
        .returning(pauses)
    ).one()
    return _pause(row)


def end(connection: Connection, pause_id: str, who: str, now: datetime) -> bool:
    """Whether there was such a live pause."""
    if not pause_id.removeprefix("p-").isdecimal():
        return False
    ended = connection.execute(
        update(pauses)
        .where(pauses.c.id == int(pause_id.removeprefix("p-")), _live(now))
        .values(ended_at=to_us(now), ended_by=who)
    )
    return ended.rowcount == 1


def live(connection: Connection, now: datetime) -> tuple[Pause, ...]:
    return tuple(map(_pause, connection.execute(select(pauses).where(_live(now)).order_by(pauses.c.id))))


def _pause(row: AnyRow) -> Pause:
    return Pause(
        id=f"p-{row.id}",
        scope=row.scope,
        who=row.who,
        why=row.why,
        until=maybe_time(row.until_at),
        created_at=from_us(row.created_at),
    )
