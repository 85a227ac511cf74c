"""The HTTP side as a whole: one application, and the sockets it listens on."""

from __future__ import annotations

import os
from typing import Self

from aiohttp import web

from remediator.config import Listen
from remediator.http.api import PREFIX, make_api
from remediator.http.auth import Senders, Users
from remediator.http.ops import add_metrics, make_ops
from remediator.http.webhook import MIB, AlertmanagerWebhook, add_webhook
from remediator.metrics import Metrics
from remediator.ports import Clock
from remediator.service import Service

IDLE_TIMEOUT_S = 75.0
"""Of a connection without a request, and of one whose headers dribble in."""
BACKLOG = 1024
LINGER_S = 2.0
"""How long the rest of a refused body is read away, so that the sender gets to read the answer."""
SHUTDOWN_S = 10.0
SOCKET_MODE = 0o660


def make_app(
    service: Service, senders: Senders, users: Users, metrics: Metrics, listen: Listen, clock: Clock
) -> web.Application:
    """Routes only; nothing is started."""
    max_body = listen.max_body_mib * MIB
    app = web.Application(client_max_size=max_body)
    add_webhook(app, AlertmanagerWebhook(service, senders, metrics, max_body=max_body))
    add_metrics(app, metrics)
    app.add_subapp("/-", make_ops(service, users))
    app.add_subapp(PREFIX, make_api(service, users, clock))
    return app


class Listening:
    """An application on its port and, where configured, on its unix socket. Use as an async context manager."""

    def __init__(self, app: web.Application, listen: Listen) -> None:
        self._listen = listen
        self._runner = web.AppRunner(
            app,
            access_log=None,  # one line per webhook would be most of the log; metrics count them
            handle_signals=False,
            keepalive_timeout=IDLE_TIMEOUT_S,
            lingering_time=LINGER_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        self.port = 0
        """The port in use; differs from the configured one where that is 0."""

    async def __aenter__(self) -> Self:
        """Raises: OSError when the address is taken."""
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._listen.host, self._listen.port, backlog=BACKLOG)
            await site.start()
            self.port = site.port
            if self._listen.socket is not None:
                await web.UnixSite(self._runner, self._listen.socket, backlog=BACKLOG).start()
                os.chmod(self._listen.socket, SOCKET_MODE)
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Take no more, let what is under way finish, close."""
        await self._runner.cleanup()
        if self._listen.socket is not None:
            self._listen.socket.unlink(missing_ok=True)
