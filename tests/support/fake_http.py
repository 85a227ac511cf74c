"""A real HTTP server on a free loopback port that can be told to misbehave: what the fake services stand on."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One scripted failure. `hang`: no answer at all, `after` the request did its work or `before` it could."""

    status: int = 0
    body: str = ""
    retry_after: str = ""
    error: str = ""
    """An error in the service's own form, such as Slack's `ok: false`."""
    hang: Literal["", "before", "after"] = ""
    drop: bool = False
    """Close the connection without an answer."""


class FakeServer:
    """Base of the fakes. Use as `async with FakeX() as fake:`; `fail(name, fault)` scripts the next calls."""

    def __init__(self, *, port: int = 0) -> None:
        self._port = port
        self.tls: ssl.SSLContext | None = None
        """Set before it starts: then it speaks only TLS."""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._changed = asyncio.Condition()
        self.calls: list[str] = []
        """Names of the calls received, in order, also of those that failed."""
        self.violations: list[str] = []
        """What the real service lets pass but the contract advises against; tests want this empty."""

    @property
    def root(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def app(self) -> web.Application:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        app = self.app()
        app.router.add_post("/_faults", self._add_fault)
        app.router.add_get("/_calls", self._show_calls)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self.tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing.set()
        if self._runner:
            await self._runner.cleanup()

    def fail(self, call: str, fault: Fault, *, times: int = 1) -> None:
        """The next `times` calls of that name meet the fault."""
        self._faults[call].extend([fault] * times)

    def mend(self) -> None:
        """Faults that nobody has met yet are taken back."""
        self._faults.clear()

    def faults_left(self, call: str) -> int:
        """How many of a call nobody has met yet."""
        return len(self._faults[call])

    async def changed(self) -> None:
        """Wake everybody in `until`."""
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
        """Wait until `holds()` after some call. Raises: TimeoutError."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def guarded(
        self, call: str, request: web.Request, handler: Handler, refuse: Callable[[str], web.Response]
    ) -> web.StreamResponse:
        """Answer a call, or meet its next fault. `refuse` gives an error the service's own form."""
        self.calls.append(call)
        fault = self._faults[call].popleft() if self._faults[call] else None
        try:
            if fault is None:
                return await handler(request)
            if fault.hang:
                if fault.hang == "after":
                    await handler(request)
                    await self.changed()
                await self._closing.wait()
                raise web.HTTPServiceUnavailable
            if fault.drop:
                assert request.transport is not None
                request.transport.close()
                raise web.HTTPServiceUnavailable
            if fault.error:
                return refuse(fault.error)
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return web.Response(status=fault.status or 500, text=fault.body, headers=headers, content_type="text/html")
        finally:
            await self.changed()

    async def _add_fault(self, request: web.Request) -> web.Response:
        """`{"call": "chat.postMessage", "times": 2, "status": 500}`, for tests of the real process."""
        asked: dict[str, Any] = await request.json()
        call, times = asked.pop("call"), asked.pop("times", 1)
        self.fail(call, Fault(**asked), times=times)
        return web.json_response({"ok": True})

    async def _show_calls(self, request: web.Request) -> web.Response:
        return web.json_response({"calls": self.calls, "violations": self.violations})


async def serve_until_stopped(fake: FakeServer, *, print_url: Callable[[], Mapping[str, str]]) -> None:
    """Run a fake as a process of its own, until SIGTERM or SIGINT; prints one line of JSON when it listens."""
    import json
    import signal

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with fake:
        shown = print_url()
        print(json.dumps(shown) if len(shown) > 1 else next(iter(shown.values())), flush=True)
        await stop.wait()
