"""`POST /webhooks/pagerduty`: signed webhooks (v3), stored before they are answered, dealt with later.

PagerDuty waits five seconds, sends again after a 5xx or silence, drops the event after a 4xx, and switches the
subscription off for a day after three drops. So only what is not PagerDuty's gets a 4xx; what merely does not concern
us is taken and forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence

import structlog
from aiohttp import web

from remediator.errors import InvalidConfig, JournalUnavailable
from remediator.http.body import BodyBroken, BodyReader, BodyTooLarge, BodyTooSlow, TooMuchAtOnce
from remediator.people.inbox_rows import InboxStore
from remediator.people.incident_desk import webhook_row
from remediator.people.incident_webhooks import IncidentEvent, InvalidIncidentWebhook, read_webhook
from remediator.ports import Clock
from remediator.secret_files import Secret

log = structlog.get_logger(__name__)

PATH = "/webhooks/pagerduty"
HEADER = "X-PagerDuty-Signature"
MAX_BODY = 512 * 1024
"""Twice of what PagerDuty sends at most."""
STORE_S = 3.0
"""How long the store may take, of the five seconds that PagerDuty waits."""
MOST_SIGNATURES = 10
SHORTEST_SECRET = 16

UNSIGNED = "pagerduty_webhook_unsigned"
UNREADABLE = "pagerduty_webhook_unreadable"
NOT_TAKEN = "pagerduty_webhook_not_taken"


class Signatures:
    """Checks signatures against every secret, so that one can be replaced without a gap."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        """Raises: InvalidConfig."""
        self.load(secrets)

    def load(self, secrets: Sequence[Secret]) -> None:
        """Read the secrets again, then swap. Raises: InvalidConfig; the old ones stay in force then."""
        found = [secret.read().encode() for secret in secrets]
        if any(len(secret) < SHORTEST_SECRET for secret in found):
            raise InvalidConfig("pagerduty.webhook.secrets: too short to be one; copy it from the subscription")
        self._secrets = found

    def hold(self, header: str, body: bytes) -> bool:
        """Whether any signature of the header is made with any of our secrets. All are compared, in constant time."""
        given = [part.strip().removeprefix("v1=") for part in header.split(",") if part.strip().startswith("v1=")]
        ours = [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
        matches = [
            hmac.compare_digest(one, signature.encode("utf-8", "surrogateescape"))
            for one in ours
            for signature in given[:MOST_SIGNATURES]
        ]
        return any(matches)


class PagerDutyWebhook:
    """The route. `concerns` says whether an event is worth keeping, `poke` wakes whoever deals with it."""

    def __init__(
        self,
        signatures: Signatures,
        store: InboxStore,
        concerns: Callable[[IncidentEvent], bool],
        poke: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._signatures = signatures
        self._store = store
        self._concerns = concerns
        self._poke = poke
        self._clock = clock
        self._reader = BodyReader(MAX_BODY, budget=8 * MAX_BODY)

    async def post(self, request: web.Request) -> web.Response:
        try:
            body = await self._reader.read(request)
        except BodyTooLarge:
            return _answer(413, f"more than {MAX_BODY} bytes")
        except BodyBroken:
            return _answer(400, "the body cannot be read")
        except (BodyTooSlow, TooMuchAtOnce):
            return _answer(503, "not taken, send it again")
        if not self._signatures.hold(request.headers.get(HEADER, ""), body):
            log.warning(UNSIGNED, remote=request.remote)
            return _answer(401, f"no signature in {HEADER} is made with one of pagerduty.webhook.secrets")
        try:
            event = read_webhook(body)
        except InvalidIncidentWebhook as exc:
            # Signed, so it is PagerDuty's; refused, it would only switch the subscription off.
            log.error(UNREADABLE, error=str(exc)[:300])
            return _answer(200, "not understood")
        if event is None or not self._concerns(event):
            return _answer(200, "nothing of ours")
        return await self._keep(event)

    async def _keep(self, event: IncidentEvent) -> web.Response:
        try:
            async with asyncio.timeout(STORE_S):
                new = await self._store.take_in(webhook_row(event), self._clock.now())
        except (JournalUnavailable, TimeoutError) as exc:
            log.warning(NOT_TAKEN, what=event.type, error=str(exc) or "the store did not answer in time")
            return _answer(503, "not taken, send it again")
        self._poke()
        return _answer(202, "taken" if new else "taken before")


def _answer(status: int, said: str) -> web.Response:
    return web.Response(status=status, text=said + "\n")


def add_pagerduty(app: web.Application, webhook: PagerDutyWebhook) -> None:
    """With and without a trailing slash: a redirect would lose the body."""
    app.router.add_post(PATH, webhook.post)
    app.router.add_post(PATH + "/", webhook.post)
