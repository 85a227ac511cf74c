"""One Slack app, several installations: what belongs to another one is handed on, signed, until it has taken it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from remediator.people.inbox import Later
from remediator.ports import ChatError, Clock
from remediator.slack_app.clicks import Click
from remediator.slack_app.members import Refusal

PATH = "/webhooks/slack/relay"
TIMESTAMP = "X-Remediator-Timestamp"
SIGNATURE = "X-Remediator-Signature"
LONGEST = timedelta(minutes=10)
"""After that long nobody waits at his phone any more."""
AGAIN_S = 5.0


class Forwarder(Protocol):
    """The way to one other installation."""

    async def forward(self, body: Mapping[str, Any]) -> None:
        """Returns when it has taken it. Raises: ChatError (`retry_after_s` None: it refuses)."""
        ...


class Relay:
    """`ways` by the name of the installation."""

    def __init__(self, ways: Mapping[str, Forwarder], clock: Clock) -> None:
        self._ways = ways
        self._clock = clock

    async def hand_on(self, click: Click, instance: str, since: datetime | None, *, late: bool = False) -> str:
        """One line for the record; what is `late` is handed on no more. Raises: Refusal, Later."""
        way = self._ways.get(instance)
        if way is None:
            name = instance or "(none)"
            raise Refusal(
                f"this button belongs to an installation called {name} that nobody relays to",
                advice="Its operators must add it to slack.relay.instances here; until then use its command line.",
            )
        if late:
            raise Refusal(
                f"the installation {instance}, whose button this is, did not take the click within ten minutes",
                advice="Nothing was done there. Use its console or command line, and tell its operators.",
            )
        try:
            await way.forward(click.stored())
        except ChatError as exc:
            waited = self._clock.now() - since if since is not None else LONGEST
            if exc.retry_after_s is not None and timedelta(0) <= waited < LONGEST:
                raise Later(f"relay to {instance}: {exc}", after_s=max(AGAIN_S, exc.retry_after_s)) from exc
            raise Refusal(
                f"the installation {instance}, whose button this is, did not take the click: {exc}",
                advice="Nothing was done there. Use its console or command line, and tell its operators.",
            ) from exc
        return f"handed on to {instance}"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Over the time and the raw bytes, as Slack does it, under a name of its own so that neither passes for the
    other."""
    signed = b"remediator-relay:" + timestamp.encode() + b":" + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def is_signed(secrets: Iterable[str], timestamp: str, body: bytes, given: str) -> bool:
    """Every secret is compared, in constant time."""
    known = [signature(secret, timestamp, body) for secret in secrets]
    return sum(hmac.compare_digest(one.encode(), given.encode("utf-8", "replace")) for one in known) > 0
