"""Starts playbooks at their times, each once, also when nobody was there at that time.

The store knows up to when each schedule is dealt with, so a restart loses nothing and several replicas do not double
it. Of what was missed at most the latest is made up for, and only while it is young enough (`catch_up`): five nightly
restarts in a row help nobody. The others are on record as skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import structlog

from remediator.playbooks.catalog import Catalog
from remediator.playbooks.durations import format_duration
from remediator.playbooks.model import Playbook
from remediator.playbooks.schedule_model import Schedule
from remediator.ports import Clock
from remediator.remediation.due_times import due_after, next_due
from remediator.remediation.journal import Journal, ScheduleKey, ScheduleRun
from remediator.remediation.starting import Starter

log = structlog.get_logger()

LONGEST_PAUSE = timedelta(seconds=15)
"""A clock may be set, and a reload may bring another schedule, which counts from the look that finds it."""
AT_ITS_TIME = timedelta(minutes=1)
"""What begins no later than this is not late."""
MOST_SKIPPED = 100
"""Lines of one gap; a schedule of every minute would write thousands after a weekend."""


class Scheduler:
    """One per process. `poke` wakes the runner."""

    def __init__(
        self,
        *,
        journal: Journal,
        catalog: Callable[[], Catalog],
        starter: Starter,
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._catalog = catalog
        self._starter = starter
        self._clock = clock
        self._poke = poke
        self._settled: dict[ScheduleKey, datetime] = {}

    async def turn(self) -> float:
        """Start what is due. Returns the seconds to the next look. Raises: JournalUnavailable."""
        now = self._clock.now()
        wanted = {
            (loaded.playbook.name, loaded.playbook.schedule.rule): loaded.playbook
            for loaded in self._catalog()
            if loaded.playbook.schedule is not None
        }
        await self._forget([key for key in self._settled if key not in wanted])
        for key in wanted.keys() - self._settled.keys():
            self._settled[key] = await self._journal.begin_schedule(key, now)
        for key, playbook in wanted.items():
            await self._keep(key, playbook, now)
        return self._pause(wanted, self._clock.now())

    async def _forget(self, gone: list[ScheduleKey]) -> None:
        """What was taken out of force while we looked on; what comes back later missed nothing meanwhile."""
        for key in gone:
            await self._journal.forget_schedule(key)
            del self._settled[key]

    async def _keep(self, key: ScheduleKey, playbook: Playbook, now: datetime) -> None:
        schedule = playbook.schedule
        assert schedule is not None
        was = self._settled[key]
        if (first := next_due(schedule, was)) is None or first > now:
            return
        # Somebody else may have dealt with it.
        was = self._settled[key] = await self._journal.begin_schedule(key, now)
        due = _latest(schedule, was, now)
        if due is None:
            return
        late = now - due
        skipped = _skipped(schedule, was, due)
        if late > schedule.catch_up:
            detail = f"missed by {format_duration(_whole(late))}, catch_up is {format_duration(schedule.catch_up)}"
            skipped = (*skipped, ScheduleRun(due=due, detail=detail))
            await self._journal.settle_schedule(key, was, due, now, skipped=skipped)
        else:
            remediation = await self._starter.at_its_time(playbook.name, cause_of(schedule, due, late))
            run = ScheduleRun(due=due)
            opened = await self._journal.settle_schedule(
                key, was, due, now, skipped=skipped, run=run, remediation=remediation
            )
            if opened is not None:
                log.info("scheduled_start", playbook=playbook.name, remediation=opened.id, due=due.isoformat())
                self._poke()
        if skipped:
            log.warning("schedule_skipped", playbook=playbook.name, times=len(skipped), last=skipped[-1].detail)
        self._settled[key] = due

    def _pause(self, wanted: dict[ScheduleKey, Playbook], now: datetime) -> float:
        pause = LONGEST_PAUSE
        for key, playbook in wanted.items():
            assert playbook.schedule is not None
            due = next_due(playbook.schedule, max(self._settled[key], now))
            if due is not None:
                pause = min(pause, due - now)
        return max(pause.total_seconds(), 0.0)


def _latest(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """The last due time in (after, until]. Only the end of a long gap is looked through."""
    step = timedelta(days=1)
    start = until
    while start > after:
        start = max(after, start - step)
        latest = None
        for latest in due_after(schedule, start, until):  # noqa: B007  # the last one is wanted
            pass
        if latest is not None:
            return latest
        step *= 4
    return None


def _skipped(schedule: Schedule, was: datetime, due: datetime) -> tuple[ScheduleRun, ...]:
    """Those before the latest one, oldest first; of very many the first, and how many more."""
    missed = [each for each in islice(due_after(schedule, was, due), MOST_SKIPPED + 1) if each < due]
    detail = "missed, and a later one was due by then"
    runs = [ScheduleRun(due=each, detail=detail) for each in missed[:MOST_SKIPPED]]
    if len(missed) > MOST_SKIPPED:
        more = f"{detail}; those up to {due:%Y-%m-%d %H:%M} UTC are not listed"
        runs[-1] = ScheduleRun(due=runs[-1].due, detail=more)
    return tuple(runs)


def cause_of(schedule: Schedule, due: datetime, late: timedelta) -> str:
    """`scheduled for 2026-03-01 02:00 Europe/Berlin (0 2 * * *), 12m late`."""
    there = due.astimezone(ZoneInfo(schedule.zone))
    behind = f", {format_duration(_whole(late))} late" if late > AT_ITS_TIME else ""
    return f"scheduled for {there:%Y-%m-%d %H:%M} {schedule.zone} ({schedule.cron}){behind}"


def _whole(span: timedelta) -> timedelta:
    """Without the fractions of a second that nobody reads."""
    return timedelta(seconds=round(span.total_seconds()))
