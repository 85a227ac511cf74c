"""People around the real service process: their Slack and their PagerDuty, served from a thread of the test.

The fakes are the objects themselves, so that a test can look into them and click; what they do is done on their loop:

    place.click(ANN, message, Button.APPROVE)
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from remediator.http.pagerduty import PATH as PAGERDUTY_PATH
from remediator.http.slack import PATH as SLACK_PATH
from remediator.people.buttons import Button
from remediator.people.pages import incident_key
from tests.support.controlplane import ControlPlane, wait_until
from tests.support.controlplane.audit import AuditEvent
from tests.support.fake_http import Fault
from tests.support.fake_pagerduty import FakeIncident, FakePagerDuty
from tests.support.fake_slack import FakeChannel, FakeMessage, FakeSlack
from tests.support.pagerduty_webhooks import SECRET, delivery, event
from tests.support.scenes import effects_of, quick
from tests.support.service import API_TOKEN, WEBHOOK_TOKEN, Service, alert, request_json
from tests.support.slack_base import APP_ID, APP_TOKEN, SIGNING_SECRET, TEAM_ID, TOKEN, FakeGroup
from tests.support.slack_sockets import Reply

T = TypeVar("T")
ANN, BOB, CAT, EVE = "U0ANN", "U0BOB", "U0CAT", "U0EVE"
GROUP = "S0SRE"
INSTANCE = "eu-1"
PATIENCE_S = 60.0
"""For whatever must happen some time; nothing is measured by it."""


class Workplace:
    """One workspace and one pager for many services, each with a channel of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="workplace")
        self.slack = FakeSlack()
        self.pagerduty = FakePagerDuty()
        self.slack.groups[GROUP] = FakeGroup(id=GROUP, handle="sre", users=(ANN, BOB))
        self._channels = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self.slack.__aenter__())
        self.do(self.pagerduty.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self.do(self.slack.__aexit__(None, None, None))
        self.do(self.pagerduty.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it where the fakes live."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def call(self, what: Callable[[], T]) -> T:
        """Look at, or change, what the fakes hold, between two of their requests."""

        async def there() -> T:
            return what()

        return self.do(there())

    def new_channel(self) -> str:
        self._channels += 1
        id_ = f"C0ROOM{self._channels:03d}"
        self.slack.channels[id_] = FakeChannel(name=id_.lower())
        return id_

    def fail(self, call: str, fault: Fault, *, times: int = 1) -> None:
        self.call(lambda: self.slack.fail(call, fault, times=times))

    def mend(self) -> None:
        """No fault is left over."""
        self.call(self.slack.mend)
        self.call(self.pagerduty.mend)

    @property
    def violations(self) -> list[str]:
        return [*self.slack.violations, *self.pagerduty.violations]


def approve_playbook(*approvers: str, quorum: int = 1, expires: str = "30m", **changes: Any) -> dict[str, Any]:
    """Restarts the Deployment that the alert names, once people agree; verified within seconds."""
    approval = {"approvers": list(approvers or (f"slack:{ANN}",)), "quorum": quorum, "expires": expires}
    return quick(mode="approve", approval=approval, **changes)


class Scene:
    """One Deployment, one service for it, one channel about it."""

    def __init__(
        self, place: Workplace, control_plane: ControlPlane, directory: Path, namespace: str, playbook: dict[str, Any]
    ) -> None:
        self.place = place
        self.control_plane = control_plane
        self.namespace = namespace
        self.channel = place.new_channel()
        self._journal = directory / "journal.db"
        (directory / "playbooks").mkdir(parents=True)
        (directory / "playbooks" / "restart.yaml").write_text(yaml.safe_dump(playbook))
        self.config: dict[str, Any] = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "instance": INSTANCE,
            "sources": [{"name": "prod", "tokens": [{"value": WEBHOOK_TOKEN}]}],
            "api": [{"name": "admin", "role": "admin", "token": {"value": API_TOKEN}}],
            "store": {"path": str(self._journal)},
            "clusters": [{"name": "default", "kubeconfig": str(control_plane.kubeconfig)}],
            "slack": {
                "token": {"value": TOKEN},
                "url": place.slack.url,
                "app_id": APP_ID,
                "team": TEAM_ID,
                "signing_secret": {"value": SIGNING_SECRET},
            },
            "pagerduty": {
                "services": {"shop": {"value": place.pagerduty.routing_key}},
                "url": place.pagerduty.root,
                "api": {
                    "token": {"value": place.pagerduty.token},
                    "from_email": place.pagerduty.user,
                    "url": place.pagerduty.root,
                },
                "webhook": {"secrets": [{"value": SECRET}]},
            },
            "people": [{"name": "ann", "slack": ANN, "pagerduty": "PANN001", "roles": ["sre"]}],
            "approvals": {"cache": "0s"},
            "external_url": "https://remediator.example.com",
            "routes": {
                "slack": {"default_channel": self.channel, "mentions": [ANN]},
                "pagerduty": {"default_service": "shop"},
            },
            "playbooks": {"folders": [str(directory / "playbooks")]},
            "policy": {"mode_ceiling": "auto"},
        }
        self._directory = directory
        self.service: Service
        self._since = control_plane.audit_offset()

    def start(self, **how: str) -> Self:
        """A process. Call it again after `service.kill()`: it goes on with the same store."""
        if not hasattr(self, "service"):
            self.service = Service(self._directory, self.config)
        self.service.start(**how)
        self.place.slack.request_url = "" if "app_token" in self.config["slack"] else self.service.url + SLACK_PATH
        return self

    def stop(self) -> None:
        if hasattr(self, "service"):
            self.service.stop()

    def use_socket_mode(self) -> None:
        self.config["slack"] |= {"app_token": {"value": APP_TOKEN}}
        del self.config["slack"]["signing_secret"]

    # --- what happens -------------------------------------------------------------------------------------------------

    def fire(self) -> None:
        assert self.service.post_alerts(alert("Stuck", self.namespace, deployment="api"))[0] == 200

    def proposed(self) -> FakeMessage:
        """An alert comes, and people see the proposal."""
        self.fire()
        return self.proposal()

    def proposal(self) -> FakeMessage:
        """The newest message that asks, once its place is on record too."""

        def look() -> FakeMessage:
            message = self.messages()[-1]
            assert self.place.slack.elements(message.blocks, Button.APPROVE), message.shown
            assert self._rows("SELECT ts FROM message_refs WHERE ts = ?", message.ts), "its place is not stored yet"
            return message

        return wait_until(look, timeout_s=PATIENCE_S, what="a proposal in Slack")

    def click(self, user: str, message: FakeMessage, button: Button, **how: Any) -> Reply:
        """As the person's Slack does it. Every click must be answered with 200."""
        reply = self.place.do(self.place.slack.click(user, message, button, **how))
        assert reply.ok, reply
        return reply

    def webhook(self, kind: str, **more: Any) -> int:
        """PagerDuty tells of this episode's incident. Returns the status of the answer."""
        key = self.incident().dedup_key
        payload = event(kind, at=datetime.now(UTC), key=key, incident=self.incident().id, **more)
        body, headers = delivery(payload)
        request = urllib.request.Request(self.service.url + PAGERDUTY_PATH, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code

    # --- what can be seen ---------------------------------------------------------------------------------------------

    def ended(self, *states: str) -> dict[str, Any]:
        return self.service.wait_state(*(states or ("succeeded",)), timeout_s=PATIENCE_S)

    def newest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.show(self.service.remediations()[0]["id"])
        return found

    def messages(self) -> list[FakeMessage]:
        """Of the channel, without replies, oldest first."""
        return self.place.call(lambda: self.place.slack.main(self.channel))

    def until_shown(self, message: FakeMessage, *words: str) -> str:
        def look() -> str:
            shown = message.shown
            missing = [word for word in words if word not in shown]
            assert not missing, f"{missing} not in {shown}"
            return shown

        return wait_until(look, timeout_s=PATIENCE_S, what=f"the message says {words}")

    def until_whispered(self, user: str, *words: str) -> str:
        """Something that only this person sees, in this channel."""

        def look() -> str:
            for whisper in reversed(self.place.slack.whispers):
                whole = f"{whisper.text} {whisper.blocks}"
                if (whisper.user, whisper.channel) == (user, self.channel) and all(word in whole for word in words):
                    return whole
            return ""

        return wait_until(look, timeout_s=PATIENCE_S, what=f"{user} is told {words}")

    def effects(self) -> list[AuditEvent]:
        """Accepted writes of the service, as the API server recorded them."""
        found = effects_of(self.control_plane, self.namespace, self._since)
        return [e for e in found if e.code < 300]

    def one_effect(self) -> None:
        (only,) = self.effects()
        assert (only.verb, only.resource, only.name) == ("patch", "deployments", "api")

    def incident(self) -> FakeIncident:
        """This episode's."""
        key = incident_key(INSTANCE, "default", self.newest()["episode"])
        return self.place.call(lambda: self.place.pagerduty.incident(key))

    def pauses(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service.api("pauses")["pauses"]
        return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Our own API, as an administrator."""
        return request_json("POST", f"{self.service.url}/api/v1/{path}", dict(body or {}), token=API_TOKEN)

    def consents(self) -> list[str]:
        """Who has said yes to the present plan, as it is on record."""
        return [str(given["who"]) for given in self.newest()["approval"]["given"]]

    def kubernetes_events(self) -> list[str]:
        """Reasons of the Events on the Deployment that are ours, oldest first."""
        found = self.control_plane.client.list("events", self.namespace)
        ours = [
            e for e in found if e.get("reason", "").startswith("Remediation") and e["involvedObject"]["name"] == "api"
        ]
        return [str(e["reason"]) for e in sorted(ours, key=lambda e: str(e.get("firstTimestamp")))]

    def _rows(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as database:
            return list(database.execute(query, values))


def mentioned(message: FakeMessage) -> bool:
    """Whether it called Ann when it was new: only a new message reaches a phone."""
    first = message.versions[0]
    return f"<@{ANN}>" in f"{first.text} {first.blocks}"
