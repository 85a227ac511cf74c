"""Deals with what PagerDuty told us: an incident that a person has taken leaves its episode to that person.

Incident and episode find each other by the incident's key. Ours ends with the id of the episode, and belongs to it only
if the key built from that episode is the same. Alertmanager's (people/join.py) is computed again for the alerts that we
know. Webhooks come late and out of order, and the same key opens one incident after the other: a word about an incident
that is over takes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog

from remediator.errors import JournalUnavailable, RemediatorError
from remediator.guardrails.scopes import episode_scope
from remediator.people.account import Account
from remediator.people.inbox import Later
from remediator.people.inbox_rows import Incoming
from remediator.people.incident_webhooks import TAKES, IncidentEvent, restored
from remediator.people.incidents import Incidents, note
from remediator.people.join import KEY, Join
from remediator.people.pages import episode_in, incident_key
from remediator.ports import ChatError, Clock
from remediator.remediation.journal import AlertRecord, Journal

log = structlog.get_logger(__name__)

INCIDENT_TAKEN = "incident_taken"
INCIDENT_GIVEN = "incident_given_back"
INCIDENT_IGNORED = "incident_ignored"

KNOWN_ALERTS = 2000
"""The newest ones are compared with a key of Alertmanager's."""
BEFORE_WE_KNEW = timedelta(minutes=10)
"""How long a word about an incident waits for the episode: Alertmanager may page people before it tells us."""
RETRY_S = 20.0

Take = Callable[[str, Account], Awaitable[Any]]
"""Leaves an episode (by its id) to an account. Raises: RemediatorError."""


class IncidentDesk:
    """`handle` is the inbox's handler for PagerDuty."""

    def __init__(
        self,
        journal: Journal,
        take: Take,
        clock: Clock,
        *,
        instance: str = "",
        join: Join | None = None,
        incidents: Incidents | None = None,
    ) -> None:
        """`incidents`: None where `pagerduty.api` is not configured; then there are no notes, and what only refers to
        an incident cannot be followed."""
        self._journal = journal
        self._take = take
        self._clock = clock
        self._instance = instance
        self._join = join
        self._incidents = incidents

    def concerns(self, event: IncidentEvent) -> bool:
        """Whether it could be about an episode, from what the webhook says alone: the rest need not be stored."""
        if not event.key:
            return self._incidents is not None
        return bool(episode_in(event.key)) or self._may_be_joined(event.key)

    async def handle(self, item: Incoming) -> str:
        """Raises: Later, JournalUnavailable."""
        event = restored(item.body)
        key = event.key or await self._key_of(event.incident)
        episodes = await self._episodes(key, event)
        if not episodes:
            log.info(INCIDENT_IGNORED, incident=event.incident, what=event.type)
            return "no open episode of ours has this incident"
        if event.takes:
            return "; ".join([await self._leave(episode, event) for episode in episodes])
        return "; ".join([await self._say(episode, key, event) for episode in episodes])

    def _may_be_joined(self, key: str) -> bool:
        return self._join is not None and KEY.fullmatch(key) is not None

    async def _key_of(self, incident_id: str) -> str:
        if self._incidents is None:
            return ""
        try:
            incident = await self._incidents.get(incident_id)
        except ChatError as exc:
            if exc.retry_after_s is None:
                return ""
            raise Later(str(exc), after_s=exc.retry_after_s) from exc
        return incident.key if incident else ""

    async def _episodes(self, key: str, event: IncidentEvent) -> Sequence[str]:
        """Ids of the open episodes that the incident is about. Raises: Later, JournalUnavailable."""
        if self._may_be_joined(key):
            return await self._joined(key, event)
        episode = await self._journal.episode(episode_in(key)) if episode_in(key) else None
        if episode is None or episode.closed_at is not None:
            return ()
        if incident_key(self._instance, episode.cluster, episode.id) != key:
            return ()  # of another installation, whose episodes are called alike
        paged = await self._journal.paged_incident(key)
        if paged is not None and paged.resolved_at is not None and event.at <= paged.resolved_at:
            return ()  # about an incident that we have closed; this one is its successor
        return (episode.id,)

    async def _joined(self, key: str, event: IncidentEvent) -> Sequence[str]:
        assert self._join is not None
        ours = await self._journal.episode_alerts()
        episodes = [episode for episode, records in ours.items() if any(self._about(r, key, event) for r in records)]
        if episodes or self._clock.now() - event.at >= BEFORE_WE_KNEW:
            return episodes
        recent = await self._journal.recent_alerts(KNOWN_ALERTS)
        mine = [record for record in recent if self._about(record, key, event)]
        if not mine or any(record.undecided_since is not None for record in mine):
            raise Later("no alert of this incident has an episode yet", after_s=RETRY_S)
        return ()

    def _about(self, record: AlertRecord, key: str, event: IncidentEvent) -> bool:
        """Whether the word can be about this firing of the alert, whatever became of it since."""
        assert self._join is not None
        over = record.resolved_at is not None and record.resolved_at <= event.at
        return not over and record.alert.starts_at <= event.at and self._join.key(record.alert.labels) == key

    async def _leave(self, episode: str, event: IncidentEvent) -> str:
        given_back = await self._journal.pause_ended(episode_scope(episode))
        if given_back is not None and event.at <= given_back:
            return f"{episode} was given back after that"  # said again, by PagerDuty or by our own inbox
        who = Account(system="pagerduty", id=event.person, name=event.name, via="pagerduty")
        try:
            await self._take(episode, who)
        except JournalUnavailable:
            raise
        except RemediatorError as exc:
            log.warning(INCIDENT_IGNORED, episode=episode, incident=event.incident, error=str(exc))
            return f"{episode} was not taken: {exc}"
        log.warning(INCIDENT_TAKEN, episode=episode, incident=event.incident, who=who.key, how=TAKES[event.type])
        return f"{episode} is left to {who.key}, who {TAKES[event.type]}"

    async def _say(self, episode: str, key: str, event: IncidentEvent) -> str:
        """Nobody has the incident, and we still do not touch it: whoever is called now must hear that."""
        log.warning(INCIDENT_GIVEN, episode=episode, incident=event.incident)
        pauses = await self._journal.pauses(self._clock.now())
        taken = next((pause for pause in pauses if pause.scope == episode_scope(episode)), None)
        if taken is None:
            return f"{episode} had not been left to anybody"
        if self._incidents is not None:
            text = (
                f"remediator: nobody has this incident now, and I still do nothing about it, since {taken.who} took it."
                f"\nTo let me go on: remediator give-back {episode}"
            )
            joined = self._may_be_joined(key)
            message = note(key, text, f"given/{event.id}", joined=joined)
            await self._journal.store_messages([message], self._clock.now())
        return f"{episode} is still left to {taken.who}"


def webhook_row(event: IncidentEvent) -> Incoming:
    """As the inbox keeps it. PagerDuty sends an event again when our answer was late: the same id, stored once."""
    return Incoming(source="pagerduty", key=event.id, body=event.stored())
