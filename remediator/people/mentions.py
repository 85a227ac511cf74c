"""Mentions of whoever is on call: looked up when the message leaves, because the shift may have changed by then.

A message names a schedule as `<@oncall:pagerduty/SCHEDULE>`. No text of an alert can look like that: `<` is escaped
in all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from remediator.people import markup
from remediator.people.carrier import Carrier, Pace
from remediator.people.lookups import LookupFailed
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import MessageRef

log = structlog.get_logger(__name__)

LOOK_UP_WITHIN_S = 3.0
"""A message that asks for somebody must not wait for long to learn whom."""

ON_CALL = r"oncall:(?:pagerduty|opsgenie)/[A-Za-z0-9][A-Za-z0-9._ -]{0,98}"
"""As `approvers` of a playbook writes it."""
_TOKEN = re.compile(rf"<@({ON_CALL})>")


def schedules(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The schedules that a chat payload (`text`, `blocks`) names, each once."""
    found: dict[str, None] = {}

    def note(text: str) -> str:
        found.update(dict.fromkeys(_TOKEN.findall(text)))
        return text

    _walk(payload, note)
    return tuple(found)


def with_people(payload: Mapping[str, Any], on_call: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The payload with each schedule replaced by the Slack ids in `on_call`; one that is not in there is named in
    words, so that a reader knows who was meant and not reached."""

    def people(found: re.Match[str]) -> str:
        ids = on_call.get(found[1], ())
        return " ".join(f"<@{i}>" for i in ids) or f"(nobody could be found for {markup.prose(found[1], 120)})"

    replaced: dict[str, Any] = _walk(dict(payload), lambda text: _TOKEN.sub(people, text))
    return replaced


def _walk(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _walk(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(inner, change) for inner in value]
    return value


class WithPeople:
    """A carrier that fills the schedules in first. `look_up` gives the Slack ids of whoever is on call now; what it
    cannot tell in time is left out and said: a proposal without its mention is better than none."""

    def __init__(self, carrier: Carrier, look_up: Callable[[str], Awaitable[Sequence[str]]]) -> None:
        self._carrier = carrier
        self._look_up = look_up

    @property
    def pace(self) -> Pace:
        return self._carrier.pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError, JournalUnavailable."""
        named = schedules(row.payload)
        if not named:
            return await self._carrier.deliver(row, main)
        found = await asyncio.gather(*(self._people(schedule) for schedule in named))
        payload = with_people(row.payload, dict(zip(named, found, strict=True)))
        return await self._carrier.deliver(replace(row, payload=payload), main)

    async def _people(self, schedule: str) -> Sequence[str]:
        try:
            async with asyncio.timeout(LOOK_UP_WITHIN_S):
                return await self._look_up(schedule)
        except (LookupFailed, TimeoutError, ValueError) as exc:
            log.warning("on_call_unknown", schedule=schedule, error=str(exc) or "no answer in time")
            return ()
