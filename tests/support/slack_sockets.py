"""The server's side of Socket Mode: one-time addresses, envelopes, acknowledgements, `disconnect`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support.slack_base import Arguments, SlackBase, error, ok

ANSWER_S = 3.0
"""After that Slack shows the person an error."""
CONNECTIONS = 10

Kind = Literal["interactive", "slash_commands", "events_api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the app said. `status` 0 = nothing within three seconds; then, as for any error, the person sees a warning
    sign."""

    status: int
    body: Any = None

    @property
    def ok(self) -> bool:
        return self.status == 200


@dataclass(slots=True, eq=False)
class _Socket:
    ws: web.WebSocketResponse
    acks: dict[str, asyncio.Future[Any]] = field(default_factory=dict)


class SlackSockets(SlackBase):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sockets: list[_Socket] = []
        self._tickets: set[str] = set()
        self.methods["apps.connections.open"] = self._open_socket

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_get("/_socket", self._socket)
        return app

    async def __aexit__(self, *exc: object) -> None:
        for socket in list(self.sockets):
            await socket.ws.close()
        await super().__aexit__(*exc)

    async def send(self, kind: Kind, payload: Mapping[str, Any]) -> Reply:
        """To one of the open sockets."""
        if not self.sockets:
            return Reply(status=0)
        socket = self.sockets[self._count % len(self.sockets)]
        envelope = self.next_id("env-")
        acked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        socket.acks[envelope] = acked
        said = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        await socket.ws.send_json(said)
        try:
            async with asyncio.timeout(ANSWER_S):
                return Reply(status=200, body=await acked)
        except TimeoutError:
            return Reply(status=0)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask the app to open another connection."""
        for socket in list(self.sockets):
            await socket.ws.send_json({"type": "disconnect", "reason": reason})

    async def _open_socket(self, asked: Arguments) -> web.Response:
        if len(self.sockets) >= CONNECTIONS:
            return error("too_many_websockets")
        ticket = self.next_id("ticket")
        self._tickets.add(ticket)
        return ok(url=f"{self.root.replace('http', 'ws')}/_socket?ticket={ticket}")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.remove(ticket)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = _Socket(ws)
        await ws.send_json({"type": "hello", "num_connections": len(self.sockets) + 1})
        self.sockets.append(socket)
        await self.changed()
        try:
            async for message in ws:
                said = json.loads(message.data)
                acked = socket.acks.pop(said["envelope_id"], None)
                if acked is None:
                    self.violations.append("an envelope was acknowledged twice, or never sent")
                elif not acked.done():
                    acked.set_result(said.get("payload"))
        finally:
            self.sockets.remove(socket)
            await self.changed()
        return ws
