"""Letters through the library apprise: e-mail, Teams, Telegram, Mattermost and a hundred more, one URL each.

The library is large (37 MB), so it is imported with the first message. It blocks, so it works in threads of its own,
and it answers yes or no only: why not is in its log, which is caught here, without the secrets of the URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from remediator.errors import InvalidConfig
from remediator.people.carrier import Pace
from remediator.people.others import TITLE_LIMIT
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef
from remediator.redact import redact

PACE = Pace(gap=timedelta(seconds=1), first_retry=timedelta(seconds=15), longest_retry=timedelta(minutes=15))
THREADS = 4
"""Messages that are under way at once; a mail server may take half a minute for one."""
RETRY_S = 15.0
MAX_SAID = 300

_said: ContextVar[list[str] | None] = ContextVar("apprise_said", default=None)


class _Listener(logging.Handler):
    """Hands what apprise logs in a thread to whoever waits for that thread."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _said.get()
        if lines is not None and len(lines) < 10:
            lines.append(record.getMessage())


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One destination. `url` is read for each message, so that a rotated secret counts."""

    url: Callable[[], str]
    timeout_s: float = 20.0


class AppriseCarrier:
    """Channel `apprise`; destinations are names of the configuration. Close it at the end."""

    pace = PACE

    def __init__(self, mailboxes: Mapping[str, Mailbox]) -> None:
        self._mailboxes = mailboxes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        box = self._mailboxes.get(row.destination)
        if box is None:
            raise ChatError(f"channels has no apprise destination called {row.destination!r}")
        try:
            url = box.url()
        except InvalidConfig as exc:
            raise ChatError(f"{row.destination}: {exc}", retry_after_s=RETRY_S) from exc
        said: list[str] = []
        work = asyncio.get_running_loop().run_in_executor(self._threads, _in_context(said), url, dict(row.payload))
        try:
            async with asyncio.timeout(box.timeout_s):
                delivered = await work
        except TimeoutError:
            # It may still arrive: at least once, and a letter too many does no harm.
            problem = f"{row.destination} did not answer within {box.timeout_s:g} s"
            raise ChatError(problem, retry_after_s=RETRY_S, unanswered=True) from None
        except Exception as exc:  # of one of a hundred services; its text and its frames may hold the URL
            why = redact(f"{type(exc).__name__}: {exc}", known=secrets_in(url))[:MAX_SAID]
            raise ChatError(f"{row.destination}: {why}", retry_after_s=RETRY_S, unanswered=True) from None
        if delivered is None:
            raise ChatError(f"{row.destination}: apprise cannot read its URL", retry_after_s=None)
        if not delivered:
            why = redact("; ".join(said), known=secrets_in(url))[:MAX_SAID] or "apprise says no and not why"
            raise ChatError(f"{row.destination}: {why}", retry_after_s=RETRY_S)
        return None


def _in_context(said: list[str]) -> Callable[[str, dict[str, Any]], bool | None]:
    """`_send` in a context of its own, so that its log lines are told apart from those of other threads."""
    context = copy_context()
    context.run(_said.set, said)
    return lambda url, payload: context.run(_send, url, payload)


def _send(url: str, payload: dict[str, Any]) -> bool | None:
    """In a thread. None when the URL cannot be used, for instance because the service is unknown."""
    apprise = _library()
    asset = apprise.AppriseAsset(
        app_id="remediator",
        app_desc="remediator",
        app_url="",
        image_url_mask="",  # no picture from somebody else's server
        image_url_logo="",
        async_mode=False,
        secure_logging=True,
        interpret_escapes=False,
        storage_mode="memory",  # nothing of ours lies about on a disk
    )
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if not isinstance(service, apprise.NotifyBase):
        return None
    _set_thread(service, str(payload.get("thread", "")))
    as_html = _shows_html(service) and bool(payload.get("html"))
    # One line, whoever wrote it: a line break in a title would begin another header of an e-mail.
    title = " ".join(str(payload.get("title", "")).split())[:TITLE_LIMIT]
    body = str(payload["html" if as_html else "text"])
    box = apprise.Apprise(asset=asset)
    box.add(service)
    return bool(box.notify(body=body, title=title, body_format="html" if as_html else "text"))


def _shows_html(service: Any) -> bool:
    """Whether it takes HTML and nobody asked for something else (`?format=text`); from version 2 on it may take several
    formats."""
    choose = getattr(service, "resolve_format", None)
    taken = choose("html") if choose is not None else service.notify_format
    return str(getattr(taken, "value", taken)).lower() == "html"


def _set_thread(service: Any, thread: str) -> None:
    """Mails of one episode belong together: they refer to a message that was never sent, as mail programs expect."""
    headers = getattr(service, "headers", None)
    if service.__class__.__name__ == "NotifyEmail" and isinstance(headers, dict):
        name = "".join(c for c in thread if c.isascii() and (c.isalnum() or c in "-_."))
        if name:
            headers["References"] = headers["In-Reply-To"] = f"<{name}@remediator.invalid>"


@functools.cache
def _library() -> Any:
    """apprise with all its services, loaded once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of one of a hundred services
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    logger = logging.getLogger("apprise")
    if not any(isinstance(handler, _Listener) for handler in logger.handlers):
        logger.addHandler(_Listener())
        logger.propagate = False  # its lines may hold a URL's secrets; what matters of them is in our error
        logger.setLevel(logging.INFO)
    return apprise


def secrets_in(url: str) -> tuple[str, ...]:
    """Every part of an apprise URL that may be a secret: they differ from service to service, so all but the host."""
    return tuple(sorted(set(_parts(url)), key=len, reverse=True))


def _parts(url: str) -> Iterator[str]:
    yield url
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        found = [parts.password or "", *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
        if parts.scheme not in ("mailto", "mailtos", "json", "jsons", "xml", "xmls"):
            found += re.split("[:@]", parts.netloc)  # many services have a token there
        for part in found:
            yield from {part, unquote(part)} - {""}
