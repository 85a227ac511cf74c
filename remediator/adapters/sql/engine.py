"""All that is SQLite and nothing else: how connections are made, kept, checkpointed, and what their errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from remediator.adapters.sql.lock import ProcessLock
from remediator.adapters.sql.migrate import migrate
from remediator.adapters.sql.prepared import run_text
from remediator.errors import JournalUnavailable

MINIMUM = (3, 35, 0)
"""RETURNING and several of the ON CONFLICT forms came with it."""

BUSY_TIMEOUT_S = 5.0
"""Nobody else should hold the file; a backup tool may, for a moment."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""A passive checkpoint may never catch up with a steady stream; past this size the writer waits for a full one."""


FILE_PRAGMAS = (
    "journal_mode=WAL",
    # A commit that was acknowledged survives a power cut, not only a crash of this process.
    "synchronous=FULL",
    # Checkpoints run beside the writer, not inside whichever commit crosses a line.
    "wal_autocheckpoint=0",
    f"journal_size_limit={WAL_LIMIT_BYTES}",
    "cache_size=-16384",  # KiB
)


class Database(Protocol):
    """Where connections come from. The writer has one connection, each reader thread another."""

    def connect_writer(self) -> Connection: ...

    def connect_reader(self) -> Connection: ...

    def in_transaction(self, connection: Connection) -> bool:
        """Whether the database still has our transaction open: some errors (disk full) end it by themselves."""
        ...

    def checkpoint(self) -> None:
        """Regular upkeep beside the writer; called from a thread of its own."""
        ...

    def after_commit(self, connection: Connection) -> None:
        """Upkeep that needs the writer's connection, between two transactions."""
        ...

    def close(self) -> None: ...


def unavailable(exc: SQLAlchemyError | sqlite3.Error, doing: str = "") -> JournalUnavailable:
    """Our error for any of the database's. Its text has neither statement nor values: those may hold secrets."""
    cause: object = exc.orig if isinstance(exc, DBAPIError) else exc
    return JournalUnavailable(f"{doing + ': ' if doing else ''}{type(cause).__name__}: {cause}")


def _sqlite_engine(url: str, begin: str, *, memory: bool = False) -> Engine:
    if sqlite3.sqlite_version_info < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        raise JournalUnavailable(f"SQLite {needed} or newer is needed, this Python has {sqlite3.sqlite_version}")
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={
            "timeout": BUSY_TIMEOUT_S,
            # The threads never share a connection at one moment, but they are closed by another one at the end.
            "check_same_thread": False,
            # All our statements, with their variants; the driver's own default is fewer.
            "cached_statements": 512,
        },
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _record: Any) -> None:
        # Python's own transaction handling off: it commits behind our back before some statements.
        connection.isolation_level = None
        pragmas = ["foreign_keys=ON", *([] if memory else FILE_PRAGMAS)]
        try:
            for pragma in pragmas:
                connection.cursor().execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()  # nobody else knows of it yet
            raise

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        run_text(connection, begin)

    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


class SqliteFile:
    """One file, held by this process alone. Migrated when opened.

    Raises: JournalUnavailable when the file is in use, cannot be opened or is newer than this program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._checkpointer: sqlite3.Connection | None = None
        self._lock = ProcessLock(path.with_name(path.name + ".lock"))
        try:
            # It holds what people said and what the cluster looks like; log and shared memory files inherit this.
            path.touch(mode=0o600)
            # IMMEDIATE: a transaction that reads first and writes later could otherwise fail in the middle.
            self._writing = _sqlite_engine(f"sqlite:///{path}", "BEGIN IMMEDIATE")
            self._reading = _sqlite_engine(f"sqlite:///{path}", "BEGIN")
            with self._writing.connect() as connection:
                migrate(connection)
        except (SQLAlchemyError, sqlite3.Error) as exc:
            self._lock.release()
            raise unavailable(exc, f"cannot open the journal {path}") from exc
        except OSError as exc:
            self._lock.release()
            raise JournalUnavailable(f"cannot open the journal {path}: {exc.strerror or exc}") from exc
        except BaseException:
            self._lock.release()
            raise

    def connect_writer(self) -> Connection:
        return self._writing.connect()

    def connect_reader(self) -> Connection:
        connection = self._reading.connect()
        _driver(connection).execute("PRAGMA query_only=ON")
        return connection

    def in_transaction(self, connection: Connection) -> bool:
        return _driver(connection).in_transaction

    def checkpoint(self) -> None:
        """Move what was committed from the log into the file, hindering nobody."""
        if self._checkpointer is None:
            self._checkpointer = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            # Each connection has its own setting: an fsync before the log may be reused.
            self._checkpointer.execute("PRAGMA synchronous=FULL")
        try:
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            self._checkpointer.close()
            self._checkpointer = None

    def after_commit(self, connection: Connection) -> None:
        try:
            if self._wal.stat().st_size > WAL_LIMIT_BYTES:
                _driver(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (OSError, sqlite3.Error):
            return  # the log only grows meanwhile; the next commit tries again

    def close(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._writing.dispose()
        self._reading.dispose()
        self._lock.release()


class SqliteMemory:
    """A database that lives as long as this object: in a simulation it outlives the service that crashes on it.

    It has one connection at a time. Connecting again is what a restart is: what was committed is copied into a new
    connection, and whoever still has the old one can neither commit nor disturb.
    """

    _engine: Engine | None = None
    """One for all of them: it remembers every statement it has compiled, and a simulation opens thousands."""
    _template: sqlite3.Connection | None = None
    """Migrated once, then copied."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def connect_writer(self) -> Connection:
        before, self._connection = self._connection, self._blank()
        if before is None:
            self._migrated().backup(_driver(self._connection))
        else:
            old = _driver(before)
            old.rollback()
            old.backup(_driver(self._connection))
            before.invalidate()
        return self._connection

    def connect_reader(self) -> Connection:
        assert self._connection is not None, "connect_writer comes first"
        return self._connection

    def in_transaction(self, connection: Connection) -> bool:
        return _driver(connection).in_transaction

    def checkpoint(self) -> None:
        return

    def after_commit(self, connection: Connection) -> None:
        return

    def close(self) -> None:
        """The data stay: whoever holds this object may open a journal on it again."""

    def dispose(self) -> None:
        """For good."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()

    @classmethod
    def _blank(cls) -> Connection:
        if cls._engine is None:
            cls._engine = _sqlite_engine("sqlite://", "BEGIN", memory=True)
        return cls._engine.connect()

    @classmethod
    def _migrated(cls) -> sqlite3.Connection:
        if cls._template is None:
            cls._template = sqlite3.connect(":memory:", check_same_thread=False)
            with cls._blank() as connection:
                migrate(connection)
                _driver(connection).backup(cls._template)
        return cls._template
