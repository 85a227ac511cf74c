"""Retention: small deletes, one transaction each, so that nobody waits behind a big one.

What idempotency and limits still need stays: undecided alerts, whatever an unfinished remediation refers to, every
effect id for 400 days, `once` keys of messages as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, or_, select, update

from remediator.adapters.sql.schema import (
    alerts,
    attempts,
    episodes,
    escalations,
    events,
    facts,
    holds,
    inbox,
    incidents,
    message_refs,
    outbox,
    pauses,
    playbooks,
    remediations,
    reservations,
    reverts,
    revisions,
    schedule_runs,
    storms,
)
from remediator.adapters.sql.values import to_us

BATCH = 500
REMEDIATIONS_BATCH = 25
"""Each with some dozens of events."""

RESOLVED_ALERTS = timedelta(days=7)
SILENT_ALERTS = timedelta(days=30)
"""Never resolved, but not seen for so long: Alertmanager has forgotten it, or our route was taken away."""
BODIES = timedelta(days=7)
RECORDS = timedelta(days=90)
"""Remediations that have ended, with their events, after that long."""
EFFECTS = timedelta(days=400)
SENT_MESSAGES = timedelta(days=7)
DEALT_WITH = timedelta(days=7)
"""Clicks and webhooks. Longer than anybody sends one again: PagerDuty does for two days."""

Step = Callable[[Connection], int]
"""Removes at most one batch; returns how many rows. Fewer than a batch = done for now."""


def steps(now: datetime) -> Iterator[tuple[str, Step]]:
    """What to do, by table; each is repeated until it removes less than a batch. Owners come before what they own."""

    def before(age: timedelta) -> int:
        return to_us(now - age)

    unfinished = select(remediations.c.id).where(remediations.c.ended_at.is_(None))
    not_needed = and_(
        alerts.c.undecided_at.is_(None),
        or_(alerts.c.remediation_id.is_(None), alerts.c.remediation_id.not_in(unfinished)),
    )
    yield "alerts", _delete(alerts, alerts.c.id, and_(alerts.c.resolved_at < before(RESOLVED_ALERTS), not_needed))
    yield (
        "alerts",
        _delete(
            alerts,
            alerts.c.id,
            and_(
                alerts.c.resolved_at.is_(None),
                # Not needed for the meaning; it is what the index knows.
                alerts.c.first_seen_at < before(SILENT_ALERTS),
                alerts.c.last_seen_at < before(SILENT_ALERTS),
                not_needed,
            ),
        ),
    )
    yield (
        "alert_bodies",
        _blank_bodies(
            and_(
                alerts.c.resolved_at.is_(None),
                alerts.c.first_seen_at < before(BODIES),
                alerts.c.last_seen_at < before(BODIES),
                not_needed,
            )
        ),
    )
    yield "remediations", _delete_with_what_is_theirs(remediations.c.ended_at < before(RECORDS))
    unused = ~exists().where(events.c.facts_hash == facts.c.hash)
    yield "facts", _delete(facts, facts.c.hash, and_(facts.c.at < before(RECORDS), unused))
    empty = ~exists().where(remediations.c.episode_id == episodes.c.id)
    yield "episodes", _delete(episodes, episodes.c.id, and_(episodes.c.closed_at < before(RECORDS), empty))
    yield "storms", _delete(storms, storms.c.id, storms.c.closed_at < before(RECORDS))
    yield "escalations", _delete(escalations, escalations.c.id, escalations.c.ended_at < before(RECORDS))
    yield "attempts", _delete(attempts, attempts.c.id, attempts.c.at < before(EFFECTS))
    yield (
        "outbox",
        _delete(
            outbox,
            outbox.c.id,
            and_(
                outbox.c.done_at < before(SENT_MESSAGES),
                or_(outbox.c.once.is_(None), outbox.c.done_at < before(EFFECTS)),
            ),
        ),
    )
    quiet = and_(
        or_(incidents.c.rang_at.is_(None), incidents.c.rang_at < before(RECORDS)),
        or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at < before(RECORDS)),
    )
    yield "incidents", _delete(incidents, incidents.c.key, quiet)
    yield "inbox", _delete(inbox, inbox.c.id, inbox.c.done_at < before(DEALT_WITH))
    yield "message_refs", _delete(message_refs, message_refs.c.key, message_refs.c.at < before(RECORDS))
    over = or_(pauses.c.ended_at < before(EFFECTS), pauses.c.until_at < before(EFFECTS))
    yield "pauses", _delete(pauses, pauses.c.id, over)
    # A revision that is still available is evidence however old; the observer may have had nothing to write for years.
    gone = or_(revisions.c.available_since_at.is_(None), revisions.c.available_until_at.is_not(None))
    yield "revisions", _delete(revisions, revisions.c.id, and_(revisions.c.saved_at < before(EFFECTS), gone))
    times = schedule_runs.c.due_at
    settled = reverts.c.settled_at
    yield "reverts", _delete(reverts, reverts.c.remediation_id, settled < before(RECORDS))
    yield "holds", _delete(holds, holds.c.effect_id, holds.c.settled_at < before(RECORDS))
    yield "schedule_runs", _delete(schedule_runs, times, times < before(EFFECTS))
    removed = and_(playbooks.c.text == "", playbooks.c.saved_at < before(EFFECTS))
    yield "playbooks", _delete(playbooks, playbooks.c.name, removed)


def _delete(table: Table, key: ColumnElement[Any], where: ColumnElement[bool]) -> Step:
    def step(connection: Connection) -> int:
        some = select(key).where(where).limit(BATCH)
        return connection.execute(delete(table).where(key.in_(some))).rowcount

    return step


def _delete_with_what_is_theirs(where: ColumnElement[bool]) -> Step:
    """Whole remediations: a record is never cut in the middle, its chain would not hold."""

    def step(connection: Connection) -> int:
        ids = connection.scalars(select(remediations.c.id).where(where).limit(REMEDIATIONS_BATCH)).all()
        for column in (events.c.remediation_id, reservations.c.remediation_id, remediations.c.id):
            connection.execute(delete(column.table).where(column.in_(ids)))
        return BATCH if len(ids) == REMEDIATIONS_BATCH else len(ids)

    return step


def _blank_bodies(where: ColumnElement[bool]) -> Step:
    def step(connection: Connection) -> int:
        some = select(alerts.c.id).where(alerts.c.body.is_not(None), where).limit(BATCH)
        return connection.execute(update(alerts).where(alerts.c.id.in_(some)).values(body=None)).rowcount

    return step
