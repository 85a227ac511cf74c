"""One connection for one question or one request, with everything bounded, and what PostgreSQL's errors mean for us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Composed

from remediator.adapters.callers.sql_text import one_line
from remediator.errors import CannotSee, EffectError, Forbidden, InvalidConfig, ReadError, Refused, Unavailable
from remediator.errors import Uncertain as UncertainError
from remediator.outside_databases import DatabaseSettings

OUR_NAME = "remediator"
"""What our application_name begins with: our own sessions are known by it, and never touched."""

OLDEST = 140_000
"""PostgreSQL 14: `pg_locks.waitstart` says since when somebody waits."""

MARGIN = timedelta(seconds=2)
"""Added to the server's own timeout before we stop listening: its answer is worth more than our impatience."""

_BUSY = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: nothing was done, a later try may pass."""

_GOING_DOWN = ("08", "57P", "40003")
"""Errors with which the session ends, and the server's own "completion unknown": what became of it is not known."""

Session = AsyncConnection[DictRow]
Query = LiteralString | SQL | Composed


class NotConnected(Exception):
    """Nothing was sent; the message is for people and holds no secret."""


@asynccontextmanager
async def session(
    db: DatabaseSettings,
    *,
    timeout: timedelta,
    name: str = "",
    read_only: bool = True,
    lock_timeout: timedelta | None = None,
) -> AsyncIterator[Session]:
    """A connection in autocommit mode whose every statement is bounded by `timeout` and the lock timeout.

    The limits go into the start-up message, so that they hold from the first statement on, and a pooler, which cannot
    keep them, says no. Raises: NotConnected.
    """
    address = _address(db, _secret(db))
    try:
        async with asyncio.timeout(db.connect_timeout.total_seconds()):
            opened = await AsyncConnection.connect(
                address,
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
                application_name=f"{OUR_NAME} {name}".strip()[:63],
                options=_options(db, timeout, lock_timeout or db.lock_timeout, read_only),
                gssencmode="disable",
            )
    except (psycopg.Error, OSError, TimeoutError) as exc:
        raise NotConnected(f"database {db.name} cannot be reached: {_said(exc, _password(db))}") from exc
    try:
        if opened.info.server_version < OLDEST:
            raise NotConnected(f"database {db.name} is PostgreSQL {opened.info.server_version // 10_000}: 14 is needed")
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def reading(db: DatabaseSettings) -> AsyncIterator[Session]:
    """A session that can only read; whatever goes wrong in it is a ReadError. Raises: CannotSee, Forbidden."""
    try:
        async with asyncio.timeout((db.connect_timeout + 4 * db.statement_timeout + MARGIN).total_seconds()):
            async with session(db, timeout=db.statement_timeout) as opened:
                yield opened
    except NotConnected as exc:
        raise CannotSee(str(exc)) from exc
    except TimeoutError as exc:
        raise CannotSee(f"database {db.name} did not answer in time") from exc
    except psycopg.Error as exc:
        raise _read_error(db, exc) from exc


async def rows(opened: Session, query: Query, params: Mapping[str, Any] | None = None, *, most: int) -> list[DictRow]:
    """At most `most` rows and one more, which tells that there are others."""
    cursor = await opened.execute(query, params)
    found: list[DictRow] = await cursor.fetchmany(most + 1)
    await cursor.close()
    return found


async def row(opened: Session, query: Query, params: Mapping[str, Any] | None = None) -> DictRow:
    """The only row. Raises: CannotSee."""
    found = await rows(opened, query, params, most=1)
    if len(found) != 1:
        raise CannotSee(f"the database answered {len(found)} rows instead of one")
    return found[0]


def own_words(sql: str) -> Composed:
    """A statement of this program, or of the operator, checked when the configuration was read."""
    return Composed([SQL(sql)])


def effect_error(db: DatabaseSettings, exc: BaseException, sent: Sequence[str] = ()) -> EffectError:
    """What an error after sending means. `sent` is what the server has said beside it."""
    code = getattr(exc, "sqlstate", None) or ""
    said = "; ".join((_said(exc, _password(db)), *sent))
    if not code or code.startswith(_GOING_DOWN) or not isinstance(exc, psycopg.Error):
        return UncertainError(f"database {db.name} gave no clear answer: {said}")
    if code in _BUSY:
        return Unavailable(f"database {db.name} is busy: {said}")
    return Refused(f"database {db.name} said no: {said}", forbidden=code == "42501")


def _read_error(db: DatabaseSettings, exc: psycopg.Error) -> ReadError:
    said = f"database {db.name}: {_said(exc, _password(db))}"
    return Forbidden(said) if exc.sqlstate == "42501" else CannotSee(said)


def _said(exc: BaseException, secret: str) -> str:
    diag = getattr(exc, "diag", None)
    text = (diag.message_primary if diag is not None else None) or str(exc) or type(exc).__name__
    if isinstance(exc, TimeoutError):
        text = "no answer in time"
    return one_line(text.replace(secret, "[redacted]") if secret else text, 300)


def _options(db: DatabaseSettings, timeout: timedelta, lock_timeout: timedelta, read_only: bool) -> str:
    settings = {
        "statement_timeout": _ms(timeout),
        "lock_timeout": _ms(lock_timeout),
        "idle_in_transaction_session_timeout": _ms(db.statement_timeout + MARGIN),
        "default_transaction_read_only": "on" if read_only else "off",
        "timezone": "UTC",
        "client_encoding": "UTF8",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _ms(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))


def _address(db: DatabaseSettings, secret: str) -> str:
    if db.dsn_file is not None:
        try:
            given = conninfo.conninfo_to_dict(secret)
        except psycopg.Error:
            # Not the parser's words: they quote the text, and the password is in it.
            raise NotConnected(f"database {db.name}: dsn_file holds no connection string") from None
        given.setdefault("sslmode", db.sslmode)
        given["client_encoding"] = "UTF8"
    else:
        given = {"host": db.host, "port": db.port, "dbname": db.database, "user": db.user, "sslmode": db.sslmode}
        if secret:
            given["password"] = secret
    if db.sslrootcert is not None:
        given.setdefault("sslrootcert", str(db.sslrootcert))
    return conninfo.make_conninfo("", **given)


def _secret(db: DatabaseSettings) -> str:
    """The password or the whole DSN, read anew for each connection, so that a rotated file counts."""
    holder = db.dsn_file or db.password_file
    try:
        return holder.read() if holder is not None else ""
    except InvalidConfig as exc:
        raise NotConnected(f"database {db.name}: {exc}") from exc


def _password(db: DatabaseSettings) -> str:
    """What must not come back to us in a message; empty where there is none, or it cannot be read."""
    try:
        secret = _secret(db)
        return str(conninfo.conninfo_to_dict(secret).get("password") or "") if db.dsn_file is not None else secret
    except (NotConnected, psycopg.Error):
        return ""
