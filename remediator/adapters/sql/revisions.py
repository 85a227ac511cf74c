"""What the observer saw of each pod template of each workload: the evidence that a rollback goes by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, or_, select

from remediator.actions.view import Revision
from remediator.adapters.sql.dialect import upsert
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import revisions
from remediator.adapters.sql.values import AnyRow, from_json, maybe_time, maybe_us, to_json, to_us

_KEY = ("cluster", "workload_uid", "template_hash")
_SEEN = (
    "available_since_at",
    "available_until_at",
    "healthy",
    "known_bad",
    "alerts",
    "saved_at",
)


def _save(dialect: Dialect) -> Any:
    statement = upsert(dialect, revisions)
    given = {name: statement.excluded[name] for name in _SEEN}
    given["known_bad"] = or_(revisions.c.known_bad, statement.excluded.known_bad)
    return statement.on_conflict_do_update(index_elements=_KEY, set_=given)


_SAVE = Prepared(_save, *_KEY, *_SEEN)
_MARK = Prepared(
    lambda dialect: upsert(dialect, revisions).on_conflict_do_update(index_elements=_KEY, set_={"known_bad": True}),
    *_KEY,
    "healthy",
    "known_bad",
    "alerts",
    "saved_at",
)
_OF_WORKLOAD = Prepared(
    select(revisions)
    .where(revisions.c.cluster == bindparam("of_cluster"), revisions.c.workload_uid == bindparam("uid"))
    .order_by(revisions.c.id)
)


def of_workload(connection: Connection, cluster: str, workload_uid: str) -> tuple[Revision, ...]:
    """In the order in which they were first seen."""
    return tuple(map(_revision, _OF_WORKLOAD.rows(connection, of_cluster=cluster, uid=workload_uid)))


def save(connection: Connection, cluster: str, seen: Sequence[Revision], now: datetime) -> None:
    """As given, but what is known bad stays known bad: the observer does not know what was rolled back meanwhile."""
    for revision in seen:
        _SAVE.execute(
            connection,
            cluster=cluster,
            workload_uid=revision.workload_uid,
            template_hash=revision.template_hash,
            available_since_at=maybe_us(revision.available_since),
            available_until_at=maybe_us(revision.available_until),
            healthy=revision.healthy,
            known_bad=revision.known_bad,
            alerts=to_json(list(revision.alerts)),
            saved_at=to_us(now),
        )


def mark_known_bad(connection: Connection, cluster: str, workload_uid: str, template_hash: str, now: datetime) -> None:
    """We rolled back from it. Also when the observer has not seen it."""
    _MARK.execute(
        connection,
        cluster=cluster,
        workload_uid=workload_uid,
        template_hash=template_hash,
        healthy=False,
        known_bad=True,
        alerts="[]",
        saved_at=to_us(now),
    )


def _revision(row: AnyRow) -> Revision:
    return Revision(
        workload_uid=row.workload_uid,
        template_hash=row.template_hash,
        available_since=maybe_time(row.available_since_at),
        available_until=maybe_time(row.available_until_at),
        healthy=row.healthy,
        known_bad=row.known_bad,
        alerts=tuple(from_json(row.alerts)),
    )
