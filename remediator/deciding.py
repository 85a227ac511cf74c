"""What people decide about proposals: approve, reject, snooze. Whoever asks (API, Slack, CLI).

Whether somebody may is found out at the moment of the word, and everything that can have changed meanwhile is looked at
after that: asking PagerDuty or Slack takes time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from remediator import views
from remediator.guardrails import storm
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import lifted_by, paused_by
from remediator.people.account import Account
from remediator.remediation.break_glass import SHORTEST_REASON
from remediator.remediation.conditions import said_by
from remediator.remediation.events import Approved, Event, Rejected, Snoozed
from remediator.remediation.pausing import pause_scopes
from remediator.remediation.state import Remediation, State
from remediator.remediation.telling import question
from remediator.service_errors import InvalidRequest, NotAllowed, NotNow, UnknownId
from remediator.stopping import SEE_ALL, Stopping, View, said_in_a_line

log = structlog.get_logger()

NEEDS_PERSON = (State.AWAITING_APPROVAL, State.SNOOZED)
REJECTABLE = (*NEEDS_PERSON, State.APPROVED, State.WAITING)
SHORTEST_DIGEST = 8
SNOOZE_LIMITS = (timedelta(minutes=1), timedelta(hours=24))
CHANGE_NUMBER = re.compile(r"[A-Z]{2,10}[0-9]{1,15}")


class Deciding(Stopping):
    """People's half of the service. Every method names an account and raises ServiceError or JournalUnavailable."""

    async def approve(
        self, remediation_id: str, who: Account, *, digest: str = "", break_glass: str = "", change: str = ""
    ) -> View:
        """One person's yes to the digest that is proposed now, or to the question between its steps. Saying it twice
        counts once. `break_glass` is the reason for which it stands for all that are needed, `change` the number of the
        change that it is done under.

        Raises: UnknownId, NotAllowed (may not, asked for it), NotNow (ended, another digest, paused, taken, a storm),
        InvalidRequest.
        """
        r = await self._get(remediation_id)
        _check_approvable(r, digest, self._clock.now())
        change = _change_number(r, change)
        digest = digest or r.digest  # what was proposed when they said yes, whatever comes up while we ask around
        reason = self._reason(r, break_glass)
        granted = await self._granted(r, who, self._glass.settings if self._glass and reason else None)
        name = granted.person.name
        r = await self._get(remediation_id)
        _check_approvable(r, digest, self._clock.now())
        reason = self._reason(r, break_glass)
        if r.may_not_approve and r.may_not_approve in {name, who.key, *granted.person.ids("api")}:
            raise NotAllowed(f"{name} asked for {r.id} and cannot approve it", advice="Ask somebody else.")
        await self._check_not_stopped(r)
        yes = Approved(
            who=name,
            digest=r.digest,
            via=who.via,
            account=who.key,
            by=granted.by,
            break_glass=reason,
            change=change,
        )
        now = self._clock.now()
        said = [c for c in r.standing(now) if said_by(c, yes) and c.change == (change or c.change)]
        if any(c.break_glass or not reason for c in said):
            return _answer(r, f"{name} has approved {r.id} already. {_still_needed(r, now)}")
        after = await self._apply(r, yes, "approve")
        self._metrics.approvals.labels("break_glass" if reason else "approved").inc()
        alone = ", who breaks the glass; the leads are told" if reason else ""
        return _answer(after, f"Approved {r.id} by {name}{alone}. {_still_needed(after, self._clock.now())}")

    async def reject(self, remediation_id: str, who: Account, *, why: str = "") -> View:
        """A veto, which is final: whoever may approve, and everybody with the role operator. Raises: UnknownId, NotNow,
        NotAllowed, InvalidRequest."""
        said = said_in_a_line(why, "reason")
        r = await self._get(remediation_id)
        _check_rejectable(r)
        granted = await self._operator_or_approver(r, who, "reject")
        no = Rejected(who=granted.person.name, why=said, via=who.via, account=who.key, by=granted.by)
        after = await self._apply(r, no, "reject")
        self._metrics.approvals.labels("rejected").inc()
        return _answer(after, f"Rejected {r.id} by {granted.person.name}. Nothing more will be sent for it.")

    async def snooze(self, remediation_id: str, who: Account, *, until: datetime) -> View:
        """Ask again later; whoever may approve. Raises: UnknownId, NotNow, NotAllowed, InvalidRequest."""
        now = self._clock.now()
        shortest, longest = SNOOZE_LIMITS
        if not now + shortest <= until <= now + longest:
            raise InvalidRequest("a snooze lasts between 1 minute and 24 hours")
        r = await self._get(remediation_id)
        if r.state not in NEEDS_PERSON:
            raise NotNow(f"{r.id} {_is(r)}; there is nothing to snooze", advice=_look(r))
        granted = await self._granted(r, who, what="snooze")
        later = Snoozed(who=granted.person.name, until=until, via=who.via, account=who.key, by=granted.by)
        after = await self._apply(r, later, "snooze")
        self._metrics.approvals.labels("snoozed").inc()
        return _answer(after, f"Snoozed {r.id} until {until:%Y-%m-%d %H:%M} UTC, then it is proposed again.")

    def _reason(self, r: Remediation, break_glass: str) -> str:
        """The reason for breaking the glass; empty where nobody wants to. Raises: InvalidRequest, NotAllowed."""
        if not break_glass:
            return ""
        reason = said_in_a_line(break_glass, "reason")
        if self._glass is None:
            raise NotAllowed(
                "breaking the glass is not configured here",
                advice="Ask those who may approve it. For the next time: approvals.break_glass in the configuration.",
            )
        if len(reason) < SHORTEST_REASON:
            raise InvalidRequest(
                f"the reason has {len(reason)} characters, at least {SHORTEST_REASON} are needed",
                advice="Say why it cannot wait; the leads read it.",
            )
        if objection := self._glass.objection(r):
            raise NotAllowed(
                f"nobody can approve {r.id} alone: {objection}", advice=f"It needs all approvers. {_look(r)}"
            )
        return reason

    async def _check_not_stopped(self, r: Remediation) -> None:
        """Raises: NotNow, while a pause, a person's taking or a storm covers it."""
        now = self._clock.now()
        stops = covering(r, await self._journal.pauses(now))
        if stops:
            raise NotNow(
                f"{'; '.join(map(paused_by, stops))}; {r.id} can be looked at, not approved",
                advice=f"Lift it first: {', '.join(map(lifted_by, stops))}",
            )
        over = storm.over_at(r.verdicts, now)
        if over is not None and over > now:
            raise NotNow(
                f"a storm holds it, until {over:%H:%M} UTC if no more come; {r.id} can be looked at, not approved",
                advice=f"Look for the shared cause; snooze it meanwhile: remediator snooze {r.id}",
            )

    async def _apply(self, r: Remediation, event: Event, verb: str) -> Remediation:
        """The remediation after a person's event. It may have moved since we looked: then nothing is done."""
        decision = await self._runner.apply_from_person(r.id, event)
        if decision is None:
            raise UnknownId(f"no remediation is called {r.id!r}", advice=SEE_ALL)
        if decision.ignored:
            moved = decision.before
            stop = verb == "reject" and not moved.ended
            advice = f"To have nothing more sent for it: remediator take {r.id}. {_look(r)}" if stop else _look(r)
            raise NotNow(f"{r.id} moved meanwhile and {_is(moved)}; it was too late to {verb}", advice=advice)
        log.info("person_decided", remediation=r.id, who=getattr(event, "who", ""), what=verb)
        return decision.remediation


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


def _change_number(r: Remediation, change: str) -> str:
    """As its system writes it; empty where none is given and none is needed any more. Raises: InvalidRequest."""
    number = change.strip().upper()
    if number and not CHANGE_NUMBER.fullmatch(number):
        raise InvalidRequest(f"{change.strip()[:40]!r} is no number of a change", advice="It looks like CHG0030001.")
    if not number and not r.change and r.spec is not None and r.spec.approval.change == "required":
        raise InvalidRequest(
            f"{r.id} needs a change; name it with your approval",
            advice=f"remediator approve {r.id} --change CHG0030001",
        )
    return number


def _check_rejectable(r: Remediation) -> None:
    """Raises: NotNow."""
    if r.state not in REJECTABLE:
        stop = "" if r.ended else f"To have nothing more sent for it: remediator take {r.id}. "
        raise NotNow(f"{r.id} {_is(r)}; there is nothing to reject", advice=f"{stop}{_look(r)}")


def _is(r: Remediation) -> str:
    """`is approved by ann`, `ended 03:12 UTC: succeeded`."""
    if r.ended and r.ended_at:
        return f"ended {r.ended_at:%Y-%m-%d %H:%M} UTC: {r.state}"
    if r.state is State.APPROVED:
        return f"is approved already, by {', '.join(c.who for c in r.consents)}"
    return f"is {r.state.replace('_', ' ')}"


def _look(r: Remediation) -> str:
    return f"Look at it: remediator remediations show {r.id}"


def _still_needed(r: Remediation, now: datetime) -> str:
    """The consents on record are those to what is asked now: an earlier question's are gone."""
    quorum = r.spec.approval.quorum if r.spec else 1
    given = {c.who for c in r.standing(now)}
    if r.state is State.APPROVED:
        return "It is planned and checked once more, then it starts."
    if r.state not in NEEDS_PERSON and not question(r):
        return "It goes on."
    more = max(quorum - len(given), 0)
    return f"{len(given)} of {quorum} agreed, {more} more needed."


def _answer(r: Remediation, message: str) -> View:
    return {"message": message, "remediation": views.summary(r)}


def covering(r: Remediation, pauses: Sequence[Pause]) -> tuple[Pause, ...]:
    """Those that stop it."""
    scopes = set(pause_scopes(r))
    return tuple(p for p in pauses if p.scope in scopes)
