"""`POST /playbooks/NAME/run`: a person starts a playbook, on the whole core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from remediator import views
from remediator.metrics import Metrics
from remediator.remediation.state import State
from remediator.service import Service
from tests.http.harness import Client, as_
from tests.http.harness import World as Served
from tests.remediation.test_triggers import by_hand, ready
from tests.support.world import World, restart_playbook

RUN = "/api/v1/playbooks/restart-api/run"
COPIES = {"copies": {"type": "integer", "default": 4, "max": 6}}


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[Client]:
    served = Served(clusters=("c1",))
    served.journal = world.journal
    served.service = Service(
        journal=world.journal,
        runner=world.core.runner,
        poke_intake=lambda: None,
        clock=world.clock,
        metrics=Metrics(),
        playbooks=lambda: [views.playbook(loaded) for loaded in world.catalog],
        explain=served._explain,
        clusters=("c1",),
        starter=world.core.starter,
    )
    async with served.serving() as client:
        yield client


async def asked(world: World, body: dict[str, Any], role: str = "operator", **headers: str) -> tuple[int, Any]:
    async with serving(world) as client:
        answer = await client.post(RUN, json=body, headers=as_(role) | headers)
        return answer.status, await answer.json()


async def test_it_is_durable_before_it_is_answered() -> None:
    world = ready()
    status, answer = await asked(world, {"reason": "it  leaks"})
    (r,) = await world.all()
    assert status == 202
    assert answer["message"] == f"Accepted as {r.id}: restart-api on Deployment shop/api."
    assert answer["remediation"]["id"] == r.id
    assert (r.state, r.requester) == (State.PLANNED, "the-operator")
    assert r.cause == "the-operator asked for it: it leaks"
    assert (await world.run_until("succeeded")).id == r.id


async def test_whoever_asked_cannot_approve() -> None:
    world = ready(by_hand(mode="approve"))
    await asked(world, {}, role="admin")
    r = await world.run_until("awaiting_approval")
    async with serving(world) as client:
        path = f"/api/v1/remediations/{r.id}/approve"
        mine = await client.post(path, json={}, headers=as_("admin"))
        assert (mine.status, (await mine.json())["detail"]) == (
            403,
            f"the-admin asked for {r.id} and cannot approve it",
        )
        yes = await client.post(path, json={}, headers=as_("approver"))
        assert yes.status == 200


async def test_whoever_runs_a_checklist_may_answer_it() -> None:
    content = by_hand(mode="approve", steps=[{"ask": "Is it off?"}])
    del content["verify"]
    world = ready(content)
    await asked(world, {}, role="admin")
    r = await world.run_until("waiting", within_s=60)
    async with serving(world) as client:
        yes = await client.post(f"/api/v1/remediations/{r.id}/approve", json={}, headers=as_("admin"))
        assert yes.status == 200
    assert (await world.run_until("succeeded")).confirmed[0].who == ("the-admin",)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        pytest.param({"target": "Deployment/shop"}, 400, "target: write it as Deployment/namespace/name", id="short"),
        pytest.param({"target": "Deploy/shop/api"}, 400, "target: unknown kind 'Deploy'", id="kind"),
        pytest.param({"target": "Deployment/shop/"}, 400, "target: '' is", id="no name"),
        pytest.param({"target": "Deployment/../api"}, 400, "target: '..' is", id="no namespace"),
        pytest.param({"target": "Deployment/shop/nope"}, 400, "Deployment shop/nope does not exist", id="not there"),
        pytest.param({}, 400, "takes its target from an alert", id="none"),
        pytest.param({"cluster": "mars"}, 400, "no cluster is called 'mars'", id="cluster"),
        pytest.param({"params": {"copies": 7}}, 400, "parameter copies: 7 is above its max 6", id="above"),
        pytest.param({"params": {"copies": [1]}}, 400, "params.copies: ", id="a list"),
        pytest.param({"parms": {}}, 400, "parms: ", id="misspelt"),
        pytest.param({"reason": "x" * 5000}, 400, "the reason has 5000 characters", id="long"),
    ],
)
async def test_what_makes_no_sense_starts_nothing(body: dict[str, Any], status: int, detail: str) -> None:
    world = ready(restart_playbook(manual=True, params=COPIES))
    found, answer = await asked(world, body)
    assert found == status
    assert detail in answer["detail"]
    assert await world.all() == ()


async def test_what_is_not_for_people_and_what_is_not_there() -> None:
    world = ready(restart_playbook())
    status, answer = await asked(world, {})
    assert (status, answer["error"]) == (403, "not_allowed")
    empty = World()
    status, answer = await asked(empty, {})
    assert (status, answer["next"]) == (404, "See what there is: remediator playbooks")


async def test_numbers_and_booleans_are_values_as_well() -> None:
    params = {**COPIES, "hard": {"type": "boolean", "default": False}}
    world = ready(by_hand(params=params))
    status, _ = await asked(world, {"params": {"copies": 5, "hard": True}})
    assert status == 202
    (r,) = await world.all()
    assert r.spec is not None
    assert r.spec.given == {"copies": "5", "hard": "true"}


async def test_the_same_request_again_is_the_same_remediation() -> None:
    world = ready()
    first = await asked(world, {"key": "deploy-17"})
    second = await asked(world, {}, **{"Idempotency-Key": "deploy-17"})
    assert first[1]["remediation"]["id"] == second[1]["remediation"]["id"]
    assert len(await world.all()) == 1
    status, answer = await asked(world, {"key": "a"}, **{"Idempotency-Key": "b"})
    assert (status, answer["detail"]) == (400, "key: the header Idempotency-Key says another one")
    other, _ = await asked(world, {"key": "deploy-17"}, role="admin")
    assert other == 202
    assert len(await world.all()) == 2, "a key counts per account"


async def test_a_viewer_may_not() -> None:
    world = ready()
    status, _ = await asked(world, {}, role="viewer")
    assert status == 403
    assert await world.all() == ()
