"""What can be asked of a running service, by whatever asks: HTTP routes today, console and chat later.

No route decides anything and nothing in here knows HTTP. Every write names the person and is in the journal.

    ServiceError
    ├── InvalidRequest   the words make no sense: 400
    ├── NotAllowed       this person may not: 403
    ├── UnknownId        there is no such thing: 404
    └── NotNow           it makes sense, but not as things stand: 409
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from remediator import views
from remediator.alerts.source import Source
from remediator.alerts.webhook import parse_webhook
from remediator.errors import JournalUnavailable, RemediatorError
from remediator.guardrails import storm
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import paused_by
from remediator.guardrails.scopes import describe_scope
from remediator.metrics import Metrics
from remediator.ports import Clock
from remediator.remediation.draft import Decision
from remediator.remediation.events import Approved, Event, Rejected, Snoozed
from remediator.remediation.journal import Accepted, Journal
from remediator.remediation.pausing import pause_scopes, playbook_scope
from remediator.remediation.state import ENDINGS, Remediation, State
from remediator.remediation.telling import question
from remediator.scope_text import UnclearScope, parse_scope

log = structlog.get_logger()

OPEN = "open"
"""In place of a state: every remediation that has not ended."""
NEEDS_PERSON = (State.AWAITING_APPROVAL, State.SNOOZED)
REJECTABLE = (*NEEDS_PERSON, State.APPROVED, State.WAITING)
WATCHDOG = "Watchdog"
"""The alert that always fires, routed to us: its silence says that no alert can reach us."""
SHORTEST_DIGEST = 8
SNOOZE_LIMITS = (timedelta(minutes=1), timedelta(hours=24))
PING_TIMEOUT_S = 2.0
PING_EVERY_S = 1.0
"""Anybody may ask whether we are ready; the store is not asked more often than this."""
EXPLAIN_AT_ONCE = 4
"""Each reads the cluster and rehearses on the API server."""
SEE_PAUSES = "See what is paused: remediator pause list"
SEE_ALL = "See them all: remediator remediations list"
TEXT_LIMIT = 500
"""Characters of a reason that people give."""

View = dict[str, Any]


class ServiceError(RemediatorError):
    """A request that is not done. `advice` is what the person can do about it."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class InvalidRequest(ServiceError):
    """The words make no sense."""


class NotAllowed(ServiceError):
    """This person may not."""


class UnknownId(ServiceError):
    """There is no such thing."""


class NotNow(ServiceError):
    """It makes sense, but not as things stand."""


class PeopleEvents(Protocol):
    """The part of the runner that people's events go through."""

    def poke(self) -> None: ...

    async def apply_from_person(self, remediation_id: str, event: Event) -> Decision | None: ...


@dataclass(frozen=True, slots=True)
class Readiness:
    """`missing` names what is not there yet, and why."""

    missing: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return not self.missing


async def _nothing_to_reload() -> View:
    raise NotNow("this service has nothing to reload")


class Service:
    """Every method raises JournalUnavailable when the store does not answer.

    `playbooks` returns views (views.playbook); `explain` takes one alert in the form of a webhook, and perhaps a
    `cluster`, and acts on nothing (preview.py); `missing` says what keeps the service from being ready besides the
    store; `clusters` are the names from the config.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        runner: PeopleEvents,
        poke_intake: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        playbooks: Callable[[], Sequence[View]],
        explain: Callable[[View], Awaitable[View]],
        missing: Callable[[], Mapping[str, str]] = dict,
        reload: Callable[[], Awaitable[View]] = _nothing_to_reload,
        clusters: Sequence[str] = ("default",),
    ) -> None:
        self._journal = journal
        self._runner = runner
        self._poke_intake = poke_intake
        self._clock = clock
        self._metrics = metrics
        self._playbooks = playbooks
        self._explain = explain
        self._missing = missing
        self._reload = reload
        self._clusters = tuple(clusters)
        self._explaining = asyncio.Semaphore(EXPLAIN_AT_ONCE)
        self._pinging = asyncio.Lock()
        self._pinged: tuple[float, str] | None = None
        self._firing = metrics.alerts_received.labels("firing")
        self._resolved = metrics.alerts_received.labels("resolved")

    # --- alerts -----------------------------------------------------------------------------------------------------

    async def accept(self, body: bytes, source: Source) -> Accepted:
        """Take one delivery of Alertmanager. Returns only when its alerts are durable.

        Raises: InvalidWebhook, JournalUnavailable.
        """
        webhook = parse_webhook(body, source=source)
        if webhook.truncated:
            log.warning("webhook_truncated", source=source.name, receiver=webhook.receiver, left_out=webhook.truncated)
        if not webhook.alerts:
            return Accepted()
        accepted = await self._journal.accept(webhook.alerts, self._clock.now())
        if any(alert.name == WATCHDOG and alert.status == "firing" for alert in webhook.alerts):
            self._watchdog_seen()
        firing = sum(alert.status == "firing" for alert in webhook.alerts)
        if firing:
            self._firing.inc(firing)
        if resolved := len(webhook.alerts) - firing:
            self._resolved.inc(resolved)
        if accepted.new or accepted.resolved:
            self._poke_intake()
        return accepted

    def _watchdog_seen(self) -> None:
        """From now on the metric grows until the next one comes."""
        seen = self._clock.boot()
        self._metrics.watchdog.set_function(lambda: self._clock.boot() - seen)

    async def alerts(self, limit: int = 50) -> list[View]:
        """The newest alerts with their verdicts."""
        return [views.alert(record) for record in await self._journal.recent_alerts(limit)]

    # --- remediations -----------------------------------------------------------------------------------------------

    async def remediations(self, *, limit: int = 50, state: str = "", playbook: str = "") -> list[View]:
        """Newest first. `state` is one state, or `open`. Raises: InvalidRequest."""
        if state == OPEN:
            unfinished = [s for s in State if s not in ENDINGS]
            found = await asyncio.gather(
                *(self._journal.recent(limit, state=s.value, playbook=playbook) for s in unfinished)
            )
            rows = sorted((r for rows in found for r in rows), key=lambda r: r.created_at, reverse=True)[:limit]
        elif state and state not in set(State):
            raise InvalidRequest(f"no state is called {state!r}", advice=f"One of: {OPEN}, {', '.join(State)}.")
        else:
            rows = list(await self._journal.recent(limit, state=state, playbook=playbook))
        return [views.summary(r) for r in rows]

    async def show(self, remediation_id: str, *, evidence: bool = True) -> View:
        """Everything on record about one. `evidence`: with collected log text, which is not for everybody.

        Raises: UnknownId.
        """
        r = await self._get(remediation_id)
        records, history, attempts, pauses = await asyncio.gather(
            self._journal.alerts(r.alerts),
            self._journal.history(r.id),
            self._journal.attempts(r.id),
            self._journal.pauses(self._clock.now()),
        )
        return views.remediation(
            r, records=records, history=history, attempts=attempts, pauses=_covering(r, pauses), evidence=evidence
        )

    async def approve(self, remediation_id: str, who: str, *, digest: str = "", via: str = "api") -> View:
        """One person's yes to the digest that is proposed now, or to the question between its steps. Saying it twice
        counts once.

        Raises: UnknownId, NotAllowed (the requester), NotNow (ended, another digest, paused, a storm).
        """
        r = await self._get(remediation_id)
        _check_approvable(r, digest, self._clock.now())
        if who == r.requester:
            raise NotAllowed(f"{who} asked for {r.id} and cannot approve it", advice="Ask somebody else.")
        covering = _covering(r, await self._journal.pauses(self._clock.now()))
        if covering:
            raise NotNow(
                f"{'; '.join(map(paused_by, covering))}; {r.id} can be looked at, not approved",
                advice=f"Lift it first: {', '.join(f'remediator resume {pause.id}' for pause in covering)}",
            )
        over = storm.over_at(r.verdicts, self._clock.now())
        if over is not None and over > self._clock.now():
            raise NotNow(
                f"a storm holds it, until {over:%H:%M} UTC if no more come; {r.id} can be looked at, not approved",
                advice=f"Look for the shared cause; snooze it meanwhile: remediator snooze {r.id}",
            )
        if any(c.who == who and c.digest == r.digest for c in r.consents):
            return _answer(r, f"{who} has approved {r.id} already. {_still_needed(r)}")
        after = await self._apply(r, Approved(who=who, digest=r.digest, via=via), "approve")
        self._metrics.approvals.labels("approved").inc()
        return _answer(after, f"Approved {r.id} by {who}. {_still_needed(after)}")

    async def reject(self, remediation_id: str, who: str, *, why: str = "") -> View:
        """A veto, which is final. Raises: UnknownId, NotNow."""
        r = await self._get(remediation_id)
        if r.state not in REJECTABLE:
            raise NotNow(f"{r.id} {_is(r)}; there is nothing to reject", advice=_look(r))
        after = await self._apply(r, Rejected(who=who, why=_said(why, "reason")), "reject")
        self._metrics.approvals.labels("rejected").inc()
        return _answer(after, f"Rejected {r.id} by {who}. Nothing more will be sent for it.")

    async def snooze(self, remediation_id: str, who: str, *, until: datetime) -> View:
        """Ask again later. Raises: UnknownId, NotNow, InvalidRequest."""
        now = self._clock.now()
        shortest, longest = SNOOZE_LIMITS
        if not now + shortest <= until <= now + longest:
            raise InvalidRequest("a snooze lasts between 1 minute and 24 hours")
        r = await self._get(remediation_id)
        if r.state not in NEEDS_PERSON:
            raise NotNow(f"{r.id} {_is(r)}; there is nothing to snooze", advice=_look(r))
        after = await self._apply(r, Snoozed(who=who, until=until), "snooze")
        self._metrics.approvals.labels("snoozed").inc()
        return _answer(after, f"Snoozed {r.id} until {until:%Y-%m-%d %H:%M} UTC, then it is proposed again.")

    async def _get(self, remediation_id: str) -> Remediation:
        r = await self._journal.get(remediation_id)
        if r is None:
            raise _unknown(remediation_id)
        return r

    async def _apply(self, r: Remediation, event: Event, verb: str) -> Remediation:
        """The remediation after a person's event. It may have moved since we looked: then nothing is done."""
        decision = await self._runner.apply_from_person(r.id, event)
        if decision is None:
            raise _unknown(r.id)
        if decision.ignored:
            moved = decision.before
            raise NotNow(f"{r.id} moved meanwhile and {_is(moved)}; it was too late to {verb}", advice=_look(r))
        log.info("person_decided", remediation=r.id, who=getattr(event, "who", ""), what=verb)
        return decision.remediation

    # --- pauses -----------------------------------------------------------------------------------------------------

    async def pauses(self) -> list[View]:
        """The live ones."""
        return [views.pause(p) for p in await self._journal.pauses(self._clock.now())]

    async def pause(self, scope: str, who: str, *, why: str = "", until: datetime | None = None) -> View:
        """Stop everything that the scope covers; no attempt row commits after this returns. Raises: InvalidRequest."""
        stored = self._scope(scope)
        now = self._clock.now()
        if until is not None and until <= now:
            raise InvalidRequest("the pause would be over already", advice="Give a time in the future, or none at all.")
        pause = await self._journal.pause(stored, who, _said(why, "reason"), until, now)
        log.warning("paused", scope=stored, who=who, why=why, pause=pause.id)
        return {**views.pause(pause), "note": self._note(stored)}

    async def resume(self, pause_id: str, who: str) -> View:
        """Lift one pause. Raises: UnknownId."""
        if not await self._journal.resume(pause_id, who, self._clock.now()):
            raise UnknownId(f"no live pause is called {pause_id}", advice=SEE_PAUSES)
        log.warning("resumed", pause=pause_id, who=who)
        self._runner.poke()
        return {"resumed": [pause_id]}

    async def resume_scope(self, scope: str, who: str) -> View:
        """Lift every pause of exactly this scope. Raises: UnknownId, InvalidRequest."""
        stored = self._scope(scope)
        live = [p for p in await self._journal.pauses(self._clock.now()) if p.scope == stored]
        if not live:
            raise UnknownId(f"{describe_scope(stored)} is not paused", advice=SEE_PAUSES)
        for pause in live:
            await self._journal.resume(pause.id, who, self._clock.now())
        log.warning("resumed", scope=stored, who=who, pauses=[p.id for p in live])
        self._runner.poke()
        return {"resumed": [p.id for p in live]}

    def _scope(self, text: str) -> str:
        try:
            return parse_scope(text, self._clusters)
        except UnclearScope as exc:
            raise InvalidRequest(str(exc)) from exc

    def _note(self, scope: str) -> str:
        """A pause of something unknown is taken, since it may come back, and said, since it may be a slip."""
        names = {playbook_scope(str(p["name"])) for p in self._playbooks()}
        if scope.startswith("playbook:") and scope not in names:
            return "no playbook of this name is loaded now"
        return ""

    # --- the rest ---------------------------------------------------------------------------------------------------

    def playbooks(self) -> list[View]:
        return list(self._playbooks())

    async def explain(self, alert: View) -> View:
        """What would be done about one alert (in the form of a webhook's `alerts` items), without doing it.

        The answer has `would` and `explanation` in words, `acts` (whether anything would be sent, perhaps after an
        approval), and `remediation` as `show` has it. Raises: InvalidWebhook, InvalidRequest (no such cluster).
        """
        cluster = alert.get("cluster")
        if cluster and cluster not in self._clusters:
            raise InvalidRequest(f"no cluster is called {cluster!r}", advice=f"Known: {', '.join(self._clusters)}.")
        async with self._explaining:
            explained = await self._explain(alert)
        return {"acts": False, "remediation": None, "not_chosen": [], **explained, "alert": alert}

    async def reload(self, who: str) -> View:
        """Read playbooks and secrets again; what cannot be read stays as it is."""
        log.info("reload_asked", who=who)
        return await self._reload()

    async def readiness(self) -> Readiness:
        """Never raises. A reload that failed is no reason: the last good version is in force."""
        missing = dict(self._missing())
        async with self._pinging:
            now = self._clock.boot()
            if self._pinged is None or now - self._pinged[0] >= PING_EVERY_S:
                self._pinged = (now, await self._store_problem())
        if problem := self._pinged[1]:
            missing["store"] = problem
        return Readiness(missing)

    async def _store_problem(self) -> str:
        """Why the store cannot commit; empty when it can."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._journal.ping()
        except JournalUnavailable as exc:
            return str(exc)
        except TimeoutError:
            return f"no answer within {PING_TIMEOUT_S:.0f} s"
        return ""


def _unknown(remediation_id: str) -> UnknownId:
    return UnknownId(f"no remediation is called {remediation_id!r}", advice=SEE_ALL)


def _check_approvable(r: Remediation, digest: str, now: datetime) -> None:
    """Raises: NotNow."""
    if r.state not in NEEDS_PERSON and not question(r):
        raise NotNow(f"{r.id} {_is(r)}; there is nothing to approve", advice=_look(r))
    if r.state is not State.SNOOZED and r.deadline is not None and now >= r.deadline:
        raise NotNow(f"the time to approve {r.id} ended at {r.deadline:%H:%M:%S} UTC", advice=_look(r))
    if digest and (len(digest) < SHORTEST_DIGEST or not r.digest.startswith(digest.lower())):
        raise NotNow(
            f"{r.id} proposes {r.digest[:12]}, not {digest[:12]}: what you looked at is not what would be done",
            advice=_look(r),
        )


def _covering(r: Remediation, pauses: Sequence[Pause]) -> tuple[Pause, ...]:
    scopes = set(pause_scopes(r))
    return tuple(p for p in pauses if p.scope in scopes)


def _is(r: Remediation) -> str:
    """`is approved by ann`, `ended 03:12 UTC: succeeded`."""
    if r.ended and r.ended_at:
        return f"ended {r.ended_at:%Y-%m-%d %H:%M} UTC: {r.state}"
    if r.state is State.APPROVED:
        return f"is approved already, by {', '.join(c.who for c in r.consents)}"
    return f"is {r.state.replace('_', ' ')}"


def _look(r: Remediation) -> str:
    return f"Look at it: remediator remediations show {r.id}"


def _still_needed(r: Remediation) -> str:
    """The consents on record are those to what is asked now: an earlier question's are gone."""
    quorum = r.spec.approval.quorum if r.spec else 1
    given = {c.who for c in r.consents if c.digest == r.digest}
    if r.state is State.APPROVED:
        return "It is planned and checked once more, then it starts."
    if r.state not in NEEDS_PERSON and not question(r):
        return "It goes on."
    more = max(quorum - len(given), 0)
    return f"{len(given)} of {quorum} agreed, {more} more needed."


def _answer(r: Remediation, message: str) -> View:
    return {"message": message, "remediation": views.summary(r)}


def _said(text: str, what: str) -> str:
    """What a person wrote, as one line. Raises: InvalidRequest."""
    line = " ".join(text.split())
    if len(line) > TEXT_LIMIT:
        raise InvalidRequest(f"the {what} has {len(line)} characters, {TEXT_LIMIT} are kept; make it shorter")
    return line
