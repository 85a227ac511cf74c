"""Keeps the ladders: begins one when a person is needed, climbs, stops when somebody has answered, ends it.

Everything follows from what is on record, looked at again and again: the ladder, the remediations of its episode, who
has taken it, its alerts, and what became of the last rung's messages. A rung is climbed in one transaction with its
messages, on the version that was looked at, so that a crash or another replica neither skips nor repeats it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from remediator.errors import JournalUnavailable
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import taker
from remediator.guardrails.scopes import episode_scope
from remediator.people.carrier import Pace
from remediator.people.escalation import Climb, Escalation
from remediator.people.ladder import (
    Again,
    Answered,
    Ladder,
    Move,
    Nobody,
    Over,
    Recount,
    Situation,
    Up,
    decide,
    moved,
    needs_ladder,
)
from remediator.people.ladder_messages import (
    answered_messages,
    climb_messages,
    incident_channel_key,
    over_messages,
    status_messages,
)
from remediator.people.messages import main_message
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.people.routes import Routes, chat_message
from remediator.people.severity import sev_of
from remediator.people.story import Story
from remediator.people.wording import QUESTIONS
from remediator.ports import Clock, MessageRef
from remediator.remediation.journal import Journal
from remediator.remediation.state import Remediation, State

log = structlog.get_logger()

LOOK_S = 5.0
IDLE_S = 30.0
MOST_MEMBERS = 20
"""Remediations of one episode that are looked at, the newest; each needed a person."""
ALERTS_LOOKED_AT = 300
BEGUN = frozenset(
    {State.APPROVED, State.RESERVED, State.ACTING, State.UNCERTAIN, State.WAITING, State.VERIFYING, State.UNDOING}
)
"""Where a remediation goes on because people agreed."""
HELPED = frozenset({State.SUCCEEDED, State.SUPERSEDED})

Stories = Callable[[Sequence[Remediation]], Awaitable[Sequence[Story]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One look: the situation, and the story that its messages tell (the newest that nobody has answered, or the
    newest of all)."""

    situation: Situation
    story: Story | None


class Ladders:
    """One per process. `stories` turns remediations into what people are told of them; `on_told`: messages wait."""

    pace = Pace(gap=timedelta(0), first_retry=timedelta(seconds=1), longest_retry=timedelta(minutes=1))

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        settings: Escalation,
        routes: Routes,
        stories: Stories,
        new_id: Callable[[], str],
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._routes = routes
        self._stories = stories
        self._new_id = new_id
        self._on_told = on_told

    # --- beginning ------------------------------------------------------------------------------------------------

    async def deliver(self, row: OutboxRow, main: MessageRef | None = None) -> None:
        """A person is needed for a remediation, or it has helped: as the carrier of the rows that say so. Raises:
        JournalUnavailable."""
        r = await self._journal.get(str(row.payload["remediation"]))
        if r is None:
            return  # retention took it
        while not await self._begun(r):
            """Another one was faster: look again."""

    async def _begun(self, r: Remediation) -> bool:
        now = self._clock.now()
        found = await self._journal.ladders(r.episode)
        ladder = found[-1] if found else None
        if ladder is None or ladder.ended:
            (story,) = await self._stories([r])
            if not needs_ladder(story):
                return True  # it is needed no more, or there is nothing to stop
            sev = sev_of(story)
            ladder = Ladder(
                id=f"l-{self._new_id().removeprefix('r-')}",
                episode=r.episode,
                cluster=r.cluster,
                sev=sev,
                opened_at=now,
                since=now,
                rungs=self._settings.ladder(sev),
                members=(r.id,),
            )
        elif r.id in ladder.members:
            return True
        else:
            ladder = replace(ladder, members=(*ladder.members, r.id)[-MOST_MEMBERS:])
        if not await self._save(ladder, (), now):
            return False
        await self._look(r.episode)
        return True

    # --- keeping --------------------------------------------------------------------------------------------------

    async def turn(self) -> float:
        """Look at every open ladder. Returns the seconds to the next look. Raises: JournalUnavailable."""
        ladders = await self._journal.open_ladders()
        pauses = await self._journal.pauses(self._clock.now()) if ladders else ()
        for ladder in ladders:
            try:
                await self._keep(ladder, pauses)
            except JournalUnavailable:
                raise
            except Exception:  # a defect in one story must not stop the others
                log.exception("ladder_not_kept", ladder=ladder.id)
        return LOOK_S if ladders else IDLE_S

    async def _look(self, episode: str) -> None:
        pauses = await self._journal.pauses(self._clock.now())
        for ladder in await self._journal.open_ladders():
            if ladder.episode == episode:
                await self._keep(ladder, pauses)

    async def _keep(self, ladder: Ladder, pauses: Sequence[Pause]) -> None:
        now = self._clock.now()
        seen = await self._see(ladder, pauses, now)
        move = decide(ladder, seen.situation, now)
        after, messages = ladder, list[OutboxMessage]()
        if move is not None:
            after = moved(ladder, move, self._rungs(move), now)
        story = seen.story
        if story is not None:
            after, messages = self._told(after, move, story, now)
            after, opened = await self._in_incident_channel(after, story)
            messages += opened
        if after == ladder and not isinstance(move, Over):
            return
        if await self._save(after, messages, now, over=isinstance(move, Over)) and move is not None:
            _note(after, move, now)
            if isinstance(move, Again | Recount):
                await self._look(ladder.episode)  # its first rung at once

    def _rungs(self, move: Move) -> tuple[Climb, ...]:
        return self._settings.ladder(move.sev) if isinstance(move, Again) else ()

    def _told(
        self, ladder: Ladder, move: Move | None, story: Story, now: datetime
    ) -> tuple[Ladder, list[OutboxMessage]]:
        after, messages = ladder, list[OutboxMessage]()
        match move:
            case Up() | Nobody():
                after, called = climb_messages(ladder, move, story, self._routes, self._settings.incident_channel)
                messages += called
            case Answered():
                messages += answered_messages(ladder, move, story, self._routes)
            case Over():
                story = replace(story, cleared_at=story.cleared_at or now)
                messages += over_messages(ladder, story)
            case Again() | Recount() | None:
                pass
        after, status = status_messages(after, story)
        return after, [*messages, *status]

    async def _in_incident_channel(self, ladder: Ladder, story: Story) -> tuple[Ladder, list[OutboxMessage]]:
        """Once the channel is there, the story is told in it as it goes. Raises: JournalUnavailable."""
        if ladder.incident_channel or self._settings.incident_channel is None:
            return ladder, []
        ref = await self._journal.message_ref(incident_channel_key(ladder))
        if ref is None:
            return ladder, []
        channels = tuple(dict.fromkeys((*ladder.channels, ref.channel)))
        once = f"escalation/{ladder.id}/in/{ref.channel}"
        first = chat_message(ref.channel, story, "post", main_message(story), once=once)
        return replace(ladder, incident_channel=ref.channel, channels=channels), [first]

    async def _save(
        self, ladder: Ladder, messages: Sequence[OutboxMessage], now: datetime, *, over: bool = False
    ) -> bool:
        saved = await self._journal.save_ladder(ladder, messages, now, over=over)
        if saved and messages:
            self._on_told()
        return saved

    # --- looking --------------------------------------------------------------------------------------------------

    async def _see(self, ladder: Ladder, pauses: Sequence[Pause], now: datetime) -> _Seen:
        found = [r for m in ladder.members if (r := await self._journal.get(m)) is not None]
        stories = list(await self._stories(found))
        scope = episode_scope(ladder.episode)
        taken = next((p for p in pauses if p.scope == scope and (p.until is None or p.until > now)), None)
        open_ones = _unanswered(found, stories) if taken is None else []
        said = "" if open_ones else taker(taken) if taken is not None else _answer(found)
        lead = open_ones[-1] if open_ones else (stories[-1] if stories else None)
        question = next(((r, s) for r, s in zip(found, stories, strict=True) if s in open_ones and _asks(s)), None)
        return _Seen(
            situation=Situation(
                needed=bool(open_ones),
                acknowledged_by=said,
                over=question is None and await self._is_over(ladder, found),
                sev=min((sev_of(story) for story in open_ones), default=ladder.sev),
                asked=_asked(question[0]) if question is not None else None,
                dead=await self._is_dead(ladder),
                said_at=max((r.since for r, s in zip(found, stories, strict=True) if s in open_ones), default=None),
            ),
            story=lead,
        )

    async def _is_over(self, ladder: Ladder, members: Sequence[Remediation]) -> bool:
        """Every alert has been resolved, or the episode is closed, or nothing of it is left on record."""
        episode = await self._journal.episode(ladder.episode)
        if episode is None or episode.closed_at is not None or not members:
            return True
        ids = tuple(dict.fromkeys(alert for r in members for alert in r.alerts))[:ALERTS_LOOKED_AT]
        records = await self._journal.alerts(ids)
        return bool(records) and all(record.resolved_at is not None for record in records)

    async def _is_dead(self, ladder: Ladder) -> bool:
        """Nothing that the last rung sent to people can arrive any more."""
        states = await self._journal.message_states(ladder.calls) if ladder.calls else {}
        return bool(states) and all(states.get(once) == "failed" for once in ladder.calls)


def _unanswered(members: Sequence[Remediation], stories: Sequence[Story]) -> list[Story]:
    """Those that need a person and got none. What has ended is answered as well by a word about a later one of the
    same episode, since whoever said it is looking at the incident; and it needs nobody any more once a later one has
    helped."""
    left = []
    for index, story in enumerate(stories):
        later = any(_answered(r) or r.state in HELPED for r in members[index + 1 :])
        if needs_ladder(story) and (_asks(story) or not later):
            left.append(story)
    return left


def _asks(story: Story) -> bool:
    return story.state in QUESTIONS


def _asked(r: Remediation) -> tuple[datetime, datetime] | None:
    return None if r.deadline is None else (r.since, r.deadline)


def _answered(r: Remediation) -> bool:
    return r.state in (State.REJECTED, State.SNOOZED) or (bool(r.consents) and r.state in BEGUN)


def _answer(members: Sequence[Remediation]) -> str:
    """Who answered, in words; empty when it is only that nobody is needed now."""
    r = next((r for r in reversed(members) if _answered(r)), None)
    if r is None:
        return ""
    if r.state in (State.REJECTED, State.SNOOZED):
        who = r.reason.partition(" by ")[2]
        return who.partition(" until ")[0].partition(":")[0] or "somebody"
    return ", ".join(dict.fromkeys(c.who for c in r.consents))


def _note(ladder: Ladder, move: Move, now: datetime) -> None:
    facts = {"ladder": ladder.id, "episode": ladder.episode, "severity": ladder.sev.value, "rung": ladder.climbed}
    match move:
        case Up():
            log.warning("ladder_climbed", **facts, of=len(ladder.rungs), why=move.why)
        case Nobody():
            log.error("ladder_reached_nobody", **facts)
        case Answered():
            log.info("ladder_answered", **facts, who=move.who, after_s=(now - ladder.opened_at).total_seconds())
        case Over():
            log.info("ladder_over", **facts)
        case Again() | Recount():
            log.info("ladder_from_the_start" if isinstance(move, Again) else "ladder_clock_set_back", **facts)
