"""Moves remediations on: claim what is due, do the work its state asks for, let `decide` decide, commit, repeat.

The state says what the work is, so a crash anywhere simply means that the work is done again: reads are harmless, and
writes are guarded by their attempt rows. No remediation is ever held in memory between two steps of its life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from remediator.actions.change import Delete, Effect, Evict, Patch
from remediator.actions.workload import read_workload, takes_by_rollout
from remediator.errors import JournalUnavailable
from remediator.guardrails import storm
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.pause import taker
from remediator.guardrails.verdict import Answer, gravest
from remediator.objects import WORKLOADS, Object
from remediator.people.outbox_rows import OutboxMessage
from remediator.ports import Clock
from remediator.remediation.chooser import Chooser
from remediator.remediation.decide import decide
from remediator.remediation.draft import Decision, Notice
from remediator.remediation.effector import Effector
from remediator.remediation.events import (
    ActAnswer,
    Acted,
    DeadlinePassed,
    Event,
    PlanMade,
    Probed,
    ReserveRefused,
    Sampled,
    TimerFired,
)
from remediator.remediation.evidence import Evidence
from remediator.remediation.journal import (
    Committed,
    Journal,
    ReservationRefused,
    ReserveRequest,
    StaleRemediation,
)
from remediator.remediation.pausing import taking
from remediator.remediation.planner import Planner, subject_of
from remediator.remediation.state import Remediation, State
from remediator.remediation.storms import Storms
from remediator.remediation.verifier import Verifier

log = structlog.get_logger()

LEASE = timedelta(seconds=10)
IDLE = timedelta(seconds=30)
FRESH = timedelta(seconds=1)
"""Guards that were evaluated so recently are not evaluated again before the first effect."""
SAME_EVENT_AGAIN = (Acted, Probed)
"""Events that stay true when somebody else moved the remediation meanwhile: they carry their effect's id."""

Teller = Callable[[Decision], Awaitable[Sequence[OutboxMessage]]]
"""Turns a decision into the messages that are committed with it."""

Shower = Callable[[Remediation, Sequence[Evidence]], Awaitable[None]]
"""Shows evidence to people."""

Observer = Callable[[Decision], None]
"""Metrics and logs."""


async def _nothing() -> None:
    return None


class Runner:
    """One runner per process. `holder` is unique per process start."""

    def __init__(
        self,
        *,
        holder: str,
        journal: Journal,
        chooser: Chooser,
        planner: Planner,
        limits: Callable[[Remediation], EffectiveLimits],
        effector: Effector,
        verifier: Verifier,
        tell: Teller,
        clock: Clock,
        show: Shower,
        storms: Storms,
        on_decision: Observer = lambda decision: None,
        on_frozen: Callable[[float], None] = lambda gap_s: None,
        lease: timedelta = LEASE,
        concurrency: int = 64,
    ) -> None:
        self._holder = holder
        self._journal = journal
        self._chooser = chooser
        self._planner = planner
        self._limits = limits
        self._effector = effector
        self._verifier = verifier
        self._tell = tell
        self._clock = clock
        self._show = show
        self._storms = storms
        self._on_decision = on_decision
        self._on_frozen = on_frozen
        self._lease = lease
        self._concurrency = concurrency
        self.take_alerts: Callable[[], Awaitable[object]] = _nothing
        """Set by the assembly: place every accepted alert."""
        self._poked = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._evidence: dict[str, Sequence[Evidence]] = {}
        """Collected and written down, to be shown with the first message."""

    def poke(self) -> None:
        """Something may be due now: an alert came in, a person decided, a pause ended."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled. Errors of the store are waited out; nothing is acted on meanwhile."""
        heartbeat = asyncio.create_task(self._keep_leases(), name="leases")
        try:
            while True:
                self._poked.clear()
                try:
                    await self.tick()
                    pause = await self._until_next()
                except JournalUnavailable as exc:
                    log.warning("journal_unavailable", error=str(exc))
                    pause = 1.0
                await self._sleep(pause)
        finally:
            heartbeat.cancel()
            for task in list(self._tasks.values()):
                task.cancel()
            await asyncio.gather(heartbeat, *self._tasks.values(), return_exceptions=True)

    async def tick(self) -> None:
        """Claim what is due and start its work. Raises: JournalUnavailable."""
        await self._storms.keep()
        free = self._concurrency - len(self._tasks)
        if free <= 0:
            return
        for r in await self._journal.claim(self._holder, self._clock.now(), self._lease, free, tuple(self._tasks)):
            if r.id not in self._tasks:
                task = asyncio.create_task(self._advance(r), name=r.id)
                self._tasks[r.id] = task
                task.add_done_callback(self._finished)

    async def drain(self) -> None:
        """Wait for the work that is under way (tests, shutdown)."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task.get_name(), None)
        self._poked.set()

    async def _until_next(self) -> float:
        due = await self._journal.next_due(tuple(self._tasks), self._holder)
        idle = min(IDLE.total_seconds(), self._storms.pause())
        return idle if due is None else min(max((due - self._clock.now()).total_seconds(), 0.0), idle)

    async def _sleep(self, seconds: float) -> None:
        """Until something pokes, at most so long."""
        if len(self._tasks) >= self._concurrency:
            seconds = IDLE.total_seconds()  # a finished task pokes
        sleeper = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.005)))
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            await asyncio.wait({sleeper, poked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            poked.cancel()

    async def _keep_leases(self) -> None:
        """Renew leases; a gap longer than the lease means that another process may have taken over: leave at once."""
        last = self._clock.boot()
        while True:
            await self._clock.sleep(self._lease.total_seconds() / 4)
            now = self._clock.boot()
            if now - last > self._lease.total_seconds():
                log.error("frozen_longer_than_lease", gap_s=round(now - last, 1))
                self._on_frozen(now - last)
            last = now
            working = dict(self._tasks)
            try:
                ours = await self._journal.renew(self._holder, tuple(working), self._clock.now(), self._lease)
            except JournalUnavailable as exc:
                log.warning("journal_unavailable", error=str(exc), during="lease renewal")
                continue
            for lost in set(working) - ours:
                # Not what was claimed while the store answered.
                if self._tasks.get(lost) is working[lost]:
                    self._lose(lost)

    def _lose(self, remediation_id: str) -> None:
        task = self._tasks.get(remediation_id)
        if task is not None and not task.done():
            log.warning("lease_lost", remediation=remediation_id)
            task.cancel()

    async def _advance(self, r: Remediation) -> None:
        """As far as it goes now."""
        try:
            await self.advance(r)
        except JournalUnavailable as exc:
            log.warning("journal_unavailable", remediation=r.id, error=str(exc))
            await self._clock.sleep(1.0)
        except StaleRemediation as exc:
            log.info("moved_by_someone_else", remediation=r.id, detail=str(exc))
        except asyncio.CancelledError:
            raise
        except Exception:
            # A bug here must neither stop the others nor spin: this one is looked at again after a while.
            log.exception("work_failed", remediation=r.id, state=r.state.value)
            await self._clock.sleep(5.0)

    async def advance(self, r: Remediation) -> Remediation:
        """Work, decide, commit, until nothing is due. Raises: JournalUnavailable, StaleRemediation."""
        while not r.ended:
            now = self._clock.now()
            if r.deadline is not None and now >= r.deadline:
                event = await self._deadline(r)
            elif r.due is not None and now >= r.due:
                event = await self._work(r)
            else:
                break
            r = await self.apply(r, event)
        return r

    async def apply(self, r: Remediation, event: Event) -> Remediation:
        """Decide and commit one event of our own. Raises: JournalUnavailable, StaleRemediation."""
        while True:
            try:
                return await self._commit(decide(r, event, self._clock.now()))
            except StaleRemediation:
                fresh = await self._journal.get(r.id)
                if fresh is None or fresh.epoch != r.epoch or not isinstance(event, SAME_EVENT_AGAIN):
                    raise
                if fresh.version == r.version:
                    raise  # nobody has moved it: it is not ours any more, and asking again would never end
                r = fresh

    async def apply_from_person(self, remediation_id: str, event: Event) -> Decision | None:
        """A person's event through API or CLI; None when there is no such remediation. Raises: JournalUnavailable."""
        for _ in range(20):
            r = await self._journal.get(remediation_id)
            if r is None:
                return None
            decision = decide(r, event, self._clock.now())
            if decision.ignored:
                return decision
            try:
                await self._commit(decision, holder="")
            except StaleRemediation:
                continue
            self.poke()
            return decision
        raise JournalUnavailable("the remediation kept moving; try again")

    async def _commit(self, decision: Decision, *, holder: str | None = None) -> Remediation:
        """One transaction for everything a decision means. A refused reservation is an event of its own."""
        now = self._clock.now()
        holder = self._holder if holder is None else holder
        if decision.ignored:
            return await self._shelve(decision, now, holder)
        child = await self._chooser.child(decision, now)
        if decision.child and child is None:
            # The next playbook of the ladder is not loaded any more: a person is next.
            decision = replace(decision, child="", release=True, notices=(*decision.notices, Notice.ESCALATED))
        after = decision.remediation
        result = await self._journal.commit(
            decision,
            now,
            holder=holder,
            reserve=self._reservation(after) if decision.reserve else None,
            child=child,
            messages=await self._tell(decision),
            keep_claim=bool(holder) and not after.ended and after.due is not None and after.due <= now,
        )
        if isinstance(result, ReservationRefused):
            explanation = explain(result.verdicts, subject=subject_of(after))
            refused = ReserveRefused(verdicts=result.verdicts, explanation=explanation)
            return await self._commit(decide(decision.before, refused, now), holder=holder)
        self._storms.saw(decision)
        self._on_decision(replace(decision, remediation=result.remediation))
        if decision.notices and (evidence := self._evidence.pop(after.id, ())):
            await self._show(result.remediation, evidence)
        if child is not None or after.ended:
            self.poke()
        return result.remediation

    async def _shelve(self, decision: Decision, now: datetime, holder: str) -> Remediation:
        """An event that no row knows is kept as evidence; an ended remediation is not touched at all."""
        r, event = decision.before, decision.event
        data = {"event": type(event).__name__, "detail": str(getattr(event, "detail", ""))}
        log.warning("event_ignored", remediation=r.id, state=r.state.value, what=data["event"], detail=data["detail"])
        await self._journal.note(r.id, "ignored", f"{data['event']} does not fit {r.state.value}", data, now)
        if r.ended or not holder:
            return r
        result = await self._journal.commit(decision, now, holder=holder, keep_claim=False)
        assert isinstance(result, Committed)
        return result.remediation

    def _reservation(self, r: Remediation) -> ReserveRequest:
        assert r.plan is not None
        assert r.spec is not None
        return ReserveRequest(
            locks=r.plan.locks,
            target_key=f"{r.cluster}/{r.plan.root.key}",
            playbook=r.playbook,
            cluster=r.cluster,
            namespace=r.plan.target.namespace,
            direction=next((s.direction for s in r.plan.steps if s.direction), ""),
            limits=self._limits(r),
            between_rungs=bool(r.parent),
            domains=r.plan.domains,
            beside=tuple((f"{r.cluster}/{ref.key}", ref.namespace) for ref in r.plan.targets),
        )

    # --- the work of each state -----------------------------------------------------------------------------------

    async def _work(self, r: Remediation) -> Event:
        """What the state asks for. Raises: JournalUnavailable, StaleRemediation."""
        match r.state:
            case State.RECEIVED | State.PLANNED | State.HELD:
                if r.spec is None:
                    # A storm counts all alerts of one delivery before any of them is decided.
                    await self.take_alerts()
                    return await self._storms.marked(r, await self._chooser.choose(r))
                if r.state is State.HELD and (over := await self._verifier.over(r)):
                    return over
                return await self._storms.marked(r, await self._plan(r))
            case State.AWAITING_APPROVAL | State.SNOOZED:
                watched = await self._verifier.watch(r)
                if watched.quiet_since or watched.resolved or r.quiet_since or r.unproven:
                    return watched
                return await self._planner.plan(r)  # the guards as they are now, shown beside the proposal
            case State.APPROVED:
                return await self._verifier.over(r) or await self._planner.plan(r)
            case State.RESERVED | State.ACTING | State.UNDOING:
                return await self._act(r)
            case State.UNCERTAIN:
                return await self._effector.probe(r)
            case State.WAITING:
                return await self._wait(r)
            case State.VERIFYING | State.INCONCLUSIVE:
                return Sampled(sample=await self._verifier.sample(r))
            case _:
                return TimerFired()

    async def _plan(self, r: Remediation) -> Event:
        """Plan, and collect the evidence once, at the same time: a restart takes the logs of what it restarts away."""
        if r.spec is not None and r.spec.is_report:
            return await self._report(r)
        if r.collected or r.spec is None or not r.spec.collect or r.mode == "observe":
            return await self._planner.plan(r)
        made, evidence = await asyncio.gather(self._planner.plan(r), self._verifier.collect(r))
        await self._write_down(r, evidence)
        self._evidence[r.id] = evidence
        return replace(made, collected=True)

    async def _report(self, r: Remediation) -> PlanMade:
        """Only looked and told: there is nothing to plan, and so nothing that a guard could object to. The message is
        made from what is on record, in the transaction that ends it."""
        evidence = await self._verifier.collect(r)
        await self._write_down(r, evidence)
        missing = sum(bool(piece.error) for piece in evidence)
        said = f"reported: {len(evidence) - missing} of {len(evidence)} pieces of evidence"
        return PlanMade(plan=None, verdicts=(), explanation=said, collected=True)

    async def _write_down(self, r: Remediation, evidence: Sequence[Evidence]) -> None:
        for piece in evidence:
            data = {
                "title": piece.title,
                "text": piece.summary or piece.error,
                "log": piece.text,
                "data": dict(piece.data),
            }
            await self._journal.note(r.id, "evidence", piece.title, data, self._clock.now())

    async def _deadline(self, r: Remediation) -> Event:
        """The state's time is over. What was not answered is looked at first, and made safe before a person takes
        over."""
        if r.state is State.UNCERTAIN:
            probed = await self._effector.give_up(r)
            return DeadlinePassed() if probed.answer == "cannot_see" else probed
        if r.state in (State.RESERVED, State.ACTING, State.UNDOING) and await self._effector.unanswered(r):
            return Acted(effect_id=r.effect_id, answer="uncertain", detail="no clear answer in time")
        pause = taking(r, await self._journal.pauses(self._clock.now()))
        return DeadlinePassed(taken=taker(pause) if pause else "")

    async def _act(self, r: Remediation) -> Event:
        if r.undoing and r.undo_sent >= len(r.undo_left):
            return Sampled(sample=await self._verifier.rollout(r))
        acted = await self._effector.act(r, self._last_look)
        if acted.answer in ("refused", "deny") and r.done:
            return replace(acted, worse=await self._verifier.is_worse(r))
        return acted

    async def _last_look(self, r: Remediation, effect: Effect, looked: Object | None) -> Acted | None:
        """Asked between the last look and the attempt row. The first effect was guarded a moment ago, when it was
        planned. What is sent again as it is was guarded when it was sent first; only a silence or a storm may have come
        since."""
        if looked is None:
            return await self._look_before_resend(r)
        if r.undoing:
            return await self._undo_look(r, effect, looked)
        fresh = r.plan is not None and timedelta(0) <= self._clock.now() - r.plan.made_at <= FRESH
        if fresh and r.effect == 0 and not isinstance(effect, Evict | Delete):
            return None
        verdicts = await self._planner.guard(r)
        answer = gravest(verdicts)
        asks = answer is Answer.ASK and not r.agreed
        if answer.rank < Answer.SUGGEST.rank and not asks:
            return None
        detail = explain(verdicts, subject=subject_of(r))
        no: ActAnswer = "hold" if asks or answer is Answer.HOLD else "deny"
        return Acted(effect_id=r.effect_id, answer=no, detail=detail)

    async def _look_before_resend(self, r: Remediation) -> Acted | None:
        silenced = await self._planner.silenced(r)
        if silenced.answer.rank >= Answer.SUGGEST.rank:
            return Acted(effect_id=r.effect_id, answer="paused", detail=explain((silenced,), subject=subject_of(r)))
        goes_on = r.undoing or r.releases or storm.goes_on(r.verdicts)
        held = None if goes_on else await self._storms.holds(r.cluster)
        if held is None:
            return None
        return Acted(effect_id=r.effect_id, answer="hold", detail=explain((held,), subject=subject_of(r)))

    async def _undo_look(self, r: Remediation, effect: Effect, looked: Object) -> Acted | None:
        """An undo never takes the last healthy copy away."""
        if not isinstance(effect, Patch) or looked.get("kind") not in WORKLOADS:
            return None
        workload = read_workload(looked)
        after = next((c.after for c in effect.changes if c.path == ("spec", "replicas")), workload.desired)
        pods = await self._planner.pods_of(r, looked) if effect.replace else ()
        takes = takes_by_rollout(workload, pods) if effect.replace else max(0, workload.available - int(after or 0))
        if takes == 0 or workload.available - takes >= 1:
            return None
        detail = f"not undone: {workload.available} healthy, the undo would take {takes} of them"
        return Acted(effect_id=r.effect_id, answer="deny", detail=detail)

    async def _wait(self, r: Remediation) -> Event:
        if over := await self._verifier.over(r):
            return over
        match r.waiting_for:
            case "gate":
                sampled = await self._verifier.gate(r)
                if sampled.answer == "bad" and r.done:
                    return replace(sampled, worse=await self._verifier.is_worse(r))
                return sampled
            case "":
                planned = await self._planner.plan_step(r)
                if r.done and gravest(planned.verdicts) is Answer.DENY:
                    return replace(planned, worse=await self._verifier.is_worse(r))
                return planned
            case _:
                return TimerFired()
