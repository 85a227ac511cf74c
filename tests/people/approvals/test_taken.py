"""An episode that a person has taken, in every state that a remediation of it may be in: nothing more is sent for it,
nothing climbs past whoever has it, and what was given back goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import LandLater, Script
from remediator.guardrails.scopes import episode_scope
from remediator.metrics import Metrics
from remediator.people.account import Account
from remediator.people.approvers import Approvers
from remediator.people.directory import Directory
from remediator.remediation.events import Approved
from remediator.remediation.state import Remediation, State, StepOutcome
from remediator.service import NotAllowed, NotNow, Service, UnknownId
from remediator.upkeep import Housekeeping
from tests.invariants.given import WORSE, checked, hurt, measured, ready, rows_of, scale_to
from tests.people.approvals.given import person
from tests.support.accounts import pager, slack, token
from tests.support.world import World

OPERATOR = token("ann", "operator", via="cli")
BACK = token("bob", "operator")


def desk(world: World, *people: Any) -> Service:
    async def explain(alert: Any) -> dict[str, Any]:
        return {}

    return Service(
        journal=world.journal,
        runner=world.core.runner,
        poke_intake=lambda: None,
        clock=world.clock,
        metrics=Metrics(),
        playbooks=list,
        explain=explain,
        clusters=("c1",),
        approvers=Approvers(Directory(people), world.clock),
        tell=world.core.teller.refresh,
    )


async def take(world: World, who: Account = OPERATOR) -> Remediation:
    r = await world.newest()
    told = await desk(world).take(r.id, who)
    assert told["episode"] == r.episode
    return r


async def give_back(world: World) -> None:
    r = await world.newest()
    await desk(world).give_back(r.episode, BACK)


async def triggers(world: World) -> list[Any]:
    later = world.clock.now() + timedelta(days=1)
    rows = await world.journal.due("pagerduty", later, 1000)
    return [row for row in rows if row.payload["event_action"] == "trigger"]


async def told_in_chat(world: World) -> list[str]:
    """What the main message was to say, oldest first."""
    rows = await world.journal.due("slack", world.clock.now() + timedelta(days=1), 1000)
    return [str(row.payload) for row in rows if row.kind in ("post", "update")]


# --- the column of the table, state by state --------------------------------------------------------------------------


async def test_held_stays_held_and_ends_with_whoever_has_it() -> None:
    """Told once, and nobody is paged: not at the deadline, and not when the alert is sent again."""
    world = ready(scale_to(5))
    deploy = await world.journal.pause("playbook:scale-to-5", "cyd", "deploy", None, world.clock.now())
    await world.alert(severity="critical", deployment="api", namespace="shop")
    await world.run_until("held")
    await take(world)
    await world.journal.resume(deploy.id, "cyd", world.clock.now())
    await world.run_for(14 * 60, step=30)
    r = await world.newest()
    assert (r.state, world.writes()) == (State.HELD, [])
    assert "Taken by ann (CLI)" in r.reason
    await world.run_for(120, step=30)
    (r,) = await world.all()
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.TAKEN)
    assert r.reason.startswith("taken by ann (CLI)")
    assert await triggers(world) == []
    lines = await world.journal.history(r.id)
    assert [n for line in lines for n in line.data.get("notices", ())].count("ended_by_person") == 1  # type: ignore[attr-defined]
    await world.alert(severity="critical", deployment="api", namespace="shop")
    await world.run_for(60 * 60, step=60)
    assert await triggers(world) == []
    assert world.writes() == []


async def test_awaiting_is_shown_and_cannot_be_approved() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await take(world, pager("PANN001", "Ann Smith"))
    assert "Taken by Ann Smith" in (await told_in_chat(world))[-1]
    await world.run_for(35, step=5)
    r = await world.newest()
    assert r.state is State.AWAITING_APPROVAL
    assert any(v.guardrail == "pause" and "taken by Ann Smith (PagerDuty)" in v.reason for v in r.verdicts)
    assert r.verdicts != ()
    service = desk(world)
    with pytest.raises(
        NotNow, match=r"taken by Ann Smith \(PagerDuty\); r-1 can be looked at, not approved"
    ) as refused:
        await service.approve(r.id, token("cyd"))
    assert refused.value.advice == f"Lift it first: remediator give-back {r.episode}"
    await give_back(world)
    await service.approve(r.id, token("cyd"))
    assert (await world.run_until("succeeded")).done


async def test_what_nobody_approved_ends_with_whoever_has_it() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    paged = len(await triggers(world))
    await take(world)
    r = await world.run_until("escalated")
    assert (r.outcome, len(await triggers(world))) == (StepOutcome.TAKEN, paged)


async def test_a_veto_counts_all_the_same() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await take(world)
    await desk(world).reject(r.id, OPERATOR)
    assert (await world.newest()).state is State.REJECTED


async def test_approved_is_held_and_keeps_its_approval_until_that_expires() -> None:
    world = ready(scale_to(5, mode="approve", approval={"expires": "20m", "start_within": "1m"}))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.core.runner.apply_from_person(r.id, Approved(who="cyd", digest=r.digest))
    await take(world)
    await world.run_for(10 * 60, step=10)
    r = await world.newest()
    assert (r.state, [c.who for c in r.consents], world.writes()) == (State.APPROVED, ["cyd"], [])
    await give_back(world)
    assert (await world.run_until("succeeded")).done

    world = ready(scale_to(5, mode="approve", approval={"expires": "20m", "start_within": "1m"}))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await world.core.runner.apply_from_person(r.id, Approved(who="cyd", digest=r.digest))
    await take(world)
    await world.run_for(21 * 60, step=10)
    r = await world.newest()
    assert (r.state, r.outcome, world.writes()) == (State.ESCALATED, StepOutcome.TAKEN, [])


def before_the_row(world: World, do: Callable[[], Awaitable[Any]], *, number: int = 1) -> None:
    """Something happens after the last look, right before the n-th attempt row."""
    real = world.journal.record_attempt
    left = [number]

    async def later(*args: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            await do()
        return await real(*args)

    world.journal.record_attempt = later  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("mode", ["auto", "approve"])
async def test_reserved_is_released(mode: str) -> None:
    """The store puts the taking before the row: nothing was sent, so everything is given back, the tokens as well."""
    world = ready(scale_to(5, mode=mode))
    before_the_row(world, lambda: take(world))
    await world.alert()
    if mode == "approve":
        r = await world.run_until("awaiting_approval")
        await world.core.runner.apply_from_person(r.id, Approved(who="cyd", digest=r.digest))
    r = await world.run_until("held" if mode == "auto" else "approved")
    await world.run_for(30, step=5)
    r = await world.newest()
    assert (r.state, r.epoch) == (State.HELD if mode == "auto" else State.APPROVED, 0)
    assert (world.writes(), await rows_of(world)) == ([], [])
    assert any(d.release and d.refund for d in world.decisions)
    runs = await world.journal.runs(world.clock.now(), timedelta(hours=1))
    assert [run for run in runs if not run.ended_at] == []
    await give_back(world)
    assert (await world.run_until("succeeded")).done


TWO_STEPS = [
    {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}},
    {"wait": "5s"},
    {"action": "scale", "with": {"to": 4, "min": 1, "max": 9}},
]


async def test_acting_sends_nothing_more_and_goes_on_when_it_is_given_back() -> None:
    """The first effect has happened; the second one waits, its lock kept."""
    world = ready(scale_to(5, steps=TWO_STEPS))
    before_the_row(world, lambda: take(world), number=2)
    await world.alert()
    await world.run_until("waiting")
    await world.run_for(60, step=5)
    r = await world.newest()
    assert (r.state, len(r.done), world.replicas(), r.epoch > 0) == (State.WAITING, 1, 5, True)
    assert "Taken by ann (CLI)" in r.reason
    await give_back(world)
    r = await world.run_until("succeeded")
    assert (len(r.done), world.replicas()) == (2, 4)


async def test_acting_ends_with_whoever_has_it_when_the_lock_has_been_kept_long_enough() -> None:
    world = ready(scale_to(5, steps=TWO_STEPS))
    before_the_row(world, lambda: take(world), number=2)
    await world.alert()
    await world.run_until("waiting")
    r = await world.run_until("escalated")
    assert (r.outcome, len(r.done), world.replicas()) == (StepOutcome.TAKEN, 1, 5)
    assert await triggers(world) == []


async def test_uncertain_is_probed_all_the_same() -> None:
    """What is under way has to be found out, whoever has the episode; nothing else is sent."""
    world = ready(scale_to(5))
    world.cluster.faults = script = Script()
    script.write(LandLater(20.0))
    real = world.journal.record_outcome

    async def then_taken(*args: Any) -> None:
        await real(*args)
        if not await world.journal.pauses(world.clock.now()):
            await take(world)

    world.journal.record_outcome = then_taken  # type: ignore[method-assign, assignment]
    await world.alert()
    await world.run_for(60)
    assert State.UNCERTAIN in [d.remediation.state for d in world.decisions]
    assert (world.replicas(), len(await rows_of(world))) == (5, 1)
    await give_back(world)
    r = await world.run_until("succeeded")
    assert (len(r.done), len(await rows_of(world))) == (1, 1)


async def test_verifying_goes_on() -> None:
    world = ready(scale_to(5))
    await world.alert()
    await world.run_until("verifying")
    await take(world)
    assert (await world.run_until("succeeded")).state is State.SUCCEEDED


async def test_an_undo_stops() -> None:
    """A half-done undo is the taker's; it is handed over, not finished behind their back."""
    clock, found = measured(9.0)
    world = ready(checked(scale_to(5), WORSE), queries=found, clock=clock)
    await world.alert()
    await world.run_until("verifying")
    await world.run_for(3)
    before_the_row(world, lambda: take(world), number=1)
    hurt(world)
    r = await world.run_until("escalated")
    assert (r.outcome, world.replicas()) == (StepOutcome.STOPPED, 5)
    assert r.reason.startswith("the undo was stopped: taken by ann (CLI). Last: undoing, because it made things worse")
    assert any(d.before.state is State.UNDOING for d in world.decisions)


async def test_a_new_alert_of_the_episode_is_held_as_well() -> None:
    world = ready(scale_to(5), scale_to(7, match={"alerts": ['alertname="Other"']}))
    await world.journal.pause("playbook:scale-to-5", "cyd", "deploy", None, world.clock.now())
    await world.alert()
    await world.run_until("held")
    first = await take(world)
    await world.run_for(16 * 60, step=30)
    await world.alert("Other")
    await world.run_for(60, step=5)
    r = await world.newest()
    assert (r.id != first.id, r.episode == first.episode, r.state, world.writes()) == (True, True, State.HELD, [])


# --- taking and giving back -------------------------------------------------------------------------------------------


async def waiting() -> tuple[World, Remediation]:
    world = ready(scale_to(5, mode="approve", approval={"approvers": ["person:cyd"]}))
    await world.alert()
    return world, await world.run_until("awaiting_approval")


@pytest.mark.parametrize(
    ("who", "name"),
    [
        pytest.param(OPERATOR, "ann (CLI)", id="an operator"),
        pytest.param(slack("U0CYD"), "cyd (Slack)", id="whoever may approve"),
        pytest.param(slack("U0DAN"), "dan (Slack)", id="an operator in Slack"),
        pytest.param(pager("PEVE001", "Eve"), "Eve (PagerDuty)", id="whom nobody listed, called by their pager"),
        pytest.param(pager("PDAN001", "Daniel"), "dan (PagerDuty)", id="who is listed"),
        pytest.param(pager("PEVE001"), "pagerduty:PEVE001 (PagerDuty)", id="a pager that says no name"),
    ],
)
async def test_who_may_take(who: Account, name: str) -> None:
    world, r = await waiting()
    people = (person("cyd", slack="U0CYD"), person("dan", slack="U0DAN", pagerduty="PDAN001", roles=["operator"]))
    service = desk(world, *people)
    assert f"Taken by {name}" in (await service.take(r.id, who))["message"]
    (pause,) = await world.journal.pauses(world.clock.now())
    assert (pause.scope, pause.until) == (episode_scope(r.episode), None)
    assert f"taken by {name}" in (await world.journal.history(r.id))[-1].reason
    again = await service.take(r.episode, OPERATOR)
    assert f"is taken by {name} already" in again["message"]
    assert len(await world.journal.pauses(world.clock.now())) == 1
    await service.give_back(r.episode, who if who.system == "pagerduty" else OPERATOR)
    assert await world.journal.pauses(world.clock.now()) == ()
    with pytest.raises(NotNow, match="nobody has taken"):
        await service.give_back(r.id, OPERATOR)


@pytest.mark.parametrize("who", [token("vic", "viewer"), slack("U0NOBODY")], ids=["viewer", "nobody"])
async def test_who_may_not(who: Account) -> None:
    world, r = await waiting()
    service = desk(world)
    for any_id in (r.id, r.episode):
        with pytest.raises(NotAllowed):
            await service.take(any_id, who)
    await service.take(r.id, OPERATOR)
    with pytest.raises(NotAllowed):
        await service.give_back(r.id, who)
    assert len(await world.journal.pauses(world.clock.now())) == 1


async def test_what_there_is_not() -> None:
    world, _ = await waiting()
    with pytest.raises(UnknownId, match="no remediation and no episode"):
        await desk(world).take("e-99", OPERATOR)


async def test_it_ends_with_the_episode() -> None:
    """Nobody has to give back what is over, and the next incident of the same object is a new one."""
    world = ready(scale_to(5))
    await world.alert()
    r = await world.run_until("succeeded")
    await take(world)
    await world.alert(resolved=True)
    keeping = Housekeeping(world.journal, world.clock, Metrics(), world.core.teller.cleared)
    for _ in range(3):
        world.cluster.advance(2400)
        await keeping.turn()
    episode = await world.journal.episode(r.episode)
    assert episode is not None
    assert episode.closed_at is not None
    assert await world.journal.pauses(world.clock.now()) == ()
    with pytest.raises(NotNow, match="was over at"):
        await desk(world).take(r.id, OPERATOR)


async def test_another_episode_is_not_touched() -> None:
    world = ready(scale_to(5))
    await world.journal.pause(episode_scope("e-another"), "ann", "Slack", None, world.clock.now())
    await world.alert()
    assert (await world.run_until("succeeded")).done


async def test_given_back_too_late_what_still_fires_is_looked_at_anew() -> None:
    """What waited has ended by then, and nobody was called for it: Alertmanager may not send it again for hours."""
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    await world.run_until("awaiting_approval")
    await take(world)
    ended = await world.run_until("escalated")
    assert ended.outcome is StepOutcome.TAKEN
    told = await desk(world).give_back(ended.episode, BACK)
    assert told["message"] == "Given back: nothing of it is open any more; what still fires is looked at anew now."
    r = await world.run_until("awaiting_approval")
    assert (r.id != ended.id, r.episode) == (True, ended.episode)


async def test_given_back_after_a_half_done_change_somebody_hears_of_it() -> None:
    world = ready(scale_to(5, steps=TWO_STEPS))
    before_the_row(world, lambda: take(world), number=2)
    await world.alert()
    await world.run_until("waiting")
    ended = await world.run_until("escalated")
    await give_back(world)
    r = await world.run_until("denied")
    assert r.id != ended.id
    assert "has 5 copies already" in (await told_in_chat(world))[-1]


async def test_given_back_when_all_is_over_nothing_begins_anew() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    await world.run_until("awaiting_approval")
    await take(world)
    ended = await world.run_until("escalated")
    await world.alert(resolved=True)
    told = await desk(world).give_back(ended.episode, BACK)
    assert told["message"] == "Given back: nothing of it is open any more."
    await world.run_for(60)
    assert (await world.newest()).id == ended.id


async def test_a_veto_is_final_also_after_giving_back() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    await take(world)
    await desk(world).reject(r.id, OPERATOR)
    await give_back(world)
    await world.run_for(60)
    assert (await world.newest()).id == r.id


async def test_what_was_taken_at_the_very_end_of_the_episode_can_be_given_back() -> None:
    """The episode was closed while it was found out who takes it."""
    world = ready(scale_to(5))
    await world.alert()
    r = await world.run_until("succeeded")
    await world.alert(resolved=True)
    await world.journal.close_episodes(world.clock.now() + timedelta(days=1), timedelta(hours=1))
    await world.journal.pause(episode_scope(r.episode), "ann", "Slack", None, world.clock.now())
    told = await desk(world).give_back(r.episode, BACK)
    assert told["message"] == "Given back: nothing of it is open any more."
    assert await world.journal.pauses(world.clock.now()) == ()
    with pytest.raises(NotNow, match="was over at"):
        await desk(world).give_back(r.episode, BACK)


async def test_an_episode_that_is_closed_while_somebody_takes_it_is_over() -> None:
    world = ready(scale_to(5))
    await world.alert()
    r = await world.run_until("succeeded")
    await world.alert(resolved=True)
    real = world.journal.pause

    async def closing(*args: Any) -> Any:
        await world.journal.close_episodes(world.clock.now() + timedelta(days=1), timedelta(hours=1))
        return await real(*args)

    world.journal.pause = closing  # type: ignore[method-assign, assignment]
    with pytest.raises(NotNow, match="was over at"):
        await desk(world).take(r.id, OPERATOR)
    assert await world.journal.pauses(world.clock.now()) == ()


async def test_given_back_in_the_very_moment_in_which_it_ends() -> None:
    """The runner has seen who has it, and commits when nobody has it any more: somebody still hears of it."""
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    await world.run_until("awaiting_approval")
    await take(world)
    real = world.journal.commit

    async def commit(decision: Any, *args: Any, **options: Any) -> Any:
        if decision.remediation.outcome is StepOutcome.TAKEN:
            await give_back(world)
        return await real(decision, *args, **options)

    world.journal.commit = commit  # type: ignore[method-assign]
    ended = await world.run_until("escalated")
    assert (ended.outcome, await world.journal.pauses(world.clock.now())) == (StepOutcome.TAKEN, ())
    await Housekeeping(world.journal, world.clock, Metrics(), world.core.teller.cleared).turn()
    r = await world.run_until("awaiting_approval")
    assert r.id != ended.id


async def test_what_somebody_has_is_not_looked_at_anew() -> None:
    world = ready(scale_to(5, mode="approve"))
    await world.alert()
    await world.run_until("awaiting_approval")
    await take(world)
    ended = await world.run_until("escalated")
    await Housekeeping(world.journal, world.clock, Metrics(), world.core.teller.cleared).turn()
    await world.run_for(60)
    assert (await world.newest()).id == ended.id
