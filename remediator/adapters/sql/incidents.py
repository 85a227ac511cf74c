"""What the pager has taken from us, by the key of the incident: written with the record that the event was sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, select

from remediator.adapters.sql.dialect import upsert
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import incidents
from remediator.adapters.sql.values import maybe_time, to_us
from remediator.people.incidents import PagedIncident

_COLUMNS = {"trigger": "rang_at", "resolve": "resolved_at"}


def _setting(column: str) -> Prepared:
    def build(dialect: Dialect) -> Any:
        statement = upsert(dialect, incidents)
        given = {column: statement.excluded[column]}
        return statement.on_conflict_do_update(index_elements=[incidents.c.key], set_=given)

    return Prepared(build, "key", column)


_SET = {column: _setting(column) for column in _COLUMNS.values()}
_GET = Prepared(select(incidents).where(incidents.c.key == bindparam("key")))


def sent(connection: Connection, event: Mapping[str, Any], now: datetime) -> None:
    """This event was taken. An acknowledge changes nothing here."""
    column = _COLUMNS.get(str(event.get("event_action", "")))
    if column is not None:
        _SET[column].execute(connection, key=str(event["dedup_key"]), **{column: to_us(now)})


def get(connection: Connection, key: str) -> PagedIncident | None:
    row = _GET.row(connection, key=key)
    if row is None:
        return None
    return PagedIncident(rang_at=maybe_time(row.rang_at), resolved_at=maybe_time(row.resolved_at))
