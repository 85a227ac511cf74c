"""Schedules: a time of a playbook starts it once, whoever sees it come, and however often a process is killed.

What begins, and that its time is dealt with, is one transaction. A replica that comes second finds `settled_at` moved
on; one that lives by another rule for the same time finds the row of that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, select, update

from remediator.adapters.sql import remediations as remediations_sql
from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.schema import schedule_runs, schedules
from remediator.adapters.sql.values import from_us, to_us
from remediator.remediation.journal import ScheduleKey, ScheduleRun
from remediator.remediation.state import Remediation

NOT_BEGUN = "the one before it has not begun"


def begin(connection: Connection, key: ScheduleKey, now: datetime) -> datetime:
    """Its times count from now on; where it is known, from where they were dealt with."""
    row = {"playbook": key[0], "rule": key[1], "settled_at": to_us(now)}
    connection.execute(insert_or_ignore(connection.dialect, schedules).values(**row))
    return from_us(int(connection.scalar(select(schedules.c.settled_at).where(*_is(key))) or 0))


def forget(connection: Connection, key: ScheduleKey) -> None:
    connection.execute(delete(schedules).where(*_is(key)))


def settle(
    connection: Connection,
    key: ScheduleKey,
    was: datetime,
    until: datetime,
    skipped: Sequence[ScheduleRun],
    run: ScheduleRun | None,
    remediation: Remediation | None,
    now: datetime,
) -> Remediation | None:
    """See Journal.settle_schedule."""
    moved = update(schedules).where(*_is(key), schedules.c.settled_at == to_us(was)).values(settled_at=to_us(until))
    if connection.execute(moved).rowcount != 1:
        return None
    for each in skipped:
        _record(connection, key[0], each, now)
    if run is None or remediation is None or not _record(connection, key[0], run, now):
        return None
    opened = remediations_sql.open_new(connection, remediation, now)
    this = (schedule_runs.c.playbook == key[0], schedule_runs.c.due_at == to_us(run.due))
    said = {"remediation_id": opened.id} if opened else {"detail": NOT_BEGUN}
    connection.execute(update(schedule_runs).where(*this).values(**said))
    return opened


def _record(connection: Connection, playbook: str, run: ScheduleRun, now: datetime) -> bool:
    """False when this time is on record already."""
    row = {"playbook": playbook, "due_at": to_us(run.due), "at": to_us(now), "detail": run.detail}
    return bool(connection.execute(insert_or_ignore(connection.dialect, schedule_runs).values(**row)).rowcount == 1)


def runs(connection: Connection, playbook: str, limit: int) -> tuple[ScheduleRun, ...]:
    """Newest first."""
    query = select(schedule_runs).where(schedule_runs.c.playbook == playbook)
    found = connection.execute(query.order_by(schedule_runs.c.due_at.desc()).limit(limit))
    return tuple(
        ScheduleRun(due=from_us(row.due_at), remediation_id=row.remediation_id or "", detail=row.detail)
        for row in found
    )


def _is(key: ScheduleKey) -> tuple[ColumnElement[bool], ...]:
    return (schedules.c.playbook == key[0], schedules.c.rule == key[1])
