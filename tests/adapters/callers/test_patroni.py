"""Patroni's REST API: who leads is read before and after, and what is not answered clearly is not called done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.patroni import PatroniCaller
from remediator.errors import CannotSee, Conflict, NotFound, Refused, Unavailable, Uncertain
from remediator.outside import OutsideSettings
from remediator.outside_patroni import PatroniCluster
from tests.adapters.callers.fake_patroni import PASSWORD, USER, FakePatroni
from tests.checks.fakes import FakeCluster
from tests.support.controlplane.process import free_port
from tests.support.fake_http import Fault

CLUSTER = {"about": "cluster"}
SWITCH = {"do": "switchover", "leader": "db-0", "candidate": "db-1"}
FAIL = {"do": "failover", "candidate": "db-1"}
STARTED = "2025-06-01 10:00:00.000000+00:00"
RESTART = {"do": "restart", "member": "db-1", "role": "replica", "started": STARTED}


def place(root: str, **more: Any) -> PatroniCluster:
    given = {
        "name": "orders",
        "members": {f"db-{n}": root for n in range(3)},
        "username": USER,
        "password_file": {"value": PASSWORD},
    }
    return PatroniCluster.model_validate({**given, **more})


@pytest.fixture
async def patroni() -> AsyncIterator[FakePatroni]:
    async with FakePatroni() as fake:
        yield fake
        assert fake.violations == []


@pytest.fixture
async def caller(patroni: FakePatroni) -> AsyncIterator[PatroniCaller]:
    made = PatroniCaller((place(patroni.root),))
    yield made
    await made.close()


async def test_a_cluster(caller: PatroniCaller, patroni: FakePatroni) -> None:
    patroni.members["db-2"] |= {"lag": "unknown", "tags": {"nofailover": True}, "role": "sync_standby"}
    found = await caller.ask("orders", CLUSTER)
    assert (found["leader"], found["paused"], found["scheduled"], found["standby"]) == ("db-0", False, False, False)
    assert found["members"]["db-1"]["lag"] == 0
    assert found["members"]["db-2"] == {
        "role": "sync_standby",
        "state": "streaming",
        "lag": None,
        "timeline": 1,
        "sync": True,
        "nofailover": True,
        "pending_restart": False,
    }
    patroni.extra = {"pause": True, "scheduled_switchover": {"at": "2025-06-01T12:00:00+00:00"}}
    found = await caller.ask("orders", {"about": "member", "member": "db-1"})
    assert (found["paused"], found["scheduled"], found["started"]) == (True, True, STARTED)


async def test_the_next_member_is_asked(patroni: FakePatroni) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    caller = PatroniCaller((place(patroni.root, members={"db-0": closed, "db-1": patroni.root}),))
    assert (await caller.ask("orders", CLUSTER))["source"] == "db-1"
    await caller.close()
    caller = PatroniCaller((place(patroni.root, members={"db-0": closed, "db-1": closed}),))
    with pytest.raises(CannotSee, match="no member of orders says how it is"):
        await caller.ask("orders", CLUSTER)
    with pytest.raises(Unavailable, match="nothing was sent"):
        await caller.send("orders", SWITCH, key="k")
    await caller.close()


@pytest.mark.parametrize("members", [None, [{"name": "x"}], [{"name": n, "role": "leader"} for n in "ab"], "many"])
async def test_answers_that_cannot_be_read(caller: PatroniCaller, patroni: FakePatroni, members: Any) -> None:
    patroni.extra = {"members": members}
    with pytest.raises(CannotSee):
        await caller.ask("orders", CLUSTER)


async def test_a_switchover(caller: PatroniCaller, patroni: FakePatroni) -> None:
    assert await caller.rehearse("orders", SWITCH) == ""
    assert await caller.find("orders", SWITCH, key="k") == "unknown"
    answer = await caller.send("orders", SWITCH, key="k")
    assert (answer["leader"], answer["says"]) == ("db-1", "db-1 leads orders now")
    assert await caller.find("orders", SWITCH, key="k") == "happened"
    with pytest.raises(Conflict, match="the leader of orders is db-1, not db-0"):
        await caller.send("orders", SWITCH, key="k")
    with pytest.raises(Refused, match="is db-1, not db-0"):
        await caller.rehearse("orders", SWITCH)
    assert patroni.calls.count("switchover") == 1


async def test_another_member_may_lead_in_the_end(caller: PatroniCaller, patroni: FakePatroni) -> None:
    patroni.instead = "db-2"
    answer = await caller.send("orders", SWITCH, key="k")
    assert answer["says"] == "db-2 leads orders now instead of db-1"


async def test_a_failover_only_without_a_leader(caller: PatroniCaller, patroni: FakePatroni) -> None:
    with pytest.raises(Conflict, match="is db-0, not nobody"):
        await caller.send("orders", FAIL, key="k")
    assert "failover" not in patroni.calls
    patroni.lead("")
    patroni.members["db-0"]["state"] = "stopped"
    assert await caller.find("orders", FAIL, key="k") == "unknown"
    assert (await caller.send("orders", FAIL, key="k"))["leader"] == "db-1"
    assert await caller.find("orders", FAIL, key="k") == "happened"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=412, body="no good candidates"), Refused, id="not possible"),
        pytest.param(Fault(status=400, body="bad"), Refused, id="bad request"),
        pytest.param(Fault(status=503, body="Switchover status unknown"), Uncertain, id="unknown"),
        pytest.param(Fault(status=202, body="Switchover scheduled"), Uncertain, id="some time"),
        pytest.param(Fault(drop=True), Uncertain, id="no answer"),
        pytest.param(Fault(status=200, body="Successfully"), Uncertain, id="a word that nothing bears out"),
    ],
)
async def test_what_answers_mean(caller: PatroniCaller, patroni: FakePatroni, fault: Fault, error: Any) -> None:
    patroni.fail("switchover", fault)
    with pytest.raises(error):
        await caller.send("orders", SWITCH, key="k")
    assert patroni.calls.count("switchover") == 1


async def test_a_failover_after_which_nobody_leads(caller: PatroniCaller, patroni: FakePatroni) -> None:
    patroni.lead("")
    patroni.fail("failover", Fault(status=200, body="Successfully failed over"))
    with pytest.raises(Uncertain, match="the leader is nobody"):
        await caller.send("orders", FAIL, key="k")


@pytest.mark.parametrize(
    ("request_", "change", "error"),
    [
        pytest.param({**SWITCH, "candidate": "db-9"}, {}, Refused, id="no such member"),
        pytest.param(SWITCH, {"state": "starting"}, Unavailable, id="not running"),
        pytest.param(SWITCH, {"tags": {"nofailover": True}}, Unavailable, id="nofailover"),
        pytest.param({**RESTART, "role": "leader"}, {}, Conflict, id="another role"),
        pytest.param({**RESTART, "started": "earlier"}, {}, Conflict, id="restarted by somebody else"),
        pytest.param({"do": "reinitialize", "member": "db-1"}, {}, Refused, id="never"),
    ],
)
async def test_what_is_not_sent(
    caller: PatroniCaller, patroni: FakePatroni, request_: Any, change: Any, error: Any
) -> None:
    patroni.members["db-1"] |= change
    with pytest.raises(error):
        await caller.send("orders", request_, key="k")
    assert set(patroni.calls) <= {"cluster", "patroni"}


async def test_a_scheduled_switchover_is_waited_for(caller: PatroniCaller, patroni: FakePatroni) -> None:
    patroni.extra = {"scheduled_switchover": {"at": "2025-06-01T12:00:00+00:00"}}
    with pytest.raises(Unavailable, match="scheduled already"):
        await caller.send("orders", SWITCH, key="k")


async def test_a_restart_and_a_reload(caller: PatroniCaller, patroni: FakePatroni) -> None:
    assert await caller.find("orders", RESTART, key="k") == "unknown"
    assert (await caller.send("orders", RESTART, key="k"))["says"] == "db-1 was restarted"
    assert await caller.find("orders", RESTART, key="k") == "happened"
    with pytest.raises(Conflict, match="restarted by somebody else"):
        await caller.send("orders", RESTART, key="k")
    patroni.lead("db-1")
    leader = {**RESTART, "role": "leader", "started": patroni.started}
    assert (await caller.send("orders", leader, key="k"))["says"]
    reload = {"do": "reload", "member": "db-1"}
    assert "settings" in (await caller.send("orders", reload, key="k"))["says"]
    assert await caller.find("orders", reload, key="k") == "unknown"


async def test_a_wrong_password(patroni: FakePatroni) -> None:
    caller = PatroniCaller((place(patroni.root, password_file={"value": "open-sesame"}),))
    with pytest.raises(Refused) as refused:
        await caller.send("orders", SWITCH, key="k")
    assert refused.value.forbidden
    assert "open-sesame" not in str(refused.value)
    with pytest.raises(NotFound, match="there are: orders"):
        await caller.ask("carts", CLUSTER)
    await caller.close()


async def test_wiring() -> None:
    settings = OutsideSettings(patroni=(place("http://db:8008"),))
    assert isinstance(connect_callers(settings, FakeCluster([]))["patroni"], PatroniCaller)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"members": {"db-0": "http://a"}}, id="one member"),
        pytest.param({"members": {"db-0": "http://a", "db-1": "http://b/patroni"}}, id="a path"),
        pytest.param({"members": {"db-0": "http://a", "db-1": "http://me:pw@b"}}, id="a password in an address"),
        pytest.param({"username": ""}, id="half a login"),
        pytest.param({"switchover_timeout": "10s"}, id="shorter than it takes"),
    ],
)
def test_settings_that_are_not_taken(more):
    with pytest.raises(ValidationError):
        place("http://a", **more)
