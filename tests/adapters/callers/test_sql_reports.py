"""The check `sql` and the collector `sql_report` against a real PostgreSQL, as a playbook asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from remediator.adapters.callers.sql import SqlCaller
from remediator.playbooks.model import Check, Collect
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.evidence import Evidence, collect_all
from remediator.remediation.samples import CheckSample
from remediator.remediation.verify import sample_all
from tests.checks.fakes import context
from tests.support.real_postgres import Postgres, started

pytestmark = pytest.mark.controlplane

STATEMENTS = {
    "orders": {
        "sql": "SELECT count(*) FROM orders WHERE id <= %(most)s",
        "params": {"most": {"type": "integer", "min": 0, "max": 100}},
        "reads": True,
    }
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with started() as postgres:
        with postgres.connect("shop") as one:
            one.execute("CREATE TABLE orders (id int PRIMARY KEY, card text)")
            one.execute("CREATE INDEX orders_spare ON orders ((id % 7))")
            one.execute("INSERT INTO orders SELECT g, 'c' || g FROM generate_series(1, 1000) g")
            one.execute("GRANT SELECT ON orders TO remediator")
            one.execute("SELECT 1 FROM orders WHERE card = 'card-4111'")
            one.execute("ANALYZE orders")
        yield postgres


@pytest.fixture
def asking(server: Postgres) -> CheckContext:
    return context(callers={"sql": SqlCaller((server.settings(statements=STATEMENTS),))})


async def sampled(asking: CheckContext, **args: Any) -> CheckSample:
    found = await sample_all((Check(kind="sql", args={"database": "orders-db", **args}),), asking)
    return found.checks[0]


@pytest.mark.parametrize(
    ("args", "verdict", "detail"),
    [
        pytest.param({}, "good", "orders-db select_one: 1 == 1", id="it answers"),
        pytest.param({"query": "connections_ratio", "expect": "<= 0.9"}, "good", "0.0", id="few connections"),
        pytest.param({"query": "connections_ratio", "expect": "> 90%"}, "bad", "wanted > 0.9", id="not so many"),
        pytest.param({"query": "waiting_locks"}, "good", "waiting_locks: 0 == 0", id="nobody waits"),
        pytest.param({"query": "replication_lag", "expect": "< 30s"}, "unknown", "no standby is connected", id="lag"),
        pytest.param(
            {"query": "statement", "statement": "orders", "params": {"most": 7}, "expect": "== 7"},
            "good",
            "orders-db orders: 7 == 7",
            id="a statement",
        ),
        pytest.param(
            {"query": "statement", "statement": "orders", "params": {"most": 101}, "expect": "== 7"},
            "unknown",
            "expected 0 to 100",
            id="a value out of bounds",
        ),
        pytest.param(
            {"query": "statement", "statement": "other", "expect": "== 7"},
            "unknown",
            "the configuration names orders",
            id="no such statement",
        ),
        pytest.param({"database": "billing"}, "unknown", "there is no database billing", id="no such database"),
        pytest.param({"query": "connections_ratio"}, "unknown", "needs expect", id="no threshold"),
        pytest.param({"query": "drop_everything"}, "unknown", "select_one", id="no such question"),
        pytest.param({"statement": "orders"}, "unknown", "go together", id="half a statement"),
    ],
)
async def test_check(asking, args, verdict, detail):
    found = await sampled(asking, **args)
    assert found.answer == verdict
    assert detail in found.detail


async def test_an_unreachable_database_is_no_verdict(server):
    gone = context(callers={"sql": SqlCaller((server.settings(port=1),))})
    assert (await sampled(gone)).answer == "unknown"
    found = await sampled(context())
    assert found.answer == "unknown"
    assert "outside.databases" in found.detail


async def collected(asking: CheckContext, report: str, **args: Any) -> Evidence:
    (found,) = await collect_all(
        (Collect(kind="sql_report", args={"database": "orders-db", "report": report} | args),), asking
    )
    return found


async def test_slow_queries_come_without_literals(asking):
    found = await collected(asking, "slow_queries", limit=50)
    assert not found.error
    assert "FROM orders WHERE card = " in found.text
    assert "4111" not in found.text + str(found.data)
    assert found.private


async def test_without_the_extension_it_says_so(server, asking):
    with server.connect("shop") as one:
        one.execute("DROP EXTENSION pg_stat_statements")
        found = await collected(asking, "slow_queries")
        one.execute("CREATE EXTENSION pg_stat_statements")
    assert "CREATE EXTENSION pg_stat_statements" in found.error
    assert found.text == ""


async def test_connections_by_application_and_state(server, asking):
    hostile = "app\x1b[31m password=hunter2"
    address = server.address("shop", "shop_app", "app-app-app")
    with psycopg.connect(address, application_name=hostile) as one:
        one.execute("SELECT 1")
        found = await collected(asking, "connections")
    assert "1 idle in transaction: shop_app, app" in found.text
    assert "1 idle in transaction" in found.summary
    assert "hunter2" not in found.text + found.summary + str(found.data)
    assert "\x1b" not in found.text
    assert "shop_app" not in found.summary


async def test_sizes_and_unused_indexes(asking):
    found = await collected(asking, "sizes")
    assert found.text.startswith("public.orders: ")
    assert "the 1 largest tables take" in found.summary
    unused = await collected(asking, "unused_indexes")
    assert "public.orders_spare of public.orders" in unused.text
    assert "orders_pkey" not in unused.text  # it keeps rows unique, used or not


async def test_a_long_report_is_cut_and_says_so(server, asking):
    with server.connect("shop") as one:
        for number in range(4):
            one.execute(f"CREATE TABLE more_{number} (id int)".encode())
        found = await collected(asking, "sizes", limit=3)
        one.execute("DROP TABLE more_0, more_1, more_2, more_3")
    assert len(found.data["rows"]) == 3
    assert found.truncated


async def test_a_report_that_cannot_be_had_is_an_error(server):
    gone = context(callers={"sql": SqlCaller((server.settings(port=1),))})
    found = await collected(gone, "locks")
    assert "cannot be reached" in found.error
    assert found.text == ""
    assert "no database is configured" in (await collected(context(), "locks")).error
