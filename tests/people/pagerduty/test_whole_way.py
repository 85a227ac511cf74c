"""The service as it is wired, with PagerDuty on the other side: from an alert to a page, to a person, and back."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from pydantic import ValidationError

from remediator.adapters.pagerduty_connect import connect_pagerduty
from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.app import App
from remediator.config import Config
from remediator.connecting import Outside, connect
from remediator.http.pagerduty import PATH
from remediator.people.account import Account
from remediator.people.join import Join
from remediator.people.outbox import Outbox
from remediator.people.pagerduty_settings import PagerDuty
from remediator.people.pages import incident_key
from remediator.remediation.state import Remediation
from remediator.service import NotNow
from tests.support.fake_pagerduty import FakeIncident, FakePagerDuty
from tests.support.pagerduty_webhooks import SECRET, delivery, event
from tests.support.world import deployment, restart_playbook

LABELS = {"alertname": "Stuck", "severity": "critical", "namespace": "shop", "deployment": "api"}
BOB = Account(system="api", id="bob", name="bob", role="approver", via="cli")


def config(folder: Path, pagerduty: FakePagerDuty, /, **more: Any) -> Config:
    return Config.model_validate(
        {
            "listen": {"host": "127.0.0.1", "port": 0},
            "instance": "eu-1",
            "sources": [{"name": "am", "auth": "none", "cluster": "c1"}],
            "api": [{"name": "bob", "role": "admin", "token": {"value": "bobs-token-0123456789"}}],
            "clusters": [{"name": "c1", "kubeconfig": "none"}],
            "policy": {"mode_ceiling": "auto"},
            "playbooks": {"folders": [str(folder)]},
            "observer": False,
            "kubernetes_events": False,
            "external_url": "https://remediator.example.com",
            "routes": {"pagerduty": {"default_service": "shop"}},
            "pagerduty": {
                "services": {"shop": {"value": pagerduty.routing_key}},
                "url": pagerduty.root,
                "api": {"token": {"value": pagerduty.token}, "from_email": pagerduty.user, "url": pagerduty.root},
                "webhook": {"secrets": [{"value": SECRET}]},
            },
            **more,
        }
    )


class Place:
    """One service and its PagerDuty, moved by hand."""

    def __init__(self, app: App, outbox: Outbox, pagerduty: FakePagerDuty, session: aiohttp.ClientSession) -> None:
        self.app = app
        self.pagerduty = pagerduty
        self._outbox = outbox
        self._session = session

    @property
    def cluster(self) -> SimulatedCluster:
        cluster = self.app.outside.clusters["c1"]
        assert isinstance(cluster, SimulatedCluster)
        return cluster

    @property
    def incident(self) -> FakeIncident:
        return self.pagerduty.incidents[-1]

    @property
    def status(self) -> str:
        return self.incident.status

    async def turn(self) -> None:
        await self.app.core.intake.take_all()
        await self.app.core.runner.tick()
        await self.app.core.runner.drain()
        await self._outbox.run_once(self.app.outside.clock.now())
        await self.app.inbox.run_once()

    async def run_for(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.turn()
            self.cluster.advance(1)

    async def run_until(self, state: str) -> Remediation:
        for _ in range(600):
            await self.turn()
            found = await self.app.outside.journal.recent(1)
            if found and found[0].state == state:
                await self.run_for(3)
                return found[0]
            self.cluster.advance(1)
        raise AssertionError([(r.state, r.reason) for r in await self.app.outside.journal.recent(3)])

    async def alert(self) -> None:
        now = self.app.outside.clock.now()
        alert = Alert(
            fingerprint=fingerprint(LABELS), status="firing", labels=LABELS, starts_at=now, cluster="c1", source="am"
        )
        await self.app.outside.journal.accept([alert], now)

    async def webhook(self, kind: str, r: Remediation, **more: Any) -> int:
        key = incident_key("eu-1", r.cluster, r.episode)
        payload = event(kind, at=self.app.outside.clock.now(), key=key, incident=self.incident.id, **more)
        body, headers = delivery(payload)
        url = f"http://127.0.0.1:{self.app.port}{PATH}"
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "restart.yaml").write_text(yaml.safe_dump(restart_playbook(mode="approve")))
    clock = VirtualClock()
    cluster = SimulatedCluster("c1", clock)
    cluster.apply(deployment())
    cluster.advance(120)
    async with AsyncExitStack() as stack:
        pagerduty = await stack.enter_async_context(FakePagerDuty())
        settings = config(tmp_path, pagerduty)
        assert settings.pagerduty is not None
        connected = connect_pagerduty(settings.pagerduty, clock, None)
        for close in connected.closing:
            stack.push_async_callback(close)
        outside = Outside(
            clusters={"c1": cluster},
            journal=SqlJournal.in_memory(),
            clock=clock,
            pagers=connected.services,
            incidents=connected.incidents,
            carriers=connected.carriers,
        )
        app = await stack.enter_async_context(App(settings, outside).started(loops=False))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Place(app, Outbox(outside.journal, connected.carriers), pagerduty, session)
        assert pagerduty.violations == []


async def test_a_person_who_acknowledges_is_left_alone_until_it_is_given_back(place: Place) -> None:
    await place.alert()
    r = await place.run_until("awaiting_approval")
    assert place.status == "triggered"
    assert place.incident.severity == "critical"
    assert await place.webhook("incident.acknowledged", r) == 202
    await place.run_for(3)
    (pause,) = await place.app.outside.journal.pauses(place.app.outside.clock.now())
    assert pause.scope == f"episode:{r.episode}"
    assert "Ann Miller" in pause.who or "PANN001" in pause.who
    with pytest.raises(NotNow):
        await place.app.service.approve(r.id, BOB)
    assert place.pagerduty.changes == []

    await place.app.service.give_back(r.episode, BOB)
    await place.app.service.approve(r.id, BOB)
    await place.run_until("succeeded")
    await place.run_for(10)
    (change,) = place.pagerduty.changes
    assert change["payload"]["summary"].startswith("rollout restart Deployment shop/api: ")
    assert place.status == "resolved"
    first, *_, last = place.incident.notes
    assert "pproved by bob" in first
    assert last.startswith("remediator: Fixed: ")
    assert len(place.pagerduty.incidents) == 1


async def test_resolved_by_a_person_and_told_twice(place: Place) -> None:
    await place.alert()
    r = await place.run_until("awaiting_approval")
    for _ in range(2):
        assert await place.webhook("incident.resolved", r, status="resolved") == 202
        await place.run_for(2)
    assert len(await place.app.outside.journal.pauses(place.app.outside.clock.now())) == 1


async def test_pagerduty_may_be_slow_to_make_incidents(place: Place) -> None:
    """202, but no incident yet: the notes wait for it."""
    place.pagerduty.slow = True
    await place.alert()
    r = await place.run_until("awaiting_approval")
    await place.app.service.approve(r.id, BOB)
    await place.run_until("succeeded")
    assert place.incident.notes == []
    place.pagerduty.settle()
    await place.run_for(120)
    assert len(place.incident.notes) >= 2


async def test_everything_that_the_configuration_asks_for_is_connected(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    users = [{"name": "u", "user": {"token": "t"}}]
    kubeconfig.write_text(
        yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"})
    )
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakePagerDuty())
        plain = config(tmp_path, fake)
        assert plain.pagerduty is not None
        join = Join(route_key="{}", group_by=("alertname",), service="shop")
        changes = {
            "clusters": [{"name": "c1", "kubeconfig": str(kubeconfig)}],
            "store": {"path": tmp_path / "journal.db"},
            "alertmanager": {"url": "http://127.0.0.1:1"},
            "pagerduty": plain.pagerduty.model_copy(update={"join": join}),
        }
        outside = await connect(config(tmp_path, fake, **changes), stack)
        assert {"pagerduty", "pagerduty_change", "pagerduty_note", "pagerduty_join"} <= set(outside.carriers)
        assert set(outside.pagers) == {"shop"}
        assert outside.incidents is not None
        await outside.reach["PagerDuty shop"].probe()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"join": {"route_key": "{}", "group_by": ["alertname"]}}, "pagerduty.api", id="no api"),
        pytest.param({"join": {"route_key": "{", "group_by": []}}, "route_key", id="no route"),
        pytest.param({"join": {"route_key": "{}", "group_by": [], "service": "x"}}, "join.service", id="no service"),
        pytest.param({"webhook": {"secrets": []}}, "secrets", id="no secret"),
        pytest.param({"api": {"token": {"value": "t"}, "from_email": "ann\nBcc: x@y"}}, "from_email", id="no address"),
        pytest.param({"api": {"token": {"value": "t"}, "from_email": "a@b", "url": "ftp://x"}}, "url", id="no url"),
        pytest.param({"joins": {}}, "joins", id="a slip"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        PagerDuty.model_validate({"services": {"shop": {"value": "k"}}, **changes})


def test_a_join_by_labels_that_alertmanager_does_not_know_is_refused(tmp_path: Path) -> None:
    fake = FakePagerDuty()
    plain = config(tmp_path, fake)
    assert plain.pagerduty is not None
    join = Join(route_key="{}", group_by=("alertname", "cluster"))
    source = {"name": "am", "auth": "none", "cluster": "c1", "labels": {"cluster": "c1"}}
    with pytest.raises(ValidationError, match=r"pagerduty\.join\.group_by"):
        config(tmp_path, fake, sources=[source], pagerduty=plain.pagerduty.model_copy(update={"join": join}))


async def test_doctor_asks_pagerduty(place: Place) -> None:
    findings = {one["check"]: one for one in (await place.app.service.doctor())["findings"]}
    assert findings["PagerDuty API"]["ok"]
    place.pagerduty.token = "another"
    findings = {one["check"]: one for one in (await place.app.service.doctor())["findings"]}
    assert "check pagerduty.api.token" in findings["PagerDuty API"]["said"]
