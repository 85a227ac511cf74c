"""Network probes against sockets of our own: what is seen, and where nobody looks."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remediator.adapters.http_probe import AiohttpProbe
from remediator.adapters.net_probe import read_certificate
from remediator.errors import CannotSee
from remediator.remediation.checks.base import NetworkProbe
from tests.support.certificates import server_context


@pytest.fixture
async def probe() -> AsyncIterator[AiohttpProbe]:
    adapter = AiohttpProbe(allow_loopback=True)
    yield adapter
    await adapter.close()


async def listening(context: ssl.SSLContext | None = None) -> tuple[asyncio.Server, int]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    return server, int(server.sockets[0].getsockname()[1])


def test_it_is_one(probe: AiohttpProbe) -> None:
    assert isinstance(probe, NetworkProbe)


async def test_listening_and_refusing(probe: AiohttpProbe) -> None:
    server, port = await listening()
    async with server:
        assert await probe.connect("127.0.0.1", port, timeout_s=2)
    with socket.socket() as held:  # bound and not listening: nobody else gets this port meanwhile
        held.bind(("127.0.0.1", 0))
        assert not await probe.connect("127.0.0.1", held.getsockname()[1], timeout_s=2)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_a_certificate_that_nobody_trusts_is_shown(probe: AiohttpProbe, tmp_path: Path) -> None:
    context, file = server_context(tmp_path)
    server, port = await listening(context)
    async with server:
        shown = await probe.certificate("127.0.0.1", port, name="shop.example.com", timeout_s=5)
    decoded = ssl._ssl._test_decode_cert(str(file))  # type: ignore[attr-defined]
    assert int(shown.serial, 16) == int(decoded["serialNumber"], 16)
    assert shown.not_after == datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), UTC)
    assert shown.not_after - shown.not_before == timedelta(days=2)


async def test_no_tls_there(probe: AiohttpProbe) -> None:
    server, port = await listening()
    async with server:
        with pytest.raises(CannotSee):
            await probe.certificate("127.0.0.1", port, name="x", timeout_s=0.2)


async def test_names(probe: AiohttpProbe) -> None:
    assert "127.0.0.1" in await probe.resolve("127.0.0.1", timeout_s=5)


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "::ffff:169.254.1.1"])
async def test_addresses_that_are_not_visited(host: str) -> None:
    probe = AiohttpProbe()
    with pytest.raises(CannotSee, match="not visited"):
        await probe.connect(host, 80, timeout_s=2)
    with pytest.raises(CannotSee, match="not visited"):
        await probe.certificate(host, 443, name=host, timeout_s=2)


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x02\x01\x00", b"\x30\x80\x00\x00"])
def test_what_is_no_certificate(der: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_certificate(der)
