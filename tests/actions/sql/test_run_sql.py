"""run_sql: which form with which words, and what it is refused for. The database's answers are plain values here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_TIME, Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.registry import load_actions
from remediator.actions.sql.run_sql import RunSql, RunSqlParams
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.sql.make_sql import cnpg_cluster, index, relation, seen, service, statement

DB: dict[str, Any] = {"database": "orders-db"}
VACUUM = DB | {"do": "vacuum_analyze", "table": "public.orders", "max_size": "20Gi"}
ANALYZE = DB | {"do": "analyze", "table": "public.orders"}
REBUILD = DB | {"do": "reindex", "table": "public.orders", "max_size": "1Gi"}
REBUILD_ONE = DB | {"do": "reindex", "index": "public.orders_pkey", "max_size": "1Gi"}
STATEMENT = DB | {"do": "statement", "statement": "expire-carts", "params": {"most": 3}}


def plan(params: dict[str, Any], facts: Any, target: Any = None) -> Any:
    action, view = RunSql(), seen(target or service(), facts=facts)
    return action.plan(action.resolve(RunSqlParams(**params), view), view)


@pytest.mark.parametrize(
    ("params", "facts", "request_", "words"),
    [
        pytest.param(
            VACUUM,
            relation(),
            {"do": "vacuum_analyze", "table": "public.orders"},
            "VACUUM (ANALYZE) public.orders in database orders-db",
            id="vacuum",
        ),
        pytest.param(
            ANALYZE,
            relation(kind="partitioned table"),
            {"do": "analyze", "table": "public.orders"},
            "ANALYZE public.orders in database orders-db",
            id="analyze, also of a whole partitioned table",
        ),
        pytest.param(
            REBUILD,
            relation(),
            {"do": "reindex", "table": "public.orders", "filenodes": {"orders_pkey": 16425}},
            "REINDEX TABLE CONCURRENTLY public.orders in database orders-db",
            id="reindex",
        ),
        pytest.param(
            REBUILD_ONE,
            relation(kind="index", indexes=[index(), index("other", filenode=1)]),
            {"do": "reindex", "index": "public.orders_pkey", "filenodes": {"orders_pkey": 16425}},
            "REINDEX INDEX CONCURRENTLY public.orders_pkey in database orders-db",
            id="reindex of one index",
        ),
        pytest.param(
            REBUILD_ONE,
            relation(kind="index", indexes=[index(valid=False)]),
            {"do": "reindex", "index": "public.orders_pkey", "filenodes": {"orders_pkey": 16425}},
            "REINDEX INDEX CONCURRENTLY public.orders_pkey in database orders-db",
            id="an invalid index is mended by its own rebuild",
        ),
        pytest.param(
            STATEMENT,
            statement(),
            {"do": "statement", "statement": "expire-carts", "digest": "d" * 64, "params": {"most": 3}},
            "statement expire-carts with most=3 in database orders-db",
            id="statement",
        ),
    ],
)
@pytest.mark.parametrize("target", [service(), cnpg_cluster()], ids=["Service", "Cluster"])
def test_one_call_about_the_object(params, facts, request_, words, target):
    change = plan(params, facts, target)
    (call,) = change.effects
    assert isinstance(call, Call)
    assert (call.via, call.place, call.ref, call.uid) == ("sql", "orders-db", ref_of(target), "uid-orders-db")
    assert call.request == {**request_, "at": GENERATED_TIME}
    assert (call.says, change.summary) == (words, words)
    assert not call.undoable
    assert not call.repeatable
    assert change.takes == 0
    assert diff_lines(change, ref_of(target)) == (words,)


@pytest.mark.parametrize(
    ("params", "more", "reason", "hold"),
    [
        pytest.param(VACUUM, {"exists": False}, "there is no public.orders of database orders-db", False, id="missing"),
        pytest.param(
            VACUUM,
            {"kind": "partitioned table"},
            "is no table or materialized view but of kind partitioned table",
            False,
            id="parts",
        ),
        pytest.param(
            VACUUM, {"kind": "index"}, "is no table or materialized view but of kind index", False, id="an index"
        ),
        pytest.param(REBUILD_ONE, {}, "is no index but of kind table", False, id="no index"),
        pytest.param(VACUUM, {"system": True}, "is a system relation", False, id="system"),
        pytest.param(VACUUM, {"temporary": True}, "is a temporary relation", False, id="temporary"),
        pytest.param(VACUUM, {"may": {"vacuum": False, "reindex": False}}, "may not maintain", False, id="no right"),
        pytest.param(REBUILD, {"may": {"vacuum": True, "reindex": False}}, "may not maintain", False, id="not owner"),
        pytest.param(VACUUM, {"standby": True}, "is a standby", False, id="standby"),
        pytest.param(VACUUM, {"busy": ["VACUUM by pid 7"]}, "worked on: VACUUM by pid 7", True, id="busy"),
        pytest.param(VACUUM, {"table_bytes": 21 * 2**30}, "has 21 GiB, max_size is 20Gi", False, id="too large"),
        pytest.param(REBUILD, {"bytes": 2 * 2**30}, "has 2 GiB, max_size is 1Gi", False, id="indexes too large"),
        pytest.param(
            REBUILD, {"indexes": [index(), index("orders_pkey_ccnew", valid=False)]}, "_ccnew", False, id="left over"
        ),
        pytest.param(
            DB | {"do": "reindex", "index": "public.orders_pkey_ccnew", "max_size": "1Gi"},
            {"kind": "index", "indexes": [index("orders_pkey_ccnew", valid=False)]},
            "a person drops it",
            False,
            id="a leftover is not rebuilt",
        ),
        pytest.param(REBUILD, {"indexes": []}, "has no index", False, id="nothing to rebuild"),
        pytest.param(REBUILD, {"indexes": [index(exclusion=True)]}, "exclusion constraint", False, id="exclusion"),
        pytest.param(REBUILD, {"more_indexes": True}, "more than 1 indexes", False, id="too many"),
        pytest.param(REBUILD, {"prepared": 1}, "prepared transactions", True, id="prepared"),
        pytest.param(REBUILD, {"oldest_transaction_s": 301.0}, "open since 5m1s", True, id="old transaction"),
        pytest.param(
            VACUUM, {"stands_for": ["Service/shop/billing-db"]}, "stands for Service/shop/billing-db", False, id="other"
        ),
    ],
)
def test_what_is_not_possible(params, more, reason, hold):
    with pytest.raises(NotPossible) as told:
        plan(params, relation(**more))
    assert reason in told.value.reason
    assert told.value.hold is hold


def test_an_old_transaction_does_not_keep_a_vacuum_back_but_is_said():
    change = plan(VACUUM, relation(oldest_transaction_s=301.0))
    assert any("long transaction" in note for note in change.notes)
    assert plan(REBUILD, relation(oldest_transaction_s=300.0)).effects


def test_a_statement_needs_a_person_unless_it_only_reads():
    change = plan(STATEMENT, statement())
    assert "cannot be taken back" in change.needs_approval
    assert change.notes[0] == "the statement: UPDATE carts SET open = false WHERE id <= %(most)s"
    assert plan(STATEMENT, statement(reads=True)).needs_approval == ""
    assert plan(VACUUM, relation()).needs_approval == ""
    assert "outside a transaction" in plan(STATEMENT, statement(alone=True)).notes[1]


def test_values_that_the_statement_does_not_take():
    with pytest.raises(NotPossible, match="expected 1 to 9"):
        plan(STATEMENT, statement(objection="params.most: expected 1 to 9"))
    with pytest.raises(NotPossible, match="standby"):
        plan(STATEMENT, statement(standby=True))


def test_no_answer_is_no_table():
    view = seen(service())
    with pytest.raises(NotPossible, match="has not answered") as told:
        RunSql().plan(RunSqlParams(**VACUUM), view)
    assert told.value.hold


def test_a_target_that_goes_away():
    with pytest.raises(NotPossible, match="is being deleted"):
        plan(VACUUM, relation(), service(deletionTimestamp="2025-06-01T11:00:00Z"))


def test_what_it_asks():
    view = seen(service())
    ask = RunSql().wants(RunSqlParams(**VACUUM), view)
    assert ask == {"facts": Ask("sql", "orders-db", {"ask": "relation", "name": "public.orders"})}
    ask = RunSql().wants(RunSqlParams(**STATEMENT), view)
    request = {"ask": "statement", "statement": "expire-carts", "params": {"most": 3}}
    assert ask == {"facts": Ask("sql", "orders-db", request)}


@pytest.mark.parametrize(
    ("params", "why"),
    [
        pytest.param(DB | {"do": "drop", "table": "public.t"}, "vacuum_analyze", id="no such form"),
        pytest.param(DB | {"do": "vacuum_full", "table": "public.t"}, "vacuum_analyze", id="full"),
        pytest.param(DB | {"do": "vacuum_analyze", "table": "public.t"}, "needs max_size", id="no cap"),
        pytest.param(DB | {"do": "analyze"}, "needs table", id="no table"),
        pytest.param(ANALYZE | {"index": "public.i"}, "takes no index", id="index of a table's form"),
        pytest.param(REBUILD | {"index": "public.i"}, "takes no table", id="both"),
        pytest.param(ANALYZE | {"params": {"a": 1}}, "takes no params", id="params of a form"),
        pytest.param(ANALYZE | {"sql": "DROP TABLE t"}, "Extra inputs", id="sql"),
        pytest.param(ANALYZE | {"table": "orders"}, "pattern", id="no schema"),
        pytest.param(ANALYZE | {"table": 'public.o"; DROP TABLE t; --'}, "pattern", id="hostile table"),
        pytest.param(ANALYZE | {"table": "public.o\n"}, "pattern", id="newline"),
        pytest.param(ANALYZE | {"database": "db'; x"}, "pattern", id="hostile database"),
        pytest.param(VACUUM | {"max_size": "lots"}, "quantity", id="no size"),
        pytest.param(VACUUM | {"max_size": "100Ti"}, "at most 64Ti", id="no cap to speak of"),
        pytest.param(STATEMENT | {"params": {f"p{n}": 1 for n in range(21)}}, "at most 20", id="many params"),
    ],
)
def test_params_that_are_not_taken(params, why):
    with pytest.raises(ValidationError, match=why):
        RunSqlParams(**params)


def test_it_is_registered_with_its_like():
    actions = load_actions(())
    assert {"run_sql", "pg_cancel", "pg_terminate"} <= set(actions)
    assert not getattr(actions["run_sql"], "changes_data", False)
    assert actions["pg_terminate"].changes_data  # type: ignore[attr-defined]
    assert actions["pg_cancel"].changes_data  # type: ignore[attr-defined]
