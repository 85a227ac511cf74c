"""The operator's named statements: described, rehearsed, asked for a number, and run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import psycopg

from remediator.adapters.callers.sql_session import Session, own_words, row
from remediator.adapters.callers.sql_text import one_line
from remediator.errors import CannotSee, NotFound, Refused
from remediator.outside_databases import DatabaseSettings, NamedStatement

SHOWN = 1000
"""Characters of a statement of the operator's that people see before they approve it."""


def _named(db: DatabaseSettings, name: str) -> NamedStatement:
    """Raises: NotFound."""
    found = db.statements.get(name)
    if found is None:
        known = ", ".join(sorted(db.statements)) or "none"
        raise NotFound(f"database {db.name} has no statement {name:.63}: the configuration names {known}")
    return found


def digest_of(statement: NamedStatement) -> str:
    """What was approved is what runs, also when the configuration was changed in between."""
    return hashlib.sha256(statement.sql.encode()).hexdigest()


def objection(statement: NamedStatement, values: Mapping[str, Any]) -> str:
    """Why these values may not be bound; empty when they may."""
    if missing := sorted(set(statement.params) - set(values)):
        return f"params.{missing[0]} is missing"
    for name, value in values.items():
        spec = statement.params.get(name)
        if spec is None:
            return f"params.{name} is none of {', '.join(sorted(statement.params)) or 'none'}"
        if why := spec.objection(value):
            return f"params.{name}: {why}"
    return ""


async def describe(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What people are asked about: the words, and what is wrong with the values. Raises: NotFound, CannotSee."""
    statement = _named(db, request["statement"])
    found = await row(opened, "SELECT pg_is_in_recovery() AS standby")
    return {
        "standby": found["standby"],
        "stands_for": list(db.stands_for),
        "sql": one_line(statement.sql, SHOWN),
        "digest": digest_of(statement),
        "reads": statement.reads,
        "alone": statement.alone,
        "max_rows": statement.max_rows,
        "objection": objection(statement, request["params"]),
    }


def require_same(db: DatabaseSettings, request: Mapping[str, Any]) -> NamedStatement:
    """Raises: Refused for another statement than the one that was planned, or other values than it takes."""
    try:
        statement = _named(db, request["statement"])
    except NotFound as exc:
        raise Refused(str(exc)) from exc
    if digest_of(statement) != request["digest"]:
        raise Refused(f"statement {request['statement']} of database {db.name} was changed since this was planned")
    if why := objection(statement, request["params"]):
        raise Refused(f"statement {request['statement']} of database {db.name}: {why}")
    return statement


async def explain(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> str:
    """What the planner expects of it, without doing it. Raises: Refused, psycopg.Error."""
    statement = require_same(db, request)
    if not statement.explainable:
        return ""
    query = own_words(f"EXPLAIN (FORMAT JSON) {statement.sql}")
    try:
        found = await row(opened, query, _values(statement, request))
    except psycopg.errors.InsufficientPrivilege as exc:
        raise Refused(f"statement {request['statement']}: {one_line(str(exc), 200)}", forbidden=True) from exc
    except (psycopg.errors.ProgrammingError, psycopg.errors.DataError) as exc:
        raise Refused(f"statement {request['statement']}: {one_line(str(exc), 200)}") from exc
    plan = next(iter(found.values()))[0]["Plan"]
    plan = plan["Plans"][0] if plan.get("Node Type") == "ModifyTable" and plan.get("Plans") else plan
    return f"the database expects about {plan['Plan Rows']} rows"


async def number(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only value of a statement that reads. Raises: CannotSee, NotFound."""
    statement = _named(db, request["statement"])
    if not statement.reads:
        raise CannotSee(f"statement {request['statement']} of database {db.name} does not say reads: true")
    if why := objection(statement, request.get("params") or {}):
        raise CannotSee(f"statement {request['statement']}: {why}")
    cursor = await opened.execute(own_words(statement.sql), _values(statement, request))
    found = await cursor.fetchmany(2)
    columns = len(cursor.description or ())
    if (columns, len(found)) != (1, 1):
        said = f"{columns} columns and {'several' if len(found) > 1 else len(found)} rows"
        raise CannotSee(f"statement {request['statement']} gave {said}, not a single number")
    value = next(iter(found[0].values()))
    try:
        return {"value": None, "why": "it gave NULL"} if value is None else {"value": float(value)}
    except (TypeError, ValueError):
        raise CannotSee(f"statement {request['statement']} gave no number") from None


async def run(opened: Session, db: DatabaseSettings, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Once, in a transaction that is rolled back when more rows change than the operator allows. Raises: Refused."""
    statement = require_same(db, request)
    query, values = own_words(statement.sql), _values(statement, request)
    if statement.alone:
        await opened.execute(query, values)
        return {"says": "done"}
    async with opened.transaction():
        cursor = await opened.execute(query, values)
        changed = cursor.rowcount
        if changed > statement.max_rows and not _only_shows(cursor.statusmessage):
            raise Refused(
                f"statement {request['statement']} changed {changed} rows, at most {statement.max_rows} are allowed: "
                "all of it was rolled back"
            )
    return {"says": f"done, {changed} {'row' if changed == 1 else 'rows'}"}


def _only_shows(status: str | None) -> bool:
    return (status or "").startswith("SELECT")


def _values(statement: NamedStatement, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """None where nothing is bound and no percent sign is doubled: utility statements take no parameters."""
    return dict(request.get("params") or {}) if statement.params or "%" in statement.sql else None
