"""What each Sentinel says of one master. Every Sentinel is asked by itself: they are the vantage points."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from remediator.errors import CannotSee, Forbidden, InvalidConfig, ReadError
from remediator.outside_redis import RedisSentinels
from remediator.redact import redact

MAX_SAID = 200
MOST_REPLICAS = 50
DOWN = frozenset({"s_down", "o_down"})
FRESH_MS = 20_000
"""Sentinels ask replicas every 10 s, and each second while the master is down."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One Sentinel's answer. Numbers in seconds, None where it says nothing usable."""

    sentinel: str
    identity: str
    state: str
    """`running`, `unreachable` or `unknown`: what it says of the master."""
    master: str
    """`address:port`."""
    epoch: int
    quorum: int
    down_for_s: float | None
    """Since when it has held the master to be down, without a break."""
    silent_for_s: float | None
    """Since the master last answered it."""
    busy: str
    able: str
    """Why the Sentinels could not agree on a failover; empty when they could."""
    replicas: tuple[Mapping[str, Any], ...]


async def look(place: RedisSentinels) -> tuple[list[Seen], dict[str, str]]:
    """What each Sentinel says, and why the others say nothing, by address. Raises: Forbidden when none lets us ask."""

    async def one(address: str) -> Seen | ReadError:
        try:
            async with asyncio.timeout(2 * place.timeout.total_seconds()):
                return await _ask(place, address)
        except TimeoutError:
            return CannotSee("no answer in time")
        except ReadError as exc:
            return exc

    answers = await asyncio.gather(*(one(address) for address in place.sentinels))
    pairs = list(zip(place.sentinels, answers, strict=True))
    seen = [answer for _, answer in pairs if isinstance(answer, Seen)]
    failed = {address: answer for address, answer in pairs if isinstance(answer, ReadError)}
    if not seen and failed and all(isinstance(answer, Forbidden) for answer in failed.values()):
        raise next(iter(failed.values()))
    return seen, {address: str(answer) for address, answer in failed.items()}


@asynccontextmanager
async def opened(place: RedisSentinels, address: str) -> AsyncIterator[Redis]:
    """A connection of its own, which repeats nothing. Raises: CannotSee."""
    host, _, port = address.rpartition(":")
    try:
        password = place.password_file.read() if place.password_file else None
    except InvalidConfig as exc:
        raise CannotSee(str(exc)) from exc
    timeout_s = place.timeout.total_seconds()
    secured: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(place.ca) if place.ca else None} if place.tls else {}
    client = Redis(
        host=host.strip("[]"),
        port=int(port),
        username=place.username or None,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
        encoding_errors="replace",
        **secured,
    )
    try:
        yield client
    finally:
        await client.aclose()


async def command(client: Redis, *words: str) -> Any:
    """The answer as it came. Raises: RedisError, OSError."""
    execute: Any = client.execute_command  # untyped
    return await execute(*words)


async def _ask(place: RedisSentinels, address: str) -> Seen:
    """Raises: ReadError."""
    async with opened(place, address) as client:
        try:
            found = _pairs(await command(client, "SENTINEL", "MASTER", place.master))
            replicas = await command(client, "SENTINEL", "REPLICAS", place.master)
            identity = str(await command(client, "SENTINEL", "MYID"))
            able = await _able(client, place)
        except (RedisError, OSError, ssl.SSLError, ValueError) as exc:
            raise read_failure(exc) from exc
    try:
        return _seen(address, identity, found, [_pairs(one) for one in replicas[:MOST_REPLICAS]], able)
    except (KeyError, ValueError, TypeError) as exc:
        raise CannotSee(f"its answer cannot be read: {type(exc).__name__}") from exc


async def _able(client: Redis, place: RedisSentinels) -> str:
    try:
        said = await command(client, "SENTINEL", "CKQUORUM", place.master)
    except (AuthenticationError, NoPermissionError):
        raise
    except ResponseError as exc:
        return clean(str(exc)) or "no quorum"
    return "" if str(said).startswith("OK") else clean(str(said))


def _pairs(answer: Any) -> dict[str, str]:
    """Raises: ValueError."""
    if isinstance(answer, Mapping):
        return {str(key): str(value) for key, value in answer.items()}
    if not isinstance(answer, list) or len(answer) % 2:
        raise ValueError("no list of pairs")
    return {str(key): str(value) for key, value in zip(answer[::2], answer[1::2], strict=True)}


def _seen(
    address: str, identity: str, found: Mapping[str, str], replicas: Sequence[Mapping[str, str]], able: str
) -> Seen:
    flags = frozenset(found["flags"].split(","))
    down_ms = [int(found[key]) for key in ("s-down-time", "o-down-time") if found.get(key, "").isdecimal()]
    busy = f"sentinel {address} is failing over already" if "failover_in_progress" in flags else ""
    return Seen(
        sentinel=address,
        identity=identity,
        state=_state(found, flags),
        master=f"{found['ip']}:{found['port']}",
        epoch=int(found["config-epoch"]),
        quorum=int(found["quorum"]),
        down_for_s=max(down_ms) / 1000 if flags & DOWN and down_ms else None,
        silent_for_s=int(found["last-ok-ping-reply"]) / 1000,
        busy=busy,
        able=able,
        replicas=tuple(_replica(one) for one in replicas),
    )


def _state(found: Mapping[str, str], flags: frozenset[str]) -> str:
    """Down by its own measure, up with a fresh answer, or neither: a link that has just broken says nothing yet."""
    if flags & DOWN:
        return "unreachable"
    fresh = int(found["last-ok-ping-reply"]) < int(found["down-after-milliseconds"])
    return "running" if fresh and "disconnected" not in flags else "unknown"


def _replica(found: Mapping[str, str]) -> Mapping[str, Any]:
    """`link_down_s` 0 = in touch with its master; None = what is known of it is old."""
    flags = frozenset(found["flags"].split(","))
    fresh = int(found.get("info-refresh", FRESH_MS)) < FRESH_MS
    up = found.get("master-link-status") == "ok"
    down_ms = max(0, int(found.get("master-link-down-time", "0")))
    return {
        "address": f"{found['ip']}:{found['port']}",
        "usable": not flags & (DOWN | {"disconnected"}) and int(found.get("slave-priority", "0")) > 0,
        "priority": int(found.get("slave-priority", "0")),
        "offset": int(found.get("slave-repl-offset", "0")),
        "run_id": found.get("runid", ""),
        "link_down_s": (0.0 if up else down_ms / 1000) if fresh else None,
    }


def clean(text: str) -> str:
    return redact(" ".join(text.split()))[:MAX_SAID]


def read_failure(exc: Exception) -> ReadError:
    if isinstance(exc, AuthenticationError | NoPermissionError) or "NOAUTH" in str(exc):
        return Forbidden(f"it does not let us ask: {clean(str(exc))}")
    return CannotSee(clean(str(exc)) or type(exc).__name__)
