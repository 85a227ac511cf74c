"""Sending JSON over HTTPS to systems that people chose: bounded, no redirects, and one meaning for each answer.

Nothing is tried again in here: the outbox does, as `ChatError.retry_after_s` says.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from remediator import __version__
from remediator.adapters.wire_errors import named
from remediator.errors import InvalidConfig
from remediator.ports import ChatError
from remediator.redact import redact

RETRY_S = 5.0
RATE_LIMITED_S = 30.0
LONGEST_S = 3600.0
"""Whoever asks us to come back later than this is asked again after it."""
MAX_ANSWER = 256 * 1024
MAX_MESSAGE = 300
BUSY = frozenset({408, 425, 429})

NOTHING_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)

Headers = Callable[[], Mapping[str, str]]
"""Read for each request, so that a rotated secret counts. May raise InvalidConfig."""


def no_headers() -> Mapping[str, str]:
    return {}


def bearer(token: Callable[[], str]) -> Headers:
    return lambda: {"Authorization": f"Bearer {token()}"}


def basic(user: str, password: Callable[[], str]) -> Headers:
    return lambda: {"Authorization": f"Basic {b64encode(f'{user}:{password()}'.encode()).decode()}"}


def trusting(ca: Path | None, name: str) -> ssl.SSLContext | bool:
    """What verifies the server. Raises: InvalidConfig."""
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        raise InvalidConfig(f"{name}: ca {ca} cannot be read: {exc}") from exc


class JsonOut:
    """One server. `name` is what people call it; `login` are the headers that let us in. Close it at the end.

    `patient` are statuses that are worth another try besides 5xx and 429: a token may be renewed meanwhile.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        login: Headers = no_headers,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | bool = True,
        timeout_s: float = 10.0,
        patient: Collection[int] = (),
    ) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._login = login
        self._headers = {"Accept": "application/json", "User-Agent": f"remediator/{__version__}", **(headers or {})}
        self._tls = tls
        self._timeout_s = timeout_s
        self._patient = BUSY | frozenset(patient)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of a 2xx answer, None when it is none. `body` is bytes, or what becomes JSON. Raises: ChatError."""
        try:
            login = dict(self._login())
        except InvalidConfig as exc:
            raise ChatError(f"{self.name}: {exc}", retry_after_s=RATE_LIMITED_S) from exc
        known = [part for value in login.values() for part in (value, value.rpartition(" ")[2])]
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        kind = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._open().request(
                method,
                self._url + path,
                data=data,
                params=params,
                headers={**self._headers, **kind, **(headers or {}), **login},
                allow_redirects=False,  # a redirected POST becomes a GET and is lost, or takes our credentials along
                ssl=self._tls,
            ) as response:
                answer = await _begin(response)
                return self._judged(response.status, response.headers, answer, known)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            said = _clean(named(exc), known)
            sent = not isinstance(exc, NOTHING_SENT)
            raise ChatError(f"no answer from {self.name}: {said}", retry_after_s=RETRY_S, unanswered=sent) from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,
            )
        return self._session

    def _judged(self, status: int, headers: Mapping[str, str], answer: bytes, known: Collection[str]) -> Any:
        """Raises: ChatError."""
        if 200 <= status < 300:
            try:
                return orjson.loads(answer)
            except orjson.JSONDecodeError:
                return None
        said = _clean(answer.decode("utf-8", "replace"), known)
        if 300 <= status < 400:
            raise ChatError(f"{self.name} redirected us ({status}): give the address that it redirects to")
        wait_s = _wait(status, headers)
        again = status >= 500 or status in self._patient or (status == 403 and wait_s is not None)
        problem = f"HTTP {status} from {self.name}: {said or 'no body'}"
        raise ChatError(problem, retry_after_s=(wait_s or RETRY_S) if again else None, unanswered=status >= 500)


async def _begin(response: aiohttp.ClientResponse) -> bytes:
    """As much of the answer as anybody needs."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(16_384):
        body += chunk
        if len(body) > MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])


def _clean(text: str, known: Collection[str]) -> str:
    return redact(" ".join(text.split())[: 2 * MAX_MESSAGE], known=known)[:MAX_MESSAGE]


def _wait(status: int, headers: Mapping[str, str]) -> float | None:
    """How long they ask us to wait; None when they do not. GitHub's limits are a 403 with these headers."""
    asked = headers.get("Retry-After", "")
    if asked.isdecimal():
        return min(LONGEST_S, max(1.0, float(asked)))
    limited = status == 429 or headers.get("X-RateLimit-Remaining") == "0"
    return RATE_LIMITED_S if limited else None
