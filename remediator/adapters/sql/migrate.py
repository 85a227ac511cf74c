"""Bring the schema up to date at start, inside the process: there is no second step to forget after an upgrade."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from remediator.errors import JournalUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


def config(connection: Connection | None = None) -> Config:
    """Alembic's settings without an ini file; `migrations/env.py` finds the connection in the attributes."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if connection is not None:
        settings.attributes["connection"] = connection
    return settings


def migrate(connection: Connection) -> None:
    """To the newest revision, in one transaction; nothing happens when it is there already.

    Raises: JournalUnavailable when the store was written by a newer version of this program.
    """
    settings = config(connection)
    scripts = ScriptDirectory.from_config(settings)
    with connection.begin():
        present = MigrationContext.configure(connection).get_current_revision()
        if present == scripts.get_current_head():
            return
        if present is not None and present not in {script.revision for script in scripts.walk_revisions()}:
            raise JournalUnavailable(
                f"the journal was written by a newer remediator (schema {present}, this one knows "
                f"{scripts.get_current_head()}): install that version again, or restore an older copy of the file"
            )
        command.upgrade(settings, "head")
