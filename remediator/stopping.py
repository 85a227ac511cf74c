"""What people stop: pause, take an episode, and let it go on again. Whoever asks (API, Slack, CLI, pager).

Also who may: what only stops something needs less than what starts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from remediator import views
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import taker
from remediator.guardrails.scopes import describe_scope, episode_scope
from remediator.metrics import Metrics
from remediator.people.account import Account
from remediator.people.approval_settings import BreakGlass
from remediator.people.approvers import Approvers, Granted
from remediator.people.directory import Person
from remediator.people.lookups import LookupFailed
from remediator.ports import Clock
from remediator.remediation.break_glass import Glass
from remediator.remediation.draft import Decision
from remediator.remediation.events import Event
from remediator.remediation.journal import Episode, Journal
from remediator.remediation.state import Remediation
from remediator.scope_text import UnclearScope, parse_scope
from remediator.service_errors import InvalidRequest, NotAllowed, NotNow, UnknownId

log = structlog.get_logger()

SEE_PAUSES = "See what is paused: remediator pause list"
SEE_ALL = "See them all: remediator remediations list"
TEXT_LIMIT = 500
"""Characters of a reason that people give."""
NAME_LIMIT = 80
"""Characters of a name that another system gives."""
PAGERS = ("pagerduty", "opsgenie")
"""Whoever takes an incident there has been called for it: that system vouches for them."""
VIA = {"api": "API", "cli": "CLI", "pagerduty": "PagerDuty", "opsgenie": "Opsgenie", "slack": "Slack"}

View = dict[str, Any]


class PeopleEvents(Protocol):
    """The part of the runner that people's events go through."""

    def poke(self) -> None: ...

    async def apply_from_person(self, remediation_id: str, event: Event) -> Decision | None: ...


async def tell_nobody(r: Remediation) -> None:
    """Where there is nobody to tell."""


class Stopping:
    """Every method names an account and raises ServiceError or JournalUnavailable.

    `tell` brings the messages about a remediation up to date, without a sound. `glass` None = nobody may break it.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        runner: PeopleEvents,
        clock: Clock,
        metrics: Metrics,
        approvers: Approvers,
        clusters: Sequence[str],
        known_playbooks: Callable[[], frozenset[str]],
        tell: Callable[[Remediation], Awaitable[None]] = tell_nobody,
        glass: Glass | None = None,
    ) -> None:
        self._journal = journal
        self._runner = runner
        self._clock = clock
        self._metrics = metrics
        self._approvers = approvers
        self._clusters = tuple(clusters)
        self._known_playbooks = known_playbooks
        self._tell = tell
        self._glass = glass

    # --- taking -----------------------------------------------------------------------------------------------------

    async def take(self, any_id: str, who: Account) -> View:
        """Leave an episode, or that of a remediation, to a person: nothing more is sent for it once this returns, until
        it is given back or over. Raises: UnknownId, NotAllowed, NotNow (it is over)."""
        episode, r = await self._episode(any_id)
        _check_not_over(episode)
        person = await self._taker(r, who, "take")
        if live := await self._takings(episode.id):
            return {"message": f"{episode.id} is taken by {taker(live[0])} already.", "episode": episode.id}
        now = self._clock.now()
        via = VIA.get(who.via, who.via)
        pause = await self._journal.pause(episode_scope(episode.id), _shown(person, who), via, None, now)
        ended, _ = await self._episode(episode.id)
        if ended.closed_at is not None:  # while it was found out who takes it
            await self._journal.resume(pause.id, "the end of the episode", now)
            _check_not_over(ended)
        log.warning("taken", episode=episode.id, who=person.name, account=who.key, via=who.via, pause=pause.id)
        await self._note(episode, r, "taken", f"taken by {taker(pause)}", who)
        return {
            "message": f"Taken by {taker(pause)}: nothing more is sent for {episode.id} until it is given back.",
            "episode": episode.id,
        }

    async def give_back(self, any_id: str, who: Account) -> View:
        """The other way round. What still fires and ended meanwhile, with nobody called for it, is decided anew.
        Raises: UnknownId, NotAllowed, NotNow (nobody has it)."""
        episode, r = await self._episode(any_id)
        person = await self._taker(r, who, "give back")
        live = await self._takings(episode.id)
        if not live:
            _check_not_over(episode)
            raise NotNow(f"nobody has taken {episode.id}", advice=SEE_PAUSES)
        now = self._clock.now()
        for pause in live:
            await self._journal.resume(pause.id, _shown(person, who), now)
        anew = episode.id in await self._journal.look_again(now)
        log.warning("given_back", episode=episode.id, who=person.name, account=who.key, via=who.via)
        goes_on = await self._note(episode, r, "given_back", f"given back by {_shown(person, who)}", who)
        said = f"what is still open in {episode.id} goes on by itself" if goes_on else "nothing of it is open any more"
        more = "; what still fires is looked at anew now" if anew else ""
        return {"message": f"Given back: {said}{more}.", "episode": episode.id}

    async def _episode(self, any_id: str) -> tuple[Episode, Remediation | None]:
        """The episode that an id of its own or of a remediation names."""
        r = await self._journal.get(any_id)
        found = await self._journal.episode(r.episode if r else any_id)
        if found is None:
            raise UnknownId(f"no remediation and no episode is called {any_id!r}", advice=SEE_ALL)
        return found, r

    async def _takings(self, episode: str) -> list[Pause]:
        scope = episode_scope(episode)
        return [p for p in await self._journal.pauses(self._clock.now()) if p.scope == scope]

    async def _taker(self, r: Remediation | None, who: Account, what: str) -> Person:
        if who.system in PAGERS:
            return self._approvers.directory.of(who)
        return (await self._operator_or_approver(r, who, what)).person

    async def _note(self, episode: Episode, r: Remediation | None, what: str, reason: str, who: Account) -> bool:
        """On the record of everything that is open in the episode, and shown in its messages. Whether anything is."""
        unfinished = await self._journal.unfinished(episode.cluster, episode.root)
        still_open = [o for o in unfinished if o.episode == episode.id]
        for one in still_open or ([r] if r else []):
            await self._journal.note(one.id, what, reason, {"account": who.key, "via": who.via}, self._clock.now())
            await self._tell(one)
        self._runner.poke()
        return bool(still_open)

    # --- pauses -----------------------------------------------------------------------------------------------------

    async def pauses(self) -> list[View]:
        """The live ones."""
        return [views.pause(p) for p in await self._journal.pauses(self._clock.now())]

    async def pause(self, scope: str, who: Account, *, why: str = "", until: datetime | None = None) -> View:
        """Stop everything that the scope covers; no attempt row commits after this returns. Raises: InvalidRequest,
        NotAllowed (needs the role operator)."""
        stored = self._scope(scope)
        now = self._clock.now()
        if until is not None and until <= now:
            raise InvalidRequest("the pause would be over already", advice="Give a time in the future, or none at all.")
        name = await self._check_operator(who)
        pause = await self._journal.pause(stored, name, said_in_a_line(why, "reason"), until, now)
        log.warning("paused", scope=stored, who=name, account=who.key, why=why, pause=pause.id)
        return {**views.pause(pause), "note": self._remark(stored)}

    async def resume(self, pause_id: str, who: Account) -> View:
        """Lift one pause. Raises: UnknownId, NotAllowed (needs the role operator)."""
        name = await self._check_operator(who)
        if not await self._journal.resume(pause_id, name, self._clock.now()):
            raise UnknownId(f"no live pause is called {pause_id}", advice=SEE_PAUSES)
        log.warning("resumed", pause=pause_id, who=name, account=who.key)
        self._runner.poke()
        return {"resumed": [pause_id]}

    async def resume_scope(self, scope: str, who: Account) -> View:
        """Lift every pause of exactly this scope. Raises: UnknownId, InvalidRequest, NotAllowed."""
        stored = self._scope(scope)
        name = await self._check_operator(who)
        live = [p for p in await self._journal.pauses(self._clock.now()) if p.scope == stored]
        if not live:
            raise UnknownId(f"{describe_scope(stored)} is not paused", advice=SEE_PAUSES)
        for pause in live:
            await self._journal.resume(pause.id, name, self._clock.now())
        log.warning("resumed", scope=stored, who=name, account=who.key, pauses=[p.id for p in live])
        self._runner.poke()
        return {"resumed": [p.id for p in live]}

    def _scope(self, text: str) -> str:
        try:
            return parse_scope(text, self._clusters)
        except UnclearScope as exc:
            raise InvalidRequest(str(exc)) from exc

    def _remark(self, scope: str) -> str:
        """A pause of something unknown is taken, since it may come back, and said, since it may be a slip."""
        if scope.startswith("playbook:") and scope not in self._known_playbooks():
            return "no playbook of this name is loaded now"
        return ""

    # --- who may ----------------------------------------------------------------------------------------------------

    async def _granted(
        self, r: Remediation, who: Account, glass: BreakGlass | None = None, *, what: str = "approve", more: str = ""
    ) -> Granted:
        """That somebody may approve it, or break this glass for it. `what` they want to do, and what else would let
        them (`more`), are for the refusal. Raises: NotAllowed."""
        asked = r.spec.approval.approvers if r.spec else ()
        verdict = await self._approvers.judge(who, glass.who if glass else asked)
        if isinstance(verdict, Granted):
            return verdict
        what = f"break the glass for {r.id}" if glass else f"{what} {r.id}"
        self._metrics.approvals.labels("not_allowed").inc()
        log.warning("not_allowed", who=verdict.person.name, account=who.key, what=what, why=str(verdict))
        advice = "Try again in a moment, or ask somebody else." if verdict.unread else "Ask one of those who may."
        raise NotAllowed(f"{verdict.person.name} may not {what}: {verdict}{more}", advice=advice)

    async def waits_for(self, several: Sequence[Remediation], who: Account) -> frozenset[str]:
        """Ids of those whose question this account may answer, and has not. What cannot be looked up does not count;
        what is decided in the end is decided at the click."""
        asked = [r.spec.approval.approvers if r.spec else () for r in several]
        judged = await asyncio.gather(*(self._approvers.judge(who, approvers) for approvers in asked))
        return frozenset(
            r.id
            for r, verdict in zip(several, judged, strict=True)
            if isinstance(verdict, Granted)
            and not any(verdict.person.name == c.who and c.digest == r.digest for c in r.consents)
            and r.may_not_approve not in {verdict.person.name, who.key}
        )

    async def _operator_or_approver(self, r: Remediation | None, who: Account, what: str) -> Granted:
        """What only stops something needs less than what starts it. Raises: NotAllowed."""
        try:
            person = await self._approvers.with_role(who, "operator")
        except LookupFailed:
            person = None  # perhaps it is proven otherwise; if not, the refusal names it
        if person is not None:
            return Granted(person=person, by="role operator")
        if r is None:
            await self._check_operator(who)
        assert r is not None
        return await self._granted(r, who, what=what, more="; the role operator would do as well")

    async def _check_operator(self, who: Account) -> str:
        """The name of somebody who has the role operator. Raises: NotAllowed."""
        unread = ""
        try:
            if (person := await self._approvers.with_role(who, "operator")) is not None:
                return person.name
        except LookupFailed as exc:
            unread = f". Could not be read, which lets nobody in: {exc}"
        self._metrics.approvals.labels("not_allowed").inc()
        raise NotAllowed(
            f"this needs the role operator, {self._approvers.directory.of(who).name} does not have it{unread}",
            advice="Ask somebody who has it, or have it added: people[].roles in the configuration.",
        )

    async def _get(self, remediation_id: str) -> Remediation:
        r = await self._journal.get(remediation_id)
        if r is None:
            raise UnknownId(f"no remediation is called {remediation_id!r}", advice=SEE_ALL)
        return r


def _check_not_over(episode: Episode) -> None:
    """Raises: NotNow."""
    if episode.closed_at is not None:
        raise NotNow(f"{episode.id} was over at {episode.closed_at:%Y-%m-%d %H:%M} UTC", advice=SEE_ALL)


def _shown(person: Person, who: Account) -> str:
    """Who has taken something, for people: whom nobody has listed is called what their pager calls them."""
    called = " ".join(who.name.split())[:NAME_LIMIT]
    return called if called and who.system in PAGERS and not person.listed else person.name


def said_in_a_line(text: str, what: str) -> str:
    """What a person wrote, as one line. Raises: InvalidRequest."""
    line = " ".join(text.split())
    if len(line) > TEXT_LIMIT:
        raise InvalidRequest(f"the {what} has {len(line)} characters, {TEXT_LIMIT} are kept; make it shorter")
    return line
