"""Rows of channel `pagerduty_note`: notes on incidents. Destination: the incident's key."""

from __future__ import annotations

from datetime import timedelta

import structlog

from remediator.people.carrier import Pace
from remediator.people.incidents import Incident, Incidents
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, MessageRef

log = structlog.get_logger(__name__)

NOTE_WITHOUT_INCIDENT = "note_without_incident"

PACE = Pace(gap=timedelta(seconds=1), first_retry=timedelta(seconds=15), longest_retry=timedelta(minutes=5))

TRIES = 6
"""With PACE about 13 minutes: longer than the group_wait in front of people, 5 minutes by our own advice."""


LONG_OVER = timedelta(minutes=15)
"""An incident of Alertmanager's that was closed so long before the note is an earlier one."""


class NoteCarrier:
    def __init__(self, incidents: Incidents, pace: Pace = PACE) -> None:
        self._incidents = incidents
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """The first incident that it was written on becomes the main message of the key. Raises: ChatError."""
        key, text = str(row.payload["incident_key"]), str(row.payload["text"])
        incidents = [i for i in await self._incidents.find(key) if not _long_over(i, row)]
        if not incidents:
            self._without_incident(row)
            return None
        for incident in incidents:
            # Notes have no key of their own: one that was taken, but whose answer was lost, is looked for, always:
            # after a crash nobody knows that it was tried.
            if text not in await self._incidents.notes(incident.id):
                await self._incidents.annotate(incident.id, text)
        return MessageRef("pagerduty", incidents[0].id)

    def _without_incident(self, row: OutboxRow) -> None:
        """PagerDuty opens incidents a while after it has taken the event, and Alertmanager sends that event late.

        In the end: nobody was paged by Alertmanager, so there is nobody to tell. An incident of our own that is not
        there is a failure, and is kept as one.
        """
        if row.tries < TRIES:
            raise ChatError("PagerDuty has no such incident yet", retry_after_s=self.pace.first_retry.total_seconds())
        if not row.payload["joined"]:
            raise ChatError("PagerDuty took our page but has no incident for it: is the service active?")
        log.info(NOTE_WITHOUT_INCIDENT, row=row.id, key=row.key)


def _long_over(incident: Incident, row: OutboxRow) -> bool:
    if incident.open or not row.payload["joined"] or incident.changed_at is None:
        return False
    return incident.changed_at < row.created_at - LONG_OVER
