"""One remediation's life, and that of its rungs: the runner and the store as a model around the real `decide`.

Each call of `work` does what the runner does with a remediation that is due, with the outcome of everything outside
chosen by `choose`: a property test draws it, a walk takes it from a seed. What was committed is checked as it happens
(`life_checks`). The true order of things is the order of the calls; the wall clock (`now`) may jump.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from remediator.actions.change import Evict, Patch
from remediator.guardrails.facts import EffectiveLimits, Pause
from remediator.guardrails.order import evaluate
from remediator.guardrails.pause import taker
from remediator.guardrails.scopes import episode_scope
from remediator.guardrails.verdict import Answer, Verdict, gravest
from remediator.playbooks.model import Mode
from remediator.playbooks.windows_model import Window, Windows
from remediator.remediation.decide import decide
from remediator.remediation.draft import Decision
from remediator.remediation.events import (
    ActAnswer,
    Acted,
    Approved,
    Chosen,
    DeadlinePassed,
    Event,
    GateSampled,
    Joined,
    NoneChosen,
    PlanMade,
    ProbeAnswer,
    Probed,
    Rejected,
    ReserveRefused,
    Sampled,
    Snoozed,
    StepPlanned,
    TimerFired,
    Watched,
)
from remediator.remediation.pausing import taking
from remediator.remediation.state import Candidate, Remediation, State, dump, load
from tests.guardrails import make
from tests.remediation.life_checks import Checks
from tests.remediation.life_cluster import ApiServer, Attempt, Choose, Fate
from tests.remediation.life_playbooks import PLAYBOOKS, RUNGS, plan_for, planned_again
from tests.support.building import API, remediation, samples, verdict

PEOPLE = ("ann", "bob", "eve")
REQUESTER = "eve"
AGAIN = (Acted, Probed)
"""What stays true when somebody moved the remediation meanwhile, as the runner has it."""

NIGHT = timedelta(hours=3)
PLAN_ANSWERS = (Answer.PASS,) * 5 + tuple(Answer)
LOOKS: tuple[ActAnswer | None, ...] = (*(None,) * 6, "changed", "refused", "paused", "hold", "deny")
FATES: tuple[Fate, ...] = (
    *("done",) * 6,
    *("lost", "carried out", "under way", "conflict", "conflict", "conflict", "refused", "busy", "budget", "not_sent"),
)
HEALTH = ("good", "good", "bad", "worse", "worse", "unknown")


NIGHTS = {
    zone: (Windows(deny=(Window(cron="30 1 * * *", duration=NIGHT, zone=zone),)),)
    for zone in ("Europe/Berlin", "America/New_York")
}
"""Nothing is done in the hours in which clocks change."""


def in_the_night(zone: str, at: datetime) -> bool:
    """Minute by minute: did a clock in that zone show 01:30 within the last three hours?"""
    here = ZoneInfo(zone)
    minute = at.replace(second=0, microsecond=0)
    minutes = range(int(NIGHT.total_seconds()) // 60)
    looked = ((minute - timedelta(minutes=back)).astimezone(here) for back in minutes)
    return any((t.hour, t.minute) == (1, 30) for t in looked)


def always(value: Any) -> Choose[Any]:
    """The same thing each time, where it is on offer; else the first."""
    return lambda options: value if value in options else options[0]


class Stale(Exception):
    """The store refuses what was decided on a version that is not there any more."""


@dataclass(slots=True)
class Weather:
    """What the world answers. Whatever is None is chosen each time."""

    plan: Answer | None = None
    look: ActAnswer | None = None
    fate: Fate | None = None
    health: str | None = None
    kind: bool = False
    """Nothing unforeseen happens: no lost decisions, no refused reservations."""


class Life:
    """`spec` is the playbook that will be chosen. Everything a test may turn is an attribute."""

    def __init__(self, spec: str, choose: Choose[Any], now: datetime, zone: str = "") -> None:
        self.choose = choose
        self.now = now
        self.first = spec
        self.zone = zone
        self.weather = Weather()
        self.api = ApiServer(on_landed=self._landed)
        self.deps_up = True
        self.pauses: tuple[Pause, ...] = ()
        self.storm: datetime | None = None
        """When the storm that this is part of is over."""
        self.resolved = False
        self.quiet = False
        self.variant = 0
        self.epochs = 0
        self.rungs = 0
        requester = REQUESTER if PLAYBOOKS[spec].mode.value == "approve" else ""
        self.r = remediation(
            State.RECEIVED,
            spec=None,
            chain=(),
            requester=requester,
            created_at=now,
            since=now,
            due=now,
            deadline=None,
            candidates=(Candidate(playbook=spec, alert_id="a-1"),),
        )
        self.before = self.r
        """As it was stored before the last commit: what a process that was frozen meanwhile still believes."""
        self.checks = Checks(self)
        self.story: list[str] = []

    # --- the store -------------------------------------------------------------------------------------------------

    def _landed(self, effect: str) -> None:
        self.checks.landed(effect)

    def commit(self, decision: Decision) -> None:
        """One transaction, or ReserveRefused instead. What comes out is what a restart would read."""
        if (decision.before.id, decision.before.version) != (self.r.id, self.r.version):
            raise Stale
        if decision.ignored:
            self.checks.ignored(decision)
            if not self.r.ended:
                self._store(decision.remediation)
            return
        after = decision.remediation
        if decision.reserve:
            if not self.weather.kind and self.choose((False,) * 7 + (True,)):
                self.apply(ReserveRefused(verdicts=(verdict("hold", "in_flight"),), explanation="a lock was faster"))
                return
            self.epochs += 1
            after = replace(after, epoch=self.epochs)
        self.story.append(f"{self.now:%H:%M:%S} {type(decision.event).__name__}: {decision.rule}")
        self.checks.committed(replace(decision, remediation=after))
        self._store(after)
        if decision.child:
            self._store(self._child(after, decision.child))
            self.checks.opened(self.r)

    def _store(self, r: Remediation) -> None:
        self.before, self.r = self.r, r

    def restart(self) -> None:
        """What a new process reads is what the old one stored."""
        again = load(dump(self.r))
        assert again == self.r, "the state does not survive its storage"
        self.r = again

    def _child(self, parent: Remediation, name: str) -> Remediation:
        """As the chooser makes the next rung."""
        self.rungs += 1
        spec = PLAYBOOKS[name]
        return remediation(
            State.PLANNED,
            id=f"r-1.{self.rungs}",
            spec=spec,
            mode=spec.mode.value,
            parent=parent.id,
            ladder=parent.ladder[1:],
            chain=(*parent.chain, spec.name),
            created_at=self.now,
            since=self.now,
            due=self.now,
            deadline=self.now + timedelta(minutes=15),
        )

    def apply(self, event: Event) -> None:
        self.commit(decide(self.r, event, self.now))

    # --- what may happen at any moment -----------------------------------------------------------------------------

    def approve(self, who: str, digest: str) -> None:
        self.checks.approves(who, digest)
        self.apply(Approved(who=who, digest=digest))

    def reject(self, who: str) -> None:
        self.apply(Rejected(who=who))

    def snooze(self, minutes: int) -> None:
        self.apply(Snoozed(who="ann", until=self.now + timedelta(minutes=minutes)))

    def join(self, alert: str, severity: str) -> None:
        self.apply(Joined(alerts=(alert,), severity=severity))

    def pause(self, *, taken: bool = False) -> None:
        """`taken`: a person takes the episode."""
        scope = episode_scope(self.r.episode) if taken else "everything"
        self.pauses = (Pause(id="p-1", scope=scope, who="ann", why="look", until=None, created_at=self.now),)

    def resume(self) -> None:
        """What may have waited for it is due at once."""
        self.pauses = ()
        waits = self.r.state in (State.HELD, State.APPROVED) or (
            self.r.state is State.WAITING and self.r.waiting_for in ("pause", "guard")
        )
        if waits and self.r.due is not None and self.r.due > self.now:
            self._store(replace(self.r, due=self.now))

    def stale_decision(self) -> None:
        """Another process decides on what it read a while ago: the store does not take it."""
        if (self.before.id, self.before.version) == (self.r.id, self.r.version):
            return
        stored = self.r
        try:
            self.commit(decide(self.before, DeadlinePassed(), self.now))
        except Stale:
            assert self.r is stored
        else:
            raise AssertionError("a decision on an old state was taken")

    def late_word(self, answer: Any) -> None:
        """An answer about an effect that is not the next one is evidence, and moves nothing."""
        known: tuple[Event, ...] = (
            Acted(effect_id="r-0/0.0", answer=answer),
            Probed(effect_id="r-0/0.0", answer="happened"),
        )
        assert all(decide(self.r, event, self.now).ignored for event in known)

    # --- the runner ------------------------------------------------------------------------------------------------

    @property
    def next_wake(self) -> datetime:
        wakes = [at for at in (self.r.due, self.r.deadline) if at is not None]
        assert wakes, f"nothing will ever look at {self.r.state.value} again"
        return min(wakes)

    def sleep(self) -> None:
        """Until something is due."""
        if not self.r.ended:
            self.now = max(self.now, self.next_wake)

    def work(self, *, meanwhile: Event | None = None, lost: bool = False) -> None:
        """One go of `Runner.advance`. `meanwhile`: a person's event is committed first. `lost`: the process dies before
        the commit, or the store is down: what was sent was sent, and the decision never was."""
        r = self.r
        if r.ended:
            return
        if r.deadline is not None and self.now >= r.deadline:
            event = self._deadline(r)
        elif r.due is not None and self.now >= r.due:
            event = self._work(r)
        else:
            return
        if meanwhile is not None and not r.ended:
            decision = decide(self.r, meanwhile, self.now)
            if isinstance(meanwhile, Approved):
                self.checks.approves(meanwhile.who, meanwhile.digest)
            if not decision.ignored:
                self.commit(decision)
        moved = self.r.version != r.version
        if lost or (moved and (self.r.epoch != r.epoch or not isinstance(event, AGAIN))):
            return
        self.apply(event)

    def _deadline(self, r: Remediation) -> Event:
        if r.state is State.UNCERTAIN:
            if not self.deps_up:
                return DeadlinePassed()
            return self._probed(r, self.api.give_up(r.effect_id))
        if r.state in (State.RESERVED, State.ACTING, State.UNDOING) and self.api.unsettled(r.effect_id):
            return self._acted(r, "uncertain")
        pause = taking(r, self.pauses)
        return DeadlinePassed(taken=taker(pause) if pause else "")

    def _work(self, r: Remediation) -> Event:
        match r.state:
            case State.RECEIVED | State.PLANNED | State.HELD:
                if r.spec is None:
                    return self._choose()
                return (self._over() if r.state is State.HELD else None) or self._plan(r)
            case State.AWAITING_APPROVAL | State.SNOOZED:
                if self.resolved or self.proven_quiet or r.quiet_since or r.unproven:
                    return self._watch()
                return self._plan(r)
            case State.APPROVED:
                return self._over() or self._plan(r)
            case State.RESERVED | State.ACTING | State.UNDOING:
                return self._act(r)
            case State.UNCERTAIN:
                return self._probed(r, self.api.probe(r.effect_id) if self.deps_up else "cannot_see")
            case State.WAITING:
                return self._wait(r)
            case _:
                return self._sample()

    def _choose(self) -> Event:
        if not self.deps_up:
            return PlanMade(plan=None, verdicts=(verdict("hold", "target"),), explanation="CANNOT SEE")
        if not self.weather.kind and self.choose((False,) * 9 + (True,)):
            no = self.choose((Answer.DENY, None))
            return PlanMade(plan=None, verdicts=(verdict(no),), explanation="no") if no else NoneChosen(reason="none")
        spec = PLAYBOOKS[self.first]
        ladder = tuple(e.playbook for e in spec.escalate)
        if not self.weather.kind and ladder and self.choose((False, False, True)):
            ladder = ("rung-observe", *RUNGS[:1])
        return Chosen(
            spec=spec, playbook_hash="h", mode=spec.mode.value, alert_id="a-1", target=API, root=API, ladder=ladder
        )

    def _plan(self, r: Remediation) -> PlanMade:
        verdicts = self._verdicts(r)
        if not self.deps_up:
            return PlanMade(plan=None, verdicts=verdicts, explanation="CANNOT SEE")
        assert r.spec is not None
        made = plan_for(r.spec, self.variant, self.now, quiet=self.proven_quiet)
        return PlanMade(plan=made, verdicts=verdicts, explanation=f"planned {made.digest}")

    def _verdicts(self, r: Remediation) -> tuple[Verdict, ...]:
        """All real guardrails on the facts of this moment, and one more that answers what is drawn."""
        unknown = {} if self.deps_up else {"runs": "no answer", "arrivals": "no answer"}
        windows = NIGHTS[self.zone] if self.zone else ()
        limits = EffectiveLimits(mode=Mode.AUTO, mode_ceiling=Mode.AUTO, windows=windows)
        facts = make.facts(
            now=self.now,
            episode_id=self.r.episode,
            limits=limits,
            pauses=self.pauses,
            unknown=unknown,
            between_rungs=bool(r.parent),
            approved=bool(r.consents),
        )
        guards = () if self.weather.kind and not (self.pauses or unknown or self.zone) else evaluate(facts)
        answer = self.weather.plan or self.choose(PLAN_ANSWERS)
        found = (*guards, *self._storm(), verdict(answer, "rate_limit"))
        no = gravest(found).rank >= Answer.HOLD.rank
        assert no or not self.pauses, "a pause holds everything"
        assert no or not unknown, "what cannot be seen holds"
        assert no or not self.zone or not in_the_night(self.zone, self.now), "a window is closed"
        return found

    def _storm(self) -> tuple[Verdict, ...]:
        if self.storm is None or self.now >= self.storm:
            return ()
        return (replace(verdict("hold", "storm"), facts={"until": self.storm.isoformat()}),)

    @property
    def proven_quiet(self) -> bool:
        return self.quiet and self.deps_up

    def _watch(self) -> Watched:
        since = (self.r.quiet_since or self.now) if self.proven_quiet else None
        return Watched(quiet_since=since, resolved=self.resolved)

    def _over(self) -> Watched | None:
        return self._watch() if self.resolved and self.proven_quiet else None

    def _wait(self, r: Remediation) -> Event:
        if over := self._over():
            return over
        worse = bool(r.done) and self._health() == "worse"
        match r.waiting_for:
            case "gate":
                health = self._health()
                answer: Any = {"worse": "bad"}.get(health, health)
                return GateSampled(answer=answer, detail="gate", worse=answer == "bad" and worse)
            case "":
                verdicts = self._verdicts(r)
                if not self.deps_up:
                    return StepPlanned(plan=None, verdicts=verdicts, explanation="CANNOT SEE")
                differs = not self.weather.kind and self.choose((False,) * 5 + (True,))
                self.variant += differs
                made = planned_again(r, self.variant, self.now)
                return StepPlanned(
                    plan=made,
                    verdicts=verdicts,
                    explanation="step",
                    differs="5 -> 6" if differs else "",
                    digest=f"step {self.variant}" if differs else "",
                    worse=gravest(verdicts) is Answer.DENY and worse,
                )
            case _:
                return TimerFired()

    def _health(self) -> str:
        return "unknown" if not self.deps_up else self.weather.health or self.choose(HEALTH)

    def _sample(self) -> Sampled:
        health = self._health()
        answer = {"worse": "bad"}.get(health, health)
        available = {"worse": 1, "unknown": None}.get(health, 3)
        return Sampled(sample=samples(answer, at=self.now, available=available))

    # --- the effector ----------------------------------------------------------------------------------------------

    def _act(self, r: Remediation) -> Event:
        if r.undoing and r.undo_sent >= len(r.undo_left):
            return self._sample()
        acted = self._go(r)
        if acted.answer in ("refused", "deny") and r.done:
            return replace(acted, worse=self._health() == "worse")
        return acted

    def _go(self, r: Remediation) -> Acted:
        effect = self._effect(r)
        unsettled = self.api.unsettled(r.effect_id)
        if unsettled:
            if not r.resend:
                return self._acted(r, "uncertain")
            objection = self.weather.look or self.choose((*(None,) * 8, "hold", "deny", "paused"))
            sent = self._acted(r, objection) if objection else self._send(r, unsettled[-1])
            clear = sent.answer not in ("done", "busy", "not_sent", "cannot_see", "uncertain")
            return self._acted(r, "uncertain") if clear else sent
        if effect is None:
            return self._acted(r, "nothing_to_do")
        if not self.deps_up:
            return self._acted(r, "cannot_see")
        if self.api.marker == r.effect_id and isinstance(effect, Patch):
            return self._acted(r, "uncertain")
        if objection := self.weather.look or self.choose(LOOKS):
            gone = isinstance(effect, Evict) and objection == "changed"
            return self._acted(r, "nothing_to_do" if gone else objection)
        return self._send(r, None)

    def _send(self, r: Remediation, again: Attempt | None) -> Acted:
        """Row, request, outcome. The store grants no row under a pause."""
        if self.pauses:
            return self._acted(r, "paused")
        self.checks.row(r)
        evicts = isinstance(self._effect(r), Evict)
        attempt = self.api.same_again(again) if again else self.api.row(r.effect_id, evicts=evicts)
        answer = self.api.send(attempt, self.weather.fate or self.choose(FATES))
        if answer == "budget" and not evicts:
            answer = "busy"
        return self._acted(r, answer)

    def _effect(self, r: Remediation) -> Any:
        if r.undoing:
            return r.undo_left[r.undo_sent]
        assert r.plan is not None
        effects = r.plan.steps[r.step].effects
        return effects[r.effect] if effects else None

    def _acted(self, r: Remediation, answer: ActAnswer) -> Acted:
        retry_after = timedelta(seconds=20) if answer == "budget" else None
        inverse = self._inverse(r) if answer == "done" else None
        return Acted(
            effect_id=r.effect_id, answer=answer, detail=f"it was {answer}", inverse=inverse, retry_after=retry_after
        )

    def _probed(self, r: Remediation, answer: ProbeAnswer) -> Probed:
        inverse = self._inverse(r) if answer == "happened" else None
        return Probed(effect_id=r.effect_id, answer=answer, detail=f"probe: {answer}", inverse=inverse)

    def _inverse(self, r: Remediation) -> Patch | None:
        effect = self._effect(r)
        if not isinstance(effect, Patch) or not effect.undoable or r.undoing:
            return None
        return replace(effect, changes=tuple(replace(c, before=c.after, after=c.before) for c in effect.changes))

    # --- to the end ------------------------------------------------------------------------------------------------

    def to_the_end(self, weather: Weather, *, within: timedelta = timedelta(hours=12), steps: int = 4000) -> None:
        """Nobody does anything any more, and the world always answers the same."""
        self.weather, self.choose = weather, always(False)
        until = self.now + within
        for _ in range(steps):
            if self.r.ended:
                return
            self.sleep()
            assert self.now <= until, self.stuck()
            self.work()
        raise AssertionError(self.stuck())

    def stuck(self) -> str:
        return "does not end:\n" + "\n".join(self.story[-25:])


STARTS = (
    (datetime(2026, 3, 4, 13, 0, tzinfo=UTC), ""),
    (datetime(2026, 3, 29, 0, 20, tzinfo=UTC), "Europe/Berlin"),
    (datetime(2026, 10, 25, 2, 20, tzinfo=UTC), "Europe/Berlin"),
    (datetime(2026, 3, 8, 6, 20, tzinfo=UTC), "America/New_York"),
    (datetime(2026, 11, 1, 5, 20, tzinfo=UTC), "America/New_York"),
)
"""An ordinary day, and moments around which clocks change, each with the zone whose night is denied."""
