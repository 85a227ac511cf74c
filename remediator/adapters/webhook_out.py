"""Signed webhooks: a carrier of the outbox. Each destination is a program of the operator's, or a status page.

The signature is an HMAC-SHA256 over `timestamp.body`, in hexadecimal. The timestamp is that of the sending, so that a
receiver can refuse what is old; the event's id stays the same when it is sent again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from remediator.adapters.json_out import JsonOut
from remediator.errors import InvalidConfig
from remediator.people.carrier import Pace
from remediator.people.filling import filled
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, Clock, MessageRef

PACE = Pace(gap=timedelta(seconds=0.1), first_retry=timedelta(seconds=2), longest_retry=timedelta(minutes=10))
ID = "X-Remediator-Event"
TIMESTAMP = "X-Remediator-Timestamp"
SIGNATURE = "X-Remediator-Signature"
MAX_BYTES = 512 * 1024


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and the hexadecimal HMAC."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={mac.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Hook:
    """One destination. `secret` None = not signed; `template` None = our own body."""

    out: JsonOut
    secret: Callable[[], str] | None = None
    template: Any = None


class WebhookCarrier:
    """Channel `webhook`; destinations are names of the configuration."""

    pace = PACE

    def __init__(self, hooks: Mapping[str, Hook], clock: Clock) -> None:
        self._hooks = hooks
        self._clock = clock

    async def close(self) -> None:
        for hook in self._hooks.values():
            await hook.out.close()

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        hook = self._hooks.get(row.destination)
        if hook is None:
            raise ChatError(f"channels has no webhook called {row.destination!r}")
        content = row.payload if hook.template is None else filled(hook.template, row.payload)
        body = orjson.dumps(content)
        if len(body) > MAX_BYTES:
            raise ChatError(f"{hook.out.name}: the event has {len(body)} bytes, at most {MAX_BYTES} are sent")
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {ID: str(row.payload.get("id") or row.id), TIMESTAMP: timestamp}
        if hook.secret is not None:
            try:
                headers[SIGNATURE] = signature(hook.secret(), timestamp, body)
            except InvalidConfig as exc:
                raise ChatError(f"{hook.out.name}: {exc}", retry_after_s=PACE.longest_retry.total_seconds()) from exc
        await hook.out.send("POST", body=body, headers=headers)
        return None
