"""Failover by real Sentinels: what each of them says, one failover, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.change import Failover
from remediator.actions.failover.sentinel import SentinelFailover, SentinelFailoverParams
from remediator.adapters.callers.redis import RedisCaller
from remediator.errors import CannotSee, Conflict, Forbidden, NotFound, Refused, Unavailable, Uncertain
from tests.actions.make import deployment, view
from tests.support.controlplane.process import free_port
from tests.support.real_redis import Redis, started

pytestmark = pytest.mark.controlplane

STANDING = {"about": "standing"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Nothing in here is broken by its tests."""
    with started(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The master is down, and the Sentinels have given up for now. The last test uses it up."""
    with started(tmp_path_factory.mktemp("lost")) as one:
        one.lose_master()
        yield one


def failover(found: Any) -> dict[str, Any]:
    first = found["sentinels"][0]
    return {"do": "failover", "from": first["master"], "epoch": first["epoch"]}


async def test_a_master_that_runs(running: Redis) -> None:
    caller = RedisCaller((running.settings(),))
    found = await caller.ask("orders", STANDING)
    assert [one["state"] for one in found["sentinels"]] == ["running"] * 3
    assert {one["master"] for one in found["sentinels"]} == {f"127.0.0.1:{running.ports[0]}"}
    (replica,) = found["sentinels"][0]["replicas"]
    assert (replica["address"], replica["usable"], replica["link_down_s"]) == (
        f"127.0.0.1:{running.ports[1]}",
        True,
        0.0,
    )
    assert found["silent"] == {}
    with pytest.raises(Refused, match=r"says that .* is running"):
        await caller.rehearse("orders", failover(found))
    with pytest.raises(Refused, match=r"says that .* is running"):
        await caller.send("orders", failover(found), key="k")
    assert await caller.find("orders", failover(found), key="k") == "unknown"


async def test_one_vantage_point_is_not_enough(lost: Redis) -> None:
    request = failover(await RedisCaller((lost.settings(),)).ask("orders", STANDING))
    closed = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    caller = RedisCaller((lost.settings(sentinels=[f"127.0.0.1:{lost.sentinel_ports[0]}", *closed]),))
    assert sorted((await caller.ask("orders", STANDING))["silent"]) == sorted(closed)
    with pytest.raises(Unavailable, match="1 Sentinels of orders answer, 2 have to"):
        await caller.send("orders", request, key="k")
    with pytest.raises(CannotSee):
        await caller.rehearse("orders", request)
    with pytest.raises(CannotSee, match="1 of 3"):
        await caller.find("orders", request, key="k")
    with pytest.raises(CannotSee, match="no Sentinel of orders answers"):
        await RedisCaller((lost.settings(sentinels=closed),)).ask("orders", STANDING)


async def test_another_master_than_planned(lost: Redis) -> None:
    caller = RedisCaller((lost.settings(),))
    request = failover(await caller.ask("orders", STANDING))
    for other in ({"from": "127.0.0.1:1"}, {"epoch": 99}):
        with pytest.raises(Conflict, match="by another election"):
            await caller.send("orders", {**request, **other}, key="k")
    with pytest.raises(Refused, match="cannot do 'flush'"):
        await caller.send("orders", {**request, "do": "flush"}, key="k")


async def test_a_sentinel_that_is_listed_twice(lost: Redis) -> None:
    port = lost.sentinel_ports[0]
    caller = RedisCaller((lost.settings(sentinels=[f"127.0.0.1:{port}", f"localhost:{port}"]),))
    found = await caller.ask("orders", STANDING)
    with pytest.raises(Refused, match="two addresses of orders are the same Sentinel"):
        await caller.send("orders", failover(found), key="k")


async def test_a_wrong_password(running: Redis) -> None:
    caller = RedisCaller((running.settings(password_file={"value": "open-sesame"}),))
    with pytest.raises(Forbidden) as refused:
        await caller.ask("orders", STANDING)
    assert "open-sesame" not in str(refused.value)
    with pytest.raises(Refused) as raised:
        await caller.send("orders", {"do": "failover", "from": "x", "epoch": 0}, key="k")
    assert raised.value.forbidden


async def test_a_master_that_nobody_watches(running: Redis) -> None:
    caller = RedisCaller((running.settings(master="carts"),))
    with pytest.raises(CannotSee, match="No such master"):
        await caller.ask("orders", STANDING)
    with pytest.raises(NotFound, match="there are: orders"):
        await caller.ask("carts", STANDING)
    with pytest.raises(NotFound, match="cannot be asked"):
        await caller.ask("orders", {"about": "keys"})


async def test_a_failover_that_does_not_come_to_an_end(tmp_path: Path) -> None:
    """The replica that shall be promoted is frozen too, which no Sentinel has seen yet."""
    with started(tmp_path) as stuck:
        stuck.lose_master()
        caller = RedisCaller((stuck.settings(failover_timeout="1s"),))
        request = failover(await caller.ask("orders", STANDING))
        stuck.freeze(1)
        with pytest.raises(Uncertain, match="no other master was named in 1 s"):
            await caller.send("orders", request, key="k")
        assert await caller.find("orders", request, key="k") == "unknown"


async def test_one_failover(lost: Redis) -> None:
    caller = RedisCaller((lost.settings(),))
    found = await caller.ask("orders", STANDING)
    request = failover(found)
    assert "3 of 3 Sentinels agree" in await caller.rehearse("orders", request)
    facts = _facts(found)
    assert set(facts.old_primary.values()) == {"unreachable"}
    assert (facts.candidate, facts.operator_busy) == (f"127.0.0.1:{lost.ports[1]}", "")
    assert facts.lag_s is not None
    assert facts.lag_s < 5

    answer = await caller.send("orders", request, key="k")
    assert answer["master"] == f"127.0.0.1:{lost.ports[1]}"
    assert "role:master" in lost.say(lost.ports[1], "INFO", "replication")
    assert await caller.find("orders", request, key="k") == "happened"
    assert await caller.find("orders", {**request, "epoch": 99}, key="k") == "unknown"  # no newer election
    with pytest.raises(Conflict):
        await caller.send("orders", request, key="k")


def _facts(found: Any) -> Failover:
    params = SentinelFailoverParams(redis="orders", max_lag=timedelta(seconds=10))
    facts = SentinelFailover().plan(params, view(deployment(), found={"redis": found})).failover
    assert facts is not None
    return facts
