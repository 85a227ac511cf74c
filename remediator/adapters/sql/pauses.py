"""Pauses. Only a person ends one, or the time that a person gave it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import pauses
from remediator.adapters.sql.values import AnyRow, from_us, maybe_time, maybe_us, to_us
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import EVERYTHING

_LIVE = and_(pauses.c.ended_at.is_(None), or_(pauses.c.until_at.is_(None), pauses.c.until_at > bindparam("now")))

COVERING = and_(pauses.c.scope.in_(bindparam("pause_scopes", expanding=True)), _LIVE)
"""A live pause on one of `pause_scopes` (see `covered`) at `now`, in microseconds."""

_FIRST = Prepared(select(pauses).where(COVERING).order_by(pauses.c.id).limit(1))
_ADD = Prepared(insert(pauses).returning(pauses), "scope", "who", "why", "until_at", "created_at")
_END = Prepared(update(pauses).where(pauses.c.id == bindparam("row_id"), _LIVE), "ended_at", "ended_by")
_ALL_LIVE = Prepared(select(pauses).where(_LIVE).order_by(pauses.c.id))
_ENDED = Prepared(select(func.max(pauses.c.ended_at)).where(pauses.c.scope == bindparam("scope")))


def covered(scopes: Sequence[str]) -> list[str]:
    """The scopes to ask for: a pause of everything covers them too, whether the caller thought of that or not."""
    return sorted({*scopes, EVERYTHING})


def first_covering(connection: Connection, scopes: Sequence[str], now: datetime) -> Pause | None:
    row = _FIRST.row(connection, pause_scopes=covered(scopes), now=to_us(now))
    return None if row is None else _pause(row)


def add(connection: Connection, scope: str, who: str, why: str, until: datetime | None, now: datetime) -> Pause:
    row = _ADD.row(connection, scope=scope, who=who, why=why, until_at=maybe_us(until), created_at=to_us(now))
    return _pause(row)


def end(connection: Connection, pause_id: str, who: str, now: datetime) -> bool:
    """Whether there was such a live pause."""
    if not pause_id.removeprefix("p-").isdecimal():
        return False
    row_id = int(pause_id.removeprefix("p-"))
    return _END.execute(connection, row_id=row_id, now=to_us(now), ended_at=to_us(now), ended_by=who) == 1


def end_scopes(connection: Connection, scopes: Sequence[str], who: str, now: datetime) -> None:
    """Every live pause of exactly these scopes."""
    if scopes:
        ending = update(pauses).where(pauses.c.scope.in_(scopes), _LIVE).values(ended_at=to_us(now), ended_by=who)
        connection.execute(ending, {"now": to_us(now)})


def live(connection: Connection, now: datetime) -> tuple[Pause, ...]:
    return tuple(map(_pause, _ALL_LIVE.rows(connection, now=to_us(now))))


def ended(connection: Connection, scope: str) -> datetime | None:
    """When one of exactly this scope was ended last."""
    return maybe_time(next(iter(_ENDED.column(connection, scope=scope)), None))


def _pause(row: AnyRow) -> Pause:
    return Pause(
        id=f"p-{row.id}",
        scope=row.scope,
        who=row.who,
        why=row.why,
        until=maybe_time(row.until_at),
        created_at=from_us(row.created_at),
    )
