"""The caller `redis`: a failover by Sentinel.

    ask   {"about": "standing"}                  what every Sentinel says, one by one
    send  {"do": "failover", "from", "epoch"}    `from`: the master's address:port, as the plan saw it

SENTINEL FAILOVER asks nobody: it takes the master for lost, whatever it is. So all Sentinels are asked again right
before it. What remains is the moment between their answers and the command.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from remediator.adapters.callers.redis_sentinels import Seen, clean, command, look, opened, read_failure
from remediator.errors import CannotSee, Conflict, Forbidden, NotFound, ReadError, Refused, Unavailable, Uncertain
from remediator.outside_redis import RedisSentinels
from remediator.ports import Found

LEAST = 2
"""Vantage points. One that cannot reach the master may be the one that is cut off."""
POLL_S = 0.5

Request = Mapping[str, Any]


class RedisCaller:
    """`place` is a name of `outside.redis`. It keeps no connections."""

    def __init__(self, places: Sequence[RedisSentinels]) -> None:
        self._places = {one.name: one for one in places}

    async def close(self) -> None:
        """Nothing is open between two requests."""

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        if request.get("about") != "standing":
            raise NotFound(f"{request.get('about')!r:.40} cannot be asked of Sentinels")
        known = self._place(place)
        seen, silent = await look(known)
        if not seen:
            raise CannotSee(f"no Sentinel of {place} answers: {_first(silent)}")
        return {
            "master": known.master,
            "stands_for": list(known.stands_for),
            "sentinels": [asdict(one) for one in seen],
            "silent": silent,
        }

    async def rehearse(self, place: str, request: Request) -> str:
        """Whether they would still agree; nothing is sent. Raises: Refused, ReadError."""
        known = self._place(place)
        seen, silent = await look(known)
        try:
            _refuse(known, request, seen, silent)
        except (Conflict, Unavailable) as exc:
            raise CannotSee(str(exc)) from exc
        return f"{len(seen)} of {len(known.sentinels)} Sentinels agree that the master is down"

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            known = self._place(place)
            seen, silent = await look(known)
        except (NotFound, Forbidden) as exc:
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        _refuse(known, request, seen, silent)
        await _failover(known, seen[0].sentinel)
        new = await _named(known, str(request["from"]))
        if not new:
            limit_s = known.failover_timeout.total_seconds()
            raise Uncertain(f"{place}: the failover has begun, and no other master was named in {limit_s:g} s")
        return {"master": new, "says": f"{new} is the master of {known.master} now"}

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """Another master under a newer epoch: a failover, whoever began it. Otherwise it may still come.

        Raises: ReadError.
        """
        known = self._place(place)
        seen, silent = await look(known)
        if len(seen) < LEAST:
            raise CannotSee(f"{len(seen)} of {len(known.sentinels)} Sentinels of {place} answer: {_first(silent)}")
        moved = [one for one in seen if one.master != request["from"] and one.epoch > int(request["epoch"])]
        agreed = len(moved) * 2 > len(seen) and len({one.master for one in moved}) == 1
        return "happened" if agreed else "unknown"

    def _place(self, place: str) -> RedisSentinels:
        """Raises: NotFound."""
        found = self._places.get(place)
        if found is None:
            raise NotFound(
                f"outside.redis has no {place!r:.80}; there are: {', '.join(sorted(self._places)) or 'none'}"
            )
        return found


def _refuse(place: RedisSentinels, request: Request, seen: Sequence[Seen], silent: Mapping[str, str]) -> None:
    """Raises: Refused, Conflict, Unavailable unless all that answer hold this very master to be down."""
    if request.get("do") != "failover":
        raise Refused(f"Sentinels cannot do {request.get('do')!r:.40} here")
    if len(seen) < LEAST:
        raise Unavailable(f"{len(seen)} Sentinels of {place.name} answer, {LEAST} have to: {_first(silent)}")
    if len({one.identity for one in seen}) != len(seen):
        raise Refused(f"two addresses of {place.name} are the same Sentinel: give each Sentinel's own address")
    masters = {one.master for one in seen}
    if masters != {str(request["from"])} or any(one.epoch != int(request["epoch"]) for one in seen):
        raise Conflict(f"the master of {place.name} is {' or '.join(sorted(masters))} by now, by another election")
    for one in seen:
        if one.busy:
            raise Unavailable(one.busy)
        if one.state == "running":
            raise Refused(f"sentinel {one.sentinel} says that {one.master} is running")
        if one.state != "unreachable":
            raise Unavailable(f"sentinel {one.sentinel} cannot tell whether {one.master} is running")
        if one.able:
            raise Unavailable(f"sentinel {one.sentinel}: {one.able}")


async def _failover(place: RedisSentinels, address: str) -> None:
    """Raises: EffectError."""
    try:
        async with opened(place, address) as client:
            try:
                await client.ping()  # so that what fails to connect is known to have sent nothing
            except (RedisError, OSError, ssl.SSLError) as exc:
                raise Unavailable(f"nothing was sent to sentinel {address}: {read_failure(exc)}") from exc
            await command(client, "SENTINEL", "FAILOVER", place.master)
    except ReadError as exc:  # of a secret's file, before anything was sent
        raise Unavailable(f"nothing was sent to sentinel {address}: {exc}") from exc
    except (NotConnected, NoAnswer, OSError) as exc:
        raise Uncertain(f"no answer from sentinel {address}: {clean(str(exc))}") from exc
    except ResponseError as exc:
        text = clean(str(exc)).lstrip("-")
        if text.startswith(("INPROG", "NOGOODSLAVE")):
            raise Unavailable(f"sentinel {address}: {text}") from exc
        forbidden = isinstance(read_failure(exc), Forbidden)
        raise Refused(f"sentinel {address}: {text}", forbidden=forbidden) from exc
    except RedisError as exc:
        raise Uncertain(f"no clear answer from sentinel {address}: {clean(str(exc))}") from exc


async def _named(place: RedisSentinels, old: str) -> str:
    """The master that most Sentinels name instead of the old one; empty when they do not in time."""
    try:
        async with asyncio.timeout(place.failover_timeout.total_seconds()):
            while True:
                try:
                    seen, _ = await look(place)
                except ReadError:
                    seen = []
                new = {one.master for one in seen if one.master != old}
                moved = sum(one.master != old for one in seen)
                if len(new) == 1 and moved * 2 > len(place.sentinels):
                    return new.pop()
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return ""


def _first(silent: Mapping[str, str]) -> str:
    return "; ".join(f"{address}: {why}" for address, why in list(silent.items())[:3])
