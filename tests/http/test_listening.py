"""Sockets: port, unix socket, slow senders, and what happens to requests when the service stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from remediator.config import Listen
from remediator.http import server
from remediator.http.server import Listening
from remediator.http.webhook import PATH
from tests.http.harness import SENDER, World, alert, as_, bearer, webhook


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A unix socket's path has at most about 100 characters; pytest's own are longer on some machines."""
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        yield Path(folder)


async def test_a_unix_socket_with_the_same_tokens(world: World, short_path: Path) -> None:
    path = short_path / "api.sock"
    listen = Listen(host="127.0.0.1", port=0, socket=path)
    async with Listening(world.app(listen=listen), listen):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            async with session.get("http://local/api/v1/pauses", headers=as_("viewer")) as answer:
                assert answer.status == 200
            async with session.get("http://local/api/v1/pauses") as answer:
                assert answer.status == 401
    assert not path.exists()


async def test_a_socket_that_a_crash_left_behind_is_replaced(world: World, short_path: Path) -> None:
    path = short_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listen = Listen(host="127.0.0.1", port=0, socket=path)
    async with Listening(world.app(listen=listen), listen):
        assert stat.S_ISSOCK(path.stat().st_mode)


async def test_a_taken_port_is_an_error(world: World) -> None:
    async with world.serving() as client:
        listen = Listen(host="127.0.0.1", port=client.port)
        with pytest.raises(OSError, match="in use"):
            async with Listening(world.app(), listen):
                pass


async def test_headers_that_dribble_in_are_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a whole request is closed, however often a byte arrives."""
    monkeypatch.setattr(server, "IDLE_TIMEOUT_S", 0.3)
    async with world.serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"POST {PATH} HTTP/1.1\r\n".encode())

        async def dribble() -> None:
            while True:
                writer.write(b"X-A: 1\r\n")
                await asyncio.sleep(0.02)

        slowly = asyncio.create_task(dribble())
        try:
            async with asyncio.timeout(3):
                with contextlib.suppress(ConnectionResetError):  # closed while a byte was on its way
                    assert await reader.read() == b""
        finally:
            slowly.cancel()
            writer.close()


async def test_a_body_that_dribbles_in_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and not 408: a slow network may be faster next time, and Alertmanager does not repeat a 4xx."""
    monkeypatch.setattr("remediator.http.body.READ_TIMEOUT_S", 0.1)
    monkeypatch.setattr(server, "LINGER_S", 0.1)
    async with world.serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SENDER}\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode() + b"{")
        async with asyncio.timeout(3):
            assert b" 503 " in await reader.readline()
        writer.close()


async def test_a_request_under_way_is_finished_when_the_service_stops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping loses nothing: what was being stored is stored and acknowledged."""
    entered, may_go = asyncio.Event(), asyncio.Event()

    async def slow_store(name: str) -> None:
        entered.set()
        await may_go.wait()

    monkeypatch.setattr(world.store, "before_commit", slow_store)
    listen = Listen(host="127.0.0.1", port=0)
    listening = Listening(world.app(), listen)
    await listening.__aenter__()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{listening.port}{PATH}"
        posting = asyncio.create_task(session.post(url, data=webhook(alert("A")), headers=bearer()))
        await entered.wait()
        stopping = asyncio.create_task(listening.__aexit__(None, None, None))
        await asyncio.sleep(0.05)
        may_go.set()
        assert (await posting).status == 200
        await stopping
    assert [record.alert.name for record in await world.journal.undecided(10)] == ["A"]


async def test_a_sender_that_hangs_up_does_not_stop_the_storing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = asyncio.Event()

    async def slow_store(name: str) -> None:
        await asyncio.sleep(0.05)
        stored.set()

    monkeypatch.setattr(world.store, "before_commit", slow_store)
    async with world.serving() as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        body = webhook(alert("A"))
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SENDER}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(3):
            await stored.wait()
    assert [record.alert.name for record in await world.journal.undecided(10)] == ["A"]
