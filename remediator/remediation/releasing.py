"""Ends the holds of drift correction that remediations have taken: once the pull request is merged, or after two hours.

What ends one is a remediation like any other, told and proven, which no approval is asked for: it was part of what was
approved. Here it is only decided when it begins, on what the record, the GitOps object and the forge say now. All of it
is looked at again every minute, so a restart costs nothing. Where the hold is over already, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from remediator.actions.change import Call
from remediator.actions.times import parse_time
from remediator.errors import CannotSee, JournalUnavailable, NotFound, ReadError
from remediator.guardrails.pause import paused_by
from remediator.guardrails.verdict import Answer
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.wording import HOLD_OVER, HOLD_STAYS
from remediator.ports import Callers, Clock, Cluster
from remediator.remediation.checks.base import one_line
from remediator.remediation.chooser import Chooser
from remediator.remediation.holds import FORGE, LONGEST_HOLD, Hold, holds_of, over, settled_by_others, under_way
from remediator.remediation.journal import Journal, WaitingHold
from remediator.remediation.pausing import pause_scopes
from remediator.remediation.state import HOLDING, Remediation, State

log = structlog.get_logger()

AT_ONCE = 200
DRY_RUN = "dry_run"
AGAIN_AFTER, AGAIN_WITHIN = timedelta(hours=1), timedelta(days=1)

SEEN_WITHIN = timedelta(minutes=5)
"""By then a controller has looked at Git. Before that it would apply what was there before the merge."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a pull request, for people; whether it was merged, and when."""

    text: str
    merged: bool = False
    at: datetime | None = None


class Tell(Protocol):
    """Makes the messages about what became later of something that a remediation has done for a time only."""

    async def __call__(self, r: Remediation, state: str, text: str, *, about: str = "") -> Sequence[OutboxMessage]: ...


class Releaser:
    """One per process. `poke` wakes the runner."""

    def __init__(
        self,
        *,
        journal: Journal,
        clusters: Mapping[str, Cluster],
        callers: Callers,
        chooser: Chooser,
        tell: Tell,
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clusters = clusters
        self._callers = callers
        self._chooser = chooser
        self._tell = tell
        self._clock = clock
        self._poke = poke

    async def turn(self) -> None:
        """Look at every hold that nobody has ended. Raises: JournalUnavailable."""
        for waiting in await self._journal.waiting_holds(AT_ONCE):
            try:
                await self._look(waiting)
            except JournalUnavailable:
                raise
            except Exception:  # one that cannot be looked at keeps no other from its end
                log.exception("hold_not_looked_at", remediation=waiting.remediation_id, effect=waiting.effect_id)

    async def _look(self, waiting: WaitingHold) -> None:
        now = self._clock.now()
        r = await self._journal.get(waiting.remediation_id)
        hold = next((h for h in holds_of(r) if h.effect_id == waiting.effect_id), None) if r is not None else None
        if r is None or hold is None:
            await self._settle(waiting, now, "its record is gone")
            return
        if await self._last_one_counts(waiting, hold, now):
            return
        unseen = ""
        try:
            done = settled_by_others(hold, await self._found(r, hold))
        except ReadError as exc:
            done, unseen = "", f"{hold.patch.ref} cannot be read: {exc}"
        if done:
            await self._settle(waiting, now, done)
            return
        await self._decide(waiting, r, hold, unseen, now)

    async def _last_one_counts(self, waiting: WaitingHold, hold: Hold, now: datetime) -> bool:
        """Whether what was begun before is under way, has done it, or ended a short while ago."""
        last = await self._journal.get(waiting.release_id) if waiting.release_id else None
        if last is None:
            return False
        if last.ended and (last.done or _for_good(last)):
            await self._settle(waiting, now, f"released by {last.id}" if last.done else f"{last.id}: {last.reason}")
            return True
        if last.ended_at is None:
            return True
        return now - last.ended_at < again_after(last.ended_at - hold.at)

    async def _decide(self, waiting: WaitingHold, r: Remediation, hold: Hold, unseen: str, now: datetime) -> None:
        late = now - hold.at >= LONGEST_HOLD
        why, known = over(r, hold), ""
        if not why and hold.requests and (late or not under_way(r)):
            found = [await self._request(r, call) for call in hold.requests]
            known = "; ".join(one.text for one in found)
            if all(one.merged for one in found):
                seen_by_all = not any(one.at is not None and now - one.at < SEEN_WITHIN for one in found)
                if not seen_by_all and now - hold.at < LONGEST_HOLD + SEEN_WITHIN:  # a forge's clock may be wrong
                    return
                why = known
        if not why and not late:
            return
        in_the_way = unseen or await self._in_the_way(r, hold, now)
        if late and waiting.told_at is None and (not why or in_the_way):
            await self._say_late(waiting, r, hold, why or known, in_the_way, merged=bool(why))
        if not in_the_way:
            await self._begin(waiting, r, hold, why or f"it has lasted for {_hours(now - hold.at)}", now)

    async def _begin(self, waiting: WaitingHold, r: Remediation, hold: Hold, why: str, now: datetime) -> None:
        opened = await self._journal.release_hold(waiting, self._chooser.release(r, hold, why, now), now)
        if opened is not None:
            log.info("release_begins", remediation=opened.id, releases=hold.effect_id, reason=why)
            self._poke()

    async def _say_late(
        self, waiting: WaitingHold, r: Remediation, hold: Hold, known: str, in_the_way: str, *, merged: bool
    ) -> None:
        """`known`: what is known of its pull request, or why the hold is over already."""
        now = self._clock.now()
        since = f"{hold.owner} is held since {hold.at:%H:%M} UTC, which is {_hours(LONGEST_HOLD)} at most."
        next_step = f"It is not released yet: {in_the_way}." if in_the_way else "It is released now."
        what = f"{known[:1].upper()}{known[1:]}." if known else "No pull request of it is known."
        keep = "" if merged else "Git takes the live change back. To keep it, merge what Git is to say."
        text = " ".join(part for part in (since, what, next_step, keep) if part)
        messages = await self._tell(r, HOLD_STAYS if merged else HOLD_OVER, text, about=hold.owner)
        if await self._journal.told_of_hold(hold.effect_id, now, messages):
            log.warning("held_for_too_long", remediation=r.id, effect=hold.effect_id, reason=text)

    async def _settle(self, waiting: WaitingHold, now: datetime, detail: str) -> None:
        await self._journal.settle_hold(waiting.effect_id, now, detail)
        log.info("hold_settled", remediation=waiting.remediation_id, effect=waiting.effect_id, reason=detail)

    # --- looking --------------------------------------------------------------------------------------------------

    async def _found(self, r: Remediation, hold: Hold) -> Any:
        """What holds it, as it is now; None where it does not exist. Raises: ReadError."""
        if r.cluster not in self._clusters:
            raise CannotSee(f"cluster {r.cluster} is not configured")
        try:
            return await self._clusters[r.cluster].get(hold.patch.ref)
        except NotFound:
            return None

    async def _request(self, r: Remediation, call: Call) -> Request:
        """What is known of a pull request. One that cannot be seen is not merged."""
        branch = str(call.request.get("branch", ""))
        forge = self._callers.get(r.cluster, {}).get(FORGE)
        unknown = f"what became of its pull request (branch {branch} of {call.place}) cannot be seen"
        if forge is None:
            return Request(f"{unknown}: no forge is configured (outside.forges)")
        try:
            answer = await forge.ask(call.place, {"about": "pull_request", "branch": branch})
        except ReadError as exc:
            return Request(f"{unknown}: {exc}")
        except Exception as exc:  # whatever is wrong with it must not keep Git held
            log.exception("pull_request_not_looked_at", remediation=r.id, repository=call.place, branch=branch)
            return Request(f"{unknown}: {type(exc).__name__}")
        state = answer.get("state") if isinstance(answer, Mapping) else None
        if state == "none":
            return Request(f"there is no pull request for branch {branch} of {call.place}")
        if state not in _STATES:
            return Request(unknown)
        merged, url = state == "merged", one_line(str(answer.get("url") or ""), 200)
        number = one_line(str(answer.get("number") or ""), 20)
        where = f" ({url})" if url and not merged else ""
        at = _time(answer.get("merged_at")) if merged else None
        return Request(f"pull request #{number}{where} {_STATES[state]}", merged=merged, at=at)

    async def _in_the_way(self, r: Remediation, hold: Hold, now: datetime) -> str:
        """What the release would only wait for; empty = nothing. It is guarded again, like everything, once it is
        planned."""
        scopes = {*pause_scopes(r), *pause_scopes(replace(r, target=hold.patch.ref, plan=None))}
        for pause in await self._journal.pauses(now):
            if pause.scope in scopes:
                return paused_by(pause)
        others = await self._journal.unfinished(r.cluster, r.root) if r.root is not None else ()
        busy = next((o.id for o in others if o.state in HOLDING), "")
        return f"{busy} is under way there" if busy else ""


def again_after(lasted: timedelta) -> timedelta:
    """When a release is tried again that ended without an effect: its people know why, so ever more seldom."""
    return min(max(AGAIN_AFTER, lasted), AGAIN_WITHIN)


def _for_good(last: Remediation) -> bool:
    """Whether one of our own guardrails has denied it. What the API server refuses it may take once somebody has mended
    a webhook or a right."""
    denied = (v.guardrail for v in last.verdicts if v.answer is Answer.DENY)
    return last.state is State.DENIED and any(name != DRY_RUN for name in denied)


def _time(text: Any) -> datetime | None:
    """When it was merged; None where the forge does not say."""
    try:
        return parse_time(str(text))
    except ValueError:
        return None


_STATES = {"merged": "was merged", "open": "is open", "closed": "was closed without being merged"}


def _hours(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60}h{minutes % 60}m" if minutes % 60 else f"{minutes // 60}h"
