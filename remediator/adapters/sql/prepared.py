"""Core statements that are built and compiled once, and then handed to the driver as text.

Building a statement and running it through `Connection.execute` costs about 100 µs, most of it before SQLite, which
needs 2 to 10, hears of it (measured). A remediation is some hundred statements, so those that belong to its way are
built when the module is loaded, with `bindparam` for what differs. Core stays the source of the SQL, and each database
gets its own spelling of it; what is asked once a minute goes through `Connection.execute` as ever.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from remediator.adapters.sql.values import AnyRow

Values = Mapping[str, Any]
_Process = Callable[[Any], Any]


class Prepared:
    """One statement. It runs in the transaction that the connection has begun. Raises: DBAPIError.

    `columns` are those that an insert or update sets by name at each call. A statement that each database spells with
    its own insert is given as a function of the dialect. A list may be given for an expanding `bindparam`.
    """

    def __init__(self, statement: Any, *columns: str) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def execute(self, connection: Connection, **values: Any) -> int:
        """Returns the number of rows that it matched."""
        found: int = self._cursor(connection, values)[1].rowcount
        return found

    def execute_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """The same statement for each of these, in one call."""
        if not rows:
            return
        text = self._of(connection.dialect).text({})
        cursor = connection.connection.cursor()
        _run(connection, cursor.executemany, text.sql, list(map(text.parameters, rows)))

    def rows(self, connection: Connection, **values: Any) -> list[AnyRow]:
        compiled, cursor = self._cursor(connection, values)
        return compiled.rows(cursor)

    def row(self, connection: Connection, **values: Any) -> AnyRow | None:
        """The first one, if any."""
        rows = self.rows(connection, **values)
        return rows[0] if rows else None

    def value(self, connection: Connection, **values: Any) -> Any:
        """The first column of the first row; None when there is no row."""
        rows = self.rows(connection, **values)
        return rows[0][0] if rows else None

    def column(self, connection: Connection, **values: Any) -> list[Any]:
        """The first column of all rows."""
        return [row[0] for row in self.rows(connection, **values)]

    def _cursor(self, connection: Connection, values: Values) -> tuple[_Compiled, DBAPICursor]:
        compiled = self._of(connection.dialect)
        text = compiled.text(values)
        cursor = connection.connection.cursor()
        _run(connection, cursor.execute, text.sql, text.parameters(values))
        return compiled, cursor

    def _of(self, dialect: Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            statement = self._statement(dialect) if callable(self._statement) else self._statement
            found = self._compiled[dialect.name] = _Compiled(statement, dialect, self._columns)
        return found


def run_text(connection: Connection, sql: str) -> None:
    """A statement without values, as it stands. Raises: DBAPIError."""
    _run(connection, connection.connection.cursor().execute, sql)


def _run(connection: Connection, call: Callable[..., object], *given: Any) -> None:
    """With the driver's errors turned into SQLAlchemy's, which is what everybody here expects."""
    dbapi = connection.dialect.loaded_dbapi
    try:
        call(*given)
    except dbapi.Error as exc:
        raise DBAPIError.instance(
            given[0], None, exc, dbapi.Error, hide_parameters=True, dialect=connection.dialect
        ) from exc


class _Text:
    """The SQL for certain lengths of its lists, and how values become what the driver wants."""

    def __init__(
        self,
        sql: str,
        order: Sequence[str] | None,
        fixed: Values,
        processors: Mapping[str, _Process],
        expansion: Mapping[str, Sequence[str]],
    ) -> None:
        self.sql = sql
        self._fixed = fixed
        self._processors = processors
        self._expansion = expansion
        self._order: Callable[[Values], Any] = _picker(order)
        self._plain = not (fixed or processors or expansion)

    def parameters(self, values: Values) -> Any:
        if self._plain:
            return self._order(values)
        given = {**self._fixed, **values}
        for name, process in self._processors.items():
            given[name] = process(given[name])
        for name, names in self._expansion.items():
            given.update(zip(names, _padded(given.pop(name)), strict=True))
        return self._order(given)


def _picker(order: Sequence[str] | None) -> Callable[[Values], Any]:
    if order is None:
        return dict  # a driver with named parameters
    if len(order) == 1:
        (only,) = order
        return lambda given: (given[only],)
    return itemgetter(*order) if order else lambda given: ()


def _padded_length(items: Sequence[Any]) -> int:
    """A power of two, or 0."""
    return 1 << (len(items) - 1).bit_length() if items else 0


def _padded(items: Sequence[Any]) -> list[Any]:
    """With the last one again and again: it means the same, and few lengths make few texts."""
    found = list(items)
    return found + found[-1:] * (_padded_length(items) - len(found))


class _Compiled:
    """A statement in one database's spelling."""

    def __init__(self, statement: Any, dialect: Dialect, columns: Sequence[str]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        assert isinstance(compiled, SQLCompiler)
        self._whole = compiled
        self._fixed = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
        self._lists = tuple(name for name, bind in compiled.binds.items() if bind.expanding and bind.required)
        made = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
        self._processors = {name: process for name, process in made.items() if process and name not in self._lists}
        selected = getattr(statement, "exported_columns", ())
        types = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in selected]
        self._results = [(index, process) for index, process in enumerate(types) if process]
        self._texts: dict[tuple[int, ...], _Text] = {}
        self._make: Callable[[Any], AnyRow] | None = None

    def text(self, values: Values) -> _Text:
        lengths = tuple([_padded_length(values[name]) for name in self._lists]) if self._lists else ()
        found = self._texts.get(lengths)
        if found is None:
            found = self._texts[lengths] = self._made(values)
        return found

    def _made(self, values: Values) -> _Text:
        whole = self._whole
        if not any(bind.expanding for bind in whole.binds.values()):
            return _Text(whole.string, whole.positiontup, self._fixed, self._processors, {})
        lists = {name: _padded(values[name]) for name in self._lists}
        others = {name: None for name, bind in whole.binds.items() if bind.required and name not in lists}
        state = whole.construct_expanded_state({**others, **lists})
        # Lists that the statement itself gives are part of it.
        given = {k: v for k, v in state.parameters.items() if k not in others}
        for names in (state.parameter_expansion[name] for name in self._lists):
            for name in names:
                given.pop(name)
        expansion = {name: state.parameter_expansion[name] for name in self._lists}
        return _Text(state.statement, state.positiontup, given, self._processors, expansion)

    def rows(self, cursor: DBAPICursor) -> list[AnyRow]:
        found: Sequence[Any] = cursor.fetchall()
        if self._make is None:
            names = [column[0] for column in cursor.description or ()]
            row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            self._make = row._make
        if self._results:
            found = [self._processed(row) for row in found]
        return list(map(self._make, found))

    def _processed(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for index, process in self._results:
            values[index] = process(values[index])
        return values
