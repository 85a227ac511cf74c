"""The last good text of each playbook, so that a typo in a file survives a restart without switching protection off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select

from remediator.adapters.sql.dialect import upsert
from remediator.adapters.sql.schema import playbooks
from remediator.adapters.sql.values import to_us


def last_good(connection: Connection) -> Mapping[str, str]:
    """Name -> text; an empty text was stored on purpose."""
    rows = connection.execute(select(playbooks.c.name, playbooks.c.text).order_by(playbooks.c.name))
    return {row.name: row.text for row in rows}


def save(connection: Connection, name: str, text: str, content_hash: str, now: datetime) -> None:
    given = {"text": text, "hash": content_hash, "saved_at": to_us(now)}
    statement = upsert(connection.dialect, playbooks).values(name=name, **given)
    connection.execute(statement.on_conflict_do_update(index_elements=[playbooks.c.name], set_=given))


def forget(connection: Connection, name: str) -> None:
    connection.execute(delete(playbooks).where(playbooks.c.name == name))
