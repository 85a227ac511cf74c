"""Alertmanager's incident is resolved by us only when Alertmanager itself knows nothing of its group any more."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.json_api import Endpoint
from remediator.errors import CannotSee
from remediator.people.carriers.pagerduty_join import SETTLED, TRIES, JoinedResolveCarrier
from remediator.people.incidents import JOINED_RESOLVE
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError
from tests.http.harness import FakeClock
from tests.people.stories import NOW
from tests.support.controlplane import AlertmanagerServer
from tests.support.fake_prometheus import FakeJsonApi
from tests.support.real_servers import started

KEY = "f" * 64


@dataclass
class Alertmanager:
    firing: int = 0
    up: timedelta = SETTLED
    broken: bool = False
    asked: list[tuple[Mapping[str, str], Collection[str]]] = field(default_factory=list)

    async def started_at(self) -> datetime:
        if self.broken:
            raise CannotSee("Alertmanager did not answer")
        return FakeClock().now() - self.up

    async def firing_like(self, labels: Mapping[str, str], absent: Collection[str]) -> int:
        self.asked.append((labels, absent))
        return self.firing


@dataclass
class Pager:
    sent: list[Mapping[str, object]] = field(default_factory=list)

    async def send(self, event: Mapping[str, object]) -> None:
        self.sent.append(event)


def row(tries: int = 0, destination: str = "ops") -> OutboxRow:
    return OutboxRow(
        id=1,
        channel=JOINED_RESOLVE,
        destination=destination,
        key="k",
        kind="event",
        payload={"dedup_key": KEY, "labels": {"alertname": "A"}, "absent": ["team"]},
        tries=tries,
        due_at=NOW,
        created_at=NOW,
    )


async def test_when_nothing_of_the_group_fires() -> None:
    pager, alertmanager = Pager(), Alertmanager()
    await JoinedResolveCarrier({"ops": pager}, alertmanager, FakeClock()).deliver(row(), None)
    assert pager.sent == [{"event_action": "resolve", "dedup_key": KEY}]
    assert alertmanager.asked == [({"alertname": "A"}, ["team"])]


@pytest.mark.parametrize(
    "alertmanager",
    [
        pytest.param(Alertmanager(firing=1), id="something fires"),
        pytest.param(Alertmanager(up=SETTLED - timedelta(seconds=1)), id="just started"),
        pytest.param(Alertmanager(broken=True), id="does not answer"),
    ],
)
async def test_whatever_is_in_doubt_is_left_alone(alertmanager: Alertmanager) -> None:
    pager = Pager()
    carrier = JoinedResolveCarrier({"ops": pager}, alertmanager, FakeClock())
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(row(), None)
    assert caught.value.retry_after_s == 15
    await carrier.deliver(row(tries=TRIES), None)
    assert pager.sent == [], "in the end Alertmanager closes its own incident"


async def test_a_service_that_is_not_there() -> None:
    with pytest.raises(ChatError, match=r"join\.service") as caught:
        await JoinedResolveCarrier({}, Alertmanager(), FakeClock()).deliver(row(), None)
    assert caught.value.retry_after_s is None


# Asking Alertmanager --------------------------------------------------------------------------------------------------

LABELS = {"alertname": "A", "severity": "critical", "note": 'x"\\ {y},\n=~'}


@pytest.mark.controlplane
async def test_the_real_one_is_asked_for_more_than_the_group(tmp_path: Path) -> None:
    config: dict[str, Any] = {"route": {"receiver": "x"}, "receivers": [{"name": "x"}]}
    with started(AlertmanagerServer(tmp_path, config)) as server:
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        alerts = [
            {"labels": {**LABELS, "pod": "1"}, "endsAt": ends},
            {"labels": {**LABELS, "pod": "2"}, "endsAt": ends},
            {"labels": {**LABELS, "pod": "3", "team": "shop"}, "endsAt": ends},
            {"labels": {"alertname": "B"}, "endsAt": ends},
        ]
        await asyncio.to_thread(server.post_alerts, *alerts)
        silence = {
            "matchers": [{"name": "pod", "value": "1", "isRegex": False}],
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": ends,
            "createdBy": "ann",
            "comment": "deploying",
        }
        await asyncio.to_thread(server.request, "POST", "/api/v2/silences", silence)
        api = AlertmanagerSilences(Endpoint(name="Alertmanager", url=server.url))
        try:
            assert await api.firing_like(LABELS, ["team"]) == 2, "silenced ones count"
            assert await api.firing_like(LABELS, []) == 3
            assert await api.firing_like({**LABELS, "team": "shop"}, []) == 1
            assert await api.firing_like({"alertname": "C"}, []) == 0
            assert await api.firing_like({}, []) == 4, "one group of everything"
            assert abs((datetime.now(UTC) - await api.started_at()).total_seconds()) < 600
            over = [{**alert, "endsAt": datetime.now(UTC).isoformat()} for alert in alerts[:2]]
            await asyncio.to_thread(server.post_alerts, *over)
            assert await api.firing_like(LABELS, ["team"]) == 0, "what is over does not"
        finally:
            await api.close()


@pytest.mark.parametrize("answer", [{"x": 1}, "nothing", None])
async def test_an_answer_that_is_none(answer: Any) -> None:
    async with FakeJsonApi() as fake:
        fake.body = answer
        api = AlertmanagerSilences(Endpoint(name="Alertmanager", url=fake.root, timeout_s=2.0))
        try:
            with pytest.raises(CannotSee):
                await api.firing_like({"alertname": "A"}, [])
            with pytest.raises(CannotSee):
                await api.started_at()
        finally:
            await api.close()
