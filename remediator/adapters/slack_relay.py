"""The way to another installation that shares our Slack app: one signed POST, and only its 200 counts as taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import orjson

from remediator.errors import InvalidConfig
from remediator.ports import ChatError, Clock
from remediator.slack_app.relaying import PATH, SIGNATURE, TIMESTAMP, signature

TIMEOUT_S = 5.0
_MAX_DETAIL = 200


class HttpForwarder:
    """`secret` is read for every request, so that a rotated file counts."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: Callable[[], str], clock: Clock) -> None:
        self._session = session
        self._url = url.rstrip("/") + PATH
        self._secret = secret
        self._clock = clock

    async def forward(self, body: Mapping[str, Any]) -> None:
        """Raises: ChatError."""
        data = orjson.dumps(body)
        timestamp = str(int(self._clock.now().timestamp()))
        try:
            signed = signature(self._secret(), timestamp, data)
        except InvalidConfig as exc:
            raise ChatError(str(exc), retry_after_s=1.0) from exc
        headers = {"Content-Type": "application/json", TIMESTAMP: timestamp, SIGNATURE: signed}
        try:
            async with self._session.post(
                self._url,
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as answer:
                if answer.status == 200:
                    return
                said = (await answer.content.read(_MAX_DETAIL)).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ChatError(f"no answer ({type(exc).__name__})", retry_after_s=1.0) from exc
        passing = answer.status >= 500 or answer.status in (408, 429)
        raise ChatError(f"HTTP {answer.status}: {said}", retry_after_s=1.0 if passing else None)
