"""Databases that actions, checks and collectors may talk to: the `databases` list of the `outside` block.

A playbook never brings SQL. It says one of a few fixed forms, or the name of a statement that is written down here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

_TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<identifier>\"(?:[^\"]|\"\")*\")|(?P<word>[^\W\d]\w*)|(?P<bind>%\(\w+\)s|%%)|(?P<sign>.)",
    re.DOTALL,
)
"""One pass over a statement, so that a word inside a literal is no keyword. Comments and backslashes are refused."""

_BIND = re.compile(r"%\(\w+\)s|%%")

_NEVER = frozenset(["DROP", "DELETE", "TRUNCATE", "FULL", "ALTER", "GRANT", "REVOKE", "COPY"])
_READS = frozenset(["SELECT", "WITH", "SHOW", "VALUES"])
_BINDS = frozenset(["SELECT", "WITH", "INSERT", "UPDATE", "CALL", "VALUES"])
"""First words of statements that take bind parameters; the server takes none in utility statements."""
_WRITES = _BINDS | frozenset(["REFRESH", "ANALYZE", "VACUUM", "REINDEX", "CREATE", "CHECKPOINT"])
_ALONE = frozenset(["VACUUM", "REINDEX", "CREATE", "CALL"])
"""First words of statements that run outside a transaction."""

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class StatementParameter(Section):
    """One typed bind parameter, with the bounds of what a playbook may give."""

    type: Literal["integer", "number", "text", "boolean"]
    min: float | None = None
    max: float | None = None
    one_of: tuple[str, ...] = ()
    max_length: int = Field(200, ge=1, le=1000)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        numeric = self.type in ("integer", "number")
        if numeric and (self.min is None or self.max is None):
            raise ValueError(f"{self.type}: give min and max, the bounds of what a playbook may say")
        if not numeric and (self.min is not None or self.max is not None):
            raise ValueError(f"{self.type}: min and max are for numbers; remove them")
        if self.type != "text" and self.one_of:
            raise ValueError(f"{self.type}: one_of is for texts; remove it")
        return self

    def objection(self, value: Any) -> str:
        """Why this value may not be bound; empty when it may."""
        if self.type == "boolean":
            return "" if isinstance(value, bool) else "expected true or false"
        if self.type == "text":
            if not isinstance(value, str) or len(value) > self.max_length or "\0" in value:
                return f"expected a text of at most {self.max_length} characters"
            return "" if not self.one_of or value in self.one_of else f"expected one of {', '.join(self.one_of)}"
        kinds = int if self.type == "integer" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return f"expected {'an integer' if self.type == 'integer' else 'a number'}"
        assert self.min is not None
        assert self.max is not None
        return "" if self.min <= value <= self.max else f"expected {self.min:g} to {self.max:g}"


class NamedStatement(Section):
    """One statement of the operator's own. Values are bound as `%(name)s`; a literal percent sign is `%%`.

    `reads`: it runs in a read-only transaction, and the check `sql` may ask it. `max_rows`: how many rows it may
    change; when it is more, all of it is rolled back.
    """

    sql: str = Field(min_length=1, max_length=10_000)
    params: Mapping[Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")], StatementParameter] = Field(
        default_factory=dict
    )
    reads: bool = False
    max_rows: int = Field(1000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _acceptable(self) -> Self:
        if problem := _objection(self):
            raise ValueError(problem)
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """Its keywords and plain identifiers, in capitals."""
        return tuple(m["word"].upper() for m in _TOKEN.finditer(self.sql) if m["word"])

    @property
    def alone(self) -> bool:
        """Whether it runs outside a transaction: then nothing of it can be rolled back."""
        return not self.reads and self.words[0] in _ALONE

    @property
    def explainable(self) -> bool:
        """Whether the server can say what it would do."""
        return self.words[0] in _BINDS - {"CALL"}


def _objection(statement: NamedStatement) -> str:
    """Why such a statement is not taken; empty when it is."""
    sql, words = statement.sql, statement.words
    tokens = list(_TOKEN.finditer(sql))
    signs = "".join(m["sign"] or ("x" if m["bind"] else " ") for m in tokens)
    first = words[0] if words else ""
    if "\\" in sql or "--" in signs or "/*" in signs or "$" in signs or "'" in signs or '"' in signs:
        return (
            "no comments, backslashes, dollar quotes or open quotes in a statement: what it does must be plain to see"
        )
    if ";" in signs:
        return "one statement, without a semicolon"
    if never := [word for word in words if word in _NEVER]:
        return f"{never[0]} is never run from here: write a procedure for people instead"
    if statement.reads and first not in _READS:
        return f"with reads: true a statement begins with {', '.join(sorted(_READS))}"
    if not statement.reads and first not in _WRITES:
        return f"a statement begins with {', '.join(sorted(_WRITES))}, or says reads: true"
    if "UPDATE" in words and "WHERE" not in words:
        return "UPDATE without WHERE changes every row: say which ones"
    if first == "CREATE" and words[1:3] != ("INDEX", "CONCURRENTLY"):
        return "of CREATE, only CREATE INDEX CONCURRENTLY"
    if first == "REINDEX" and "CONCURRENTLY" not in words:
        return "REINDEX without CONCURRENTLY blocks writers"
    bound = {m["bind"][2:-2] for m in tokens if m["bind"] and m["bind"] != "%%"}
    if "%" in _BIND.sub("", sql):
        return "a percent sign is written %%, a parameter %(name)s"
    if bound != {found[2:-2] for found in _BIND.findall(sql) if found != "%%"}:
        return "a parameter inside quotes would be text: take the quotes away, the value is bound"
    if bound != set(statement.params):
        return f"params and the %(name)s in sql differ: {', '.join(sorted(bound ^ set(statement.params)))}"
    if bound and first not in _BINDS:
        return f"{first} takes no parameters"
    return ""


class DatabaseSettings(Section):
    """One database: either `dsn_file` with a connection string, or `host`, `database`, `user` and `password_file`.

    The role should be one of its own, with `pg_monitor` (to see whose session does what) and, to end sessions,
    `pg_signal_backend`; VACUUM, ANALYZE and REINDEX take the owner of the table, or MAINTAIN from PostgreSQL 17 on.
    The address is PostgreSQL's own, not that of a pooler: session settings and VACUUM go through no pooler.
    """

    name: Name
    kind: Literal["postgres"] = "postgres"
    dsn_file: Secret | None = None
    host: str = ""
    port: int = Field(5432, ge=1, le=65535)
    database: str = ""
    user: str = ""
    password_file: Secret | None = None
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    """Used unless the DSN says otherwise."""
    sslrootcert: Path | None = None
    """The CA; without it the one that libpq finds."""
    statements: Mapping[Name, NamedStatement] = Field(default_factory=dict)
    connect_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=30))] = timedelta(
        seconds=3
    )
    statement_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=5))] = timedelta(
        seconds=5
    )
    """Of everything but maintenance."""
    maintenance_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=6))] = timedelta(
        minutes=10
    )
    """Of VACUUM, ANALYZE, REINDEX and named statements."""
    lock_timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=1))] = timedelta(
        seconds=3
    )
    """How long we may queue for a lock: whoever comes behind us waits as long. What works CONCURRENTLY waits longer, as
    nobody queues behind it."""
    max_rows: int = Field(100, ge=1, le=1000)
    """Of any answer."""
    spare_users: tuple[str, ...] = ()
    """Whose sessions are never cancelled or ended."""
    spare_applications: tuple[str, ...] = ("pg_dump", "pg_dumpall", "pg_restore")
    """The same by application_name. A dump runs for long, and is worth more than what it holds up."""
    stands_for: tuple[str, ...] = ()
    """Kubernetes objects that this database is (`Service/shop/orders-db`): actions with another target are refused.
    Empty = any."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.dsn_file is not None:
            if self.host or self.database or self.user or self.password_file:
                raise ValueError("give either dsn_file, or host, database, user and password_file")
        elif not (self.host and self.database and self.user):
            raise ValueError("host, database and user are needed, or dsn_file")
        return self
