"""Network probes against sockets of our own: what is seen, and where nobody looks."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from remediator.adapters.http_probe import AiohttpProbe
from remediator.adapters.net_probe import _chain, read_certificate
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


def chain_context(folder: Path) -> ssl.SSLContext:
    """A server's certificate and the one that signed it, by openssl; names with an organisation and an umlaut."""

    def run(*args: str) -> None:
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=30, cwd=folder)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8"]
    run("req", "-x509", *key, "-days", "9", "-subj", "/O=Prüfer/CN=Root", "-keyout", "ca.key", "-out", "ca.pem")
    run("req", *key, "-subj", "/CN=shop.example.com", "-keyout", "own.key", "-out", "own.csr")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7", "-days", "2"]
    run("x509", "-req", "-in", "own.csr", *signed, "-out", "own.pem")
    (folder / "chain.pem").write_text((folder / "own.pem").read_text() + (folder / "ca.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "own.key")
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_what_is_shown_above_it(probe: AiohttpProbe, tmp_path: Path) -> None:
    server, port = await listening(chain_context(tmp_path))
    async with server:
        own = await probe.certificate("127.0.0.1", port, name="shop.example.com", timeout_s=5)
    assert (own.subject, own.issuer, own.serial) == ("CN=shop.example.com", "O=Prüfer, CN=Root", "07")
    assert own.above is not None
    (root,) = own.above
    assert (root.subject, root.issuer) == ("O=Prüfer, CN=Root", "O=Prüfer, CN=Root")
    assert root.not_after - root.not_before == timedelta(days=9)


@pytest.mark.parametrize(
    ("connection", "chain"),
    [
        pytest.param(SimpleNamespace(get_unverified_chain=lambda: [b"own", b"root"]), [b"own", b"root"], id="3.13"),
        pytest.param(SimpleNamespace(_sslobj=SimpleNamespace(get_unverified_chain=lambda: None)), None, id="none"),
        pytest.param(SimpleNamespace(), None, id="another Python"),
    ],
)
def test_how_python_tells_the_chain(connection: SimpleNamespace, chain: list[bytes] | None) -> None:
    assert _chain(connection) == chain


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
