"""Sessions of a real PostgreSQL: who is in the way, who is never touched, and that only the session meant is hit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from remediator.adapters.callers.sql import SqlCaller
from remediator.errors import CannotSee, Forbidden, NotFound, Refused, TargetGone, Unavailable
from tests.support.real_postgres import Postgres, started

pytestmark = pytest.mark.controlplane

DB = "orders-db"
Open = Callable[..., Awaitable[AsyncConnection[Any]]]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with started() as postgres:
        yield postgres


@pytest.fixture
def caller(server: Postgres) -> SqlCaller:
    with server.connect("shop") as one:
        one.execute("DROP TABLE IF EXISTS orders")
        one.execute("CREATE TABLE orders AS SELECT g AS id, 'note ' || g AS note FROM generate_series(1, 10) g")
        one.execute("GRANT ALL ON orders TO PUBLIC")
    return SqlCaller((server.settings(),))


@pytest.fixture
async def sessions(server: Postgres) -> AsyncIterator[Open]:
    """Opens sessions of the application, whose first statement opens a transaction."""
    opened: list[AsyncConnection[Any]] = []

    async def open_one(user: str = "shop_app", database: str = "shop", password: str = "app-app-app") -> Any:
        one = await AsyncConnection.connect(
            server.address(database, user, password), application_name=f"app of {user}", autocommit=False
        )
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        with suppress(psycopg.Error):
            await one.close()


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """What `check` gives as soon as it is true. It asks a real server, whose news take a moment."""
    async with asyncio.timeout(20):
        while not (found := await check()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # there is no event to wait for: another process is asked
        return found


async def asked(caller: SqlCaller, which: str, longer_than_s: float = 0) -> Any:
    return await caller.ask(DB, {"ask": "backends", "which": which, "longer_than_s": longer_than_s})


def to(do: str, which: str, backend: Any, **more: Any) -> dict[str, Any]:
    return {"do": do, "which": which, "longer_than_s": 0, **backend, **more}


def pid_of(one: AsyncConnection[Any]) -> int:
    return one.info.backend_pid


async def alive(one: AsyncConnection[Any]) -> bool:
    try:
        await one.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


async def idle(caller: SqlCaller, one: AsyncConnection[Any], sql: str = "SELECT count(*) FROM orders") -> Any:
    """The session, idle in a transaction, as the caller tells it."""
    await one.execute(sql)

    async def seen() -> Any:
        found = await asked(caller, "idle_in_transaction")
        return [b for b in found["backends"] if b["pid"] == pid_of(one)]

    return (await until(seen))[0]


async def test_an_idle_transaction_is_found_and_ended_once(caller, sessions):
    one = await sessions()
    backend = await idle(caller, one, "UPDATE orders SET note = 'secret note' WHERE id = 7")
    assert backend["user"] == "shop_app"
    assert backend["application"] == "app of shop_app"
    assert backend["query"] == "UPDATE orders SET note = ? WHERE id = ?"
    request = to("terminate", "idle_in_transaction", backend)
    assert await caller.rehearse(DB, request) == ""
    assert await alive(one)  # a rehearsal ends nobody; but it has moved on by this
    with pytest.raises(Refused, match="does something else"):
        await caller.rehearse(DB, request)
    with pytest.raises(TargetGone, match="nothing was done"):
        await caller.send(DB, request, key="e1")
    request = to("terminate", "idle_in_transaction", await idle(caller, one))
    assert "gone" in (await caller.send(DB, request, key="e2"))["says"]
    assert not await alive(one)
    assert await caller.find(DB, request, key="e2") == "happened"
    with pytest.raises(TargetGone):
        await caller.send(DB, request, key="e3")


async def test_it_must_be_idle_for_so_long(caller, sessions):
    await idle(caller, await sessions())
    assert (await asked(caller, "idle_in_transaction", 3600))["backends"] == []


@pytest.mark.parametrize(
    "field", ["backend_start", "xact_start", "state_change"], ids=["another session", "another transaction", "moved on"]
)
async def test_a_pid_alone_hits_nobody(caller, sessions, field):
    one = await sessions()
    backend = await idle(caller, one)
    other = backend[field][:-7] + ("1" if backend[field][-7] != "1" else "2") + backend[field][-6:]
    with pytest.raises(TargetGone):
        await caller.send(DB, to("terminate", "idle_in_transaction", backend, **{field: other}), key="e")
    assert await alive(one)


async def test_who_blocks_is_at_the_end_of_the_queue(caller, sessions):
    first, second, third = await sessions(), await sessions(), await sessions()
    await first.execute("UPDATE orders SET note = 'a' WHERE id = 1")
    await second.execute("UPDATE orders SET note = 'b' WHERE id = 2")
    behind_first = asyncio.create_task(second.execute("UPDATE orders SET note = 'b' WHERE id = 1"))
    behind_second = asyncio.create_task(third.execute("UPDATE orders SET note = 'c' WHERE id = 2"))

    async def both() -> Any:
        found = await asked(caller, "blocker")
        return [b for b in found["backends"] if b["waiters"] == 2]

    (backend,) = await until(both)
    assert backend["pid"] == pid_of(first)
    assert (await caller.ask(DB, {"ask": "number", "query": "waiting_locks", "longer_than_s": 0}))["value"] == 2
    locks = await caller.ask(DB, {"ask": "report", "report": "locks", "limit": 5})
    assert {row["pid"]: row["blocked_by"] for row in locks["rows"]} == {
        pid_of(second): [pid_of(first)],
        pid_of(third): [pid_of(second)],
    }
    assert {row["pid"] for row in locks["blockers"]} == {pid_of(first), pid_of(second)}
    assert (await asked(caller, "blocker", 3600))["backends"] == []
    await caller.send(DB, to("terminate", "blocker", backend), key="e")
    await behind_first
    await second.rollback()
    await behind_second
    with pytest.raises(TargetGone):
        await caller.send(DB, to("terminate", "blocker", backend), key="e")


async def test_who_no_longer_blocks_is_left_alone(caller, sessions):
    first, second = await sessions(), await sessions()
    await first.execute("UPDATE orders SET note = 'a' WHERE id = 1")
    waits = asyncio.create_task(second.execute("UPDATE orders SET note = 'b' WHERE id = 1"))

    async def blocks() -> Any:
        return (await asked(caller, "blocker"))["backends"]

    (backend,) = await until(blocks)
    waits.cancel()
    with suppress(asyncio.CancelledError, psycopg.Error):
        await waits
    await second.close()

    async def free() -> bool:
        return not await blocks()

    await until(free)
    with pytest.raises(TargetGone):
        await caller.send(DB, to("terminate", "blocker", backend), key="e")
    assert await alive(first)


async def test_a_cancel_ends_the_statement_and_not_the_session(caller, sessions):
    one = await sessions()
    runs = asyncio.create_task(one.execute("SELECT pg_sleep(60)"))

    async def running() -> Any:
        return (await asked(caller, "long_running"))["backends"]

    (backend,) = await until(running)
    request = to("cancel", "long_running", backend)
    with pytest.raises(TargetGone):
        await caller.send(DB, {**request, "query_start": backend["backend_start"]}, key="e")
    assert await caller.find(DB, request, key="e") == "unknown"
    await caller.send(DB, request, key="e")
    with pytest.raises(psycopg.errors.QueryCanceled):
        await runs
    await one.rollback()
    assert await alive(one)
    assert await caller.find(DB, request, key="e") == "happened"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        pytest.param({"user": "postgres", "password": ""}, "a superuser", id="superuser"),
        pytest.param({"user": "remediator", "password": "sesame-street"}, "a session of our own role", id="us"),
        pytest.param({"user": "copier", "password": "copy-copy"}, "a replication role", id="replication"),
        pytest.param({"database": "postgres"}, "another database", id="another database"),
    ],
)
async def test_who_is_never_touched(server, caller, sessions, how, why):
    with server.connect() as one:
        one.execute("DROP ROLE IF EXISTS copier")
        one.execute("CREATE ROLE copier LOGIN REPLICATION PASSWORD 'copy-copy'")
    spared = await sessions(**how)
    await spared.execute("SELECT 1")

    async def seen() -> Any:
        return (await asked(caller, "idle_in_transaction"))["spared"]

    assert await until(seen) == [{"pid": pid_of(spared), "why": why}]
    assert (await asked(caller, "idle_in_transaction"))["backends"] == []
    with server.connect() as one:
        row = one.execute(
            "SELECT pid, backend_start::text, xact_start::text, query_start::text, state_change::text"
            " FROM pg_stat_activity WHERE pid = %s",
            (pid_of(spared),),
        ).fetchone()
    names = ("pid", "backend_start", "xact_start", "query_start", "state_change")
    with pytest.raises(TargetGone):
        await caller.send(DB, to("terminate", "idle_in_transaction", dict(zip(names, row, strict=True))), key="e")
    assert await alive(spared)
    await spared.close()


@pytest.mark.parametrize("spare", [{"spare_users": ["shop_app"]}, {"spare_applications": ["app of shop_app"]}])
async def test_whom_the_operator_spares(server, caller, sessions, spare):
    one = await sessions()
    backend = await idle(caller, one)
    careful = SqlCaller((server.settings(**spare),))
    assert (await asked(careful, "idle_in_transaction"))["backends"] == []
    with pytest.raises(TargetGone):
        await careful.send(DB, to("terminate", "idle_in_transaction", backend), key="e")
    assert await alive(one)


async def test_a_prepared_transaction_is_named_and_left_to_people(server, caller, sessions):
    with server.connect("shop") as one:
        one.execute("BEGIN")
        one.execute("UPDATE orders SET note = 'p' WHERE id = 1")
        one.execute("PREPARE TRANSACTION 'forgotten'")
    waits = asyncio.create_task((await sessions()).execute("UPDATE orders SET note = 'b' WHERE id = 1"))

    async def spared() -> Any:
        return (await asked(caller, "blocker"))["spared"]

    try:
        assert await until(spared) == [{"pid": 0, "why": "a prepared transaction"}]
    finally:
        with server.connect("shop") as one:
            one.execute("ROLLBACK PREPARED 'forgotten'")
        await waits


async def test_what_cannot_be_seen_is_not_empty(server, caller, sessions):
    await idle(caller, await sessions())
    blind = SqlCaller((server.settings(user="blind"),))
    with pytest.raises(Forbidden, match="GRANT pg_read_all_stats"):
        await asked(blind, "idle_in_transaction")
    for report in ("connections", "locks", "slow_queries"):
        with pytest.raises(Forbidden):
            await blind.ask(DB, {"ask": "report", "report": report, "limit": 5})


async def test_who_may_signal_nobody_is_told(server, caller, sessions):
    backend = await idle(caller, await sessions())
    with server.connect() as one:
        one.execute("GRANT pg_monitor TO blind")
    try:
        watcher = SqlCaller((server.settings(user="blind"),))
        request = to("terminate", "idle_in_transaction", backend)
        with pytest.raises(Refused, match="GRANT pg_signal_backend") as refused:
            await watcher.rehearse(DB, request)
        assert refused.value.forbidden
        with pytest.raises(Refused) as refused:
            await watcher.send(DB, request, key="e")
        assert refused.value.forbidden
    finally:
        with server.connect() as one:
            one.execute("REVOKE pg_monitor FROM blind")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"port": 1}, id="nobody there"),
        pytest.param({"password_file": {"value": "wrong-password"}}, id="wrong password"),
        pytest.param({"database": "nowhere"}, id="no such database"),
        pytest.param({"sslmode": "verify-full"}, id="no TLS there"),
        pytest.param({"password_file": {"file": "/nonexistent/secret"}}, id="no secret"),
    ],
)
async def test_a_database_that_cannot_be_reached(server, wrong):
    caller = SqlCaller((server.settings(**wrong),))
    request = {"do": "analyze", "table": "public.orders", "at": "2025-06-01T12:00:00Z"}
    with pytest.raises(Unavailable) as unavailable:
        await caller.send(DB, request, key="e")
    with pytest.raises(CannotSee) as blind:
        await caller.ask(DB, {"ask": "number", "query": "select_one"})
    with pytest.raises(CannotSee):
        await caller.find(DB, request, key="e")
    for said in (str(unavailable.value), str(blind.value)):
        assert said.startswith(f"database {DB}")
        assert "wrong-password" not in said
        assert "sesame" not in said


async def test_a_dsn_and_what_it_hides(server):
    dsn = f"postgresql://remediator:sesame-street@127.0.0.1:{server.port}/shop?sslmode=disable"
    how = {"host": "", "database": "", "user": "", "password_file": None}
    caller = SqlCaller((server.settings(dsn_file={"value": dsn}, **how),))
    assert await caller.ask(DB, {"ask": "number", "query": "select_one"}) == {"value": 1.0}
    broken = SqlCaller((server.settings(dsn_file={"value": "passwort sesame-street"}, **how),))
    with pytest.raises(CannotSee, match="no connection string") as told:
        await broken.ask(DB, {"ask": "number", "query": "select_one"})
    assert "sesame" not in repr(told.value)
    with pytest.raises(NotFound, match="orders-db"):
        await caller.ask("another-db", {"ask": "number", "query": "select_one"})
