"""One HTTP exchange of a caller: sent once, no redirects, everything bounded, and honest about whether it was sent."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from remediator import __version__
from remediator.adapters.json_out import NOTHING_SENT, Headers, no_headers
from remediator.adapters.wire_errors import named
from remediator.errors import (
    CannotSee,
    EffectError,
    Forbidden,
    InvalidConfig,
    NotFound,
    ReadError,
    Refused,
    Unavailable,
    Uncertain,
)
from remediator.redact import redact

MAX_ANSWER = 64 * 1024
MAX_MESSAGE = 300
CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer, whatever its status. `cut`: the body was longer than what is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    def json(self) -> Any:
        """None for what is no JSON, or not all of it."""
        if self.cut:
            return None
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Wire:
    """One server. `login` is asked for each request, so that a rotated file counts; may raise InvalidConfig."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        login: Headers = no_headers,
        tls: ssl.SSLContext | bool = True,
        timeout_s: float = 10.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._login = login
        self._tls = tls
        self._timeout_s = timeout_s
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_ANSWER,
    ) -> Answered:
        """`path` is encoded already. Raises: Unavailable (nothing was sent), Uncertain (sent, and no answer)."""
        try:
            login = dict(self._login())
        except InvalidConfig as exc:
            raise Unavailable(f"{self.name}: {exc}") from exc
        sent = {"Accept": "application/json", "User-Agent": f"remediator/{__version__}", **(headers or {}), **login}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            async with self._open().request(
                method,
                URL(self._url + path, encoded=True).update_query(params)
                if params
                else URL(self._url + path, encoded=True),
                data=data,
                headers=sent,
                allow_redirects=False,  # it would take our credentials along, and turns a POST into a GET
                ssl=self._tls,
            ) as response:
                kept, cut = await _begin(response, max_bytes)
                return Answered(response.status, response.headers, kept, cut)
        except CannotSee as exc:  # of the resolver: an address that is not visited
            raise Refused(f"{self.name}: {exc}") from exc
        except NOTHING_SENT as exc:
            raise Unavailable(f"{self.name}: nothing was sent: {self.clean(named(exc), login)}") from exc
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise Uncertain(f"no answer from {self.name}: {self.clean(named(exc), login)}") from exc

    def said(self, answer: Answered) -> str:
        """`HTTP 409: ...`, with what the other side said, short and without secrets."""
        content = answer.json()
        if isinstance(content, dict):
            content = content.get("detail") or content.get("message") or content.get("error") or content
        text = content if isinstance(content, str) else answer.body.decode("utf-8", "replace")
        return f"HTTP {answer.status} from {self.name}: {self.clean(text) or 'no body'}"

    def clean(self, text: str, login: Mapping[str, str] | None = None) -> str:
        return redact(" ".join(text.split())[: 2 * MAX_MESSAGE], known=self._secrets(login))[:MAX_MESSAGE]

    def redacted(self, text: str) -> str:
        """A longer text of theirs, bounded and without secrets."""
        return redact(text[:MAX_ANSWER], known=self._secrets(None))

    def _secrets(self, login: Mapping[str, str] | None) -> Collection[str]:
        try:
            known = self._login() if login is None else login
        except InvalidConfig:
            return ()
        return [part for value in known.values() for part in (value, value.rpartition(" ")[2])]

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=10, force_close=True, resolver=self._resolver, use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=CONNECT_S, sock_connect=CONNECT_S),
            )
            # aiohttp repeats "idempotent" requests on a broken connection and has no public switch for it.
            self._session._retry_connection = False
        return self._session


async def _begin(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The beginning of the body, and whether there was more."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(16_384):
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def read_failure(wire: Wire, answer: Answered) -> ReadError:
    """What an answer other than the expected one means for a question."""
    if answer.status in (401, 403):
        return Forbidden(wire.said(answer))
    if answer.status == 404:
        return NotFound(wire.said(answer))
    return CannotSee(wire.said(answer))


def send_failure(wire: Wire, answer: Answered) -> EffectError:
    """What an answer other than the expected one means for something sent. Whatever does not say that nothing was done
    is Uncertain: also a redirect, which is how many a form says that it has been done."""
    said = wire.said(answer)
    match answer.status:
        case 401 | 403:
            return Refused(said, forbidden=True)
        case 425 | 429:
            return Unavailable(said, retry_after_s=_retry_after(answer))
        case 307 | 308:
            return Refused(f"{said} (it redirects us; give the address that it redirects to)")
        case 408 | 499:
            return Uncertain(said)
        case status if 400 <= status < 500:
            return Refused(said)
        case _:
            return Uncertain(said)


def _retry_after(answer: Answered) -> float | None:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), 3600.0) if asked.isdecimal() and len(asked) < 6 else None


async def asked(wire: Wire, method: str, path: str, body: Any = None, **more: Any) -> Answered:
    """An exchange that changes nothing. Raises: CannotSee."""
    try:
        return await wire.exchange(method, path, body, **more)
    except EffectError as exc:
        raise CannotSee(str(exc)) from exc
