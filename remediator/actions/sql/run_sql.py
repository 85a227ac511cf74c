"""`run_sql`: VACUUM, ANALYZE or REINDEX of one table or index, or a statement that the operator has named.

There is no SQL in a playbook. REINDEX is always CONCURRENTLY; VACUUM is never FULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Call, Change, NotPossible
from remediator.actions.sql.place import KINDS, VIA, DatabaseName, facts_of, refuse_standby
from remediator.actions.view import Ask, View, Wanted
from remediator.objects import JSON, uid_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import NAME_PATTERN
from remediator.playbooks.quantity import parse_quantity

OLDEST_TRANSACTION = timedelta(minutes=5)
"""REINDEX CONCURRENTLY waits for every older transaction, twice, and meanwhile keeps two indexes up to date."""

_PATTERN = r"^[A-Za-z_][A-Za-z0-9_$]{0,62}\.[A-Za-z_][A-Za-z0-9_$]{0,62}$"
RelationName = Annotated[str, Field(pattern=_PATTERN)]
"""`public.orders`, spelled as in the catalogue."""

_WORDS = {"vacuum_analyze": "VACUUM (ANALYZE)", "analyze": "ANALYZE"}
_FITTING = {
    "vacuum_analyze": ("table", "materialized view"),
    "analyze": ("table", "partitioned table", "materialized view"),
    "reindex": ("table", "materialized view"),
}
_LEFT_BEHIND = ("_ccnew", "_ccold")


def _bytes(text: str) -> str:
    if not 0 < parse_quantity(text) <= 64 * 2**40:
        raise ValueError(f"expected more than 0 and at most 64Ti, got {text!r}")
    return text


class RunSqlParams(Params):
    """`do` with what it takes: `table`; for `reindex` either `table` or `index`; for `statement` its name and `params`.

    `max_size` (`20Gi`) bounds the work of `vacuum_analyze` and the extra space of `reindex`, and is needed for both.
    """

    database: DatabaseName
    do: Literal["vacuum_analyze", "analyze", "reindex", "statement"]
    table: RelationName | None = None
    index: RelationName | None = None
    statement: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    params: Mapping[str, bool | int | float | Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=dict, max_length=20
    )
    max_size: Annotated[str, AfterValidator(_bytes)] | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        given = {name for name in ("table", "index", "statement", "max_size") if getattr(self, name) is not None}
        given |= {"params"} if self.params else set()
        needed = {"statement": {"statement"}, "analyze": {"table"}}.get(self.do, {"table", "max_size"})
        if self.do == "reindex" and "index" in given:
            needed = {"index", "max_size"}
        allowed = needed | ({"params"} if self.do == "statement" else set())
        if missing := sorted(needed - given):
            raise ValueError(f"do: {self.do} needs {' and '.join(missing)}")
        if extra := sorted(given - allowed):
            raise ValueError(f"do: {self.do} takes no {' and no '.join(extra)}; remove it")
        return self

    @property
    def relation(self) -> str:
        return self.index or self.table or ""


class RunSql:
    """Has no inverse: maintenance needs none, and a statement is what the operator has made of it."""

    name = "run_sql"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights: tuple[Right, ...] = ()
    params = RunSqlParams

    def wants(self, params: RunSqlParams, view: View) -> Mapping[str, Wanted]:
        asked: dict[str, JSON] = {"ask": "relation", "name": params.relation}
        if params.do == "statement":
            asked = {"ask": "statement", "statement": params.statement, "params": dict(params.params)}
        return {"facts": Ask(VIA, params.database, asked)}

    def resolve(self, params: RunSqlParams, view: View) -> RunSqlParams:
        return params

    def plan(self, params: RunSqlParams, view: View) -> Change:
        """Raises: NotPossible."""
        facts = facts_of(view, "facts", params.database)
        refuse_standby(facts, params.database)
        if params.do == "statement":
            return _statement(params, view, facts)
        _refuse_relation(params, facts)
        if params.do == "reindex":
            return _reindex(params, view, facts)
        words = f"{_WORDS[params.do]} {params.table}"
        return _change(view, params, {"do": params.do, "table": params.table}, words, _vacuum_notes(params, facts))


def _refuse_relation(params: RunSqlParams, facts: Mapping[str, Any]) -> None:
    """What no maintenance may meet. Raises: NotPossible."""
    name = f"{params.relation} of database {params.database}"
    if not facts["exists"]:
        raise NotPossible(f"there is no {name}: write schema.name as in the catalogue")
    wanted = ("index",) if params.index else _FITTING[params.do]
    if facts["kind"] not in wanted:
        raise NotPossible(f"{name} is no {' or '.join(wanted)} but of kind {facts['kind']}: name another")
    if facts["system"] or facts["temporary"]:
        raise NotPossible(f"{name} is {'a system' if facts['system'] else 'a temporary'} relation: left alone")
    if not facts["may"]["reindex" if params.do == "reindex" else "vacuum"]:
        raise NotPossible(f"our role may not maintain {name}: it needs its owner's role, or MAINTAIN")
    if facts["busy"]:
        raise NotPossible(f"{name} is being worked on: {', '.join(facts['busy'])}", hold=True)
    if params.max_size is not None:
        size = facts["table_bytes"] if params.do == "vacuum_analyze" else facts["bytes"]
        if size > parse_quantity(params.max_size):
            raise NotPossible(f"{name} has {_size(size)}, max_size is {params.max_size}: raise it, or ask a person")


def _reindex(params: RunSqlParams, view: View, facts: Mapping[str, Any]) -> Change:
    name = f"{params.relation} of database {params.database}"
    own = params.index.partition(".")[2] if params.index else ""
    indexes = facts["indexes"]
    broken = [i["name"] for i in indexes if not i["valid"] and (i["name"] != own or own.endswith(_LEFT_BEHIND))]
    if broken:
        raise NotPossible(
            f"{facts['table']} has the invalid index {broken[0]}, left by an earlier attempt: a person drops it first "
            "with DROP INDEX CONCURRENTLY"
        )
    if facts["more_indexes"]:
        raise NotPossible(f"{facts['table']} has more than {len(indexes)} indexes: name one with index")
    wanted = [i for i in indexes if not own or i["name"] == own]
    if not wanted:
        raise NotPossible(f"{name} has no index")
    if unfit := [i["name"] for i in wanted if i["exclusion"]]:
        raise NotPossible(f"{unfit[0]} is an exclusion constraint's, which cannot be rebuilt without blocking writers")
    if facts["prepared"]:
        raise NotPossible(f"database {params.database} has prepared transactions, which REINDEX waits for", hold=True)
    if facts["oldest_transaction_s"] > OLDEST_TRANSACTION.total_seconds():
        oldest = format_duration(timedelta(seconds=int(facts["oldest_transaction_s"])))
        raise NotPossible(
            f"a transaction of database {params.database} is open since {oldest}, and REINDEX would wait for it: end "
            "it, or wait",
            hold=True,
        )
    what = "INDEX" if params.index else "TABLE"
    request: dict[str, JSON] = {
        "do": "reindex",
        "index" if params.index else "table": params.relation,
        "filenodes": {i["name"]: i["filenode"] for i in wanted},
    }
    notes = (
        f"takes about {_size(facts['bytes'])} of space until it is done",
        "a rebuild that fails leaves an invalid index, which a person has to drop",
    )
    return _change(view, params, request, f"REINDEX {what} CONCURRENTLY {params.relation}", notes)


def _vacuum_notes(params: RunSqlParams, facts: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [f"reads up to {_size(facts['table_bytes'])}"] if params.do == "vacuum_analyze" else []
    if params.do == "vacuum_analyze" and facts["oldest_transaction_s"] > OLDEST_TRANSACTION.total_seconds():
        notes.append("a long transaction is open: rows that it may still see are not cleaned up")
    return tuple(notes)


def _statement(params: RunSqlParams, view: View, facts: Mapping[str, Any]) -> Change:
    if facts["objection"]:
        raise NotPossible(f"statement {params.statement} of database {params.database}: {facts['objection']}")
    request: dict[str, JSON] = {
        "do": "statement",
        "statement": params.statement,
        "digest": facts["digest"],
        "params": dict(params.params),
    }
    notes = [f"the statement: {facts['sql']}"]
    if facts["alone"]:
        notes.append("it runs outside a transaction: nothing of it can be rolled back")
    else:
        notes.append(f"rolled back when it changes more than {facts['max_rows']} rows; later it cannot be taken back")
    values = ", ".join(f"{name}={value!r}" for name, value in sorted(params.params.items()))
    words = f"statement {params.statement}{f' with {values}' if values else ''}"
    why = "" if facts["reads"] else f"statement {params.statement} changes data, which cannot be taken back"
    return _change(view, params, request, words, tuple(notes), needs_approval=why)


def _change(
    view: View,
    params: RunSqlParams,
    request: Mapping[str, JSON],
    words: str,
    notes: tuple[str, ...],
    *,
    needs_approval: str = "",
) -> Change:
    says = f"{words} in database {params.database}"
    call = Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via=VIA,
        place=params.database,
        request={**request, "at": GENERATED_TIME},
        says=says,
    )
    return Change(effects=(call,), summary=says, notes=notes, needs_approval=needs_approval)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
