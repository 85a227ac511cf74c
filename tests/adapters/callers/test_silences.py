"""Silences of our own, against a real Alertmanager; and what a broken one means."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.actions.times import format_time
from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.silences import SilencesCaller
from remediator.adapters.json_api import Endpoint
from remediator.errors import CannotSee, NotFound, Refused, RemediatorError, Unavailable, Uncertain
from remediator.outside import OutsideSettings
from tests.checks.fakes import FakeCluster
from tests.support.controlplane import AlertmanagerServer
from tests.support.fake_http import Fault
from tests.support.fake_prometheus import FakeJsonApi
from tests.support.real_servers import started

PLACE = "alertmanager"
MATCHERS = ['namespace="shop"', 'alertname=~"Api.*"', 'severity!="info"']


def request(name: str, **more: Any) -> dict[str, Any]:
    """Starts now: Alertmanager moves what starts in the past."""
    return {
        "do": "silence",
        "matchers": MATCHERS,
        "starts": format_time(datetime.now(UTC)),
        "for_s": 3600.0,
        "comment": "node maintenance",
        "id": name,
        **more,
    }


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    config = {"route": {"receiver": "x"}, "receivers": [{"name": "x"}]}
    with started(AlertmanagerServer(tmp_path_factory.mktemp("am"), config)) as server:
        yield server


@pytest.fixture
async def caller(alertmanager: AlertmanagerServer) -> AsyncIterator[SilencesCaller]:
    made = SilencesCaller(Endpoint(name="Alertmanager", url=alertmanager.url))
    yield made
    await made.close()


def silence(server: AlertmanagerServer, one: str) -> Any:
    return server.get(f"/api/v2/silence/{one}")


@pytest.mark.controlplane
async def test_a_silence_is_made_once_found_again_and_expired(
    alertmanager: AlertmanagerServer, caller: SilencesCaller
) -> None:
    asked = request("a1b2c3d4e5")
    assert await caller.rehearse(PLACE, asked) == ""
    assert await caller.find(PLACE, asked, key="e-1") == "unknown"
    made = await caller.send(PLACE, asked, key="e-1")
    found = silence(alertmanager, made["silence"])
    assert found["createdBy"] == "remediator"
    assert found["comment"] == "node maintenance [remediator a1b2c3d4e5]"
    lasts = datetime.fromisoformat(found["endsAt"]) - datetime.fromisoformat(asked["starts"])
    assert lasts == timedelta(hours=1)
    assert sorted((m["name"], m["value"], m["isRegex"], m["isEqual"]) for m in found["matchers"]) == [
        ("alertname", "Api.*", True, True),
        ("namespace", "shop", False, True),
        ("severity", "info", False, False),
    ]
    again = await caller.send(PLACE, asked, key="e-1")
    assert (again["silence"], again["already"]) == (made["silence"], True)
    assert await caller.find(PLACE, asked, key="e-1") == "happened"

    expire = {"do": "expire", "id": "a1b2c3d4e5"}
    assert await caller.find(PLACE, expire, key="e-2") == "unknown"
    assert (await caller.send(PLACE, expire, key="e-2"))["expired"] == [made["silence"]]
    assert silence(alertmanager, made["silence"])["status"]["state"] == "expired"
    assert await caller.find(PLACE, expire, key="e-2") == "happened"
    assert (await caller.send(PLACE, expire, key="e-2"))["expired"] == []


@pytest.mark.controlplane
async def test_the_guardrail_knows_it_as_ours(alertmanager: AlertmanagerServer, caller: SilencesCaller) -> None:
    await caller.send(PLACE, request("ours000001"), key="e-1")
    reader = AlertmanagerSilences(Endpoint(name="Alertmanager", url=alertmanager.url))
    found = [one for one in await reader.active() if "ours000001" in one.comment]
    await reader.close()
    assert [one.created_by for one in found] == ["remediator"]


@pytest.mark.controlplane
async def test_silences_of_others_are_left_alone(alertmanager: AlertmanagerServer, caller: SilencesCaller) -> None:
    body = {
        "matchers": [{"name": "namespace", "value": "shop", "isRegex": False}],
        "startsAt": format_time(datetime.now(UTC)),
        "endsAt": format_time(datetime.now(UTC) + timedelta(hours=1)),
        "createdBy": "anna",
        "comment": "mine [remediator theirs0001]",
    }
    theirs = alertmanager.request("POST", "/api/v2/silences", body)["silenceID"]
    with pytest.raises(Refused, match="no silence of ours"):
        await caller.send(PLACE, {"do": "expire", "id": "theirs0001"}, key="e-1")
    assert silence(alertmanager, theirs)["status"]["state"] == "active"


@pytest.mark.controlplane
async def test_what_would_be_hidden(alertmanager: AlertmanagerServer, caller: SilencesCaller) -> None:
    alerts = [
        {"labels": {"alertname": name, "namespace": namespace, "severity": "critical"}}
        for name, namespace in (("ApiDown", "hide"), ("ApiSlow", "hide"), ("DiskFull", "hide"), ("ApiDown", "bank"))
    ]
    sent = urllib.request.Request(
        f"{alertmanager.url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    (await asyncio.to_thread(urllib.request.urlopen, sent)).close()
    matchers = ['namespace="hide"', 'alertname=~"Api.*"']
    found = await caller.ask(PLACE, {"about": "matching", "matchers": matchers})
    assert found == {"firing": 2, "names": ["ApiDown", "ApiSlow"]}
    nothing = await caller.ask(PLACE, {"about": "matching", "matchers": ['namespace="nobody"']})
    assert nothing == {"firing": 0, "names": []}


@pytest.fixture
async def broken() -> AsyncIterator[FakeJsonApi]:
    async with FakeJsonApi() as fake:
        fake.body = []
        yield fake


@pytest.fixture
async def to_broken(broken: FakeJsonApi) -> AsyncIterator[SilencesCaller]:
    made = SilencesCaller(Endpoint(name="Alertmanager", url=broken.root, timeout_s=0.3))
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"matchers": ['alertname=~".*"']}, "needs a matcher with =", id="everything"),
        pytest.param({"matchers": ['namespace=""']}, "needs a matcher with =", id="an empty value"),
        pytest.param({"matchers": []}, "needs a matcher with =", id="none"),
        pytest.param({"matchers": ["{{"]}, "cannot be read", id="no matcher"),
        pytest.param({"for_s": 5 * 3600}, "at most 4:00:00", id="too long"),
        pytest.param({"for_s": 0}, "at most", id="no time"),
        pytest.param({"for_s": "nan"}, "cannot be read", id="no number"),
        pytest.param({"starts": "soon"}, "starts cannot be read", id="no time of day"),
        pytest.param({"id": ""}, "no id", id="no id"),
        pytest.param({"id": "a] b"}, "no id", id="an id with signs"),
        pytest.param({"do": "silence everything"}, "cannot do", id="something else"),
    ],
)
async def test_what_is_never_asked_for(
    broken: FakeJsonApi, to_broken: SilencesCaller, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Refused, match=problem):
        await to_broken.send(PLACE, request("a1b2c3d4e5", **change), key="e-1")
    assert not [one for one in broken.asked if one.method == "POST"]


@pytest.mark.parametrize(
    ("path", "fault", "error"),
    [
        pytest.param("get", Fault(status=500), Unavailable, id="cannot look first"),
        pytest.param("get", Fault(status=200, body="<html>"), Unavailable, id="a login page"),
        pytest.param("post", Fault(status=500), Uncertain, id="500"),
        pytest.param("post", Fault(hang="after"), Uncertain, id="no answer"),
        pytest.param("post", Fault(status=400, body='"bad matcher"'), Refused, id="400"),
    ],
)
async def test_a_broken_alertmanager(
    broken: FakeJsonApi, to_broken: SilencesCaller, path: str, fault: Fault, error: type[RemediatorError]
) -> None:
    if path == "post":  # the first call looks, the second one makes
        broken.fail("/api/v2/silences", Fault(status=200, body="[]"))
    broken.fail("/api/v2/silences", fault)
    with pytest.raises(error) as caught:
        await to_broken.send(PLACE, request("a1b2c3d4e5"), key="e-1")
    assert type(caught.value) is error


async def test_what_cannot_be_read_is_not_nothing(broken: FakeJsonApi, to_broken: SilencesCaller) -> None:
    broken.body = {"alerts": []}
    with pytest.raises(CannotSee):
        await to_broken.ask(PLACE, {"about": "matching", "matchers": MATCHERS})
    broken.body = [{"id": "1"}]
    with pytest.raises(CannotSee):
        await to_broken.find(PLACE, request("a1b2c3d4e5"), key="e-1")
    with pytest.raises(NotFound):
        await to_broken.ask(PLACE, {"about": "receivers"})


def test_without_an_alertmanager_there_is_no_caller() -> None:
    assert "alertmanager" not in connect_callers(OutsideSettings(), FakeCluster())
    known = Endpoint(name="Alertmanager", url="http://127.0.0.1:1")
    assert "alertmanager" in connect_callers(OutsideSettings(), FakeCluster(), alertmanager=known)
