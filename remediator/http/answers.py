"""JSON answers, and every error of the API in one shape: `{"error": code, "detail": what, "next": what to do}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
import structlog
from aiohttp import web

from remediator.errors import InvalidWebhook, JournalUnavailable
from remediator.http.body import BodyBroken, BodyTooLarge, BodyTooSlow, TooMuchAtOnce
from remediator.service import InvalidRequest, NotAllowed, NotNow, ServiceError, UnknownId

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS: dict[type[ServiceError], tuple[int, str]] = {
    InvalidRequest: (400, "invalid_request"),
    NotAllowed: (403, "not_allowed"),
    UnknownId: (404, "not_found"),
    NotNow: (409, "not_now"),
}
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Unauthorized(Exception):
    """No valid token; the message says what is missing."""


def answer(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def error(status: int, code: str, detail: str, advice: str = "", headers: dict[str, str] | None = None) -> web.Response:
    response = answer({"error": code, "detail": detail, "next": advice}, status=status)
    response.headers.update(headers or {})
    return response


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where exceptions become answers."""
    try:
        return await handler(request)
    except Unauthorized as exc:
        challenge = {"WWW-Authenticate": 'Bearer realm="remediator"'}
        return error(401, "unauthorized", str(exc), "Send `Authorization: Bearer TOKEN`.", challenge)
    except ServiceError as exc:
        status, code = _STATUS.get(type(exc), (400, "invalid_request"))
        return error(status, code, str(exc), exc.advice)
    except InvalidWebhook as exc:
        return error(400, "invalid_request", str(exc))
    except JournalUnavailable as exc:
        return error(503, "store_unavailable", str(exc), "Try again in a moment.", {"Retry-After": "1"})
    except TooMuchAtOnce:
        return error(503, "overloaded", "too many large requests at once", "Try again.", {"Retry-After": "1"})
    except BodyTooLarge:
        return error(413, "too_large", "the body is too large")
    except BodyTooSlow:
        return error(400, "invalid_request", "the body did not arrive in time")
    except BodyBroken as exc:
        return error(400, "invalid_request", f"the body could not be read: {exc}")
    except web.HTTPException as exc:
        code = _HTTP_CODES.get(exc.status, "invalid_request")
        allow = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None
        return error(exc.status, code, f"{request.method} {request.path}: {exc.reason}", "", allow)
    except Exception:
        # A bug in one route must be seen, and must not show its inside to the caller.
        log.exception("request_failed", method=request.method, path=request.path)
        return error(500, "internal", "an unexpected error; the service's log has it")
