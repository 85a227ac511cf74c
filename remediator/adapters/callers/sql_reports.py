"""Numbers for checks and reports for people. Texts of other sessions come without literals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg

from remediator.adapters.callers.sql_backends import require_sight
from remediator.adapters.callers.sql_session import Session, row, rows
from remediator.adapters.callers.sql_text import one_line, without_literals
from remediator.errors import CannotSee
from remediator.outside_databases import DatabaseSettings

_CONNECTIONS = """SELECT count(*) FILTER (WHERE backend_type = 'client backend')::float8
  / greatest(1, current_setting('max_connections')::int) AS value FROM pg_stat_activity"""

_WAITING = """SELECT count(DISTINCT l.pid)::float8 AS value FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND a.backend_type = 'client backend'
  AND l.waitstart <= clock_timestamp() - make_interval(secs => %(longer_than)s)"""

# replay_lag is NULL both before the first answer of a standby and when it has had nothing to do: the latter is seen by
# its position. On a standby the age of the last transaction says nothing while the primary is quiet.
_LAG_OF_STANDBYS = """SELECT count(*) AS standbys, max(CASE WHEN replay_lsn = pg_current_wal_lsn() THEN 0.0
  ELSE extract(epoch FROM replay_lag) END)::float8 AS value,
  count(*) FILTER (WHERE replay_lag IS NULL AND replay_lsn IS DISTINCT FROM pg_current_wal_lsn()) AS unmeasured
FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'"""

_OWN_LAG = """SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streaming,
  CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0.0
  ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8 AS value"""

_SLOW = """SELECT s.query, s.calls, s.total_exec_time AS total_ms, s.mean_exec_time AS mean_ms, s.rows
FROM {schema}pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
ORDER BY s.total_exec_time DESC, s.queryid LIMIT %(limit)s"""

_LOCKS = """SELECT w.pid, w.usename AS "user", w.application_name AS application, w.query, l.mode,
  coalesce(l.relation::regclass::text, l.locktype) AS waits_for,
  extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS waits_s, pg_blocking_pids(w.pid) AS blocked_by
FROM pg_locks l JOIN pg_stat_activity w ON w.pid = l.pid WHERE NOT l.granted
ORDER BY l.waitstart NULLS LAST, w.pid LIMIT %(limit)s"""

_BLOCKERS = """SELECT a.pid, a.usename AS "user", a.application_name AS application, a.state, a.query,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s
FROM pg_stat_activity a WHERE a.pid = ANY(%(pids)s) ORDER BY a.xact_start, a.pid"""

_CONNECTED = """SELECT coalesce(datname, '') AS database, coalesce(usename, '') AS "user",
  application_name AS application, coalesce(state, backend_type) AS state, count(*) AS connections,
  extract(epoch FROM max(clock_timestamp() - state_change))::float8 AS longest_s
FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2, 3, 4
ORDER BY connections DESC, 1, 2, 3, 4 LIMIT %(limit)s"""

_SIZES = """SELECT n.nspname || '.' || c.relname AS "table", pg_total_relation_size(c.oid) AS bytes,
  pg_indexes_size(c.oid) AS index_bytes, s.n_live_tup AS live, s.n_dead_tup AS dead,
  greatest(s.last_vacuum, s.last_autovacuum)::text AS vacuumed,
  greatest(s.last_analyze, s.last_autoanalyze)::text AS analyzed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema$)'
ORDER BY bytes DESC, 1 LIMIT %(limit)s"""

# Neither what keeps rows unique nor what a constraint or the replica identity needs: their use is not counted as scans.
_UNUSED = """SELECT s.schemaname || '.' || s.indexrelname AS index, s.schemaname || '.' || s.relname AS "table",
  pg_relation_size(s.indexrelid) AS bytes
FROM pg_stat_user_indexes s JOIN pg_index x ON x.indexrelid = s.indexrelid
WHERE s.idx_scan = 0 AND x.indisvalid AND NOT x.indisunique AND NOT x.indisexclusion AND NOT x.indisreplident
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = s.indexrelid)
ORDER BY bytes DESC, 1 LIMIT %(limit)s"""

_SINCE = "SELECT coalesce(stats_reset::text, '') AS since FROM pg_stat_database WHERE datname = current_database()"
_EXTENSION = """SELECT quote_ident(n.nspname) || '.' AS schema FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'"""

_PLAIN: Mapping[str, LiteralString] = {"connections": _CONNECTED, "sizes": _SIZES, "unused_indexes": _UNUSED}
_SEES_SESSIONS = frozenset({"connections", "locks", "slow_queries"})
_OF_SESSIONS = frozenset({"user", "application", "waits_for", "database"})


async def number(opened: Session, db: DatabaseSettings, query: str, longer_than_s: float) -> Mapping[str, Any]:
    """`value` of a fixed question, None where there is no number, with `why`. Raises: CannotSee, Forbidden."""
    if query == "select_one":
        return {"value": float((await row(opened, "SELECT 1 AS value"))["value"])}
    standby = (await require_sight(opened, db))["standby"]
    match query:
        case "connections_ratio":
            return {"value": (await row(opened, _CONNECTIONS))["value"]}
        case "waiting_locks":
            return {"value": (await row(opened, _WAITING, {"longer_than": longer_than_s}))["value"]}
        case "replication_lag":
            return await _own_lag(opened) if standby else await _lag(opened)
        case _:
            raise CannotSee(f"{query} is no question that a database is asked here")


async def _lag(opened: Session) -> Mapping[str, Any]:
    found = await row(opened, _LAG_OF_STANDBYS)
    if not found["standbys"]:
        return {"value": None, "why": "no standby is connected, so there is no lag to measure"}
    if found["unmeasured"]:
        return {"value": None, "why": f"{found['unmeasured']} standby has not said yet how far it is"}
    return {"value": found["value"]}


async def _own_lag(opened: Session) -> Mapping[str, Any]:
    found = await row(opened, _OWN_LAG)
    if not found["streaming"]:
        return {"value": None, "why": "this standby receives nothing, so its lag grows unmeasured"}
    return {"value": found["value"], **({"why": "nothing replayed yet"} if found["value"] is None else {})}


async def report(opened: Session, db: DatabaseSettings, name: str, limit: int) -> Mapping[str, Any]:
    """`rows` of a report, `more` where the limit has cut them, `since` where it counts from some time on."""
    if name in _SEES_SESSIONS:
        await require_sight(opened, db)
    limit = min(limit, db.max_rows)
    params = {"limit": limit + 1}
    extra: dict[str, Any] = {}
    match name:
        case "slow_queries":
            found = await _slow(opened, params)
        case "locks":
            found = await rows(opened, _LOCKS, params, most=limit)
            pids = sorted({pid for one in found for pid in one["blocked_by"]})
            blockers = await rows(opened, _BLOCKERS, {"pids": pids}, most=limit)
            extra = {"blockers": [_shown(one) for one in blockers[:limit]]}
        case "connections" | "sizes" | "unused_indexes":
            found = await rows(opened, _PLAIN[name], params, most=limit)
        case _:
            raise CannotSee(f"there is no report {name}")
    if name == "unused_indexes":
        extra = {"since": (await row(opened, _SINCE))["since"]}
    return {"rows": [_shown(one) for one in found[:limit]], "more": len(found) > limit, **extra}


async def _slow(opened: Session, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    where = await rows(opened, _EXTENSION, most=1)
    if not where:
        raise CannotSee("the extension pg_stat_statements is not there: CREATE EXTENSION pg_stat_statements")
    query = psycopg.sql.SQL(_SLOW).format(schema=psycopg.sql.SQL(where[0]["schema"]))
    return await rows(opened, query, params, most=int(params["limit"]))


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """One row as JSON: statements without literals, names that sessions choose on one line."""
    shown: dict[str, Any] = {}
    for name, value in found.items():
        if name == "query":
            shown[name] = without_literals(value or "")
        elif name in _OF_SESSIONS:
            shown[name] = one_line(value or "", 63)
        else:
            shown[name] = round(value, 3) if isinstance(value, float) else value
    return shown
