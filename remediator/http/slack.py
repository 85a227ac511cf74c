"""`POST /webhooks/slack`: what Slack sends when somebody clicks, types `/remediator` or opens the home tab.

Authenticated by the signature over the raw bytes, before anything is parsed. What is not Slack's own, not for our app
or not fresh gets a 401, whatever it is; what the store does not take gets a 503, which Slack shows to the person. Slack
sends interactions once, so nothing is answered 200 that is not durable.

`POST /webhooks/slack/relay` takes what another installation forwards, signed by a secret of theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from aiohttp import web

from remediator.config import Slack
from remediator.http.body import BodyBroken, BodyReader, BodyTooLarge, BodyTooSlow, TooMuchAtOnce
from remediator.ports import Clock
from remediator.slack_app.clicks import Envelope, Unreadable, restored
from remediator.slack_app.deciding import proposal_of
from remediator.slack_app.door import Answer, Door
from remediator.slack_app.relaying import PATH as RELAY_PATH
from remediator.slack_app.relaying import SIGNATURE, TIMESTAMP, is_signed

log = structlog.get_logger(__name__)

PATH = "/webhooks/slack"
MAX_BODY = 1024 * 1024
"""A payload repeats the message that was clicked; that is some ten thousand characters."""
READ_S = 3.0
"""Slack waits no longer; whoever dribbles would keep clicks out for as long, since bodies share their memory."""
FRESH_S = 300
SAID_EVERY_S = 60.0
MOST_FIELDS = 50
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


class SigningSecrets:
    """Several are valid at once, so that they can be rotated."""

    def __init__(self, config: Slack) -> None:
        """Raises: InvalidConfig when one cannot be read."""
        self.load(config)

    def load(self, config: Slack) -> None:
        """Read them all again, then swap. Raises: InvalidConfig; the old ones stay in force then."""
        slack = tuple(secret.read() for secret in config.signing_secret)
        relay = tuple(secret.read() for secret in config.relay.accept)
        self.slack: Sequence[str] = slack
        self.relay: Sequence[str] = relay


class SlackWebhook:
    """The two routes. `instance` is the name that our own buttons carry."""

    def __init__(self, door: Door, secrets: SigningSecrets, clock: Clock, *, instance: str = "") -> None:
        self._door = door
        self._secrets = secrets
        self._clock = clock
        self._instance = instance
        self._reader = BodyReader(MAX_BODY, budget=16 * MAX_BODY, timeout_s=READ_S)
        self._said_at: float | None = None

    def add_to(self, app: web.Application) -> None:
        app.router.add_post(PATH, self.post)
        app.router.add_post(RELAY_PATH, self.post_relayed)

    async def post(self, request: web.Request) -> web.Response:
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        given = request.headers.get("X-Slack-Signature", "")
        if not self._is_fresh(timestamp) or not _SIGNATURE.fullmatch(given):
            return self._turned_away("not signed by Slack within the last five minutes")
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        if not signed_by_slack(self._secrets.slack, timestamp, body, given):
            return self._turned_away("the signature does not fit; see slack.signing_secret")
        envelope, payload = _opened(request.content_type, body)
        if envelope is None:
            return payload if isinstance(payload, web.Response) else _refused("unreadable")
        return _answered(await self._door.take(envelope, payload))

    async def post_relayed(self, request: web.Request) -> web.Response:
        timestamp, given = request.headers.get(TIMESTAMP, ""), request.headers.get(SIGNATURE, "")
        if not self._is_fresh(timestamp):
            return self._turned_away("not signed within the last five minutes")
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        if not is_signed(self._secrets.relay, timestamp, body, given):
            return self._turned_away("the signature does not fit; see slack.relay.accept")
        try:
            click = restored(orjson.loads(body))
        except (orjson.JSONDecodeError, Unreadable):
            return _refused("unreadable")
        proposal = proposal_of(click)
        if proposal is None or proposal.instance != self._instance:
            return web.json_response({"error": "not_ours", "detail": f"this is {self._instance!r}"}, status=409)
        return _answered(await self._door.store(click))

    def _turned_away(self, detail: str) -> web.Response:
        """Nobody sees Slack's answers, so the log says it; seldom, because anybody may knock here."""
        now = self._clock.boot()
        if self._said_at is None or now - self._said_at >= SAID_EVERY_S:
            self._said_at = now
            log.warning("slack_turned_away", why=detail)
        return _refused(detail)

    def _is_fresh(self, timestamp: str) -> bool:
        if not _TIMESTAMP.fullmatch(timestamp):
            return False
        return abs(int(self._clock.now().timestamp()) - int(timestamp)) <= FRESH_S

    async def _body(self, request: web.Request) -> bytes | web.Response:
        try:
            return await self._reader.read(request)
        except BodyTooLarge:
            return web.json_response({"error": "too_large"}, status=413)
        except TooMuchAtOnce:
            return web.json_response({"error": "overloaded"}, status=503)
        except (BodyBroken, BodyTooSlow):
            return _refused("the body cannot be read")


def signed_by_slack(secrets: Sequence[str], timestamp: str, body: bytes, given: str) -> bool:
    """Every secret is compared, in constant time."""
    base = b"v0:" + timestamp.encode() + b":" + body
    known = ["v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest() for secret in secrets]
    return sum(hmac.compare_digest(one.encode(), given.encode()) for one in known) > 0


def _opened(content_type: str, body: bytes) -> tuple[Envelope | None, Any]:
    """Which of the ways in it is, with its payload; or no way, and the answer where there is one to give."""
    if content_type == "application/json":
        payload = _json(body)
        if isinstance(payload, dict) and payload.get("type") == "url_verification":
            challenge = payload.get("challenge")
            text = challenge if isinstance(challenge, str) and len(challenge) <= 1000 else ""
            return None, web.json_response({"challenge": text.encode("utf-8", "replace").decode()})
        return "events_api", payload
    try:
        parsed = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None, None
    fields = {name: values[0] for name, values in parsed.items()}
    if "payload" in fields:
        return "interactive", _json(fields["payload"].encode("utf-8", "replace"))
    if "ssl_check" in fields:
        return None, web.Response()
    return ("slash_commands", fields) if "command" in fields else (None, None)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _answered(answer: Answer) -> web.Response:
    match answer.result:
        case "taken":
            return web.Response() if answer.body is None else web.json_response(answer.body)
        case "busy":
            return web.json_response({"error": "store_unavailable"}, status=503)
        case "refused":
            return _refused("nothing that we take")


def _refused(detail: str) -> web.Response:
    return web.json_response({"error": "unauthorized", "detail": detail}, status=401)
