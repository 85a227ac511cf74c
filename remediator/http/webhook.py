"""`POST /webhooks/alertmanager`: the hot path. No middleware, no log line, no model: authenticate, read, store, answer.

Alertmanager sends again after a 5xx or a broken connection, and not before the group's next flush after a 4xx. So what
may pass later is 503, never 429, and what can never pass is a 4xx that names the field. Alertmanager ignores
`Retry-After`; a proxy between does not.
"""

from __future__ import annotations

from time import perf_counter

import orjson
from aiohttp import web

from remediator.errors import InvalidWebhook, JournalUnavailable
from remediator.http.auth import Senders
from remediator.http.body import BodyBroken, BodyReader, BodyTooLarge, BodyTooSlow, TooMuchAtOnce
from remediator.metrics import Metrics
from remediator.service import Service

PATH = "/webhooks/alertmanager"
RETRY_AFTER = {"Retry-After": "1"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="remediator", Basic realm="remediator"'}
MIB = 1024 * 1024


class AlertmanagerWebhook:
    """The route, with everything it needs bound once."""

    def __init__(self, service: Service, senders: Senders, metrics: Metrics, *, max_body: int) -> None:
        self._accept = service.accept
        self._find = senders.find
        self._reader = BodyReader(max_body, budget=4 * max_body)
        self._max_body = max_body
        self._seconds = {
            code: metrics.webhook_seconds.labels(str(code)) for code in (200, 400, 401, 413, 503)
        }  # found once: a look-up by label costs more than the observation

    async def post(self, request: web.Request) -> web.Response:
        began = perf_counter()
        response = await self._answer(request)
        self._seconds[response.status].observe(perf_counter() - began)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        source = self._find(request.headers.get("Authorization", ""))
        if source is None:
            return _refused(401, "unauthorized", "no valid credentials of any of `sources:`", CHALLENGE)
        try:
            accepted = await self._accept(await self._reader.read(request), source)
        except InvalidWebhook as exc:
            return _refused(400, "invalid_webhook", str(exc))
        except BodyBroken as exc:
            return _refused(400, "invalid_webhook", f"body: cannot be read: {exc}")
        except JournalUnavailable as exc:
            return _refused(503, "store_unavailable", f"nothing was taken, send it again: {exc}", RETRY_AFTER)
        except TooMuchAtOnce:
            return _refused(503, "overloaded", "too many large messages at once, send it again", RETRY_AFTER)
        except BodyTooSlow:
            return _refused(503, "too_slow", "the message did not arrive in time, send it again", RETRY_AFTER)
        except BodyTooLarge:
            limit = self._max_body // MIB
            detail = f"more than {limit} MiB; set max_alerts on this receiver, or raise listen.max_body_mib"
            return _refused(413, "too_large", detail)
        return web.Response(
            body=b'{"new":%d,"known":%d,"resolved":%d}' % (accepted.new, accepted.known, accepted.resolved),
            content_type="application/json",
        )


def _refused(status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"error": error, "detail": detail}),
        content_type="application/json",
        headers=headers,
    )


def add_webhook(app: web.Application, webhook: AlertmanagerWebhook) -> None:
    """With and without a trailing slash: a redirect would turn the POST into a GET and lose the alerts."""
    app.router.add_post(PATH, webhook.post)
    app.router.add_post(PATH + "/", webhook.post)
