"""Health, readiness, metrics, reload."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.harness import Client, World, alert, as_, bearer, webhook


async def test_healthy_says_only_that_the_process_answers(world: World, client: Client) -> None:
    """A store that is down is no reason to kill the process."""
    world.store.error = "disk full"
    answer = await client.get("/-/healthy")
    assert (answer.status, await answer.json()) == (200, {"healthy": True})


async def test_ready(client: Client) -> None:
    answer = await client.get("/-/ready")
    assert (answer.status, await answer.json()) == (200, {"ready": True, "missing": {}})


async def test_not_ready_says_what_is_missing(world: World, client: Client) -> None:
    world.missing["playbooks"] = "not loaded yet"
    world.store.error = "disk full"
    answer = await client.get("/-/ready")
    assert answer.status == 503
    assert await answer.json() == {"ready": False, "missing": {"playbooks": "not loaded yet", "store": "disk full"}}


async def test_the_store_is_not_asked_for_every_question(world: World, client: Client) -> None:
    """The route is open, and each question would be a commit."""
    for _ in range(3):
        assert (await client.get("/-/ready")).status == 200
    world.store.error = "disk full"
    assert (await client.get("/-/ready")).status == 200
    world.clock.time += timedelta(seconds=1)
    assert (await client.get("/-/ready")).status == 503


async def test_metrics_are_open_and_parse(world: World, client: Client) -> None:
    await client.post("/webhooks/alertmanager", data=webhook(alert()), headers=bearer())
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {family.name for family in text_string_to_metric_families(await answer.text())}
    assert {"remediator_alerts_received", "remediator_webhook_seconds", "remediator_build_info"} <= found


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (as_("viewer"), 403), (as_("operator"), 403), (as_("approver"), 403), (as_("admin"), 200)],
)
async def test_reload_needs_an_admin(world: World, client: Client, headers: dict[str, str], status: int) -> None:
    answer = await client.post("/-/reload", headers=headers)
    assert answer.status == status
    assert world.reloads == (status == 200)


async def test_reload_is_no_get(client: Client) -> None:
    """A link that somebody clicks must not reload anything."""
    answer = await client.get("/-/reload", headers=as_("admin"))
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
