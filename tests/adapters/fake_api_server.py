"""An HTTP server that misbehaves as told: for what a real API server cannot be made to do on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """`wait_s` before the answer; `drop` closes the connection instead of answering, `chunks` trickle in."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    wait_s: float = 0.0
    drop: bool = False
    chunks: tuple[bytes, ...] = ()
    hang: bool = False
    """After the chunks: keep the connection open and say nothing more."""


def answer(obj: Any, status: int = 200, **headers: str) -> Reply:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(status, json.dumps(obj).encode(), (("Content-Type", "application/json"), *named))


def failure(code: int, reason: str = "", message: str = "no", **details: Any) -> Reply:
    """A Status."""
    status = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return answer({**status, "details": details} if details else status, code)


def text(status: int, body: str, **headers: str) -> Reply:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(status, body.encode(), (("Content-Type", "text/plain"), *named))


DROP = Reply(drop=True)

Handler = Callable[[Received], Reply]


@dataclass(slots=True)
class FakeApiServer:
    """Answers from `replies` in turn, the last one for ever; a handler decides for itself."""

    replies: list[Reply | Handler] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def will(self, *replies: Reply | Handler) -> None:
        self.replies[:] = replies
        self.received.clear()

    def kubeconfig(self, folder: Path, **user: Any) -> Path:
        path = folder / "kubeconfig"
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": user or {"token": "secret-1"}}],
        }
        path.write_text(json.dumps(config))
        return path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One exchange; False ends the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(method, path, headers, body)
        self.received.append(received)
        chosen = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply = chosen if isinstance(chosen, Reply) else chosen(received)
        await asyncio.sleep(reply.wait_s)
        if reply.drop:
            return False
        writer.write(f"HTTP/1.1 {reply.status} X\r\n".encode())
        for name, value in reply.headers:
            writer.write(f"{name}: {value}\r\n".encode())
        if not reply.chunks and not reply.hang:
            writer.write(f"Content-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body)
            await writer.drain()
            return True
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for chunk in reply.chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        if reply.hang:
            await asyncio.sleep(60)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def fake_api_server() -> AsyncIterator[FakeApiServer]:
    fake = FakeApiServer()
    server = await asyncio.start_server(fake._serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in list(fake._tasks):
            task.cancel()
        await asyncio.gather(*fake._tasks, return_exceptions=True)
        await server.wait_closed()
