"""Statements that go to the driver as text: what comes back, lists of any length, and errors that tell no values."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler

from remediator.adapters import sql
from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import remediations as table

INSERT = Prepared(insert(table), "id", "state", "created_at", "version", "doc", "had_effect")
AMONG = Prepared(select(table.c.id).where(table.c.id.in_(bindparam("ids", expanding=True))).order_by(table.c.id))
NOT_AMONG = Prepared(
    select(table.c.id).where(table.c.id.not_in(bindparam("ids", expanding=True)), table.c.state.in_(["a", "b"]))
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    database = SqliteMemory()
    connection = database.connect_writer()
    with connection.begin():
        for number in range(6):
            state = "ab"[number % 2]
            row = {"id": f"r{number}", "state": state, "created_at": 1, "version": 1}
            INSERT.execute(connection, **row, doc=b"\0doc", had_effect=number == 0)
        yield connection
    database.dispose()


def test_rows_have_names_and_the_types_of_their_columns(connection: Connection) -> None:
    row = Prepared(select(table.c.had_effect, table.c.doc).where(table.c.id == "r0")).row(connection)
    assert row is not None
    assert (row.had_effect, row.doc) == (True, b"\0doc")
    assert row.had_effect is True


def test_nothing_found_is_none(connection: Connection) -> None:
    nobody = Prepared(select(table.c.id).where(table.c.id == bindparam("wanted")))
    assert nobody.row(connection, wanted="x") is None
    assert nobody.value(connection, wanted="x") is None
    assert nobody.column(connection, wanted="x") == []


@pytest.mark.parametrize("count", range(7))
def test_a_list_may_have_any_length(connection: Connection, count: int) -> None:
    ids = [f"r{number}" for number in range(count)]
    assert AMONG.column(connection, ids=ids) == ids
    assert set(NOT_AMONG.column(connection, ids=ids)) == {f"r{number}" for number in range(count, 6)}


def test_an_update_says_how_many_rows_it_matched(connection: Connection) -> None:
    move = Prepared(update(table).where(table.c.state == bindparam("was")), "state")
    assert move.execute(connection, was="a", state="c") == 3
    assert move.execute(connection, was="a", state="c") == 0


def test_returned_columns_are_rows(connection: Connection) -> None:
    count = Prepared(update(table).values(version=table.c.version + 1).returning(table.c.version))
    assert count.column(connection) == [2] * 6


def test_many_rows_in_one_call(connection: Connection) -> None:
    move = Prepared(update(table).where(table.c.id == bindparam("row")), "state")
    move.execute_many(connection, [{"row": "r0", "state": "x"}, {"row": "r1", "state": "y"}])
    move.execute_many(connection, [])
    states = Prepared(select(table.c.state).order_by(table.c.id)).column(connection)
    assert states == ["x", "y", "a", "b", "a", "b"]


def test_an_error_is_sqlalchemys_and_tells_no_values(connection: Connection) -> None:
    with pytest.raises(IntegrityError) as caught:
        INSERT.execute(connection, id="r0", state="secret", created_at=1, version=1, doc=b"", had_effect=False)
    assert "secret" not in str(caught.value)


def _prepared() -> Iterator[tuple[str, Prepared]]:
    for module in pkgutil.iter_modules(sql.__path__, f"{sql.__name__}."):
        if not module.ispkg:
            for name, value in vars(importlib.import_module(module.name)).items():
                for index, one in enumerate(value.values() if isinstance(value, dict) else [value]):
                    if isinstance(one, Prepared):
                        yield f"{module.name.rpartition('.')[2]}.{name}.{index}", one


STATEMENTS = dict(_prepared())


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_statement_can_be_said_in_postgresql(name: str) -> None:
    one = STATEMENTS[name]
    dialect = postgresql.dialect()
    statement = one._statement(dialect) if callable(one._statement) else one._statement
    compiled = statement.compile(dialect=dialect, column_keys=list(one._columns) or None)
    assert isinstance(compiled, SQLCompiler)
    assert compiled.string
