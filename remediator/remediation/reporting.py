"""Gathers what digests and hand-overs tell, from the journal, in bounded pages; and sends each digest once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import structlog

from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import taker
from remediator.guardrails.scopes import describe_scope, episode_scope
from remediator.guardrails.verdict import Answer
from remediator.people.digests import (
    CATCH_UP_DAYS,
    Beside,
    Digest,
    Passed,
    Period,
    digest_message,
    summarise,
)
from remediator.people.handover import Changed, Coming, Handover, OpenItem, PauseItem, open_sections
from remediator.people.ladder import Ladder
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.quiet_hours import QuietHours
from remediator.people.severity import SHIPPED, Severities, gravest_of
from remediator.people.wording import QUESTIONS, wording
from remediator.ports import Clock
from remediator.remediation.journal import Journal
from remediator.remediation.state import ENDINGS, Remediation, State, StepOutcome
from remediator.remediation.telling import headline, told_as

log = structlog.get_logger()

PAGE = 200
MOST = 5_000
"""Remediations of one period that are looked at one by one."""
OPEN = 500
"""Of each state that is listed as open."""
LOOK_S = 30.0
UNDER_WAY = tuple(state for state in State if state not in ENDINGS)
GUARDED = frozenset({"held"})
TIMED = frozenset({"snoozed", "received", "planned", "reserved", "approved", "waiting"})

ComingUp = Callable[[datetime], Sequence[Coming]]


def nothing_coming(now: datetime) -> Sequence[Coming]:
    return ()


class Reporter:
    """Holds no state but its ports. `coming` = windows and freezes ahead."""

    def __init__(
        self, journal: Journal, clock: Clock, *, severities: Severities = SHIPPED, coming: ComingUp = nothing_coming
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._severities = severities
        self._coming = coming

    async def passed(self, since: datetime, until: datetime) -> tuple[tuple[Passed, ...], int]:
        """What ended in [since, until), oldest first, and how many more there were. Raises: JournalUnavailable."""
        found = await self._ended(since, until)
        asked = [r.id for r in found if r.digest]
        waits = await self._journal.waits(asked)
        total = await self._journal.count_ended(since, until) if len(found) >= MOST else len(found)
        return tuple(passed_of(r, waits.get(r.id)) for r in found), max(0, total - len(found))

    async def _ended(self, since: datetime, until: datetime) -> list[Remediation]:
        found: list[Remediation] = []
        while len(found) < MOST:
            last = found[-1] if found else None
            after = (last.ended_at, last.id) if last is not None and last.ended_at is not None else None
            page = await self._journal.ended(since, until, min(PAGE, MOST - len(found)), after)
            found += page
            if len(page) < PAGE:
                break
        return found

    async def beside(self, since: datetime, until: datetime, left_out: int) -> Beside:
        """Raises: JournalUnavailable."""
        dead = await self._journal.dead_letters(since, until)
        return Beside(
            dead_letters=tuple((d.channel, d.destination, d.error) for d in dead),
            open=open_sections(await self.handover(self._clock.now())),
            left_out=left_out,
        )

    async def handover(self, since: datetime) -> Handover:
        """Raises: JournalUnavailable."""
        now = self._clock.now()
        under_way = [r for s in UNDER_WAY for r in await self._journal.recent(OPEN, state=s.value)]
        ended = await self._ended(since, now + timedelta(microseconds=1))
        total = await self._journal.count_ended(since, now) if len(ended) >= MOST else len(ended)
        pauses = await self._journal.pauses(now)
        ladders = {ladder.episode: ladder for ladder in await self._journal.open_ladders()}
        dead = await self._journal.dead_letters(since, now)
        everything = sorted((*under_way, *ended), key=lambda r: r.created_at)
        return Handover(
            since=since,
            now=now,
            open=tuple(self._item(r, pauses, ladders) for r in sorted(under_way, key=lambda r: r.created_at)),
            failures=tuple(self._item(r, pauses, ladders) for r in ended if _is_failure(r)),
            pauses=tuple(_pause_item(p) for p in pauses),
            changed=tuple(sorted(_changes(everything, since), key=lambda c: c.at)),
            coming=tuple(sorted(self._coming(now), key=lambda c: c.at)),
            undelivered=tuple(dict.fromkeys(f"{d.channel} {d.destination}: {d.error}" for d in dead)),
            left_out=max(0, total - len(ended)),
        )

    def _item(self, r: Remediation, pauses: Sequence[Pause], ladders: dict[str, Ladder]) -> OpenItem:
        state, scope = told_as(r), episode_scope(r.episode)
        waits_for = _waits_for(state)
        ladder = ladders.get(r.episode)
        return OpenItem(
            id=r.id,
            episode=r.episode,
            state=state,
            target=str(r.target or r.root or "unknown target"),
            playbook=r.playbook,
            severity=gravest_of((r.severity,), self._severities).value,
            since=r.ended_at or r.since,
            waits_for=waits_for,
            who=_who(r) if waits_for == "people" else "",
            reason=r.reason,
            until=r.deadline,
            next_look=r.due,
            taken_by=next((taker(p) for p in pauses if p.scope == scope), ""),
            rung=_rung(ladder) if ladder is not None else "",
        )


def passed_of(r: Remediation, waited: timedelta | None) -> Passed:
    about = r.target or r.root
    denied = next((v for v in r.verdicts if v.answer is Answer.DENY), None) if r.state is State.DENIED else None
    return Passed(
        id=r.id,
        episode=r.episode,
        cluster=r.cluster,
        namespace=about.namespace if about else "",
        project=r.project,
        target=str(about or "unknown target"),
        playbook=r.playbook,
        state=told_as(r),
        outcome=r.outcome.value,
        what=headline(r),
        reason=r.reason,
        ended_at=r.ended_at,
        waited=waited,
        agreed_by=tuple(dict.fromkeys(c.who for c in r.consents)),
        denied_by=denied.guardrail if denied is not None else "",
        effects=tuple((d.at, d.summary) for d in r.done),
    )


def _waits_for(state: str) -> str:
    if state in QUESTIONS or state == "inconclusive":
        return "people"
    if state in GUARDED:
        return "a guard"
    return "time" if state in TIMED else "measurements"


def _who(r: Remediation) -> str:
    if r.spec is None:
        return ""
    given = f", so far {', '.join(c.who for c in r.consents)}" if r.consents else ""
    return f"{', '.join(r.spec.approval.approvers) or 'role approver'}{given}"


def _rung(ladder: Ladder) -> str:
    if ladder.acknowledged_by:
        return f"Acknowledged by {ladder.acknowledged_by}"
    return f"Rung {min(ladder.climbed, len(ladder.rungs))} of {len(ladder.rungs)}, nobody has answered"


def _is_failure(r: Remediation) -> bool:
    return r.state is State.ESCALATED and r.outcome is not StepOutcome.TAKEN


def _changes(found: Sequence[Remediation], since: datetime) -> list[Changed]:
    return [
        Changed(
            at=done.at,
            id=r.id,
            target=str(r.target or r.root or ""),
            playbook=r.playbook,
            what=done.summary,
            approved_by=tuple(dict.fromkeys(c.who for c in r.consents)),
            result=wording(told_as(r)).title.lower(),
        )
        for r in found
        for done in r.done
        if done.at >= since
    ]


def _pause_item(p: Pause) -> PauseItem:
    return PauseItem(id=p.id, covers=describe_scope(p.scope), who=p.who, why=p.why, until=p.until, since=p.created_at)


class Digests:
    """Sends each digest once for each of its days, also when we were down at the time. `on_told`: messages wait."""

    def __init__(
        self,
        reporter: Reporter,
        journal: Journal,
        clock: Clock,
        settings: Sequence[Digest],
        *,
        quiet: QuietHours | None = None,
        console: str = "",
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._reporter = reporter
        self._journal = journal
        self._clock = clock
        self._settings = tuple(settings)
        self._quiet = quiet
        self._console = console.rstrip("/")
        self._on_told = on_told
        self._said: dict[int, date] = {}
        """The newest day of each that is known to be told; only to ask the store less often."""

    async def turn(self) -> float:
        """Returns the seconds to the next look. Raises: JournalUnavailable."""
        now = self._clock.now()
        for index, settings in enumerate(self._settings):
            day = settings.last_day(now)
            if self._said.get(index) != day:
                await self._send(settings, day, now)
                self._said[index] = day
        return LOOK_S

    async def _send(self, settings: Digest, day: date, now: datetime) -> None:
        days = [day - timedelta(days=back) for back in range(CATCH_UP_DAYS + 1)]
        onces = {settings.once(channel, d): d for channel in settings.channels for d in days}
        known = await self._journal.message_states(tuple(onces))
        missing = [channel for channel in settings.channels if settings.once(channel, day) not in known]
        for channel in missing:
            last = max((d for d in days if settings.once(channel, d) in known), default=None)
            since = settings.ends(last or day - timedelta(days=1))
            period = Period(
                since=since, until=settings.ends(day), zone=settings.zone, days=(day - last).days if last else 1
            )
            message = await self._message(settings, channel, day, period)
            later = self._quiet.ends(now) if self._quiet is not None else None
            await self._journal.store_messages([replace(message, not_before=later)], now)
            log.info("digest_stored", channel=channel, digest=settings.name, day=day.isoformat())
        if missing:
            self._on_told()

    async def _message(self, settings: Digest, channel: str, day: date, period: Period) -> OutboxMessage:
        found, left_out = await self._reporter.passed(period.since, period.until)
        beside = await self._reporter.beside(period.since, period.until, left_out)
        summary = summarise(p for p in found if settings.covers(p))
        message = digest_message(settings, summary, beside, period, console=self._console)
        once = settings.once(channel, day)
        return OutboxMessage(
            channel="slack",
            destination=channel,
            key=once,
            kind="post",
            payload={"text": message.text, "blocks": list(message.blocks)},
            once=once,
        )
