"""From an alert to a letter, a webhook and a ticket: the whole core, its store and its outbox, against fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from remediator.adapters.apprise_chat import AppriseCarrier, Mailbox
from remediator.adapters.grafana import GrafanaCarrier
from remediator.adapters.json_out import JsonOut, basic, bearer
from remediator.adapters.kubernetes_events import EventCarrier
from remediator.adapters.tickets.carrier import TicketCarrier
from remediator.adapters.tickets.servicenow import ServiceNow
from remediator.adapters.webhook_out import Hook, WebhookCarrier
from remediator.people.beside import Beside
from remediator.people.carrier import Carrier
from remediator.people.outbox import Outbox
from remediator.people.routes import Routes
from tests.people.channels.test_apprise import mail_url
from tests.remediation.test_telling import people
from tests.support import fake_grafana
from tests.support.accounts import token
from tests.support.fake_grafana import FakeGrafana
from tests.support.fake_http import Fault
from tests.support.fake_smtp import FakeSmtp
from tests.support.fake_tickets import CREATE, TOKEN, USER, FakeServiceNow
from tests.support.fake_webhook import HOOK, FakeWebhook
from tests.support.world import World, deployment, restart_playbook

SECRET = "webhook-secret-0123456789"
ROUTES = Routes.model_validate({"others": [{"to": ["apprise:mail", "webhook:cmdb", "ticket:snow"]}]})


class Everything:
    """A world and everybody that it tells."""

    def __init__(self, mail: FakeSmtp, hook: FakeWebhook, snow: FakeServiceNow, grafana: FakeGrafana) -> None:
        self.mail, self.hook, self.snow, self.grafana = mail, hook, snow, grafana
        beside = Beside(kubernetes_events=True, dashboards=())
        self.world = World(
            restart_playbook(mode="approve", owner="team-api", approval={"expires": "5m"}),
            settings={"routes": ROUTES, "beside": beside, "console": "https://remediator.example.com"},
        )
        self.world.cluster.apply(deployment())
        self.world.cluster.advance(60)
        clock = self.world.clock
        out = JsonOut("ServiceNow", snow.root, login=basic(USER, lambda: TOKEN), timeout_s=1.0)
        system = ServiceNow(out, table="incident", owners={}, priorities={}, fields={})
        drawn = JsonOut("Grafana", grafana.root, login=bearer(lambda: fake_grafana.TOKEN))
        self.carriers: dict[str, Carrier] = {
            "apprise": AppriseCarrier({"mail": Mailbox(lambda: mail_url(mail, to="ops@example.com"))}),
            "webhook": WebhookCarrier({"cmdb": Hook(JsonOut("cmdb", hook.url), lambda: SECRET)}, clock),
            "ticket": TicketCarrier({"snow": system}),
            "grafana": GrafanaCarrier(drawn),
            "kubernetes_event": EventCarrier({"c1": self.world.cluster}, clock),
        }
        self._open = [JsonOut.close(out), JsonOut.close(drawn)]
        self.outbox = Outbox(self.world.journal, self.carriers)

    async def told(self) -> None:
        """Send what is due, and what is due again soon."""
        for _ in range(20):
            await self.outbox.run_once(self.world.clock.now())
            self.world.cluster.advance(5)

    async def close(self) -> None:
        for one in self._open:
            await one
        await self.carriers["webhook"].close()  # type: ignore[attr-defined]


@pytest.fixture
async def everything() -> AsyncIterator[Everything]:
    now: list[Everything] = []
    hook = FakeWebhook(secret=SECRET, now=lambda: now[0].world.clock.now().timestamp())
    async with FakeSmtp() as mail, hook, FakeServiceNow() as snow, FakeGrafana() as grafana:
        now.append(Everything(mail, hook, snow, grafana))
        yield now[0]
        for fake in (mail, hook, snow, grafana):
            assert fake.violations == []
        await now[0].close()


async def test_approved_and_fixed(everything: Everything) -> None:
    e = everything
    await e.world.alert(severity="critical", deployment="api")
    r = await e.world.run_until("awaiting_approval")
    await e.outbox.run_once(e.world.clock.now())
    (asked,) = (envelope.message for envelope in e.mail.envelopes)
    assert asked["Subject"].startswith("Approval needed: ")
    whole = str(asked)
    assert f"remediator approve {r.id}" in whole
    assert f"https://remediator.example.com/remediations/{r.id}" in whole.replace("=\n", "")
    await people(e.world).approve(r.id, token("ann"))
    await e.world.run_until("succeeded")
    await e.told()
    assert [m.message["Subject"].partition(":")[0] for m in e.mail.envelopes] == ["Approval needed", "Fixed"]
    states = [event["remediation"]["state"] for event in e.hook.events.values()]
    assert states[0] == "awaiting_approval"
    assert states[-1] == "succeeded"
    assert len(states) == len(set(e.hook.events))
    assert e.snow.tickets == {}, "nobody has to look"
    (drawn,) = e.grafana.annotations.values()
    assert drawn["timeEnd"] > drawn["time"]
    events = (await e.world.cluster.list("Event", "shop")).items
    assert {"Remediating", "RemediationSucceeded"} <= {event["reason"] for event in events}


async def test_nobody_answers_and_everybody_is_slow(everything: Everything) -> None:
    """A ticket is opened once although its creation was never answered; every event arrives, in order."""
    e = everything
    e.snow.fail(CREATE, Fault(hang="after"))
    e.hook.fail(HOOK, Fault(status=503), times=3)
    e.mail.replies.append("451 later")
    await e.world.alert(severity="critical", deployment="api")
    await e.world.run_until("escalated")
    for _ in range(6):
        await e.told()
    (incident,) = e.snow.tickets.values()
    assert "nobody approved" in incident["short_description"].lower()
    states = [event["remediation"]["state"] for event in e.hook.events.values()]
    assert states == sorted(states, key=["held", "awaiting_approval", "escalated"].index)
    assert states[-1] == "escalated"
    assert len(e.mail.envelopes) >= 1
    assert "Needs a person" in e.mail.envelopes[-1].message["Subject"]
    waiting = [await e.world.journal.due(c, e.world.clock.now() + timedelta(1), 99) for c in e.carriers]
    assert [rows for rows in waiting if rows] == []
