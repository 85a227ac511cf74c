"""Playbooks without a change of ours: reports, which only look and tell, and checklists, which people do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.guardrails.facts import Pause
from remediator.remediation.events import Approved, Rejected
from remediator.remediation.state import Confirmed, Remediation, State, StepOutcome
from remediator.remediation.verifier import confirmed
from remediator.views import remediation as view_of
from tests.remediation.test_triggers import asked, by_hand, ready, said
from tests.support.building import NOW, playbook, remediation
from tests.support.world import World, restart_playbook

STATUS: list[dict[str, Any]] = [{"status": {}}, {"restarts": {}}]
QUESTIONS = ["Is the old primary stopped?", "Is the VIP moved?"]


def report(**changes: Any) -> dict[str, Any]:
    content = by_hand(**{"name": "weekly", "steps": [], "collect": STATUS, "description": "How the API is.", **changes})
    del content["verify"]
    return content


def checklist(**changes: Any) -> dict[str, Any]:
    steps = [{"ask": question} for question in QUESTIONS]
    content = by_hand(**{"name": "failover-by-hand", "steps": steps, "mode": "approve", **changes})
    del content["verify"]
    return content


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["observe", "suggest", "approve", "auto"])
async def test_a_report_is_collected_stored_told_and_changes_nothing_in_any_mode(mode: str) -> None:
    world = ready(report(mode=mode))
    await asked(world, "weekly")
    done = await world.run_until("observed", within_s=60)
    assert (done.mode, done.collected, done.plan, done.epoch) == ("observe", True, None, 0)
    assert done.reason == "reported: 2 of 2 pieces of evidence"
    assert world.writes() == []
    notes = [e for e in await world.journal.history(done.id) if e.type == "evidence"]
    assert len(notes) == 2
    (message,) = await said(world)
    assert "Report: weekly Deployment shop/api" in message
    assert "How the API is." in message
    assert "alice asked for it: it leaks" in message
    assert "`0 restarts` in 3 pods" in message
    assert "3 of 3 pods ready" in message
    assert await said(world, "pagerduty") == []


async def test_a_pause_does_not_keep_a_report_from_looking() -> None:
    world = ready(report())
    assert isinstance(await world.journal.pause("everything", "eve", "no", None, world.clock.now()), Pause)
    await asked(world, "weekly")
    assert (await world.run_until("observed", within_s=60)).state is State.OBSERVED


async def test_the_same_alert_again_does_not_bring_the_same_report_again() -> None:
    world = ready(restart_playbook(name="weekly", steps=[], collect=STATUS))
    await world.alert()
    await world.run_until("observed", within_s=60)
    for _ in range(3):
        await world.run_for(400, step=100)
        await world.alert()
    await world.run_for(60)
    assert len(await world.all()) > 1
    assert len(await said(world)) == 1


async def test_a_report_in_the_middle_of_an_incident_leaves_its_message_alone() -> None:
    world = ready(report(), restart_playbook(mode="approve"))
    await world.alert()
    await world.run_until("awaiting_approval", within_s=60)
    rows = await world.journal.due("slack", world.clock.now(), 100)
    await asked(world, "weekly")
    await world.run_for(30)
    after = await world.journal.due("slack", world.clock.now(), 100)
    keys = {row.key for row in after} - {row.key for row in rows}
    assert len(keys) == 1
    assert "/report/" in keys.pop()


async def test_what_could_not_be_collected_is_said() -> None:
    world = ready(report(collect=[{"promql": {"query": "up"}}, {"status": {}}]))
    await asked(world, "weekly")
    done = await world.run_until("observed", within_s=60)
    assert done.reason == "reported: 1 of 2 pieces of evidence"
    assert "not available" in "".join(await said(world))


async def test_a_report_killed_before_its_end_is_told_once() -> None:
    world = ready(report())
    opened = await asked(world, "weekly")
    (claimed,) = await world.journal.claim("test-1", world.clock.now(), timedelta(seconds=10), 10)
    await world.core.runner._work(claimed)  # evidence is written down, and the process dies
    world.cluster.advance(60)
    after = world.another(report())
    assert (await after.run_until("observed", within_s=60)).id == opened.id
    (message,) = await said(after)
    notes = [e for e in await after.journal.history(opened.id) if e.type == "evidence"]
    assert len(notes) == 4
    assert message.count(str(notes[-1].data["title"])) == 1


# --- checklists -------------------------------------------------------------------------------------------------------


async def answer(world: World, r: Remediation, who: str) -> Remediation:
    decision = await world.core.runner.apply_from_person(r.id, Approved(who=who, digest=r.digest, by="role sre"))
    assert decision is not None
    assert not decision.ignored, decision
    return decision.remediation


async def test_a_checklist_asks_each_question_and_keeps_who_answered_when() -> None:
    world = ready(checklist())
    await asked(world, "failover-by-hand")
    first = await world.run_until("waiting", within_s=60)
    assert QUESTIONS[0] in (await said(world))[0]
    begun = world.clock.now()
    await answer(world, first, "alice")
    await world.run_for(30)
    second = await world.run_until("waiting", within_s=60)
    assert second.step == 1
    assert any(QUESTIONS[1] in message for message in await said(world))
    await answer(world, second, "bob")
    done = await world.run_until("succeeded", within_s=60)
    assert world.writes() == []
    assert [(c.step, c.question, c.who) for c in done.confirmed] == [
        (0, QUESTIONS[0], ("alice",)),
        (1, QUESTIONS[1], ("bob",)),
    ]
    assert done.confirmed[0].at == begun
    assert done.confirmed[1].at > begun
    assert done.reason == "succeeded: confirmed: good 1/1 (2 of 2 confirmed by alice, bob)"
    view = view_of(done)
    assert [c["who"] for c in view["confirmed"]] == [["alice"], ["bob"]]


async def test_a_yes_to_one_question_is_none_to_the_next() -> None:
    world = ready(checklist())
    await asked(world, "failover-by-hand")
    first = await world.run_until("waiting", within_s=60)
    await answer(world, first, "ann")
    again = await world.core.runner.apply_from_person(first.id, Approved(who="ann", digest=first.digest))
    assert again is not None
    assert again.ignored
    assert len((await world.newest()).confirmed) == 1


def test_a_question_that_nobody_answered_proves_nothing() -> None:
    steps = [{"ask": question} for question in QUESTIONS]
    one = Confirmed(step=0, question=QUESTIONS[0], who=("ann",), at=NOW)
    half = remediation(spec=playbook(steps=steps), alerts=(), confirmed=(one,))
    (check,) = confirmed(half, NOW).checks
    assert (check.answer, check.detail) == ("unknown", "1 of 2 confirmed by ann")


async def test_a_no_ends_the_checklist_with_a_person() -> None:
    world = ready(checklist())
    await asked(world, "failover-by-hand")
    first = await world.run_until("waiting", within_s=60)
    await world.core.runner.apply_from_person(first.id, Rejected(who="bob", why="it still runs"))
    ended = await world.newest()
    assert (ended.state, ended.outcome) == (State.ESCALATED, StepOutcome.STOPPED)
    assert ended.reason == "rejected by bob: it still runs"


async def test_two_people_are_two_people_in_the_record() -> None:
    world = ready(checklist(approval={"quorum": 2}))
    await asked(world, "failover-by-hand")
    first = await world.run_until("waiting", within_s=60)
    half = await answer(world, first, "ann")
    assert half.confirmed == ()
    both = await answer(world, half, "bob")
    assert both.confirmed[0].who == ("ann", "bob")


async def test_a_checklist_with_checks_is_proven_by_them() -> None:
    verify = {"settle": "5s", "interval": "5s", "successes": 2, "timeout": "2m", "checks": [{"rollout": {}}]}
    world = ready(checklist() | {"verify": verify})
    await asked(world, "failover-by-hand")
    for who in ("ann", "bob"):
        await answer(world, await world.run_until("waiting", within_s=60), who)
    done = await world.run_until("succeeded")
    assert done.samples[-1].checks[0].check == "rollout"


async def test_nobody_answers_and_a_person_is_called() -> None:
    world = ready(checklist(approval={"expires": "30m"}))
    await asked(world, "failover-by-hand")
    await world.run_until("waiting", within_s=60)
    ended = await world.run_until("escalated", within_s=3600)
    assert ended.outcome is StepOutcome.STOPPED


@pytest.mark.parametrize(("mode", "end"), [("observe", "observed"), ("suggest", "suggested")])
async def test_a_checklist_that_may_not_ask_does_not(mode: str, end: str) -> None:
    world = ready(checklist(mode=mode))
    await asked(world, "failover-by-hand")
    assert (await world.run_until(end, within_s=60)).confirmed == ()


async def test_an_alert_begins_a_checklist_as_well() -> None:
    content = checklist() | {"match": {"alerts": ['alertname="Stuck"']}, "gather": "0s"}
    world = ready(content)
    await world.alert()
    first = await world.run_until("waiting", within_s=60)
    assert (await answer(world, first, "ann")).state is State.WAITING
