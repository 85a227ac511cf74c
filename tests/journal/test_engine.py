"""What is SQLite: the process lock, durability settings, checkpoints, migrations."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from remediator.adapters.sql import engine as engine_module
from remediator.adapters.sql import lock as lock_module
from remediator.adapters.sql.engine import SqliteFile, SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.lock import ProcessLock
from remediator.adapters.sql.migrate import migrate
from remediator.adapters.sql.schema import metadata
from remediator.errors import JournalUnavailable
from tests.journal.given import alert
from tests.support.building import NOW


async def test_a_new_file_is_made_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    journal = SqlJournal.open_file(path)
    await journal.accept([alert()], NOW)
    await journal.close()
    journal = SqlJournal.open_file(path)
    assert len(await journal.undecided(9)) == 1
    await journal.close()


def _opens_in_another_process(path: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from pathlib import Path; from remediator.adapters.sql.engine import SqliteFile\n"
        "from remediator.errors import JournalUnavailable\n"
        "try: SqliteFile(Path(sys.argv[1])).close(); print('opened')\n"
        "except JournalUnavailable as exc: print(exc)"
    )
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, cwd=root, check=False
    )


def test_two_processes_never_share_a_file(path: Path) -> None:
    database = SqliteFile(path)
    said = _opens_in_another_process(path)
    assert f"in use by another process (pid {os.getpid()})" in said.stdout, said.stderr
    database.close()
    assert "opened" in _opens_in_another_process(path).stdout


def test_nor_does_one_process_open_it_twice(path: Path) -> None:
    first = SqliteFile(path)
    with pytest.raises(JournalUnavailable, match="in use"):
        SqliteFile(path)
    first.close()
    SqliteFile(path).close()


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match=r"nowhere/x\.lock"):
        ProcessLock(tmp_path / "nowhere" / "x.lock")


def test_a_file_system_that_cannot_lock_is_no_other_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_try_lock", cannot)
    with pytest.raises(JournalUnavailable, match=r"cannot lock .*No locks available.*file system"):
        SqliteFile(path)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    database = SqliteFile(tmp_path / "journal.db")
    connection = database.connect_writer()
    with connection.begin():
        connection.execute(text("UPDATE counters SET value = 1"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert {"journal.db", "journal.db-wal", "journal.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}
    connection.close()
    database.close()


def test_a_file_that_is_no_database_is_refused_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database, but it is long enough to be looked at as one" * 20)
    with pytest.raises(JournalUnavailable, match="not a database"):
        SqliteFile(path)
    path.unlink()
    SqliteFile(path).close()


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(JournalUnavailable, match=r"SQLite 3\.35\.0 or newer"):
        SqliteFile(tmp_path / "journal.db")


def _pragma(connection: Connection, name: str) -> object:
    return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_what_was_committed_survives_a_power_cut(path: Path) -> None:
    """The settings that this promise rests on."""
    database = SqliteFile(path)
    with database.connect_writer() as connection:
        assert _pragma(connection, "journal_mode") == "wal"
        assert _pragma(connection, "synchronous") == 2
        assert _pragma(connection, "foreign_keys") == 1
        assert _pragma(connection, "wal_autocheckpoint") == 0
        assert _pragma(connection, "busy_timeout") == 5000
    with database.connect_reader() as connection:
        assert _pragma(connection, "query_only") == 1
    database.close()


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_the_log_is_moved_into_the_file_beside_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.adapters.sql.writer.CHECKPOINT_EVERY_S", 0.02)
    journal = SqlJournal.open_file(path)
    before = _size(path)
    for n in range(40):
        await journal.accept([alert(f"{n}-{i}") for i in range(20)], NOW)
    for _ in range(200):
        if _size(path) > before:
            break
        await asyncio.sleep(0.02)
    assert _size(path) > before
    await journal.close()


async def test_the_log_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "WAL_LIMIT_BYTES", 200_000)
    journal = SqlJournal.open_file(path)
    for n in range(60):
        await journal.accept([alert(f"{n}-{i}") for i in range(20)], NOW)
    assert _size(path.with_name(path.name + "-wal")) < 600_000
    assert len(await journal.undecided(9999)) == 1200
    await journal.close()


# Migrations -----------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_of_the_schema() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        # What the comparison does not see: partial indexes and AUTOINCREMENT.
        migrated = _definitions(connection)
    engine.dispose()
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        assert _definitions(connection) == migrated
    engine.dispose()


def _definitions(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    found = {row.name: " ".join(row.sql.replace('"', "").split()) for row in rows}
    return {name: sql for name, sql in found.items() if name != "alembic_version"}


def test_migrating_again_changes_nothing(path: Path) -> None:
    for _ in range(2):
        SqliteFile(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
        assert connection.scalar(text("SELECT count(*) FROM counters")) == 1
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or none: half a schema would be worse than an old one."""
    path = tmp_path / "journal.db"
    whole = command.upgrade

    def half(settings: object, revision: str) -> None:
        whole(settings, revision)  # type: ignore[arg-type]
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(command, "upgrade", half)
    with pytest.raises(JournalUnavailable, match="cannot open the journal"):
        SqliteFile(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    monkeypatch.undo()
    SqliteFile(path).close()


def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(JournalUnavailable, match="written by a newer remediator"):
        SqliteFile(path)


def test_the_statements_also_compile_for_postgresql() -> None:
    """Not a promise that it works there, but that nothing is SQLite's own."""
    for table in metadata.sorted_tables:
        CreateTable(table).compile(dialect=postgresql.dialect())
        for index in table.indexes:
            CreateIndex(index).compile(dialect=postgresql.dialect())


def test_memory_is_made_from_a_copy() -> None:
    one, two = SqliteMemory(), SqliteMemory()
    for database in (one, two, two):
        connection = database.connect_writer()
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    one.dispose()
    two.dispose()
