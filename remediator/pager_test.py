"""A test page: whoever takes over a shift sees that the pager rings. Nothing is wrong, and the page says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from remediator.people.markup import short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import SUMMARY_LIMIT, incident_key
from remediator.ports import Clock
from remediator.remediation.journal import Journal
from remediator.service_errors import InvalidRequest

WORDS = "Nothing is wrong: resolve it when it has reached you."


class PagerTest:
    """`services` are those of the pager, by the operator's names; `default` is rung when none is named."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        services: Iterable[str],
        *,
        default: str = "",
        instance: str = "",
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._services = tuple(services)
        self._default = default
        self._instance = instance
        self._on_told = on_told

    async def ring(self, who: str, service: str = "") -> dict[str, Any]:
        """Stored before it is answered, sent like every page, once a minute for each service at most.

        Raises: InvalidRequest (no such service), JournalUnavailable.
        """
        name = service or self._default or (self._services[0] if len(self._services) == 1 else "")
        if name not in self._services:
            known = ", ".join(self._services) or "none, because no pager is configured"
            raise InvalidRequest(f"no service of the pager is called {name!r}", advice=f"Known: {known}.")
        now = self._clock.now()
        message = ringing(who, name, now, instance=self._instance)
        await self._journal.store_messages([message], now)
        self._on_told()
        return {"service": name, "key": message.key}


def ringing(who: str, service: str, now: datetime, *, instance: str = "") -> OutboxMessage:
    """An incident of its own for each minute, that people resolve when they have seen it."""
    key = incident_key(instance, "test-page", f"{service}-{now:%Y%m%dT%H%M}")
    event = {
        "event_action": "trigger",
        "dedup_key": key,
        "payload": {
            "summary": short(f"Test page, asked for by {who}. {WORDS}", SUMMARY_LIMIT),
            "source": "remediator",
            "severity": "info",
            "timestamp": now.isoformat(),
        },
    }
    return OutboxMessage(channel="pagerduty", destination=service, key=key, kind="event", payload=event, once=key)
