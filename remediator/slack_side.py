"""Wiring of the Slack app: from the configuration to its routes, its socket and the handler of its inbox rows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import aiohttp

from remediator.adapters.slack_relay import HttpForwarder
from remediator.adapters.slack_socket import SlackSocket
from remediator.http.slack import SigningSecrets, SlackWebhook
from remediator.people.inbox_rows import InboxStore
from remediator.ports import Clock
from remediator.remediation.journal import Journal
from remediator.service import Service
from remediator.slack_app.app import SlackApp, Stories, Whole
from remediator.slack_app.commands import Commands
from remediator.slack_app.deciding import Deciding
from remediator.slack_app.door import Door
from remediator.slack_app.members import Members, Workspace
from remediator.slack_app.ports import SlackApi
from remediator.slack_app.relaying import Forwarder, Relay
from remediator.slack_app.settings import Slack


class SlackSide:
    """`handler` is for the inbox, `webhook` for the HTTP server, `socket` for a loop of its own where configured.

    Create it in a running event loop, close it at the end.
    """

    def __init__(
        self,
        settings: Slack,
        *,
        instance: str,
        slack: SlackApi,
        service: Service,
        journal: Journal,
        inbox: InboxStore,
        stories: Stories,
        whole: Whole,
        clock: Clock,
        poke: Callable[[], None],
        console: str = "",
    ) -> None:
        """Raises: InvalidConfig when a secret cannot be read."""
        self._settings = settings
        self._session = aiohttp.ClientSession(trust_env=True)
        self.secrets = SigningSecrets(settings)
        door = Door(inbox, slack, clock, app_id=settings.app_id, poke=poke)
        self.webhook = SlackWebhook(door, self.secrets, clock, instance=instance)
        workspace = Workspace(team=settings.team, enterprise=settings.enterprise)
        self.handler = SlackApp(
            slack=slack,
            members=Members(slack, workspace, clock),
            deciding=Deciding(service, journal, clock),
            commands=Commands(service, clock, console=console),
            relay=Relay(self._ways(settings, clock), clock),
            journal=journal,
            stories=stories,
            whole=whole,
            waits_for=service.waits_for,
            clock=clock,
            instance=instance,
            console=console,
        )
        token = settings.app_token
        self.socket = SlackSocket(door, token.read, clock, base_url=settings.url) if token else None

    def _ways(self, settings: Slack, clock: Clock) -> Mapping[str, Forwarder]:
        """Raises: InvalidConfig."""
        for target in settings.relay.instances.values():
            target.secret.read()
        return {
            name: HttpForwarder(self._session, target.url, target.secret.read, clock)
            for name, target in settings.relay.instances.items()
        }

    def work(self) -> Mapping[str, Coroutine[Any, Any, Any]]:
        """Loops of its own, by name."""
        return {"slack socket": self.socket.run()} if self.socket else {}

    def reload(self) -> None:
        """Read the secrets again. Raises: InvalidConfig; the old ones stay in force then."""
        self.secrets.load(self._settings)

    async def close(self) -> None:
        await self._session.close()
