"""When somebody breaks the glass the leads hear of it, or it did not happen: one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from remediator.errors import JournalUnavailable
from remediator.metrics import Metrics
from remediator.people.approval_settings import BreakGlass
from remediator.people.approvers import Approvers
from remediator.people.directory import Directory
from remediator.people.leads import broke_the_glass
from remediator.people.messages import Message
from remediator.remediation.state import Remediation, State
from remediator.service import NotAllowed, Service
from tests.invariants.given import At, ready, scale_to
from tests.people.approvals.given import person
from tests.people.hostile import hostile_text
from tests.people.stories import ROLLBACK
from tests.people.test_messages import assert_inert, assert_sendable
from tests.support.accounts import slack
from tests.support.world import World

GLASS = BreakGlass.model_validate({"who": ["person:ann"], "leads": ["C0LEADS", "U0LEAD"]})
ANN = person("ann", slack="U0ANN", email="ann@shop.example")
WHY = "checkout is down, nobody else answers"


async def asked(steps: list[Any] | None = None, **options: Any) -> tuple[World, Service, Remediation]:
    more = {"steps": steps} if steps else {}
    playbook = scale_to(5, mode="approve", approval={"quorum": 2}, **more)
    world = ready(playbook, settings={"break_glass": GLASS}, **options)

    async def explain(alert: Any) -> dict[str, Any]:
        return {}

    service = Service(
        journal=world.journal,
        runner=world.core.runner,
        poke_intake=lambda: None,
        clock=world.clock,
        metrics=Metrics(),
        playbooks=list,
        explain=explain,
        clusters=("c1",),
        approvers=Approvers(Directory([ANN]), world.clock),
        glass=world.core.glass,
    )
    await world.alert()
    return world, service, await world.run_until("awaiting_approval")


async def told(world: World) -> dict[str, str]:
    rows = await world.journal.due("slack", world.clock.now() + timedelta(days=1), 1000)
    return {row.destination: str(row.payload) for row in rows if "break-glass" in row.key}


async def test_the_leads_are_told_with_the_approval() -> None:
    world, service, r = await asked()
    assert await told(world) == {}
    await service.approve(r.id, slack("U0ANN"), break_glass=WHY)
    found = await told(world)
    assert set(found) == {"C0LEADS", "U0LEAD"}
    for text in found.values():
        assert "ann" in text
        assert WHY in text
        assert "replicas 3" in text
    assert (await world.run_until("succeeded")).done


async def test_without_the_message_there_is_no_approval() -> None:
    """The store fails at the very commit that holds both."""

    def fails() -> None:
        raise JournalUnavailable("the disk is full")

    commit = At("commit", "before", fails, number=10_000)
    world, service, r = await asked(store_faults=commit)
    commit._left = 1
    with pytest.raises(JournalUnavailable):
        await service.approve(r.id, slack("U0ANN"), break_glass=WHY)
    assert (await world.newest()).state is State.AWAITING_APPROVAL
    assert await told(world) == {}


async def test_the_leads_hear_of_every_time() -> None:
    """The same plan may be asked about more than once, here between its steps."""
    first = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
    world, service, r = await asked(steps=[first, {"ask": "Is the queue empty?"}])
    await service.approve(r.id, slack("U0ANN"), break_glass=WHY)
    await world.run_until("waiting")
    await world.run_for(5)
    assert (await world.newest()).waiting_for == "ask"
    await service.approve(r.id, slack("U0ANN"), break_glass="the queue is empty, go on")
    rows = await world.journal.due("slack", world.clock.now() + timedelta(days=1), 1000)
    told_to = sorted(row.destination for row in rows if "break-glass" in row.key)
    assert told_to == ["C0LEADS", "C0LEADS", "U0LEAD", "U0LEAD"]


async def test_a_refused_one_tells_nobody() -> None:
    world, service, r = await asked()
    with pytest.raises(NotAllowed):
        await service.approve(r.id, slack("U0BOB"), break_glass=WHY)
    assert await told(world) == {}


async def test_a_plain_yes_tells_no_lead() -> None:
    world, service, r = await asked()
    await world.journal.pauses(world.clock.now())
    with pytest.raises(NotAllowed):
        await service.approve(r.id, slack("U0ANN"))
    assert await told(world) == {}


@settings(max_examples=40, deadline=None)
@given(hostile_text, hostile_text)
def test_what_people_write_stays_inert(reason: str, headline: str) -> None:
    (message,) = broke_the_glass(replace(ROLLBACK, headline=headline), reason, reason, reason, ["C0LEADS"])
    assert_sendable(Message(message.payload["text"], tuple(message.payload["blocks"])))
    assert_inert(Message(message.payload["text"], tuple(message.payload["blocks"])))
