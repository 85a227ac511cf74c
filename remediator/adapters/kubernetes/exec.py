"""One program in one container, over the API server's websocket; started once, its exit code read from the last word.

Protocol (`v5` and `v4.channel.k8s.io`): binary frames whose first byte is a channel. 1 is stdout, 2 is stderr, 3 is a
JSON Status at the end: Success, or Failure with reason NonZeroExitCode and the code among its causes. The program does
not notice when the connection ends, so whatever is lost after the upgrade may still be running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from remediator.adapters.answers import Answer, effect_error, parse_answer
from remediator.adapters.kubernetes.transport import NotUpgraded, Transport
from remediator.adapters.kubernetes.wire import Call
from remediator.errors import EffectError, Refused, Unavailable, Uncertain
from remediator.objects import ObjectRef, dig

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDOUT, STDERR, STATUS = 1, 2, 3
LINGER_S = 2.0
"""How long output may still come after the status: the two travel in streams of their own behind the API server."""
MAX_STATUS = 64 * 1024

NOT_STARTED = (
    "unable to start container process",  # the runtime: no such program, no permission to run it
    "executable file not found",
    "container not found",  # the kubelet, also for one that has ended
    "unable to upgrade connection",
    "error dialing backend",
)
"""Words of an InternalError that says that no program was started."""

NOTHING_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Executed:
    """A program that has ended. Output is the end of each stream; `cut`: there was more before it."""

    exit_code: int
    stdout: str
    stderr: str
    cut: bool = False


@dataclass(slots=True)
class _Tail:
    """The last `limit` bytes of a stream."""

    limit: int
    kept: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def add(self, chunk: bytes) -> None:
        self.kept += chunk
        if len(self.kept) > self.limit:
            del self.kept[: len(self.kept) - self.limit]
            self.cut = True

    def text(self) -> str:
        return self.kept.decode("utf-8", "replace")


def exec_call(path: str, container: str, argv: Sequence[str]) -> Call:
    """The request for `path` (of the pod). Each word of argv is a parameter of its own: no shell puts them together."""
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    return Call("GET", f"{path}/exec", (*query, *(("command", word) for word in argv)))


async def run(transport: Transport, call: Call, pod: ObjectRef, *, timeout_s: float, limit_bytes: int) -> Executed:
    """Start it, once, and wait for its end. Raises: EffectError."""
    upgraded = False
    try:
        async with (
            asyncio.timeout(timeout_s),
            transport.websocket(call, protocols=PROTOCOLS, timeout_s=timeout_s) as socket,
        ):
            upgraded = True
            if socket.protocol not in PROTOCOLS:
                raise Uncertain(f"{pod}: the program was started, but this server does not say how it ends")
            return await _listen(socket, pod, limit_bytes // 2)
    except NotUpgraded as exc:
        raise effect_error(parse_answer(exc.reply.status, exc.reply.headers, exc.reply.body)) from None
    except NOTHING_SENT as exc:
        raise Unavailable(f"nothing was sent: {type(exc).__name__}") from exc
    except TimeoutError as exc:
        raise Uncertain(f"{pod}: no end within {timeout_s:g} s; the program may still run") from exc
    except BROKEN as exc:
        what = "the connection was lost, the program may still run" if upgraded else "no answer"
        raise Uncertain(f"{pod}: {what}: {type(exc).__name__}") from exc


async def _listen(socket: aiohttp.ClientWebSocketResponse, pod: ObjectRef, limit: int) -> Executed:
    """Raises: EffectError, TimeoutError."""
    streams = {STDOUT: _Tail(limit), STDERR: _Tail(limit)}
    said, status = bytearray(), None
    while True:
        try:
            message = await socket.receive(LINGER_S if status is not None else None)
        except TimeoutError:
            if status is None:
                raise
            break
        if message.type is not aiohttp.WSMsgType.BINARY:
            if message.type is aiohttp.WSMsgType.TEXT:
                raise Uncertain(f"{pod}: the server speaks another protocol, the program may still run")
            break
        if not message.data:
            continue
        channel, chunk = message.data[0], message.data[1:]
        if channel in streams:
            streams[channel].add(chunk)
        elif channel == STATUS and len(said) < MAX_STATUS:
            said += chunk
            status = _status(bytes(said))
    if status is None:
        raise Uncertain(f"{pod}: the connection ended without an exit code, the program may still run")
    out, err = streams[STDOUT], streams[STDERR]
    return Executed(exit_code(status), out.text(), err.text(), out.cut or err.cut)


def _status(said: bytes) -> Any:
    """The Status, or None while it is not complete."""
    try:
        status = orjson.loads(said)
    except orjson.JSONDecodeError:
        return None
    return status if isinstance(status, dict) and "status" in status else None


def exit_code(status: Any) -> int:
    """0 for Success, otherwise what the Status says. Raises: EffectError for a failure that is no exit code."""
    if dig(status, "status") == "Success":
        return 0
    reason = str(dig(status, "reason") or "")
    if reason == "NonZeroExitCode":
        for cause in dig(status, "details", "causes") or ():
            said = str(dig(cause, "message", default=""))
            if dig(cause, "reason") == "ExitCode" and said.isdecimal():
                return int(said)
        raise Uncertain("the program failed, with an exit code that cannot be read")
    raise _failure(parse_answer(int(dig(status, "code") or 500), {}, orjson.dumps({"kind": "Status", **status})))


def _failure(answer: Answer) -> EffectError:
    """The API server upgrades before it asks the kubelet, so a refusal may come only here."""
    if any(words in answer.message for words in NOT_STARTED):
        return Refused(f"the program was not started: {answer.message}")
    if answer.reason in ("Forbidden", "NotFound", "BadRequest"):
        return effect_error(answer)
    return Uncertain(f"it cannot be told whether the program ran: {answer.message}")
