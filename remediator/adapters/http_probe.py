"""HTTP probes for the `http` check: one GET, no redirects, no credentials, nothing that belongs to the machine itself.

A playbook says where to go, so the address is trusted as far as its author is; still, two places are out of bounds
whatever resolves to them: link-local addresses (cloud metadata with its credentials) and, unless allowed, our loopback.
The address is checked after resolving and the connection goes to what was checked, so no second DNS answer slips by.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from remediator.adapters.net_probe import NetworkProbing
from remediator.errors import CannotSee
from remediator.remediation.checks.base import HttpAnswer

CONNECTIONS = 20


class AiohttpProbe(NetworkProbing):
    """The `HttpProbe` of the checks, and their `NetworkProbe`. Owns its connections; `close` it."""

    def __init__(self, *, allow_loopback: bool = False) -> None:
        self._allow_loopback = allow_loopback
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, timeout_s: float, limit_bytes: int) -> HttpAnswer:
        """Raises: CannotSee."""
        where = URL(url)
        if where.scheme not in ("http", "https") or not where.host:
            raise CannotSee(f"{url} is no address of HTTP")
        try:
            self._check_literal(where.host)
            async with (
                asyncio.timeout(timeout_s),
                self._open().get(where, allow_redirects=False, headers={"Accept": "*/*"}) as response,
            ):
                body = await _begin(response, limit_bytes)
                return HttpAnswer(response.status, body.decode("utf-8", "replace"))
        except TimeoutError:
            raise CannotSee(f"{url} did not answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise CannotSee(f"{url}: {str(exc)[:200] or type(exc).__name__}") from exc

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                force_close=True,  # a probe that reuses a connection does not prove that one can be made
                resolver=GuardedResolver(aiohttp.ThreadedResolver(), self._allow_loopback),
                use_dns_cache=False,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=60)
            )
        return self._session

    def _check_literal(self, host: str) -> None:
        """Addresses written out never reach the resolver."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        self._require_visitable(address)

    def _require_visitable(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        require_visitable(address, self._allow_loopback)


class GuardedResolver(AbstractResolver):
    """Resolves names and refuses addresses that are out of bounds."""

    def __init__(self, resolver: AbstractResolver, allow_loopback: bool) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            require_visitable(ipaddress.ip_address(one["host"].partition("%")[0]), self._allow_loopback)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def require_visitable(address: ipaddress.IPv4Address | ipaddress.IPv6Address, allow_loopback: bool) -> None:
    """Raises: CannotSee."""
    inner = getattr(address, "ipv4_mapped", None) or address
    if inner.is_link_local or inner.is_unspecified or inner.is_multicast:
        raise CannotSee(f"{address} is not visited: link-local, unspecified or multicast")
    if inner.is_loopback and not allow_loopback:
        raise CannotSee(f"{address} is this machine itself, which is not visited")


async def _begin(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The beginning of the body; the rest is not read."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(8192):
        body += chunk
        if len(body) >= limit_bytes:
            break
    return bytes(body[:limit_bytes])
