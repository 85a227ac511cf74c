"""HTTP probes: one bounded GET, and nowhere near the machine's own addresses."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from remediator.adapters.http_probe import AiohttpProbe, GuardedResolver
from remediator.errors import CannotSee
from remediator.remediation.checks.base import HttpAnswer, HttpProbe
from tests.support.fake_http import Fault
from tests.support.fake_prometheus import FakeJsonApi


@pytest.fixture
async def fake() -> AsyncIterator[FakeJsonApi]:
    async with FakeJsonApi() as server:
        server.body = "UP"
        yield server


@pytest.fixture
async def probe() -> AsyncIterator[HttpProbe]:
    adapter = AiohttpProbe(allow_loopback=True)
    yield adapter
    await adapter.close()


async def get(probe: HttpProbe, url: str, *, timeout_s: float = 2.0, limit_bytes: int = 1000) -> HttpAnswer:
    return await probe.get(url, timeout_s=timeout_s, limit_bytes=limit_bytes)


async def test_an_answer(fake: FakeJsonApi, probe: HttpProbe) -> None:
    assert await get(probe, f"{fake.root}/health?x=a%2Fb") == HttpAnswer(200, "UP")
    assert (fake.asked[0].method, fake.asked[0].path, fake.asked[0]["x"]) == ("GET", "/health", "a/b")


@pytest.mark.parametrize("status", [204, 302, 404, 500, 503])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(
    fake: FakeJsonApi, probe: HttpProbe, status: int
) -> None:
    fake.status, fake.headers = status, {"Location": "http://169.254.169.254/"}
    assert (await get(probe, fake.root)).status == status
    assert len(fake.asked) == 1


async def test_only_the_beginning_of_a_body_is_read(fake: FakeJsonApi, probe: HttpProbe) -> None:
    fake.body = "ü" * 50_000
    found = await get(probe, fake.root, limit_bytes=11)
    assert found.body == "üüüüü�"


async def test_no_answer_in_time(fake: FakeJsonApi, probe: HttpProbe) -> None:
    fake.fail("/", Fault(hang="before"))
    with pytest.raises(CannotSee, match=r"did not answer within 0\.1 s"):
        await get(probe, fake.root, timeout_s=0.1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "ftp://a/", "http:///x", "x"])
async def test_nobody_there(probe: HttpProbe, url: str) -> None:
    with pytest.raises(CannotSee):
        await get(probe, url)


async def test_no_credentials_no_cookies(fake: FakeJsonApi, probe: HttpProbe) -> None:
    fake.headers = {"Set-Cookie": "sid=1"}
    await get(probe, fake.root)
    await get(probe, fake.root)
    assert not {"Cookie", "Authorization"} & set(fake.asked[1].headers)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "localhost",
    ],
)
async def test_our_own_machine_is_not_visited(host: str) -> None:
    adapter = AiohttpProbe()
    with pytest.raises(CannotSee, match="not visited"):
        await get(adapter, f"http://{host}:9/latest/meta-data")
    await adapter.close()


class Lying(AbstractResolver):
    """A name server that sends everybody to one address."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=self._address, port=port, family=family, proto=0, flags=0),
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "fe80::1%eth0"])
async def test_no_name_leads_there_either(address: str) -> None:
    with pytest.raises(CannotSee, match="not visited"):
        await GuardedResolver(Lying(address), allow_loopback=False).resolve("innocent.example")
    assert await GuardedResolver(Lying("10.0.0.7"), allow_loopback=False).resolve("innocent.example")
