"""Keeps the storm of each cluster: puts it on record and tells people once, lists what it holds, ends it, lets it go.

All of it follows from what is on record (arrivals, what is held, the storm itself), looked at again and again: nothing
is lost by a crash, and of two replicas that see the same only one writes it. What a storm holds tells nobody by itself,
so telling of the storm is what keeps the promise that people hear of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from remediator.errors import JournalUnavailable
from remediator.guardrails import storm
from remediator.guardrails.facts import Storm
from remediator.guardrails.storm import Lasting
from remediator.guardrails.verdict import Answer, Verdict, gravest
from remediator.guardrails.words import about
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import Routes
from remediator.people.storms import (
    SHOWN,
    Audience,
    StormNews,
    StormStory,
    audience,
    call_once,
    storm_notices,
    unreached,
)
from remediator.people.story import Story
from remediator.ports import Clock
from remediator.remediation.clock_watch import ClockWatch
from remediator.remediation.draft import Decision
from remediator.remediation.events import Event, PlanMade
from remediator.remediation.journal import Journal, Turns
from remediator.remediation.moves import HELD_FOR, STORM_HELD_FOR
from remediator.remediation.state import Remediation, State
from remediator.remediation.storm_reading import StormReader, Weather

log = structlog.get_logger()

LOOK_S = 30.0
LOOK_OFTEN_S = 2.0
"""While one lasts."""
COMPLETE_WITHIN = timedelta(seconds=10)
"""The call waits so long for those that arrived together, so that it names them all."""
TURNS = Turns(
    apart=timedelta(seconds=2),
    within=timedelta(minutes=5),
    held_for=HELD_FOR,
    at_most=STORM_HELD_FOR + HELD_FOR,
)
MAY_GO_ON = (State.AWAITING_APPROVAL, State.APPROVED, State.VERIFYING)
"""Where the remediation of a common parent is found."""
LISTED = 50

Stories = Callable[[Sequence[Remediation]], Awaitable[Sequence[Story]]]


class Storms:
    """One per process. `stories` turns remediations into what people are told of them; `on_told`: messages wait."""

    def __init__(
        self,
        *,
        journal: Journal,
        reader: StormReader,
        clusters: Sequence[str],
        clock: Clock,
        clock_watch: ClockWatch,
        stories: Stories,
        routes: Routes,
        new_id: Callable[[], str],
        instance: str = "",
        console: str = "",
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._clusters = clusters
        self._clock = clock
        self._clock_watch = clock_watch
        self._stories = stories
        self._routes = routes
        self._new_id = new_id
        self._instance = instance
        self._console = console.rstrip("/")
        self._on_told = on_told
        self._next = 0.0
        """In boot time: a wall clock that is set back must not keep us from looking."""

    # --- asked by the runner --------------------------------------------------------------------------------------

    def saw(self, decision: Decision) -> None:
        """A storm has just begun to hold something: look soon."""
        r = decision.remediation
        if r.state is State.HELD and storm.over_at(r.verdicts, self._clock.now()) is not None:
            self._next = min(self._next, self._clock.boot() + LOOK_OFTEN_S)
            if decision.came_from is not State.HELD:
                self._next = 0.0

    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - self._clock.boot())

    async def marked(self, r: Remediation, event: Event) -> Event:
        """Where no plan could be made, the guardrails were not asked; that a storm holds it matters all the same: it
        is told with the others then. No storm keeps a hold from being released. Raises: JournalUnavailable."""
        if not isinstance(event, PlanMade) or event.plan is not None or gravest(event.verdicts) is Answer.DENY:
            return event
        if r.releases:
            return event
        verdict = await self.holds(r.cluster)
        return event if verdict is None else replace(event, verdicts=(*event.verdicts, verdict))

    async def holds(self, cluster: str) -> Verdict | None:
        """What a storm says now to everything but its common parent. Raises: JournalUnavailable."""
        weather = await self._reader.read(cluster, self._clock.now())
        found = weather.lasting
        return None if found is None else storm.held(found, weather.on_record, weather.now)

    # --- keeping --------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Look at every cluster, if it is time. Raises: JournalUnavailable."""
        if self.pause() > 0.0:
            return
        self._next = self._clock.boot() + LOOK_S
        for cluster in self._clusters:
            try:
                lasts = await self._keep(cluster)
            except JournalUnavailable:
                self._next = 0.0
                raise
            except Exception:  # a defect here must not stop what the storm has nothing to do with
                log.exception("storm_not_kept", cluster=cluster)
                continue
            if lasts:
                self._next = self._clock.boot() + LOOK_OFTEN_S

    async def _keep(self, cluster: str) -> bool:
        """Whether there is a storm to be looked at often."""
        weather = await self._reader.read(cluster, self._clock.now(), keeping=True)
        found, row = weather.lasting, weather.on_record
        if found is None:
            return False
        if row is not None and weather.by_arrivals is None:
            if not await self._clock_watch.problem(cluster):
                await self._end(row, found, weather.now)
            return True
        held = await self._journal.held(cluster, row.members if row else ())
        fresh = [r for r in held if storm.over_at(r.verdicts, weather.now) is not None]
        if row is not None:
            await self._change(row, found, fresh, weather.now)
            await self._make_up_for_a_dead_call(row, found, weather.now)
        elif fresh and not await self._more_are_coming(cluster, fresh, weather.now):
            await self._begin(weather, found, fresh)
        return True

    async def _more_are_coming(self, cluster: str, fresh: Sequence[Remediation], now: datetime) -> bool:
        waited = now - min(r.since for r in fresh)
        if not timedelta(0) <= waited < COMPLETE_WITHIN:
            return False
        for state in (State.RECEIVED, State.PLANNED):
            if any(r.cluster == cluster for r in await self._journal.recent(LISTED, state=state.value)):
                return True
        return False

    async def _begin(self, weather: Weather, found: Lasting, members: Sequence[Remediation]) -> None:
        who = audience(await self._stories(members), self._routes)
        row = Storm(
            id=f"s-{self._new_id().removeprefix('r-')}",
            cluster=members[0].cluster,
            opened_at=weather.now,
            peak_at=found.peak_at,
            targets=found.targets,
            limit=found.limit,
            members=tuple(r.id for r in members),
            service=who.service,
            channels=tuple(who.channels),
        )
        story = await self._story(row, found, weather.now)
        messages = storm_notices(story, StormNews.BEGUN, who)
        if await self._journal.save_storm(replace(row, shown=story.digest), messages, weather.now):
            self._on_told()
            log.warning("storm_begun", storm=row.id, cluster=row.cluster, targets=row.targets, held=len(row.members))

    async def _change(self, row: Storm, found: Lasting, fresh: Sequence[Remediation], now: datetime) -> None:
        """Bring what was told up to date, where it is another by now. Nobody is called a second time."""
        who = audience(await self._stories(fresh), self._routes) if fresh else Audience()
        after = replace(
            row,
            peak_at=found.peak_at,
            targets=found.targets,
            limit=found.limit,
            members=(*row.members, *(r.id for r in fresh)),
            service=row.service or who.service,
            channels=tuple(dict.fromkeys((*row.channels, *who.channels))),
        )
        story = await self._story(after, found, now)
        after = replace(after, shown=story.digest)
        if after == row:
            return
        told = replace(who, channels=dict.fromkeys(after.channels, ()), service="" if row.service else who.service)
        messages: tuple[OutboxMessage, ...] = ()
        if after.shown != row.shown or told.service:
            messages = storm_notices(story, StormNews.CHANGED, told)
        if await self._journal.save_storm(after, messages, now) and messages:
            self._on_told()

    async def _make_up_for_a_dead_call(self, row: Storm, found: Lasting, now: datetime) -> None:
        """A storm has no ladder: where its only call is a dead letter, nobody would hear of it."""
        if not row.service:
            return
        once = call_once(row.id, row.service)
        if (await self._journal.message_states((once,))).get(once) != "failed":
            return
        members = [r for m in row.members[:SHOWN] if (r := await self._journal.get(m)) is not None]
        channels = {**dict.fromkeys(row.channels, ()), **audience(await self._stories(members), self._routes).channels}
        told = unreached(await self._story(row, found, now), Audience(channels=channels, service=row.service))
        if not told or await self._journal.message_states(tuple(m.once for m in told)):
            return
        await self._journal.store_messages(told, now)
        self._on_told()
        log.error("storm_call_dead", storm=row.id, cluster=row.cluster, service=row.service)

    async def _end(self, row: Storm, found: Lasting, now: datetime) -> None:
        story = await self._story(row, found, now, over=True)
        told = Audience(channels=dict.fromkeys(row.channels, ()), service=row.service)
        messages = storm_notices(story, StormNews.OVER, told)
        if await self._journal.close_storm(replace(row, shown=story.digest), messages, now, TURNS):
            self._on_told()
            log.warning("storm_over", storm=row.id, cluster=row.cluster, held=len(row.members))

    async def _story(self, row: Storm, found: Lasting, now: datetime, *, over: bool = False) -> StormStory:
        shown = [r for m in row.members[:SHOWN] if (r := await self._journal.get(m)) is not None]
        return StormStory(
            id=row.id,
            instance_id=self._instance,
            cluster=row.cluster,
            since=row.opened_at,
            until=found.until,
            targets=row.targets,
            limit=row.limit,
            window=about(storm.WINDOW),
            members=tuple(await self._stories(shown)),
            count=len(row.members),
            cause=await self._cause(row.cluster),
            over=over,
            now=now,
            console_url=f"{self._console}/remediations" if self._console else "",
        )

    async def _cause(self, cluster: str) -> tuple[str, ...]:
        """What stands under most of them and what may be done about it, as far as a playbook has asked."""
        found = []
        for state in MAY_GO_ON:
            for r in await self._journal.recent(LISTED, state=state.value):
                share = storm.goes_on(r.verdicts)
                if share and r.cluster == cluster:
                    asks = f"{r.playbook} asks for approval: remediator approve {r.id}"
                    found.append(f"{share}. {asks if state is State.AWAITING_APPROVAL else f'{r.playbook} goes on'}")
        return tuple(found)
