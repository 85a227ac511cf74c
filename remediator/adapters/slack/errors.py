"""What slack_sdk and aiohttp raise, as `SlackError`.

Slack says no with HTTP 200 and `ok: false`; which of its reasons may pass later is the table `_PASSING`. Whatever is no
definite word of Slack's own counts as unanswered: the call may have done its work, or may still do it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from remediator.adapters.wire_errors import named
from remediator.ports import ChatError

T = TypeVar("T")

_PASSING = frozenset(
    {
        *("ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error"),
        *("service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"),
    }
)
"""Errors of Slack's own that go away by themselves. Every other one is ours to mend: retrying would not help."""

_HALF_DONE = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""After these the work may be done all the same, as Slack's own documentation of them says."""

_RETRY_S = 1.0
"""After a lost connection or a 5xx. Short: the outbox backs off by itself."""
_RATE_LIMITED_S = 30.0
"""For a 429 without `Retry-After`."""

_CODE = re.compile(r"[a-z0-9_.]{1,64}")
"""How Slack names an error."""


class SlackError(ChatError):
    """`code` is Slack's own word for it, or empty."""

    def __init__(
        self, message: str, *, code: str = "", retry_after_s: float | None = None, unanswered: bool = False
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s, unanswered=unanswered)
        self.code = code


async def translated(call: Callable[[], Awaitable[T]]) -> T:
    """Raises: SlackError for everything slack_sdk and aiohttp may raise."""
    try:
        return await call()
    except SlackApiError as exc:
        raise _from_answer(exc) from exc
    except aiohttp.InvalidURL as exc:  # its text is the URL, which may be a permission
        raise SlackError("Slack gave a URL that cannot be used") from exc
    except aiohttp.ClientConnectorError as exc:  # it never left
        raise SlackError(f"no answer from Slack: {named(exc)}", retry_after_s=_RETRY_S) from exc
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise SlackError(f"no answer from Slack: {named(exc)}", retry_after_s=_RETRY_S, unanswered=True) from exc
    except (SlackClientError, KeyError, AttributeError, ValueError) as exc:
        # an answer that is not Slack's: a proxy's page with status 200 makes slack_sdk stumble
        raise SlackError(
            f"unreadable answer from Slack: {type(exc).__name__}", retry_after_s=_RATE_LIMITED_S, unanswered=True
        ) from exc


def from_status(status: int, headers: Mapping[str, str]) -> SlackError:
    """An answer that has no word of Slack's in it: somebody in between, or a URL that is not of the Web API."""
    if status == 429:
        return SlackError("rate limited by Slack", retry_after_s=_retry_after(headers))
    retry_s = _RETRY_S if status >= 500 else _RATE_LIMITED_S
    return SlackError(f"HTTP {status} from Slack", retry_after_s=retry_s, unanswered=True)


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
    if not code:
        return from_status(status, headers)
    if code in _PASSING or status >= 500:
        half_done = code in _HALF_DONE or status >= 500
        return SlackError(f"Slack: {code}", code=code, retry_after_s=_RETRY_S, unanswered=half_done)
    return SlackError(f"Slack: {code}{_detail(body)}", code=code)


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return _RATE_LIMITED_S


def _detail(body: object) -> str:
    """Slack's explanation, such as which block is wrong, or which scope is missing."""
    if not isinstance(body, dict):
        return ""
    needed = body.get("needed")
    if isinstance(needed, str) and needed:
        return f" (needs the scope {needed[:100]}: add it to the app and install it again)"
    metadata = body.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    return f" {json.dumps(messages, ensure_ascii=False)[:300]}" if messages else ""
