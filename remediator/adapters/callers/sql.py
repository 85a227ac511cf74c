"""The caller `sql`: questions to and maintenance of PostgreSQL, in fixed forms and statements of the operator.

A request is a mapping with `ask` (a question) or `do` (a change), see `_ASKED` and `_DONE`. Nothing in it is ever SQL:
names are quoted, values are bound. Each request has a connection of its own, whose application_name holds the effect's
key, so that what still runs after a broken connection can be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg

from remediator.adapters.callers import sql_backends, sql_relations, sql_reports, sql_statements
from remediator.adapters.callers.sql_session import (
    MARGIN,
    NotConnected,
    Session,
    effect_error,
    reading,
    session,
)
from remediator.errors import CannotSee, NotFound, ReadError, Refused, TargetGone, Unavailable, Uncertain
from remediator.outside_databases import DatabaseSettings
from remediator.ports import Found

VIA = "sql"

MAX_BYTES = 65_536
"""Of an answer as JSON."""

_MAINTENANCE = frozenset({"vacuum_analyze", "analyze", "reindex"})
_SIGNALS = frozenset({"cancel", "terminate"})


class SqlCaller:
    """All databases of one configuration. It keeps no connections."""

    def __init__(self, databases: tuple[DatabaseSettings, ...]) -> None:
        self._databases = {db.name: db for db in databases}

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        """Raises: CannotSee, Forbidden, NotFound."""
        db = self._db(place)
        answer = _ASKED.get(str(request.get("ask")))
        if answer is None:
            raise CannotSee(f"{request.get('ask')!s:.40} is no question that a database is asked here")
        async with reading(db) as opened:
            return _bounded(await answer(opened, db, request))

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        """Whether it is still as planned and we have the rights; for a statement, what the planner expects.

        Raises: Refused, ReadError.
        """
        db = self._db(place)
        async with reading(db) as opened:
            do = request["do"]
            if do in _SIGNALS:
                if not await sql_backends.may_signal(opened, request):
                    raise Refused(
                        f"database {place}: our role may signal nobody; GRANT pg_signal_backend", forbidden=True
                    )
                if not await sql_backends.still_there(opened, db, request):
                    raise Refused(_moved_on(db, request))
                return ""
            if do == "statement":
                return await sql_statements.explain(opened, db, request)
            await _require_relation(opened, db, request)
            return ""

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        """Raises: Refused, Unavailable, TargetGone, Uncertain."""
        try:
            db = self._db(place)
        except NotFound as exc:
            raise Refused(str(exc)) from exc
        send = _DONE.get(str(request.get("do")))
        if send is None:
            raise Refused(f"{request.get('do')!s:.40} is nothing that is done to a database here")
        if request["do"] == "statement":
            sql_statements.require_same(db, request)
        return await send(db, request, key)

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        """`happened` where the database itself proves it, else `unknown`. Raises: ReadError."""
        db = self._db(place)
        async with reading(db) as opened:
            await sql_backends.require_sight(opened, db)
            if request["do"] in _SIGNALS:
                return "happened" if await sql_backends.over(opened, request) else "unknown"
            if request["do"] not in _MAINTENANCE or await sql_relations.still_running(opened, key):
                return "unknown"
            return "happened" if await sql_relations.happened(opened, db, request) else "unknown"

    async def close(self) -> None:
        """Nothing is kept open between requests."""

    def _db(self, place: str) -> DatabaseSettings:
        """Raises: NotFound."""
        try:
            return self._databases[place]
        except KeyError:
            raise NotFound(f"there is no database {place:.63}: outside.databases names {self._names()}") from None

    def _names(self) -> str:
        return ", ".join(sorted(self._databases)) or "none"


async def _ask_backends(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Any:
    return await sql_backends.candidates(opened, db, request["which"], float(request["longer_than_s"]))


async def _ask_relation(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Any:
    return await sql_relations.relation(opened, db, request["name"])


async def _ask_number(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Any:
    if request["query"] == "statement":
        return await sql_statements.number(opened, db, request)
    return await sql_reports.number(opened, db, request["query"], float(request.get("longer_than_s", 0)))


async def _ask_report(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Any:
    return await sql_reports.report(opened, db, request["report"], int(request["limit"]))


_ASKED: Mapping[str, Callable[[Session, DatabaseSettings, Mapping[str, Any]], Awaitable[Any]]] = {
    "backends": _ask_backends,
    "relation": _ask_relation,
    "statement": sql_statements.describe,
    "number": _ask_number,
    "report": _ask_report,
}


@asynccontextmanager
async def _writing(db: DatabaseSettings, key: str, *, patient: bool = False) -> AsyncIterator[Session]:
    """A session for one change; what goes wrong before anything is sent is Unavailable.

    `patient`: what works CONCURRENTLY waits for the transactions of others, nobody waits for it, and giving up leaves
    an invalid index: no lock timeout then. Raises: EffectError.
    """
    limit = db.maintenance_timeout
    locks = limit if patient else db.lock_timeout
    try:
        async with session(db, timeout=limit, name=key, read_only=False, lock_timeout=locks) as opened:
            try:
                async with asyncio.timeout((db.maintenance_timeout + MARGIN).total_seconds()):
                    yield opened
            except (psycopg.Error, OSError, TimeoutError, ReadError) as exc:
                raise effect_error(db, exc) from exc
    except NotConnected as exc:
        raise Unavailable(str(exc)) from exc


async def _send_signal(db: DatabaseSettings, request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    async with _writing(db, key) as opened:
        done = await sql_backends.signal(opened, db, request)
    if done is None:
        raise TargetGone(_moved_on(db, request))
    if not done and request["do"] == "terminate":
        raise Uncertain(f"database {db.name}: session {request['pid']} was told to end and is still there")
    if not done:
        raise TargetGone(_moved_on(db, request))
    said = "the session is gone" if request["do"] == "terminate" else "the statement was told to end"
    return {"pid": request["pid"], "says": f"pid {request['pid']}: {said}"}


async def _send_maintenance(db: DatabaseSettings, request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    try:
        async with _writing(db, key, patient=request["do"] == "reindex") as opened:
            warnings = await sql_relations.run_alone(opened, sql_relations.maintenance(request))
    except (Refused, Unavailable) as exc:
        if request["do"] == "reindex" and (left := await _left_over(db, request)):
            raise Refused(f"{exc}; {left}") from exc
        raise
    if warnings:
        # A warning is how the server says that it has left the table alone.
        raise Refused(f"database {db.name}: {'; '.join(warnings)}")
    return {"says": "done"}


async def _left_over(db: DatabaseSettings, request: Mapping[str, Any]) -> str:
    """What a rebuild that failed has left, for people."""
    try:
        async with reading(db) as opened:
            names = await sql_relations.invalid_indexes(opened, db, request)
    except ReadError as exc:
        return f"whether it left an invalid index could not be seen: {exc}"
    if not names:
        return ""
    return (
        f"it left what is invalid: {', '.join(names)}; a person drops what ends in _ccnew or _ccold with DROP INDEX "
        "CONCURRENTLY, and then starts this again"
    )


async def _send_statement(db: DatabaseSettings, request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    patient = "CONCURRENTLY" in db.statements[request["statement"]].words
    async with _writing(db, key, patient=patient) as opened:
        return await sql_statements.run(opened, db, request)


_DONE: Mapping[str, Callable[[DatabaseSettings, Mapping[str, Any], str], Awaitable[Mapping[str, Any]]]] = {
    **dict.fromkeys(_SIGNALS, _send_signal),
    **dict.fromkeys(_MAINTENANCE, _send_maintenance),
    "statement": _send_statement,
}


async def _require_relation(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> None:
    name = request.get("index") or request.get("table") or ""
    facts = await sql_relations.relation(opened, db, name)
    if not facts["exists"]:
        raise Refused(f"database {db.name} has no {name}")
    if not facts["may"]["reindex" if request["do"] == "reindex" else "vacuum"]:
        raise Refused(f"database {db.name}: our role does not own {name}", forbidden=True)
    if facts["standby"]:
        raise Refused(f"database {db.name} is a standby: it takes no changes")


def _moved_on(db: DatabaseSettings, request: Mapping[str, Any]) -> str:
    return (
        f"database {db.name}: session {request['pid']} is gone, or does something else than what was planned for: "
        "nothing was done"
    )


def _bounded(answer: Any) -> Any:
    """Raises: CannotSee for more than an answer may be."""
    if len(orjson.dumps(answer, default=str)) > MAX_BYTES:
        raise CannotSee("the database's answer is longer than 64 KiB")
    return orjson.loads(orjson.dumps(answer, default=str))
