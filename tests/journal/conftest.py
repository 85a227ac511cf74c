"""Every journal test runs on both: a file with its threads, and memory, inline."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.adapters.sql.engine import SqliteFile, SqliteMemory
from remediator.adapters.sql.journal import SqlJournal


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty journal, migrated once for all tests."""
    path = tmp_path_factory.mktemp("journal") / "template.db"
    SqliteFile(path).close()
    return path


@pytest.fixture
def path(migrated_file: Path, tmp_path: Path) -> Path:
    """A journal file of one's own, not open."""
    return Path(shutil.copy(migrated_file, tmp_path / "journal.db"))


@pytest.fixture(params=["file", "memory"])
async def journal(request: pytest.FixtureRequest) -> AsyncIterator[SqlJournal]:
    if request.param == "file":
        journal = SqlJournal.open_file(request.getfixturevalue("path"))
        yield journal
        await journal.close()
    else:
        database = SqliteMemory()
        journal = SqlJournal.in_memory(database)
        yield journal
        await journal.close()
        database.dispose()
