"""Socket Mode: we call Slack, so that no public address is needed. By hand, because an envelope may be acknowledged
only once its click is durable, and a socket that Slack wants to close must be replaced before that, not after.

`apps.connections.open` gives an address that is good for one connection. Over it come envelopes; each is acknowledged
by its id within three seconds, or Slack shows the person an error. `disconnect` asks for a new connection: it is opened
at once, while what is under way on the old one is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, get_args

import aiohttp
import orjson
import structlog

from remediator.errors import InvalidConfig
from remediator.ports import Clock
from remediator.slack_app.clicks import Envelope
from remediator.slack_app.door import Door

log = structlog.get_logger(__name__)

BASE_URL = "https://slack.com/api/"
HEARTBEAT_S = 15.0
OPEN_S = 10.0
DRAIN_S = 5.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
STEADY_S = 30.0
"""A connection that lasted this long was a good one."""
MAX_MESSAGE = 1024 * 1024
_ENVELOPES: tuple[Envelope, ...] = get_args(Envelope)


class NotConnected(Exception):
    """No connection could be had; the message says why, without the address, which is a secret."""


class SlackSocket:
    """One connection at a time, for as long as `run` runs. `token` is read for each (rotation)."""

    def __init__(self, door: Door, token: Callable[[], str], clock: Clock, *, base_url: str = BASE_URL) -> None:
        self._door = door
        self._token = token
        self._clock = clock
        self._url = f"{base_url.rstrip('/')}/apps.connections.open"
        self.connected = False
        """Whether Slack has said hello on a connection that stands."""

    async def run(self) -> None:
        """Until cancelled."""
        wait_s = 0.0
        # trust_env: proxies from the environment
        async with aiohttp.ClientSession(trust_env=True) as session, asyncio.TaskGroup() as group:
            while True:
                began = self._clock.boot()
                connection = _Connection(self._door)
                group.create_task(self._serve(session, connection))
                await connection.leaving.wait()
                self.connected = False
                if self._clock.boot() - began >= STEADY_S:
                    wait_s = 0.0
                if wait_s or not connection.greeted:
                    wait_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, wait_s))
                    await self._clock.sleep(wait_s)
                # The next one follows at once when this one worked; a connection that flaps is left alone for longer.
                wait_s = max(FIRST_WAIT_S, wait_s * 2)

    async def _serve(self, session: aiohttp.ClientSession, connection: _Connection) -> None:
        """One connection to its end. Never raises (but CancelledError)."""
        try:
            async with asyncio.timeout(OPEN_S):
                address = await self._address(session)
                socket = await session.ws_connect(address, heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE)
            async with socket:
                await connection.serve(socket, self._greeted)
        except NotConnected as exc:
            log.error("slack_socket_not_connected", error=str(exc))
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            log.warning("slack_socket_lost", error=type(exc).__name__)
        finally:
            connection.leaving.set()

    def _greeted(self) -> None:
        self.connected = True
        log.info("slack_socket_connected")

    async def _address(self, session: aiohttp.ClientSession) -> str:
        """Raises: NotConnected."""
        try:
            headers = {"Authorization": f"Bearer {self._token()}"}
        except InvalidConfig as exc:  # while a secret is rotated its file may be gone for a moment
            raise NotConnected(str(exc)) from exc
        try:
            async with session.post(self._url, headers=headers) as answer:
                said = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as exc:
            raise NotConnected(f"apps.connections.open: {type(exc).__name__}") from exc
        url = said.get("url") if isinstance(said, dict) and said.get("ok") is True else None
        if not isinstance(url, str):
            code = said.get("error") if isinstance(said, dict) else None
            raise NotConnected(f"apps.connections.open: {str(code)[:64]}; see slack.app_token")
        return url


class _Connection:
    """What one socket has under way. `leaving`: another one is wanted."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._tasks: set[asyncio.Task[None]] = set()
        self.leaving = asyncio.Event()
        self.greeted = False

    async def serve(self, socket: aiohttp.ClientWebSocketResponse, greeted: Callable[[], None]) -> None:
        try:
            async for message in socket:
                said = _object(message)
                match said.get("type"):
                    case "hello":
                        self.greeted = True
                        greeted()
                    case "disconnect":
                        log.info("slack_socket_leaving", reason=str(said.get("reason"))[:40])
                        self.greeted = self.greeted and said.get("reason") != "link_disabled"
                        self.leaving.set()
                        await self._drain()
                        return
                    case _:
                        self._start(socket, said)
        finally:
            self.leaving.set()
            await self._drain()

    def _start(self, socket: aiohttp.ClientWebSocketResponse, said: Mapping[str, Any]) -> None:
        kind, envelope_id = said.get("type"), said.get("envelope_id")
        if kind not in _ENVELOPES or not isinstance(envelope_id, str):
            log.info("slack_envelope_unknown", type=str(kind)[:40])
            return
        task = asyncio.create_task(self._take(socket, kind, envelope_id, said.get("payload")))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(
        self, socket: aiohttp.ClientWebSocketResponse, kind: Envelope, envelope_id: str, payload: Any
    ) -> None:
        """Without an acknowledgement Slack shows the person an error, which is right for what we did not take."""
        answer = await self._door.take(kind, payload)
        if answer.result == "busy":
            return
        body = {"payload": answer.body} if answer.body is not None else {}
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await socket.send_str(orjson.dumps({"envelope_id": envelope_id, **body}).decode())

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=DRAIN_S)
        for task in set(self._tasks):
            task.cancel()


def _object(message: aiohttp.WSMessage) -> Mapping[str, Any]:
    if message.type is not aiohttp.WSMsgType.TEXT:
        return {}
    try:
        said = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
