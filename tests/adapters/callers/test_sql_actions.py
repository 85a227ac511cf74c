"""The actions with a real PostgreSQL: what they ask is answered, what they plan is done, and proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from remediator.actions.canonical import canonical_json
from remediator.actions.change import GENERATED_TIME, NotPossible
from remediator.actions.sql.run_sql import RunSql, RunSqlParams
from remediator.actions.sql.sessions import PgTerminate, SessionParams
from remediator.adapters.callers.sql import SqlCaller
from tests.actions.sql.make_sql import seen, service
from tests.support.real_postgres import Postgres, started

pytestmark = pytest.mark.controlplane

DB: dict[str, Any] = {"database": "orders-db"}
STATEMENTS = {
    "close": {
        "sql": "UPDATE orders SET open = false WHERE id <= %(most)s",
        "params": {"most": {"type": "integer", "min": 1, "max": 9}},
    }
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with started() as postgres:
        yield postgres


@pytest.fixture
def caller(server: Postgres) -> SqlCaller:
    with server.connect("shop") as one:
        one.execute("DROP TABLE IF EXISTS orders")
        one.execute("CREATE TABLE orders (id int PRIMARY KEY, open bool)")
        one.execute("INSERT INTO orders SELECT g, true FROM generate_series(1, 20) g")
        one.execute("ALTER TABLE orders OWNER TO shop_owner")
        one.execute("GRANT ALL ON orders TO shop_app")
    return SqlCaller((server.settings(statements=STATEMENTS, stands_for=["Service/shop/orders-db"]),))


async def planned(caller: SqlCaller, action: Any, params: Any) -> Any:
    """The change, from the database's own answers."""
    view = seen(service())
    found = {name: await caller.ask(a.place, a.request) for name, a in action.wants(params, view).items()}
    view = seen(service(), **found)
    return action.plan(action.resolve(params, view), view)


def sent(request: Any) -> Any:
    """As it is on the wire: through JSON, with the time of sending."""
    text = canonical_json(request).decode().replace(GENERATED_TIME, "2025-06-01T12:00:00Z")
    return json.loads(text)


@pytest.mark.parametrize(
    ("params", "proof"),
    [
        ({"do": "vacuum_analyze", "table": "public.orders", "max_size": "1Gi"}, "happened"),
        ({"do": "analyze", "table": "public.orders"}, "happened"),
        ({"do": "reindex", "table": "public.orders", "max_size": "1Gi"}, "happened"),
        ({"do": "reindex", "index": "public.orders_pkey", "max_size": "1Gi"}, "happened"),
        ({"do": "statement", "statement": "close", "params": {"most": 5}}, "unknown"),
    ],
    ids=["vacuum", "analyze", "reindex table", "reindex index", "statement"],
)
async def test_from_the_question_to_the_proof(caller, params, proof):
    change = await planned(caller, RunSql(), RunSqlParams(**DB, **params))
    (call,) = change.effects
    request = sent(call.request)
    await caller.rehearse(call.place, call.request)
    assert await caller.find(call.place, request, key="e") == "unknown"
    assert (await caller.send(call.place, request, key="e"))["says"].startswith("done")
    assert await caller.find(call.place, request, key="e") == proof


async def test_what_the_database_knows_reaches_the_plan(caller):
    nothing = RunSqlParams(**DB, do="analyze", table="public.nothing")
    large = RunSqlParams(**DB, do="vacuum_analyze", table="public.orders", max_size="1Ki")
    beyond = RunSqlParams(**DB, do="statement", statement="close", params={"most": 10})
    for params, why in ((nothing, "no public.nothing"), (large, "max_size is 1Ki"), (beyond, "expected 1 to 9")):
        with pytest.raises(NotPossible, match=why):
            await planned(caller, RunSql(), params)


async def test_a_session_from_the_question_to_the_proof(server, caller):
    with psycopg.connect(server.address("shop", "shop_app", "app-app-app")) as app:
        app.execute("UPDATE orders SET open = false WHERE id = 1")
        params = SessionParams(**DB, which="idle_in_transaction", longer_than=timedelta(seconds=5), max=1)
        params = params.model_copy(update={"longer_than": timedelta(0)})  # less than a playbook may say: nobody waits
        (call,) = (await planned(caller, PgTerminate(), params)).effects
        request = sent(call.request)
        assert await caller.rehearse(call.place, request) == ""
        assert await caller.find(call.place, request, key="e") == "unknown"
        await caller.send(call.place, request, key="e")
        assert await caller.find(call.place, request, key="e") == "happened"
        with pytest.raises(psycopg.OperationalError):
            app.execute("SELECT 1")
        with pytest.raises(NotPossible, match="no session"):
            await planned(caller, PgTerminate(), params)
