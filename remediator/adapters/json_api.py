"""Reading JSON over HTTP from Prometheus, Alertmanager and their likes, with everything bounded.

A call ends within `timeout_s`, retries included: what answers with 5xx or 429, or cannot be reached, is asked up to
three times within that; what is slow is not asked again. Anything that is not the JSON we asked for (a login page, an
error of a proxy, a redirect, a body without end) is CannotSee: unknown, which is never the same as empty.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import tenacity

from remediator.errors import CannotSee
from remediator.redact import redact

TRIES = 3
MAX_MESSAGE = 300

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an API is and how to ask it. `url` is its base, with a path prefix if it has one.

    `bearer` and `password` are called for every request, so that a rotated file counts; either may raise OSError.
    `headers` are sent as they are (`X-Scope-OrgID` chooses the tenant of Mimir, Loki, Thanos).
    """

    name: str
    url: str
    bearer: Callable[[], str] | None = field(default=None, repr=False)
    bearer_prefix: str = "Bearer "
    """What stands before the token in `Authorization`; some have a word of their own."""
    user: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ssl: ssl.SSLContext | None = None
    timeout_s: float = 5.0
    max_bytes: int = 8 * 2**20

    def secrets(self) -> tuple[str, ...]:
        """What must not come back to us in an error message."""
        found = [read() for read in (self.bearer, self.password) if read is not None]
        return (*found, *(v for k, v in self.headers.items() if "auth" in k.lower() or "token" in k.lower()))


class _TryAgain(Exception):
    """The other side is busy or broken for the moment; the message is for people."""


class JsonApi:
    """One API that answers JSON. Owns its connections; `close` them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Pairs = ()) -> Any:
        """Raises: CannotSee."""
        return await self._ask("GET", path, params=list(params))

    async def post_form(self, path: str, form: Pairs) -> Any:
        """A query too long for a URL, as a form. Raises: CannotSee."""
        return await self._ask("POST", path, data=list(form))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        here = self._endpoint
        try:
            async with asyncio.timeout(here.timeout_s):
                async for attempt in tenacity.AsyncRetrying(
                    stop=tenacity.stop_after_attempt(TRIES),
                    wait=tenacity.wait_random_exponential(multiplier=0.2, max=1),
                    retry=tenacity.retry_if_exception_type(_TryAgain),
                    reraise=True,
                ):
                    with attempt:
                        return await self._once(method, path, **more)
        except TimeoutError:
            raise CannotSee(f"{here.name} did not answer within {here.timeout_s:g} s") from None
        except _TryAgain as exc:
            raise CannotSee(f"{here.name}: {exc} ({TRIES} tries)") from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, method: str, path: str, **more: Any) -> Any:
        here = self._endpoint
        url = here.url.rstrip("/") + path
        try:
            async with self._open().request(
                method, url, headers=self._headers(), allow_redirects=False, ssl=here.ssl or True, **more
            ) as response:
                body = await self._read(response)
                return self._parse(response, body)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as exc:
            raise _TryAgain(f"no connection: {self._clean(str(exc) or type(exc).__name__)}") from exc
        except (aiohttp.ClientError, aiohttp.InvalidURL, ValueError) as exc:
            raise CannotSee(f"{here.name}: {self._clean(str(exc) or type(exc).__name__)}") from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The whole call has its own timeout; this one only bounds what that cannot see.
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout_s))
        return self._session

    def _headers(self) -> dict[str, str]:
        here = self._endpoint
        headers = {"Accept": "application/json", **here.headers}
        try:
            if here.bearer is not None:
                headers["Authorization"] = f"{here.bearer_prefix}{here.bearer()}"
            elif here.user:
                password = here.password() if here.password is not None else ""
                pair = b64encode(f"{here.user}:{password}".encode()).decode()
                headers["Authorization"] = f"Basic {pair}"
        except OSError as exc:
            raise CannotSee(f"{here.name}: the credentials cannot be read: {exc.strerror}") from exc
        return headers

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, unpacked, as far as it may go."""
        body = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > self._endpoint.max_bytes:
                raise CannotSee(f"{self._endpoint.name} answered more than {self._endpoint.max_bytes} bytes")
        return bytes(body)

    def _parse(self, response: aiohttp.ClientResponse, body: bytes) -> Any:
        here, status = self._endpoint, response.status
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            content = None
        if status == 429 or status >= 500:
            raise _TryAgain(f"answered {status}: {self._message(content, body)}")
        if 300 <= status < 400:
            raise CannotSee(f"{here.name} redirected us ({status}): a login page, or the URL lacks a path prefix")
        if status in (401, 403):
            raise CannotSee(f"{here.name} answered {status}: check the credentials. {self._message(content, body)}")
        if status != 200:
            raise CannotSee(f"{here.name} answered {status}: {self._message(content, body)}")
        if content is None:
            kind = response.headers.get("Content-Type", "no content type")
            raise CannotSee(f"{here.name} answered no JSON but {kind[:60]}: a proxy in between?")
        return content

    def _message(self, content: Any, body: bytes) -> str:
        """What the other side said, short. Prometheus puts it in `error`, Alertmanager answers a bare string."""
        said = content.get("error") if isinstance(content, dict) else content
        text = said if isinstance(said, str) else body[:2000].decode("utf-8", "replace")
        return self._clean(text) or "no body"

    def _clean(self, text: str) -> str:
        try:
            known = self._endpoint.secrets()
        except OSError:
            known = ()
        return redact(" ".join(text.split())[: 2 * MAX_MESSAGE], known=known)[:MAX_MESSAGE]
