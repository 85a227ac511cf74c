"""When a schedule is due. Pure.

The clocks of its zone decide, as for windows: a time that clocks skip in spring is due at the moment they are put
forward, once for all that they skip; a time that comes twice in autumn is due the first time only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from remediator.guardrails.wall_time import earliest
from remediator.playbooks.cron import ONE_DAY, parse_cron
from remediator.playbooks.schedule_model import Schedule

FAR = timedelta(days=366 * 8 + 2)
"""February 29 comes round within eight years; what does not come within them never does."""


def due_after(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every due time in (after, until], in order, UTC."""
    zone, cron = ZoneInfo(schedule.zone), parse_cron(schedule.cron)
    # A day more on both sides: where the zone's day begins is not known, and some days were skipped whole.
    first, last = after.date() - 2 * ONE_DAY, until.date() + 2 * ONE_DAY
    previous = after
    for day in cron.dates(first, last):
        for minute in cron.minutes:
            due = earliest(_wall(day, minute), zone)
            if due > until:
                return
            if due > previous:
                previous = due
                yield due


def next_due(schedule: Schedule, after: datetime) -> datetime | None:
    """The first one after `after`; None = there is none in sight."""
    return next(due_after(schedule, after, after + FAR), None)


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))
