"""Which statements and addresses the configuration takes, and statements of others without their literals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.sql import SqlCaller
from remediator.adapters.callers.sql_text import fingerprint, without_literals
from remediator.outside import OutsideSettings
from remediator.outside_databases import DatabaseSettings, NamedStatement
from tests.checks.fakes import FakeCluster

DATABASE = {"name": "orders-db", "host": "db", "database": "shop", "user": "remediator"}


@pytest.mark.parametrize(
    ("sql", "more"),
    [
        pytest.param("UPDATE carts SET open = false WHERE id = 1", {}, id="update"),
        pytest.param("SELECT count(*) FROM deleted_carts", {"reads": True}, id="a word inside a name"),
        pytest.param("SELECT 'drop; -- it''s' FROM t", {"reads": True}, id="words in a literal"),
        pytest.param('SELECT "drop" FROM t', {"reads": True}, id="words in a quoted name"),
        pytest.param("WITH x AS (SELECT 1) SELECT * FROM x", {"reads": True}, id="with"),
        pytest.param("CREATE INDEX CONCURRENTLY i ON t (a)", {}, id="index"),
        pytest.param("VACUUM (ANALYZE)", {}, id="vacuum of all"),
        pytest.param("SELECT 5 %% 2", {"reads": True}, id="percent"),
        pytest.param(
            "SELECT purge(%(days)s)", {"params": {"days": {"type": "integer", "min": 1, "max": 9}}}, id="bound"
        ),
    ],
)
def test_statements_that_are_taken(sql, more):
    NamedStatement.model_validate({"sql": sql, **more})


@pytest.mark.parametrize(
    ("sql", "more", "why"),
    [
        pytest.param("DROP TABLE t", {}, "DROP is never run", id="drop"),
        pytest.param("delete from t where id = 1", {}, "DELETE is never run", id="delete"),
        pytest.param("TRUNCATE t", {}, "TRUNCATE is never run", id="truncate"),
        pytest.param("VACUUM FULL t", {}, "FULL is never run", id="full"),
        pytest.param("VACUUM (full, analyze) t", {}, "FULL is never run", id="full in brackets"),
        pytest.param("WITH x AS (DELETE FROM t RETURNING 1) SELECT 1 FROM x", {}, "DELETE", id="delete inside"),
        pytest.param("ALTER TABLE t ADD c int", {}, "ALTER", id="alter"),
        pytest.param("UPDATE t SET a = 1", {}, "without WHERE", id="all rows"),
        pytest.param("SELECT 1; SELECT 2", {}, "without a semicolon", id="two"),
        pytest.param("SELECT 1 -- x", {}, "no comments", id="comment"),
        pytest.param("SELECT 1 /* x */", {}, "no comments", id="block comment"),
        pytest.param("DO $$ BEGIN END $$", {}, "dollar", id="do"),
        pytest.param(r"SELECT E'\'; DROP TABLE t; --'", {}, "backslashes", id="backslash"),
        pytest.param("SELECT 'open", {}, "open quotes", id="open quote"),
        pytest.param("CREATE TABLE t (a int)", {}, "only CREATE INDEX CONCURRENTLY", id="create"),
        pytest.param("CREATE INDEX i ON t (a)", {}, "only CREATE INDEX CONCURRENTLY", id="blocking index"),
        pytest.param("REINDEX TABLE t", {}, "blocks writers", id="blocking reindex"),
        pytest.param("COPY t TO PROGRAM 'sh'", {}, "COPY", id="copy"),
        pytest.param("SET work_mem = 1", {}, "begins with", id="set"),
        pytest.param("UPDATE t SET a = 1 WHERE true", {"reads": True}, "with reads: true", id="no read"),
        pytest.param("SELECT 5 % 2", {}, "percent sign", id="bare percent"),
        pytest.param("SELECT '%x'", {}, "percent sign", id="bare percent in a literal"),
        pytest.param("SELECT %(a)s", {}, "differ: a", id="undeclared"),
        pytest.param("SELECT 1", {"params": {"a": {"type": "boolean"}}}, "differ: a", id="unused"),
        pytest.param("SELECT '%(a)s'", {"params": {"a": {"type": "boolean"}}}, "inside quotes", id="quoted"),
        pytest.param("VACUUM %(a)s", {"params": {"a": {"type": "boolean"}}}, "takes no parameters", id="utility"),
        pytest.param("SELECT %(a)s", {"params": {"a": {"type": "integer"}}}, "give min and max", id="unbounded"),
        pytest.param("SELECT %(a)s", {"params": {"a": {"type": "text", "min": 1}}}, "for numbers", id="min of a text"),
        pytest.param("(", {}, "begins with", id="no word"),
    ],
)
def test_statements_that_are_not(sql, more, why):
    with pytest.raises(ValidationError, match=why):
        NamedStatement.model_validate({"sql": sql, **more})


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"host": ""}, "host, database and user are needed", id="no host"),
        pytest.param({"dsn_file": "/secrets/dsn"}, "either dsn_file, or host", id="both"),
        pytest.param({"password_file": "hunter2"}, "expected the path of a file", id="secret in place"),
        pytest.param({"sslmode": "prefer"}, "sslmode", id="tls that gives up"),
        pytest.param({"statement_timeout": "1h"}, "less than or equal", id="endless"),
        pytest.param({"max_rows": 10_000}, "less than or equal", id="too many rows"),
        pytest.param({"kind": "mysql"}, "kind", id="another kind"),
        pytest.param({"nonsense": 1}, "nonsense", id="unknown"),
    ],
)
def test_addresses_that_are_not_taken(more, why):
    with pytest.raises(ValidationError, match=why):
        DatabaseSettings.model_validate({**DATABASE, **more})


def test_tls_is_verified_unless_the_operator_says_otherwise():
    assert DatabaseSettings.model_validate(DATABASE).sslmode == "verify-full"


async def test_the_configuration_makes_the_caller():
    settings = OutsideSettings.model_validate({"databases": [DATABASE]})
    callers = connect_callers(settings, FakeCluster([]))
    assert isinstance(callers["sql"], SqlCaller)
    assert "sql" not in connect_callers(OutsideSettings(), FakeCluster([]))
    with pytest.raises(ValidationError, match="there twice"):
        OutsideSettings.model_validate({"databases": [DATABASE, DATABASE]})


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT * FROM t WHERE a = 'x' AND b = 12.5", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT 'it''s' || 'b'", "SELECT ? || ?"),
        ('UPDATE "Odd 7 name" SET t2 = $1', 'UPDATE "Odd 7 name" SET t2 = $1'),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ("SELECT $a$ it's $a$, $$x$$, $b$ open", "SELECT ?, ?, ?"),
        ("SELECT 1 -- card 4111\n, 2 /* pin 1234 */ + 0x1F", "SELECT ? , ? + ?"),
        (r"SELECT E'a\'secret', 'b'", "SELECT E?"),
        (r"SELECT '\' , 'secret'", "SELECT ?"),
        ("SELECT 1 /* /* */ it's */ , 'secret'", "SELECT ?"),
        ("SELECT\n\t1\x00\x1b[31m", "SELECT ? [?"),
        ("", ""),
    ],
)
def test_literals_are_not_shown(sql, shown):
    assert without_literals(sql) == shown


@given(st.text(alphabet="ab'\"$-/*\\ \n1", max_size=40))
def test_no_literal_ever_gets_through(noise):
    """Whatever stands around it, and however it is quoted, a marked value in a literal stays out."""
    assert "zzsecret" not in without_literals("SELECT 'zzsecret' " + noise)
    assert len(without_literals(noise * 100)) <= 200


def test_one_statement_has_one_fingerprint():
    assert fingerprint("SELECT * FROM t  WHERE a = 'x'") == fingerprint("SELECT * FROM t WHERE a = 'yy'")
    assert fingerprint("SELECT * FROM t WHERE a = 1") != fingerprint("SELECT * FROM t WHERE b = 1")
