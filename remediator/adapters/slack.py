"""The port `Chat` on Slack's Web API, through slack_sdk.

What slack_sdk does by default and we do not want: a session per call, no timeout on a session that is given, and one
blind retry after a connection error, which can post twice. Retrying is the outbox's work, with due times that survive a
restart. Slack says no with HTTP 200 and `ok: false`; which of its reasons may pass later is the table `_PASSING`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from remediator.objects import Object
from remediator.ports import ChatError, MessageRef

BASE_URL = "https://slack.com/api/"

_PASSING = frozenset(
    {
        *("ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error"),
        *("service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"),
    }
)
"""Errors of Slack's own that go away by themselves. Every other one is ours to mend: retrying would not help."""

_BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
"""The layout was refused and nothing was posted: the text alone still tells people what happens."""

_RETRY_S = 1.0
"""After a lost connection or a 5xx. Short: the outbox backs off by itself."""
_RATE_LIMITED_S = 30.0
"""For a 429 without `Retry-After`."""

# slack_sdk takes a logger's own level NOTSET for DEBUG and formats every request and answer for it.
_sdk_log = logging.getLogger("remediator.slack_sdk")
_sdk_log.setLevel(logging.WARNING)


class SlackError(ChatError):
    """`code` is Slack's own word for it, or empty."""

    def __init__(self, message: str, *, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.code = code


class SlackChat:
    """One workspace. Create it in a running event loop, close it at the end."""

    def __init__(self, token: str, *, base_url: str = BASE_URL, timeout_s: float = 10.0) -> None:
        # trust_env: proxies from the environment, but unlike slack_sdk's own reading of them with NO_PROXY
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True)
        self._client = AsyncWebClient(
            token=token,
            base_url=base_url if base_url.endswith("/") else f"{base_url}/",
            session=self._session,
            retry_handlers=[],
            logger=_sdk_log,
        )
        self._client.proxy = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        """Raises: ChatError. After a timeout the message may be there all the same: Slack has no idempotency key."""

        async def send(shown: list[dict[str, Any]]) -> Mapping[str, Any]:
            answer = await self._client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=shown,
                thread_ts=thread or None,
                unfurl_links=False,
                unfurl_media=False,
                parse="none",
                link_names=False,
            )
            return {"channel": answer["channel"], "ts": answer["ts"]}

        posted = await _with_text_as_fallback(send, blocks)
        return MessageRef(posted["channel"], posted["ts"])

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        """Always text and blocks: text alone would remove the blocks. Raises: ChatError."""

        async def send(shown: list[dict[str, Any]]) -> Mapping[str, Any]:
            # unlike posting, updating links names and addresses in the text unless told not to
            await self._client.chat_update(
                channel=ref.channel, ts=ref.ts, text=text, blocks=shown, parse="none", link_names=False
            )
            return {}

        await _with_text_as_fallback(send, blocks)

    async def probe(self) -> None:
        """Whether Slack answers and takes our token. Raises: ChatError."""

        async def send(_: list[dict[str, Any]]) -> Mapping[str, Any]:
            await self._client.auth_test()
            return {}

        await _translated(send, [])


_CODE = re.compile(r"[a-z0-9_.]{1,64}")
"""How Slack names an error."""

Send = Callable[[list[dict[str, Any]]], Awaitable[Mapping[str, Any]]]


async def _with_text_as_fallback(send: Send, blocks: tuple[Object, ...]) -> Mapping[str, Any]:
    shown = [dict(block) for block in blocks]
    try:
        return await _translated(send, shown)
    except SlackError as exc:
        if exc.code not in _BAD_BLOCKS or not shown:
            raise
        _sdk_log.warning("Slack refused the layout of a message, sending its text alone: %s", exc)
        return await _translated(send, [])


async def _translated(send: Send, blocks: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Raises: SlackError for everything slack_sdk and aiohttp may raise."""
    try:
        return await send(blocks)
    except SlackApiError as exc:
        raise _from_answer(exc) from exc
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise SlackError(f"no answer from Slack: {exc!r}", retry_after_s=_RETRY_S) from exc
    except (SlackClientError, KeyError, AttributeError, ValueError) as exc:
        # an answer that is not Slack's: a proxy's page with status 200 makes slack_sdk stumble
        raise SlackError(f"unreadable answer from Slack: {type(exc).__name__}", retry_after_s=_RATE_LIMITED_S) from exc


def _from_answer(exc: SlackApiError) -> SlackError:
    response: Any = exc.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
    headers: Mapping[str, str] = getattr(response, "headers", None) or {}
    body = getattr(response, "data", None)
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    if not _CODE.fullmatch(code):
        code = ""  # whatever it says may repeat what it was told, our token included
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return SlackError("rate limited by Slack", code=code, retry_after_s=_retry_after(headers))
    if not code:  # Slack always names an error: somebody in between answered
        return SlackError(f"HTTP {status} from Slack", retry_after_s=_RETRY_S if status >= 500 else _RATE_LIMITED_S)
    if code in _PASSING or status >= 500:
        return SlackError(f"Slack: {code}", code=code, retry_after_s=_RETRY_S)
    return SlackError(f"Slack: {code}{_detail(body)}", code=code)


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return _RATE_LIMITED_S


def _detail(body: object) -> str:
    """Slack's explanation, such as which block is wrong."""
    metadata = body.get("response_metadata") if isinstance(body, dict) else None
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    return f" {json.dumps(messages, ensure_ascii=False)[:300]}" if messages else ""
