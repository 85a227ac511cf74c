"""The few statements that SQLAlchemy spells through each database's own insert. SQLite and PostgreSQL mean the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(dialect: Dialect, table: Table) -> Any:
    """An insert with `on_conflict_do_update` and `on_conflict_do_nothing`. `Any`: the two classes share no base."""
    if dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_or_ignore(dialect: Dialect, table: Table) -> Any:
    """Insert; a row that is there already stays as it is."""
    return upsert(dialect, table).on_conflict_do_nothing()
