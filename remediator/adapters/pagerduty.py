"""PagerDuty's Events API v2: the port `Pager`, and change events. One instance per service, which is what a routing
key stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Self

import aiohttp

from remediator.adapters.wire_errors import named
from remediator.ports import ChatError

ENDPOINT = "https://events.pagerduty.com"
"""Accounts in the EU region use `https://events.eu.pagerduty.com`."""

_PATH = "/v2/enqueue"
_CHANGE_PATH = "/v2/change/enqueue"

MAX_BYTES = 512_000

_RETRY_S = 5.0
_RATE_LIMITED_S = 30.0


class PagerDuty:
    """Create it in a running event loop, close it at the end. `endpoint` with or without the path of the API."""

    def __init__(self, routing_key: str, *, endpoint: str = ENDPOINT, timeout_s: float = 10.0) -> None:
        self._routing_key = routing_key
        base = endpoint.rstrip("/").removesuffix(_PATH)
        self._endpoint, self._change_endpoint = base + _PATH, base + _CHANGE_PATH
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def send(self, event: Mapping[str, object]) -> None:
        """Hand over one event; 202 means accepted, not that somebody was called. Safe to repeat, it is deduplicated.

        Raises: ChatError. Only a 400, and an event that is too large, are for good: a page is worth retrying through
        everything else that a proxy or an outage may answer.
        """
        await self._post(self._endpoint, event)

    async def send_change(self, event: Mapping[str, object]) -> None:
        """Hand over one change event. There is no key to deduplicate it by: one that is repeated is shown twice.

        Raises: ChatError.
        """
        await self._post(self._change_endpoint, event)

    async def _post(self, endpoint: str, event: Mapping[str, object]) -> None:
        body = json.dumps({**event, "routing_key": self._routing_key}).encode()
        if len(body) > MAX_BYTES:
            raise ChatError(f"the event has {len(body)} bytes, PagerDuty takes {MAX_BYTES}")
        try:
            # A redirect would turn the POST into a GET and lose the event.
            request = self._session.post(
                endpoint, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            )
            async with request as response:
                answer = (await response.content.read(2000)).decode(errors="replace")
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ChatError(f"no answer from PagerDuty: {named(exc)}", retry_after_s=_RETRY_S) from exc
        if status == 202:
            return
        detail = answer.replace(self._routing_key, "(routing key)")[:300]
        if status == 400:
            raise ChatError(f"PagerDuty refused the event: {detail}")
        raise ChatError(f"HTTP {status} from PagerDuty: {detail}", retry_after_s=_wait(status, headers))

    async def probe(self) -> None:
        """Whether the Events API answers at all: it takes only POSTs, so anything below 500 will do. Raises:
        ChatError."""
        try:
            async with self._session.get(self._endpoint, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ChatError(f"no answer from PagerDuty: {named(exc)}", retry_after_s=_RETRY_S) from exc
        if status >= 500:
            raise ChatError(f"HTTP {status} from PagerDuty", retry_after_s=_RETRY_S)


def _wait(status: int, headers: Mapping[str, str]) -> float:
    if status >= 500:
        return _RETRY_S
    try:
        return max(_RETRY_S, float(headers.get("Retry-After", "")))
    except ValueError:
        return _RATE_LIMITED_S
