"""Storms: one row each, written with the messages that tell of it, so that people hear of it once and for sure.

A partial unique index keeps a second one from being opened in a cluster, by another replica or after an answer that got
lost; every later write compares the version.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from remediator.adapters.sql import outbox
from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import remediations, storms
from remediator.adapters.sql.values import AnyRow, from_json, from_us, to_json, to_us
from remediator.guardrails.facts import Storm
from remediator.guardrails.storm import over_at
from remediator.people.outbox_rows import OutboxMessage
from remediator.remediation.journal import Turns
from remediator.remediation.state import Remediation, State, dump, load

AT_ONCE = 200
"""Remediations read by one statement."""

_OPEN = Prepared(select(storms).where(storms.c.cluster == bindparam("cluster"), storms.c.closed_at.is_(None)))
_HELD = and_(
    remediations.c.state == State.HELD.value,
    remediations.c.parent == "",
    remediations.c.ended_at.is_(None),
)


def of_cluster(connection: Connection, cluster: str) -> Storm | None:
    row = _OPEN.row(connection, cluster=cluster)
    return None if row is None else _storm(row)


def held(connection: Connection, cluster: str, known: Collection[str]) -> tuple[Remediation, ...]:
    """Oldest first. What is known is not read: a storm may hold thousands, and is looked at every few seconds."""
    ids = connection.scalars(
        select(remediations.c.id).where(_HELD, remediations.c.cluster == cluster).order_by(remediations.c.seq)
    )
    leave_out = frozenset(known)
    wanted = [found for found in ids if found not in leave_out]
    docs: dict[str, bytes] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        query = select(remediations.c.id, remediations.c.doc).where(remediations.c.id.in_(some))
        docs |= {row.id: row.doc for row in connection.execute(query)}
    return tuple(load(docs[found]) for found in wanted)


def save(connection: Connection, storm: Storm, messages: Sequence[OutboxMessage], now: datetime) -> bool:
    values = _values(storm)
    if storm.version:
        written = connection.execute(_unchanged(storm).values(**values)).rowcount
    else:
        row = {"id": storm.id, "cluster": storm.cluster, "opened_at": to_us(storm.opened_at), **values}
        written = connection.execute(insert_or_ignore(connection.dialect, storms).values(**row)).rowcount
    if written == 1:
        outbox.store(connection, messages, now)
    return written == 1


def close(connection: Connection, storm: Storm, messages: Sequence[OutboxMessage], now: datetime, turns: Turns) -> bool:
    """Close it and let what it held go on in turn; see Journal.close_storm."""
    values = {**_values(storm), "closed_at": to_us(now)}
    if connection.execute(_unchanged(storm).values(**values)).rowcount != 1:
        return False
    outbox.store(connection, messages, now)
    waiting = [r for r in held(connection, storm.cluster, ()) if over_at(r.verdicts, now) is not None]
    for index, r in enumerate(waiting):
        due = now + min(turns.apart * index, turns.within)
        until = max(due, min(due + turns.held_for, r.created_at + turns.at_most))
        _put_off(connection, replace(r, due=due, hold_until=until, deadline=until))
    return True


def _put_off(connection: Connection, r: Remediation) -> None:
    """No transition: whoever moves it at this moment does it on what he knows, and sets the next time himself."""
    assert r.due is not None
    connection.execute(
        update(remediations)
        .where(remediations.c.id == r.id, remediations.c.version == r.version)
        .values(wake_at=to_us(r.due), doc=dump(r))
    )


def _unchanged(storm: Storm) -> Any:
    return update(storms).where(
        storms.c.id == storm.id, storms.c.version == storm.version, storms.c.closed_at.is_(None)
    )


def _values(storm: Storm) -> dict[str, Any]:
    return {
        "peak_at": to_us(storm.peak_at),
        "targets": storm.targets,
        "most": storm.limit,
        "members": to_json(storm.members),
        "channels": to_json(storm.channels),
        "service": storm.service,
        "shown": storm.shown,
        "version": storm.version + 1,
    }


def _storm(row: AnyRow) -> Storm:
    return Storm(
        id=row.id,
        cluster=row.cluster,
        opened_at=from_us(row.opened_at),
        peak_at=from_us(row.peak_at),
        targets=row.targets,
        limit=row.most,
        members=tuple(from_json(row.members)),
        channels=tuple(from_json(row.channels)),
        service=row.service,
        shown=row.shown,
        version=row.version,
    )
