"""VACUUM, ANALYZE, REINDEX and named statements on a real PostgreSQL, what they leave, and what silence means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from remediator.adapters.callers.sql import SqlCaller
from remediator.errors import CannotSee, NotFound, Refused, Unavailable, Uncertain
from tests.support.real_postgres import Postgres, started

pytestmark = pytest.mark.controlplane

DB = "orders-db"
LONG_AGO, LATER = "2025-06-01T12:00:00Z", "2200-01-01T00:00:00Z"
STATEMENTS: dict[str, Any] = {
    "expire-carts": {
        "sql": "UPDATE carts SET open = false WHERE id <= %(most)s AND owner LIKE %(owner)s AND note <> '100%%'",
        "params": {
            "most": {"type": "integer", "min": 1, "max": 1000},
            "owner": {"type": "text", "one_of": ["a%", "b%"]},
        },
        "max_rows": 5,
    },
    "open-carts": {"sql": "SELECT count(*) FROM carts WHERE open", "reads": True},
    "two-numbers": {"sql": "SELECT 1, 2", "reads": True},
    "nothing": {"sql": "SELECT NULL::int", "reads": True},
    "a-word": {"sql": "SELECT 'word'", "reads": True},
    "hidden-write": {"sql": "SELECT expire_all()", "reads": True},
    "typo": {"sql": "UPDATE cartz SET open = false WHERE id = 1"},
    "foreign": {"sql": "UPDATE secrets SET note = 'x' WHERE true"},
    "sleep": {"sql": "SELECT pg_sleep(60)"},
    "tidy": {"sql": "VACUUM (ANALYZE) carts"},
    "new-index": {"sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS carts_owner ON carts (owner)"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with started() as postgres:
        yield postgres


@pytest.fixture
def shop(server: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """The superuser in `shop`, with a fresh table `carts` of its owner and one, `secrets`, that is not ours."""
    with server.connect("shop") as one:
        one.execute("DROP TABLE IF EXISTS carts, secrets")
        one.execute("CREATE TABLE carts (id int PRIMARY KEY, owner text, open bool, note text)")
        one.execute("INSERT INTO carts SELECT g, 'a' || g, true, 'n' FROM generate_series(1, 100) g")
        one.execute("CREATE TABLE secrets (note text)")
        one.execute(
            "CREATE OR REPLACE FUNCTION expire_all() RETURNS int LANGUAGE sql AS "
            "'UPDATE carts SET open = false WHERE true; SELECT 1'"
        )
        one.execute("ALTER TABLE carts OWNER TO shop_owner")
        yield one


@pytest.fixture
def caller(server: Postgres, shop: Any) -> SqlCaller:
    return SqlCaller((server.settings(statements=STATEMENTS),))


async def until(check: Any) -> Any:
    async with asyncio.timeout(20):
        while not (found := check()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # there is no event to wait for: another process is asked
        return found


def stats(shop: Any) -> tuple[int, int]:
    row = shop.execute("SELECT vacuum_count, analyze_count FROM pg_stat_user_tables WHERE relname = 'carts'").fetchone()
    return row[0], row[1]


def one_value(shop: Any, query: str) -> Any:
    return shop.execute(query).fetchone()[0]


@pytest.mark.parametrize(("do", "counts"), [("vacuum_analyze", (1, 1)), ("analyze", (0, 1))])
async def test_maintenance_happens_once_and_is_proven(shop, caller, do, counts):
    request = {"do": do, "table": "public.carts", "at": LONG_AGO}
    assert await caller.rehearse(DB, request) == ""
    assert stats(shop) == (0, 0)
    assert await caller.find(DB, request, key="e") == "unknown"
    await caller.send(DB, request, key="e")
    assert stats(shop) == counts
    assert await caller.find(DB, request, key="e") == "happened"
    assert await caller.find(DB, {**request, "at": LATER}, key="e") == "unknown"


async def test_an_analyze_does_not_prove_a_vacuum(caller):
    await caller.send(DB, {"do": "analyze", "table": "public.carts", "at": LONG_AGO}, key="e")
    assert (
        await caller.find(DB, {"do": "vacuum_analyze", "table": "public.carts", "at": LONG_AGO}, key="e") == "unknown"
    )


@pytest.mark.parametrize("what", [{"table": "public.carts"}, {"index": "public.carts_pkey"}])
async def test_a_rebuild_is_proven_by_new_files(caller, what):
    facts = await caller.ask(DB, {"ask": "relation", "name": "public.carts_pkey"})
    assert facts["table"] == "public.carts"
    (index,) = facts["indexes"]
    request = {"do": "reindex", **what, "filenodes": {index["name"]: index["filenode"]}, "at": LONG_AGO}
    assert await caller.find(DB, request, key="e") == "unknown"
    await caller.send(DB, request, key="e")
    assert await caller.find(DB, request, key="e") == "happened"


async def test_a_rebuild_that_fails_says_what_it_left(server, shop, caller):
    with psycopg.connect(server.address("shop")) as writer:
        writer.execute("UPDATE carts SET note = 'x' WHERE id = 1")  # and stays open, so the rebuild waits for it
        hasty = SqlCaller((server.settings(maintenance_timeout="1s"),))
        with pytest.raises(Refused, match="carts_pkey_ccnew; a person drops"):
            await hasty.send(DB, {"do": "reindex", "table": "public.carts", "at": LONG_AGO}, key="e")
    facts = await caller.ask(DB, {"ask": "relation", "name": "public.carts"})
    assert {i["name"]: i["valid"] for i in facts["indexes"]} == {"carts_pkey": True, "carts_pkey_ccnew": False}


async def test_a_lock_is_not_queued_for_long(server, shop, caller):
    with psycopg.connect(server.address("shop")) as holder:
        holder.execute("LOCK TABLE carts IN ACCESS EXCLUSIVE MODE")
        hasty = SqlCaller((server.settings(lock_timeout="100ms"),))
        with pytest.raises(Unavailable, match="lock timeout"):
            await hasty.send(DB, {"do": "analyze", "table": "public.carts", "at": LONG_AGO}, key="e")
    assert stats(shop) == (0, 0)


async def test_a_skipped_table_is_no_success(caller):
    """PostgreSQL reports a VACUUM of somebody else's table as done, with a warning."""
    facts = await caller.ask(DB, {"ask": "relation", "name": "public.secrets"})
    assert facts["may"] == {"vacuum": False, "reindex": False}
    request = {"do": "vacuum_analyze", "table": "public.secrets", "at": LONG_AGO}
    with pytest.raises(Refused, match="does not own") as refused:
        await caller.rehearse(DB, request)
    assert refused.value.forbidden
    with pytest.raises(Refused, match="skipping"):
        await caller.send(DB, request, key="e")


@pytest.mark.parametrize(
    "name",
    [
        "public.carts; DROP TABLE carts",
        'public.carts"; DROP TABLE carts; --',
        "public.nothing",
        "nowhere.carts",
        "carts",
    ],
)
async def test_names_are_only_names(shop, caller, name):
    assert (await caller.ask(DB, {"ask": "relation", "name": name}))["exists"] is False
    with pytest.raises(Refused):
        await caller.send(DB, {"do": "analyze", "table": f"public.x{name}", "at": LONG_AGO}, key="e")
    with pytest.raises(Refused, match="has no"):
        await caller.rehearse(DB, {"do": "analyze", "table": name, "at": LONG_AGO})
    assert one_value(shop, "SELECT count(*) FROM carts") == 100


async def test_the_owner_of_the_database_may_vacuum_and_not_rebuild(shop, caller):
    shop.execute("ALTER DATABASE shop OWNER TO shop_owner")
    facts = await caller.ask(DB, {"ask": "relation", "name": "public.secrets"})
    shop.execute("ALTER DATABASE shop OWNER TO postgres")
    assert facts["may"] == {"vacuum": True, "reindex": False}


async def test_what_a_table_is(shop, caller):
    shop.execute("DROP TABLE IF EXISTS parts")
    shop.execute("CREATE TABLE parts (id int) PARTITION BY RANGE (id)")
    kinds = {}
    for name in ("public.parts", "public.carts", "public.carts_pkey", "pg_catalog.pg_class"):
        facts = await caller.ask(DB, {"ask": "relation", "name": name})
        kinds[name] = (facts["kind"], facts["system"])
    assert kinds == {
        "public.parts": ("partitioned table", False),
        "public.carts": ("table", False),
        "public.carts_pkey": ("index", False),
        "pg_catalog.pg_class": ("table", True),
    }
    shop.execute("DROP TABLE parts")


async def test_the_oldest_transaction_is_told(server, caller):
    before = await caller.ask(DB, {"ask": "relation", "name": "public.carts"})
    assert before["oldest_transaction_s"] == 0
    with psycopg.connect(server.address("shop")) as other:
        other.execute("SELECT 1")
        after = await caller.ask(DB, {"ask": "relation", "name": "public.carts"})
    assert after["oldest_transaction_s"] > 0


# --- statements of the operator


async def described(caller: SqlCaller, name: str, **params: Any) -> dict[str, Any]:
    facts = await caller.ask(DB, {"ask": "statement", "statement": name, "params": params})
    return {"do": "statement", "statement": name, "digest": facts["digest"], "params": params, "at": LONG_AGO}


async def test_a_statement_with_bound_values(shop, caller):
    request = await described(caller, "expire-carts", most=3, owner="a%")
    note = await caller.rehearse(DB, request)
    assert note.startswith("the database expects about")
    assert one_value(shop, "SELECT count(*) FROM carts WHERE open") == 100
    assert await caller.send(DB, request, key="e") == {"says": "done, 3 rows"}
    assert one_value(shop, "SELECT count(*) FROM carts WHERE open") == 97
    assert await caller.find(DB, request, key="e") == "unknown"


async def test_too_many_rows_are_rolled_back(shop, caller):
    request = await described(caller, "expire-carts", most=6, owner="a%")
    with pytest.raises(Refused, match="changed 6 rows, at most 5"):
        await caller.send(DB, request, key="e")
    assert one_value(shop, "SELECT count(*) FROM carts WHERE open") == 100


@pytest.mark.parametrize(
    ("params", "why"),
    [
        pytest.param({"most": 3}, "params.owner is missing", id="missing"),
        pytest.param({"most": 3, "owner": "a%", "x": 1}, "params.x is none of", id="unknown"),
        pytest.param({"most": 1001, "owner": "a%"}, "expected 1 to 1000", id="out of bounds"),
        pytest.param({"most": True, "owner": "a%"}, "expected an integer", id="a boolean"),
        pytest.param({"most": 3, "owner": "' OR true"}, "expected one of", id="hostile"),
    ],
)
async def test_values_are_checked_where_they_are_bound(shop, caller, params, why):
    facts = await caller.ask(DB, {"ask": "statement", "statement": "expire-carts", "params": params})
    assert why in facts["objection"]
    with pytest.raises(Refused, match=why):
        await caller.send(DB, await described(caller, "expire-carts", **params), key="e")
    assert one_value(shop, "SELECT count(*) FROM carts WHERE open") == 100


async def test_what_was_approved_is_what_runs(server, shop, caller):
    request = await described(caller, "expire-carts", most=3, owner="a%")
    changed = STATEMENTS["expire-carts"] | {"sql": STATEMENTS["expire-carts"]["sql"].replace("false", "NOT open")}
    other = SqlCaller((server.settings(statements={"expire-carts": changed}),))
    with pytest.raises(Refused, match="was changed since"):
        await other.send(DB, request, key="e")
    gone = SqlCaller((server.settings(),))
    with pytest.raises(Refused, match="has no statement"):
        await gone.send(DB, request, key="e")
    with pytest.raises(NotFound):
        await gone.ask(DB, {"ask": "statement", "statement": "expire-carts", "params": {}})


async def test_the_database_says_before_that_a_statement_cannot_work(caller):
    with pytest.raises(Refused, match="cartz"):
        await caller.rehearse(DB, await described(caller, "typo"))
    with pytest.raises(Refused) as refused:
        await caller.rehearse(DB, await described(caller, "foreign"))
    assert refused.value.forbidden


async def test_utility_statements_run_outside_a_transaction(shop, caller):
    for name in ("tidy", "new-index"):
        request = await described(caller, name)
        assert await caller.rehearse(DB, request) == ""
        await caller.send(DB, request, key="e")
    assert stats(shop) == (1, 1)
    assert one_value(shop, "SELECT count(*) FROM pg_indexes WHERE indexname = 'carts_owner'") == 1


async def test_numbers_of_statements_that_read(shop, caller):
    async def number(name: str) -> Any:
        return await caller.ask(DB, {"ask": "number", "query": "statement", "statement": name, "params": {}})

    assert (await number("open-carts"))["value"] == 100
    assert (await number("nothing"))["value"] is None
    for name in ("two-numbers", "a-word", "hidden-write", "tidy"):
        with pytest.raises(CannotSee):
            await number(name)
    assert one_value(shop, "SELECT count(*) FROM carts WHERE open") == 100


# --- silence


async def test_a_session_that_is_ended_under_us_gives_no_answer(shop, caller):
    request = await described(caller, "sleep")
    sending = asyncio.create_task(caller.send(DB, request, key="eff-1"))
    find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'remediator eff-1' AND state = 'active'"
    pid = await until(lambda: shop.execute(find).fetchone())
    assert await caller.find(DB, request, key="eff-1") == "unknown"
    shop.execute("SELECT pg_terminate_backend(%s)", pid)
    with pytest.raises(Uncertain):
        await sending


class Cutting:
    """A wire to the server that breaks as soon as a word has gone to the server."""

    def __init__(self, port: int, word: bytes) -> None:
        self._port, self._word, self.cut = port, word, False
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        back = asyncio.create_task(self._copy(there, writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                to_server.write(data)
                await to_server.drain()
                if self._word in data:
                    self.cut = True
                    back.cancel()
                    writer.transport.abort()
                    break
        back.cancel()
        with suppress(asyncio.CancelledError):
            await back
        writer.close()
        to_server.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def cutting(server: Postgres) -> AsyncIterator[Cutting]:
    wire = Cutting(server.port, b"VACUUM (ANALYZE)")
    listening = await wire.start()
    yield wire
    listening.close()


async def test_a_wire_that_breaks_after_sending(server, shop, caller, cutting):
    """No clear answer; the server has gone on, and says so when it is asked."""
    request = {"do": "vacuum_analyze", "table": "public.carts", "at": LONG_AGO}
    behind = SqlCaller((server.settings(port=cutting.port),))
    with pytest.raises(Uncertain):
        await behind.send(DB, request, key="eff-2")
    assert cutting.cut
    await until(lambda: stats(shop) == (1, 1))
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'remediator eff-2'"
    await until(lambda: one_value(shop, gone) == 0)
    assert await behind.find(DB, request, key="eff-2") == "happened"


async def test_while_it_still_runs_nobody_knows(server, shop, caller):
    """What was done by another before must not be taken for ours while ours is under way."""
    request = {"do": "analyze", "table": "public.carts", "at": LONG_AGO}
    await caller.send(DB, request, key="eff-3")
    with psycopg.connect(server.address("shop", "remediator", "sesame-street"), application_name="remediator eff-3"):
        assert await caller.find(DB, request, key="eff-3") == "unknown"
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'remediator eff-3'"
    await until(lambda: one_value(shop, gone) == 0)
    assert await caller.find(DB, request, key="eff-3") == "happened"


async def test_unheard_of_requests(caller):
    with pytest.raises(Refused, match="nothing that is done"):
        await caller.send(DB, {"do": "drop"}, key="e")
    with pytest.raises(CannotSee, match="no question"):
        await caller.ask(DB, {"ask": "everything"})
    with pytest.raises(Refused, match="no database"):
        await caller.send("elsewhere", {"do": "analyze", "table": "public.carts"}, key="e")
