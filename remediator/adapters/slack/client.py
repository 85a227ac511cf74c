"""One workspace's Web API, through slack_sdk.

What slack_sdk does by default and we do not want: a session per call, no timeout on a session that is given, and one
blind retry after a connection error, which can post twice. Retrying is the outbox's work, with due times that survive a
restart.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from remediator.adapters.slack.errors import SlackError, translated

BASE_URL = "https://slack.com/api/"

# slack_sdk takes a logger's own level NOTSET for DEBUG and formats every request and answer for it.
sdk_log = logging.getLogger("remediator.slack_sdk")
sdk_log.setLevel(logging.WARNING)


class SlackClient:
    """Create it in a running event loop, close it at the end."""

    def __init__(self, token: str, *, base_url: str = BASE_URL, timeout_s: float = 10.0) -> None:
        # trust_env: proxies from the environment, but unlike slack_sdk's own reading of them with NO_PROXY
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True)
        self._base_url = base_url if base_url.endswith("/") else f"{base_url}/"
        self._client = AsyncWebClient(
            token=token, base_url=self._base_url, session=self._session, retry_handlers=[], logger=sdk_log
        )
        self._client.proxy = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def probe(self) -> None:
        """Whether Slack answers and takes our token. Raises: ChatError."""
        await self.call("auth.test")

    async def scopes(self) -> frozenset[str]:
        """What our token may do; empty when Slack does not say. Raises: ChatError."""
        headers = (await translated(lambda: self._client.api_call("auth.test"))).headers
        given = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), "")
        return frozenset(scope.strip() for scope in given.split(",") if scope.strip())

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """One call by form, which every method takes; None leaves an argument out, objects are sent as JSON.

        Raises: SlackError.
        """
        form = {name: _value(value) for name, value in arguments.items() if value is not None}
        answer = await translated(lambda: self._client.api_call(method, data=form))
        if not isinstance(answer.data, dict):
            raise SlackError("unreadable answer from Slack", retry_after_s=30.0, unanswered=True)
        return answer.data


def wanted(answer: Mapping[str, Any], *path: str) -> Any:
    """What an answer must have in it. Raises: SlackError when it has not."""
    found: Any = answer
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        raise SlackError(f"unreadable answer from Slack: no {path[-1]}", retry_after_s=30.0, unanswered=True)
    return found


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
