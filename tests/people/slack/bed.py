"""One service process with its Slack app, moved by hand: a simulated cluster, real SQL, the real adapters, and a fake
Slack that both sides reach over loopback. No loops, no waiting: `turn` does what is due.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.slack import SlackChat
from remediator.adapters.sql.journal import SqlJournal
from remediator.http.slack import PATH
from remediator.metrics import Metrics
from remediator.people.approval_settings import BreakGlass
from remediator.people.approvers import Approvers
from remediator.people.buttons import Button
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.directory import Directory, PersonSpec
from remediator.people.inbox import Inbox
from remediator.people.outbox import Outbox
from remediator.people.routes import Routes
from remediator.remediation.state import Remediation
from remediator.service import Service
from remediator.slack_app.settings import Slack
from remediator.slack_side import SlackSide
from tests.support.fake_slack import OPS, FakeMessage, FakeSlack
from tests.support.slack_base import APP_ID, APP_TOKEN, SIGNING_SECRET, TEAM_ID, TOKEN
from tests.support.world import World, deployment, restart_playbook

APPROVERS = ("slack:U0ANN", "slack:U0BOB", "slack:U0CAT")


def playbook(*, quorum: int = 1, approvers: tuple[str, ...] = APPROVERS, **changes: Any) -> dict[str, Any]:
    """Restarts shop/api once people agree."""
    approval = {"approvers": list(approvers), "quorum": quorum, "expires": "30m"}
    return restart_playbook(mode="approve", approval=approval, **changes)


def button(action: Button, r: Remediation, *, instance: str = "") -> dict[str, str]:
    """As some message may have it that was drawn when the remediation was as it is given."""
    return {"type": "button", "action_id": action.value, "value": f"{instance}|{r.id}|{r.digest[:16]}"}


def slack_settings(slack: FakeSlack, **changes: Any) -> Slack:
    given: dict[str, Any] = {
        "token": {"value": TOKEN},
        "url": slack.url,
        "app_id": APP_ID,
        "team": TEAM_ID,
        "signing_secret": {"value": SIGNING_SECRET},
        **changes,
    }
    return Slack.model_validate(given)


class Bed:
    """`world` is the core, `service` what people ask, `side` the Slack app, `inbox` and `outbox` its workers."""

    world: World
    service: Service
    side: SlackSide
    inbox: Inbox
    outbox: Outbox
    url: str

    def __init__(self, slack: FakeSlack, clock: VirtualClock) -> None:
        self.slack = slack
        self.clock = clock

    @property
    def journal(self) -> SqlJournal:
        return self.world.journal

    async def turn(self) -> None:
        """What was clicked, then the core, then what people are told."""
        await self.inbox.run_once()
        await self.world.turn()
        await self.outbox.run_once(self.clock.now())

    async def run_for(self, seconds: float) -> None:
        """In steps of a second: so long is the shortest gap between two messages in a channel."""
        for _ in range(int(seconds)):
            await self.turn()
            self.world.cluster.advance(1.0)
        await self.turn()

    async def proposed(self) -> FakeMessage:
        """An alert fired, and people see the proposal. Returns the message."""
        await self.world.alert()
        await self.run_for(3)
        (message,) = self.slack.main(OPS)
        assert (await self.newest()).state == "awaiting_approval"
        return message

    async def newest(self) -> Remediation:
        return await self.world.newest()

    @property
    def effects(self) -> int:
        """Requests that altered the cluster, as its own audit has them."""
        return len(self.world.writes())


@contextlib.asynccontextmanager
async def bed(
    slack: FakeSlack,
    clock: VirtualClock,
    *playbooks: Mapping[str, Any],
    before: Bed | None = None,
    file: Path | None = None,
    people: tuple[Mapping[str, Any], ...] = (),
    break_glass: BreakGlass | None = None,
    instance: str = "",
    chat: Callable[[SlackChat], Any] = lambda chat: chat,
    **settings: Any,
) -> AsyncIterator[Bed]:
    """`before`: the process before this one, whose cluster (and journal file, if `file`) goes on."""
    self = Bed(slack, clock)
    made = playbooks or (playbook(),)
    journal = SqlJournal.open_file(file) if file else None
    options: dict[str, Any] = {
        "settings": {
            "routes": Routes.model_validate({"slack": {"default_channel": OPS}}),
            "interactive": True,
            "instance": instance,
            "break_glass": break_glass,
        },
        **({"journal": journal} if journal else {}),
    }
    if before is not None:
        self.world = before.world.another(*made, holder="second", **options)
        await self.journal.takeover("second")
    else:
        self.world = World(*made, clock=clock, **options)
        self.world.cluster.apply(deployment())
        self.world.settle()
        self.world.cluster.advance(60)
    async with SlackChat(TOKEN, base_url=slack.url) as real:
        spoken = chat(real)
        directory = Directory([PersonSpec.model_validate(p) for p in people])
        core = self.world.core
        self.service = Service(
            journal=self.journal,
            runner=core.runner,
            poke_intake=lambda: None,
            clock=clock,
            metrics=Metrics(),
            playbooks=list,
            explain=_no_explanation,
            clusters=("c1",),
            approvers=Approvers(directory, clock, chat=spoken),
            tell=core.teller.refresh,
            glass=core.glass,
            starter=core.starter,
        )
        self.outbox = Outbox(self.journal, {"slack": SlackCarrier(spoken)})
        handlers: dict[Any, Any] = {}
        self.inbox = Inbox(self.journal, handlers, clock)
        self.side = SlackSide(
            slack_settings(slack, **settings),
            instance=instance,
            slack=spoken,
            service=self.service,
            journal=self.journal,
            inbox=self.journal,
            stories=core.teller.stories,
            whole=core.teller.whole,
            clock=clock,
            poke=self.inbox.poke,
        )
        handlers["slack"] = self.side.handler
        try:
            async with serving(self.side) as root:
                self.url = slack.request_url = root + PATH
                yield self
        finally:
            await self.side.close()
            if journal:
                await journal.close()


@contextlib.asynccontextmanager
async def serving(side: SlackSide) -> AsyncIterator[str]:
    """The routes on a free loopback port."""
    app = web.Application()
    side.webhook.add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _no_explanation(alert: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("nobody asks for one")


def app_tokens() -> dict[str, Any]:
    """For socket mode instead of HTTP."""
    return {"app_token": {"value": APP_TOKEN}, "signing_secret": []}
