"""Pictures of what a playbook watches: the right query, the right moments, once each, and never in anybody's way."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image

from remediator.adapters.simulated import SimulatedQueries, VirtualClock
from remediator.errors import CannotSee
from remediator.people.outbox_rows import OutboxRow
from remediator.people.quiet_hours import QuietHours
from remediator.ports import Series
from remediator.remediation.checks.error_ratio import ErrorRatioArgs, ratio_query
from remediator.remediation.checks.traffic import window_of
from remediator.remediation.graphs import Wanted, measure, wanted_graphs
from remediator.remediation.picturing import MOST_WAITING, moment
from remediator.remediation.promql import parse_matchers
from tests.checks.fakes import NOW, FakeQueries, context
from tests.support.world import World, deployment, load, restart_playbook

RATIO = {"metric": "http_requests_total", "error": 'code=~"5.."', "success": "< 2%", "failure": "> 5%"}
GRAPH = {"graph": {"error_ratio": {"metric": "http_requests_total", "error": 'code=~"5.."'}, "last": "30m"}}


def wanted(**changes: Any) -> tuple[Wanted, ...]:
    return wanted_graphs(load(restart_playbook(**changes)).playbook)


def verify(*checks: dict[str, Any]) -> dict[str, Any]:
    return {**restart_playbook()["verify"], "checks": list(checks)}


# --- which ------------------------------------------------------------------------------------------------------------


def test_what_is_collected_is_drawn_with_the_thresholds_of_the_check() -> None:
    (found,) = wanted(collect=[GRAPH, {"logs": {}}], verify=verify({"error_ratio": RATIO}))
    assert (dict(found.args), found.success, found.failure) == (GRAPH["graph"], "< 2%", "> 5%")


def test_a_check_of_something_else_lends_no_threshold() -> None:
    other = {**RATIO, "metric": "grpc_requests_total"}
    (found,) = wanted(collect=[GRAPH], verify=verify({"error_ratio": other}))
    assert found.success == ""


def test_where_nothing_is_collected_the_checks_are_drawn() -> None:
    latency = {"metric": "http_seconds", "quantile": 0.99, "success": "< 1s"}
    found = wanted(
        verify=verify(
            {"rollout": {}}, {"error_ratio": RATIO}, {"latency": latency}, {"promql": {"query": "up", "success": "> 0"}}
        )
    )
    assert [list(w.args) for w in found] == [["error_ratio"], ["latency"]], "two are enough"
    assert found[0].args["error_ratio"] == {"metric": "http_requests_total", "error": 'code=~"5.."'}
    assert (found[1].args["latency"], found[1].success) == ({"metric": "http_seconds", "quantile": 0.99}, "< 1s")


def test_a_query_of_the_authors_own() -> None:
    promql = {"promql": {"query": "sum(up)", "last": "15m"}}
    assert [dict(w.args) for w in wanted(collect=[promql])] == [{"query": "sum(up)", "last": "15m"}]
    assert [dict(w.args) for w in wanted(verify=verify({"promql": {"query": "up", "success": "> 0"}}))] == [
        {"query": "up"}
    ]


def test_without_prometheus_in_the_playbook_there_is_nothing_to_draw() -> None:
    assert wanted() == ()


# --- measuring --------------------------------------------------------------------------------------------------------


async def measured(queries: FakeQueries, found: Wanted, **more: Any) -> Any:
    made = await measure(
        (found,), context(queries=queries), playbook="p", subject="Deployment shop/api", marks=(), **more
    )
    return made[0] if made else None


async def test_the_query_is_the_one_that_the_check_asks() -> None:
    queries = FakeQueries()
    await measured(queries, Wanted(args=GRAPH["graph"], success="< 2%"))
    ((query, start, end, step_s),) = queries.ranges
    args = ErrorRatioArgs.model_validate(RATIO)
    at = context(queries=queries, since=None)
    assert query == ratio_query(args, window_of(args, at), parse_matchers(args.error))
    assert (start, end, step_s) == (NOW - timedelta(minutes=30), NOW, 15.0), "120 points"


async def test_numbers_become_a_graph_with_limits_in_its_unit() -> None:
    queries = FakeQueries(series=(Series({}, ((NOW, 0.2),)),))
    found = await measured(queries, Wanted(args=GRAPH["graph"], success="< 2%", failure="> 5%"))
    assert found.title == "p: error ratio of http_requests_total"
    assert [(limit.label, limit.good, limit.value) for limit in found.limits] == [
        ("good < 2 %", True, 0.02),
        ("bad > 5 %", False, 0.05),
    ]
    assert (found.unit, found.curves[0].values) == ("ratio", [0.2])


async def test_it_reaches_back_to_where_the_alert_began() -> None:
    queries = FakeQueries()
    await measured(queries, Wanted(args=GRAPH["graph"]), since=NOW - timedelta(hours=3))
    assert queries.ranges[0][1] == NOW - timedelta(hours=3)
    assert queries.ranges[0][3] == 90.0


async def test_what_cannot_be_asked_is_left_out() -> None:
    assert await measured(FakeQueries(series=CannotSee("down")), Wanted(args=GRAPH["graph"])) is None
    assert await measured(FakeQueries(), Wanted(args={"query": "sum(up", "last": "never"})) is None


async def test_no_secret_in_a_title() -> None:
    found = await measured(FakeQueries(), Wanted(args={"query": 'up{token="password=hunter2hunter2"}'}))
    assert "hunter2" not in f"{found.title}{found.subtitle}"


# --- through the whole core ------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    clock = VirtualClock()
    queries = SimulatedQueries(clock)
    queries.set("http_requests_total", 0.3)
    checks = verify({"rollout": {}})
    world = World(restart_playbook(collect=[GRAPH], verify=checks), clock=clock, queries=queries)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


async def drawn(world: World) -> list[OutboxRow]:
    """Every decision so far is seen, and what is due is drawn."""
    for decision in world.decisions:
        if (due := moment(decision)) is not None:
            await world.core.pictures.show(decision.remediation, due)
    return list(await world.journal.due("slack_file", world.clock.now() + timedelta(days=1), 100))


async def test_one_picture_at_the_first_effect_and_one_at_the_end(world: World) -> None:
    await world.alert()
    r = await world.run_until("succeeded")
    rows = await drawn(world)
    assert [row.payload["filename"] for row in rows] == [f"{r.id}-start-1.png", f"{r.id}-end-1.png"]
    assert {(row.destination, row.key) for row in rows} == {("C0OPS", f"slack/C0OPS/{r.episode}")}
    for row in rows:
        assert set(row.payload) == {"filename", "title", "alt", "content_base64", "text"}
        picture = Image.open(io.BytesIO(base64.b64decode(row.payload["content_base64"])))
        assert picture.size == (1200, 675)
    assert "; alert " in rows[1].payload["alt"]
    assert "rollout restart" in rows[1].payload["alt"]


async def test_each_is_stored_once(world: World) -> None:
    await world.alert()
    await world.run_until("succeeded")
    assert len(await drawn(world)) == len(await drawn(world)) == 2


async def test_a_proposal_comes_with_a_picture(world: World) -> None:
    waiting = World(
        restart_playbook(collect=[GRAPH], mode="approve"),
        cluster=world.cluster,
        clock=world.clock,
        queries=world.queries,
    )
    await waiting.alert()
    r = await waiting.run_until("awaiting_approval")
    assert [row.payload["filename"] for row in await drawn(waiting)] == [f"{r.id}-start-1.png"]


async def test_a_prometheus_that_is_down_costs_the_picture_only(world: World) -> None:
    await world.alert()
    await world.run_until("succeeded")
    assert isinstance(world.queries, SimulatedQueries)
    world.queries.down = True
    assert await drawn(world) == []


async def test_where_too_much_waits_pictures_are_left_out(world: World) -> None:
    await world.alert()
    await world.run_until("succeeded")
    due = next(d for d in world.decisions if moment(d))
    for _ in range(MOST_WAITING + 10):
        world.core.pictures.saw(due)


async def test_a_picture_waits_for_the_morning_with_its_message() -> None:
    """Alone it would be tried for an hour and become a dead letter, which calls somebody in the night."""
    clock = VirtualClock()
    queries = SimulatedQueries(clock)
    queries.set("http_requests_total", 0.3)
    always = QuietHours.model_validate({"windows": [{"cron": "* * * * *", "duration": "1h", "zone": "UTC"}]})
    checks = verify({"rollout": {}})
    playbook = restart_playbook(collect=[GRAPH], verify=checks)
    world = World(playbook, clock=clock, queries=queries, settings={"quiet_hours": always})
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert(deployment="api", severity="warning")
    await world.run_until("succeeded")
    assert len(await drawn(world)) == 2
    now = clock.now()
    assert await world.journal.due("slack_file", now, 9) == await world.journal.due("slack", now, 9) == ()
