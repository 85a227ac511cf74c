"""Sessions that hold others up: which there are, and ending one of them.

The statement that signals looks again at pid and backend_start, and at the state that made the session a candidate, in
the same breath: a pid that PostgreSQL has given to another session since then is never hit. Whom nobody may touch is
one expression, used by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from psycopg.sql import SQL, Composed

from remediator.adapters.callers.sql_session import OUR_NAME, Session, row, rows
from remediator.adapters.callers.sql_text import fingerprint, one_line, without_literals
from remediator.errors import Forbidden
from remediator.outside_databases import DatabaseSettings

Which = Literal["blocker", "idle_in_transaction", "long_running"]

MOST = 50
"""Candidates in one answer."""

GONE_WITHIN_MS = 3000
"""How long pg_terminate_backend waits for the session to be gone."""

_SPARED = SQL(
    """CASE
  WHEN a.pid = pg_backend_pid() OR a.usesysid = (SELECT oid FROM pg_roles WHERE rolname = session_user)
    OR a.application_name LIKE %(ours)s THEN 'a session of our own role'
  WHEN a.backend_type IS DISTINCT FROM 'client backend' THEN coalesce(a.backend_type, 'an unknown kind of process')
  WHEN r.oid IS NULL OR r.rolsuper THEN 'a superuser'
  WHEN r.rolreplication THEN 'a replication role'
  WHEN a.datname IS DISTINCT FROM current_database() THEN 'another database'
  WHEN a.usename = ANY(%(spare_users)s::text[]) THEN 'a spared user'
  WHEN a.application_name = ANY(%(spare_applications)s::text[]) THEN 'a spared application'
  ELSE '' END"""
)

# Who waits for whom, from everybody that has waited long enough to the end of each queue: the ends are the blockers.
# Asking for blockers stops the lock manager for a moment each time, so at most the hundred longest waiters are asked.
_CHAINS = SQL(
    """WITH RECURSIVE waiting AS MATERIALIZED (
  SELECT l.pid, min(l.waitstart) AS since FROM pg_locks l WHERE NOT l.granted GROUP BY l.pid
  ORDER BY since NULLS LAST LIMIT 100
), edge AS MATERIALIZED (
  SELECT DISTINCT w.pid AS waiter, b.pid AS blocker, w.since FROM waiting w, unnest(pg_blocking_pids(w.pid)) AS b(pid)
), chain AS (
  SELECT e.waiter AS first, e.blocker, e.since FROM edge e JOIN pg_stat_activity p ON p.pid = e.waiter
  WHERE p.backend_type = 'client backend' AND e.since <= clock_timestamp() - make_interval(secs => %(longer_than)s)
  UNION
  SELECT c.first, e.blocker, c.since FROM chain c JOIN edge e ON e.waiter = c.blocker
), roots AS MATERIALIZED (
  SELECT c.blocker AS pid, count(DISTINCT c.first) AS waiters, min(c.since) AS since FROM chain c
  WHERE NOT EXISTS (SELECT FROM edge e WHERE e.waiter = c.blocker) GROUP BY c.blocker
)"""
)

_SESSIONS = SQL(
    """SELECT roots.pid, a.backend_start, a.xact_start, a.query_start, a.state_change, a.state, a.usename,
  a.application_name, a.query, roots.waiters, roots.since,
  CASE WHEN roots.pid = 0 THEN 'a prepared transaction' WHEN a.pid IS NULL THEN 'gone' ELSE {spared} END AS spared
FROM {roots} LEFT JOIN pg_stat_activity a ON a.pid = roots.pid LEFT JOIN pg_roles r ON r.oid = a.usesysid
ORDER BY roots.since, roots.pid"""
)

_IDLE = SQL("a.state IN ('idle in transaction', 'idle in transaction (aborted)')")
_LONG = SQL("(SELECT pid, 0::bigint AS waiters, {since} AS since FROM pg_stat_activity a WHERE {which}) AS roots")
_OLDER = SQL(" < clock_timestamp() - make_interval(secs => %(longer_than)s)")

_CANDIDATES: Mapping[str, Composed] = {
    "blocker": SQL("{} {}").format(_CHAINS, _SESSIONS.format(spared=_SPARED, roots=SQL("roots"))),
    "idle_in_transaction": _SESSIONS.format(
        spared=_SPARED,
        roots=_LONG.format(since=SQL("a.state_change"), which=SQL("{} AND a.state_change").format(_IDLE) + _OLDER),
    ),
    "long_running": _SESSIONS.format(
        spared=_SPARED,
        roots=_LONG.format(since=SQL("a.query_start"), which=SQL("a.state = 'active' AND a.query_start") + _OLDER),
    ),
}

_SAME = SQL(
    """a.pid = %(pid)s AND a.backend_start = %(backend_start)s::timestamptz
  AND a.xact_start IS NOT DISTINCT FROM %(xact_start)s::timestamptz AND {spared} = ''"""
).format(spared=_SPARED)

_STILL: Mapping[str, Composed] = {
    "blocker": SQL("a.pid IN (SELECT pid FROM roots)").format(),
    "idle_in_transaction": SQL("{} AND a.state_change = %(state_change)s::timestamptz").format(_IDLE),
    "long_running": SQL("a.state = 'active' AND a.query_start = %(query_start)s::timestamptz").format(),
}

# A cancel hits whatever runs when it arrives: it must be the statement that people have seen.
_SAME_STATEMENT = SQL(" AND a.state = 'active' AND a.query_start = %(query_start)s::timestamptz")

_SIGNALS: Mapping[str, SQL] = {
    "cancel": SQL("pg_cancel_backend(victim.pid)"),
    "terminate": SQL("pg_terminate_backend(victim.pid, %(gone_within)s)"),
}

_MAY_SEE = "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS may, pg_is_in_recovery() AS standby"
_MAY_SIGNAL = (
    "SELECT pg_has_role('pg_signal_backend', 'USAGE') OR "
    "EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = %(pid)s AND pg_has_role(a.usesysid, 'USAGE')) AS may"
)
_THERE = "SELECT FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(backend_start)s::timestamptz"
_RUNS = _THERE + " AND state = 'active' AND query_start = %(query_start)s::timestamptz"


async def require_sight(opened: Session, db: DatabaseSettings) -> Mapping[str, Any]:
    """Without the right, other people's sessions look idle: an empty answer would mean nothing. Raises: Forbidden."""
    seen = await row(opened, _MAY_SEE)
    if not seen["may"]:
        raise Forbidden(
            f"database {db.name}: our role cannot see the sessions of others; GRANT pg_read_all_stats (or pg_monitor)"
        )
    return {"standby": seen["standby"], "stands_for": list(db.stands_for)}


async def candidates(opened: Session, db: DatabaseSettings, which: Which, longer_than_s: float) -> Mapping[str, Any]:
    """`backends` that may be acted on, longest first, and `spared` ones with the reason. Raises: Forbidden."""
    facts = await require_sight(opened, db)
    params = _about_us(db) | {"longer_than": longer_than_s}
    found = await rows(opened, _CANDIDATES[which], params, most=MOST)
    kept, more = found[:MOST], len(found) > MOST
    return {
        **facts,
        "backends": [_backend(one) for one in kept if not one["spared"]],
        "spared": [{"pid": one["pid"], "why": one["spared"]} for one in kept if one["spared"] not in ("", "gone")],
        "more": more,
    }


def _backend(found: Mapping[str, Any]) -> dict[str, Any]:
    times = ("backend_start", "xact_start", "query_start", "state_change", "since")
    return {
        "pid": found["pid"],
        **{name: _text(found[name]) for name in times},
        "state": found["state"] or "",
        "user": one_line(found["usename"] or "", 63),
        "application": one_line(found["application_name"] or "", 63),
        "query": without_literals(found["query"] or ""),
        "query_hash": fingerprint(found["query"] or ""),
        "waiters": found["waiters"],
    }


def _text(at: datetime | None) -> str:
    """With microseconds: what PostgreSQL has, so that it compares equal."""
    return at.isoformat(timespec="microseconds") if at is not None else ""


def _about_us(db: DatabaseSettings) -> dict[str, Any]:
    return {
        "ours": f"{OUR_NAME}%",
        "spare_users": list(db.spare_users),
        "spare_applications": list(db.spare_applications),
    }


def _params(db: DatabaseSettings, request: Mapping[str, Any]) -> dict[str, Any]:
    names = ("pid", "backend_start", "xact_start", "query_start", "state_change")
    given = {name: request.get(name) or None for name in names}
    return _about_us(db) | given | {"longer_than": request["longer_than_s"], "gone_within": GONE_WITHIN_MS}


def _victim(request: Mapping[str, Any], then: SQL) -> Composed:
    which = request["which"]
    begin = SQL("{}, ").format(_CHAINS) if which == "blocker" else SQL("WITH ").format()
    same = SQL("{} AND {}").format(_SAME, _STILL[which])
    if request["do"] == "cancel":
        same += _SAME_STATEMENT
    return SQL(
        """{begin} victim AS MATERIALIZED (
  SELECT a.pid FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE {same}
) SELECT victim.pid, {then} AS done FROM victim"""
    ).format(begin=begin, same=same, then=then)


async def still_there(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> bool:
    """Whether `signal` would find it. Nothing is signalled."""
    return bool(await rows(opened, _victim(request, SQL("true")), _params(db, request), most=1))


async def may_signal(opened: Session, request: Mapping[str, Any]) -> bool:
    return bool((await row(opened, _MAY_SIGNAL, {"pid": request["pid"]}))["may"])


async def signal(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> bool | None:
    """True: signalled (and, when terminated, gone). False: signalled, not gone yet. None: not there any more, or it
    has moved on, and nothing was done."""
    found = await rows(opened, _victim(request, _SIGNALS[request["do"]]), _params(db, request), most=1)
    return bool(found[0]["done"]) if found else None


async def over(opened: Session, request: Mapping[str, Any]) -> bool:
    """Whether the session (for a cancel: its statement) is over."""
    query = _RUNS if request["do"] == "cancel" else _THERE
    return not await rows(opened, query, _params_of(request), most=1)


def _params_of(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: request.get(name) or None for name in ("pid", "backend_start", "query_start")}
