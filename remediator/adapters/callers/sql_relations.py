"""Tables and indexes: what there is to know before maintenance, and the fixed forms of maintenance itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from remediator.adapters.callers.sql_backends import require_sight
from remediator.adapters.callers.sql_session import OUR_NAME, Session, own_words, row, rows
from remediator.adapters.callers.sql_text import one_line
from remediator.errors import NotFound
from remediator.outside_databases import DatabaseSettings

MOST_INDEXES = 50

_KINDS = {"r": "table", "p": "partitioned table", "m": "materialized view", "i": "index", "I": "partitioned index"}

# VACUUM and ANALYZE of what one does not own is skipped with a warning and reported as done, so it is asked before.
# The owner of the database may VACUUM and ANALYZE as well, and not REINDEX.
_OWNS = "(pg_has_role(c.relowner, 'USAGE'){})"
_OWNS_ALL = "EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() AND pg_has_role(d.datdba, 'USAGE'))"
_MAINTAIN = " OR has_table_privilege(t.oid, 'MAINTAIN')"

_FACTS = """SELECT c.oid::bigint AS oid, t.oid::bigint AS table_oid, c.relkind::text AS kind,
  tn.nspname AS table_schema, t.relname AS table_name, c.relpersistence = 't' AS temporary,
  n.nspname ~ '^(pg_|information_schema$)' AS system, {owns} AS owns, {owns_all} AS owns_all,
  pg_total_relation_size(t.oid) AS table_bytes, pg_indexes_size(t.oid) AS indexes_bytes,
  pg_relation_size(c.oid) AS own_bytes,
  s.n_live_tup AS live, s.n_dead_tup AS dead, s.last_vacuum, s.last_analyze
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index x ON x.indexrelid = c.oid
JOIN pg_class t ON t.oid = coalesce(x.indrelid, c.oid) JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = t.oid
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'p', 'm', 'i', 'I')"""

_INDEXES = """SELECT c.relname AS name, x.indisvalid AND x.indisready AS valid, x.indisexclusion AS exclusion,
  c.relfilenode::bigint AS filenode, pg_relation_size(c.oid) AS bytes
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = %(oid)s ORDER BY c.relname"""

_BUSY = """SELECT pid, 'VACUUM' AS what FROM pg_stat_progress_vacuum WHERE relid = %(oid)s
UNION ALL SELECT pid, 'ANALYZE' FROM pg_stat_progress_analyze WHERE relid = %(oid)s
UNION ALL SELECT pid, command FROM pg_stat_progress_create_index WHERE relid = %(oid)s
UNION ALL SELECT pid, command FROM pg_stat_progress_cluster WHERE relid = %(oid)s"""

_OLDEST = """SELECT
  (SELECT extract(epoch FROM max(clock_timestamp() - a.xact_start))::float8 FROM pg_stat_activity a
   WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend') AS oldest,
  (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared"""

_RUNNING = "SELECT pid FROM pg_stat_activity WHERE application_name = %(name)s AND pid <> pg_backend_pid()"


def nameown_words(text: str) -> tuple[str, str]:
    """Schema and name of `public.orders`."""
    schema, _, name = text.partition(".")
    return schema, name


async def relation(opened: Session, db: DatabaseSettings, text: str) -> Mapping[str, Any]:
    """What is known about a table or an index, and about what its maintenance would meet.

    `bytes` is what a rebuild of all its indexes (of the index itself) takes once more; `table_bytes` what a VACUUM
    reads. Raises: NotFound, Forbidden, CannotSee.
    """
    facts = dict(await require_sight(opened, db))
    schema, name = nameown_words(text)
    owns = _OWNS.format(_MAINTAIN if opened.info.server_version >= 170_000 else "")
    query = _FACTS.replace("{owns}", owns).replace("{owns_all}", _OWNS_ALL)
    found = await rows(opened, own_words(query), {"schema": schema, "name": name}, most=1)
    if not found:
        return {**facts, "exists": False}
    one = found[0]
    oid = {"oid": one["table_oid"]}
    indexes = await rows(opened, own_words(_INDEXES), oid, most=MOST_INDEXES)
    oldest = await row(opened, own_words(_OLDEST))
    is_index = one["kind"] in ("i", "I")
    return {
        **facts,
        "exists": True,
        "kind": _KINDS[one["kind"]],
        "table": f"{one['table_schema']}.{one['table_name']}",
        "temporary": one["temporary"],
        "system": one["system"],
        "may": {"vacuum": one["owns"] or one["owns_all"], "reindex": one["owns"]},
        "table_bytes": one["table_bytes"],
        "bytes": one["own_bytes"] if is_index else one["indexes_bytes"],
        "live": one["live"],
        "dead": one["dead"],
        "last_vacuum": _text(one["last_vacuum"]),
        "last_analyze": _text(one["last_analyze"]),
        "indexes": [dict(index) for index in indexes[:MOST_INDEXES]],
        "more_indexes": len(indexes) > MOST_INDEXES,
        "busy": [f"{b['what']} by pid {b['pid']}" for b in await rows(opened, own_words(_BUSY), oid, most=10)],
        "oldest_transaction_s": oldest["oldest"] or 0.0,
        "prepared": oldest["prepared"],
    }


def maintenance(request: Mapping[str, Any]) -> Composed:
    """The statement of one fixed form, names quoted."""
    table, index = request.get("table", ""), request.get("index", "")
    what = Identifier(*nameown_words(index or table))
    match request["do"]:
        case "vacuum_analyze":
            return SQL("VACUUM (ANALYZE) {}").format(what)
        case "analyze":
            return SQL("ANALYZE {}").format(what)
        case _:
            form = SQL("REINDEX INDEX CONCURRENTLY {}") if index else SQL("REINDEX TABLE CONCURRENTLY {}")
            return form.format(what)


async def run_alone(opened: Session, statement: Composed) -> tuple[str, ...]:
    """Run it outside a transaction; what the server has warned about. A skipped table is a warning, not an error."""
    warnings: list[str] = []

    def heard(diag: Any) -> None:
        if diag.severity_nonlocalized == "WARNING" and len(warnings) < 5:
            warnings.append(one_line(diag.message_primary or "", 200))

    opened.add_notice_handler(heard)
    await opened.execute(statement)
    return tuple(warnings)


async def invalid_indexes(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> tuple[str, ...]:
    """Indexes of the table that are not valid: what a rebuild that failed leaves behind."""
    facts = await relation(opened, db, request.get("index") or request.get("table") or "")
    return tuple(index["name"] for index in facts.get("indexes", ()) if not index["valid"])


async def happened(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> bool:
    """Whether what the request asks for is proven to be done since. Raises: NotFound."""
    facts = await relation(opened, db, request.get("index") or request.get("table") or "")
    if not facts["exists"]:
        raise NotFound(f"{request.get('index') or request.get('table')} does not exist any more")
    if request["do"] == "reindex":
        now = {index["name"]: (index["filenode"], index["valid"]) for index in facts["indexes"]}
        before = request.get("filenodes") or {}
        rebuilt = all(name in now and now[name][1] and now[name][0] != node for name, node in before.items())
        return bool(before) and rebuilt
    sent = datetime.fromisoformat(request["at"])
    wanted = ("last_vacuum", "last_analyze") if request["do"] == "vacuum_analyze" else ("last_analyze",)
    return all(facts[name] and datetime.fromisoformat(facts[name]) >= sent for name in wanted)


async def still_running(opened: Session, key: str) -> bool:
    """Whether the session that sent this effect is still there: PostgreSQL goes on after its client has gone."""
    return bool(await rows(opened, own_words(_RUNNING), {"name": f"{OUR_NAME} {key}"[:63]}, most=1))


def _text(at: datetime | None) -> str:
    return at.isoformat(timespec="microseconds") if at is not None else ""
