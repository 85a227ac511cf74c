"""A storm that begins while a remediation is somewhere else: what each state does then, one test for each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, LoseReply, LoseRequest, Reject, Script, VirtualClock
from remediator.errors import CannotSee, Unavailable
from remediator.guardrails.facts import Arrival
from remediator.guardrails.storm import by_arrivals, held
from remediator.guardrails.verdict import Verdict
from remediator.metrics import Metrics
from remediator.objects import ObjectRef
from remediator.remediation.decide import decide
from remediator.remediation.draft import Notice
from remediator.remediation.events import Approved, DeadlinePassed, PlanMade, Snoozed, Watched
from remediator.remediation.moves import HELD_FOR, STORM_HELD_FOR
from remediator.remediation.state import Remediation, State, StepOutcome
from remediator.service import NotNow, Service
from tests.support.accounts import token
from tests.support.building import NOW, made, plan, remediation, verdict
from tests.support.world import World, deployment, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
OTHERS = tuple(f"other-{n}" for n in range(9))
LATE = tuple(f"other-late-{n}" for n in range(6))
SCALE = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
EVICT_TWO = [{"action": "evict_pod", "with": {"select": "all", "max": 2}}]
BUSY = Reject(Unavailable("429: later", retry_after_s=5.0))


def ready(script: Any = None, world: dict[str, Any] | None = None, **changes: Any) -> World:
    """One service in trouble whose remediation is under way, and nine others that are to come."""
    others = restart_playbook(name="others", match={"alerts": ['alertname="Slow"']})
    w = World(restart_playbook(**changes), others, **(world or {}))
    for name in ("api", *OTHERS, *LATE):
        w.cluster.apply(deployment(name))
    w.settle()
    w.cluster.advance(60)
    if script is not None:
        w.cluster.faults = script
    return w


async def storm(w: World, *names: str) -> None:
    """Nine at once, on record before anything else is looked at."""
    await w.deliver(*(w.make_alert("Slow", deployment=name) for name in names or OTHERS))
    await w.core.intake.take_all()


async def the_one(w: World) -> Remediation:
    """The remediation that was there before the storm."""
    return (await w.all())[0]


async def until(w: World, *states: State, within_s: float = 120.0, step: float = 1.0) -> Remediation:
    end = w.clock.now() + timedelta(seconds=within_s)
    while True:
        await w.turn()
        r = await the_one(w)
        if r.state in states:
            return r
        assert w.clock.now() < end, f"still {r.state}: {r.reason}"
        w.cluster.advance(step)


def ours(w: World) -> list[tuple[str, str]]:
    return [(verb, ref) for verb, ref in w.writes() if "other-" not in ref]


def service(w: World) -> Service:
    async def explain(alert: Any) -> dict[str, Any]:
        return {}

    return Service(
        journal=w.journal,
        runner=w.core.runner,
        poke_intake=lambda: None,
        clock=w.clock,
        metrics=Metrics(),
        playbooks=list,
        explain=explain,
        clusters=("c1",),
    )


# --- nothing is done yet ----------------------------------------------------------------------------------------------


async def test_what_was_held_for_another_reason_stays_and_its_end_moves_along() -> None:
    w = ready()
    pause = await w.journal.pause("target:c1/Deployment/shop/api", "ann", "looking", None, w.clock.now())
    await w.alert()
    before = await until(w, State.HELD)
    await storm(w)
    await w.run_for(60)
    r = await the_one(w)
    assert r.state is State.HELD
    assert before.deadline is not None
    assert r.deadline is not None
    assert r.deadline - before.deadline >= timedelta(minutes=14)
    await w.journal.resume(pause.id, "ann", w.clock.now())
    await w.run_for(60)
    assert (await the_one(w)).state is State.HELD
    assert ours(w) == []


@pytest.mark.parametrize("snoozed", [False, True])
async def test_a_proposal_stays_and_shows_it_and_cannot_be_approved(snoozed: bool) -> None:
    w = ready(mode="approve")
    await w.alert()
    r = await until(w, State.AWAITING_APPROVAL)
    if snoozed:
        until_ = w.clock.now() + timedelta(hours=1)
        await w.core.runner.apply_from_person(r.id, Snoozed(who="ann", until=until_))
    await storm(w)
    await w.run_for(40)
    r = await the_one(w)
    assert r.state is (State.SNOOZED if snoozed else State.AWAITING_APPROVAL)
    assert any(v.guardrail == "storm" and v.answer.value == "hold" for v in r.verdicts)
    assert r.reason.startswith("snoozed by ann") is snoozed, "by whom is not forgotten"
    with pytest.raises(NotNow, match="a storm holds it, until"):
        await service(w).approve(r.id, token("ann"))


async def test_what_was_approved_waits_and_keeps_its_approval_until_that_expires() -> None:
    w = ready(mode="approve", approval={"expires": "40m", "start_within": "1m"})
    await w.alert()
    r = await until(w, State.AWAITING_APPROVAL)
    await storm(w)
    await w.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await w.run_for(60)
    r = await the_one(w)
    assert (r.state, r.deadline) == (State.APPROVED, r.approval_expires)
    assert ours(w) == []
    await w.run_for(15 * 60, step=20.0)
    await until(w, State.SUCCEEDED)
    assert len(ours(w)) == 1


async def test_what_was_reserved_gives_everything_back() -> None:
    script = Script()
    script.write(BUSY, verb="patch", kind="Deployment", name="api")
    w = ready(script)
    await w.alert()
    await until(w, State.RESERVED)
    await storm(w)
    r = await until(w, State.HELD)
    assert "storm" in r.reason
    assert ours(w) == []
    assert [x for x in await w.journal.runs(w.clock.now(), timedelta(hours=1)) if x.ended_at is None] == []


# --- something is done, or may be -------------------------------------------------------------------------------------


async def test_in_the_middle_of_acting_nothing_more_is_sent() -> None:
    w = ready(SecondIsBusy(), steps=EVICT_TWO)
    await w.alert(pod=w.cluster.all("Pod", "shop")[0]["metadata"]["name"])
    await until(w, State.ACTING)
    sent = len(ours(w))
    assert sent == 1
    await storm(w)
    r = await until(w, State.WAITING)
    assert "storm" in r.reason
    await w.run_for(120, step=10.0)
    assert len(ours(w)) == sent
    r = await until(w, State.ESCALATED, within_s=1200, step=20.0)
    assert r.outcome is StepOutcome.STOPPED, "the lock is kept for 15 minutes"


class SecondIsBusy:
    """The first eviction goes through, every later one is to come back in a while."""

    def __init__(self) -> None:
        self.evicted = 0

    def on_write(self, request: Any, *, dry_run: bool) -> Any:
        if request.verb != "evict" or dry_run:
            return None
        self.evicted += 1
        return BUSY if self.evicted > 1 else None

    def on_read(self, verb: Any, ref: Any) -> None:
        return None


async def test_what_got_lost_is_not_sent_again_in_a_storm() -> None:
    script = Script()
    script.write(LoseRequest(), verb="patch", kind="Deployment", name="api")
    w = ready(script)
    await w.alert()
    r = await until(w, State.ACTING, State.UNCERTAIN)
    await storm(w)
    r = await until(w, State.ESCALATED, within_s=400)
    assert (r.outcome, w.restarted_at()) == (StepOutcome.UNCERTAIN, "")
    assert "given up" in r.reason


async def test_what_became_of_a_request_is_found_out_in_a_storm() -> None:
    w = ready(AnswersLate())
    await w.alert()
    await until(w, State.UNCERTAIN)
    await storm(w)
    await until(w, State.SUCCEEDED)
    assert len(ours(w)) == 1


class AnswersLate:
    """The first write is carried out and its answer lost; for a while nobody can look what became of it."""

    def __init__(self) -> None:
        self.unseen = -1

    def on_write(self, request: Any, *, dry_run: bool) -> Any:
        if dry_run or self.unseen >= 0:
            return None
        self.unseen = 3
        return LoseReply()

    def on_read(self, verb: Any, ref: ObjectRef) -> Any:
        if self.unseen <= 0 or ref != API:
            return None
        self.unseen -= 1
        return FailRead(CannotSee("no answer"))


async def test_the_next_step_is_held_and_the_lock_kept_for_a_while() -> None:
    w = ready(steps=[{"action": "rollout_restart"}, {"wait": "30s"}, SCALE])
    await w.alert()
    await until(w, State.WAITING)
    await storm(w)
    await w.run_for(60)
    r = await the_one(w)
    assert (r.state, w.replicas()) == (State.WAITING, 3)
    await w.run_for(240, step=20.0)
    await storm(w, *LATE)  # it goes on for longer than the lock is kept
    assert "storm" in r.reason
    (running,) = [x for x in await w.journal.runs(w.clock.now(), timedelta(hours=1)) if x.ended_at is None]
    assert running.remediation_id == r.id
    r = await until(w, State.ESCALATED, within_s=1200, step=20.0)
    assert (r.outcome, w.replicas()) == (StepOutcome.STOPPED, 3)


async def test_verifying_goes_on() -> None:
    w = ready()
    await w.alert()
    await until(w, State.VERIFYING)
    await storm(w)
    await until(w, State.SUCCEEDED)


async def test_undoing_goes_on() -> None:
    clock = VirtualClock()
    checks = [{"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}]
    verify = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": checks}
    w = ready(world={"clock": clock, "queries": queries(clock, {"errors": 9.0})}, steps=[SCALE], verify=verify)
    await w.alert()
    await until(w, State.VERIFYING)
    await storm(w)
    hurt(w, "true")
    await until(w, State.UNDOING)
    hurt(w, None)
    r = await until(w, State.ESCALATED)
    assert (r.outcome, w.replicas()) == (StepOutcome.UNDONE, 3)


def hurt(w: World, unready: str | None) -> None:
    for pod in w.cluster.all("Pod", "shop"):
        name = pod["metadata"]["name"]
        if name.startswith("api-"):
            changes = {"metadata": {"annotations": {"test.remediator.dev/unready": unready}}}
            w.cluster.edit(ObjectRef("Pod", "shop", name), changes)


# --- what the table writes down ---------------------------------------------------------------------------------------


def in_storm(at: datetime) -> Verdict:
    found = by_arrivals([Arrival(target_key=f"t{n}", at=at) for n in range(9)], 5, at)
    assert found is not None
    return held(found, None, at)


def stormy(at: datetime = NOW, *more: Verdict) -> PlanMade:
    return PlanMade(plan=plan(), verdicts=(in_storm(at), *more), explanation="HELD: storm")


def test_a_member_tells_nobody_by_itself() -> None:
    decision = decide(remediation(), stormy(NOW, verdict("hold")), NOW)
    assert (decision.remediation.state, decision.notices, decision.remediation.told) == (State.HELD, (), ())
    assert decision.remediation.reason == "HELD: storm"


def test_held_by_something_else_after_the_storm_it_tells_as_ever() -> None:
    member = decide(remediation(), stormy(), NOW).remediation
    assert decide(member, made("hold"), NOW).notices == (Notice.HELD,)


def test_a_rung_is_no_member_it_tells_and_its_end_does_not_move() -> None:
    decision = decide(remediation(parent="r-0"), stormy(), NOW)
    assert decision.notices == (Notice.HELD,)
    assert decision.remediation.deadline == NOW + HELD_FOR


def test_its_end_is_a_while_after_the_storms() -> None:
    r = decide(remediation(), stormy(), NOW).remediation
    assert r.deadline == NOW + timedelta(minutes=15) + HELD_FOR
    later = NOW + timedelta(minutes=10)
    assert decide(r, stormy(later), later).remediation.deadline == later + timedelta(minutes=15) + HELD_FOR
    kept = decide(r, made("hold"), later).remediation
    assert kept.deadline == r.deadline, "another reason does not extend it"


def test_but_no_storm_keeps_it_from_a_person_for_longer_than_four_hours() -> None:
    r, at = decide(remediation(), stormy(), NOW).remediation, NOW
    while at < NOW + STORM_HELD_FOR:
        at += timedelta(minutes=10)
        r = decide(r, stormy(at), at).remediation
    assert r.deadline == NOW + STORM_HELD_FOR
    decision = decide(r, DeadlinePassed(), at)
    assert (decision.remediation.outcome, decision.notices) == (StepOutcome.HELD_TOO_LONG, (Notice.ESCALATED,))


def test_a_member_that_clears_needs_no_word_of_its_own() -> None:
    member = decide(remediation(), stormy(), NOW).remediation
    assert decide(member, Watched(quiet_since=NOW), NOW).notices == ()
    told = replace(member, told=("held",))
    assert decide(told, Watched(quiet_since=NOW), NOW).notices == (Notice.QUIET_END,)
    assert decide(member, made("pass", plan_=plan(alerts_quiet_since=NOW)), NOW).notices == ()


def test_a_member_that_is_denied_says_so() -> None:
    member = decide(remediation(), stormy(), NOW).remediation
    assert decide(member, stormy(NOW, verdict("deny")), NOW).notices == (Notice.DENIED,)
