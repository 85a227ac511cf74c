"""The REST API of Patroni's members: what they say of their cluster, and one request to one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.adapters.callers.http_wire import Answered, Wire, asked, read_failure
from remediator.adapters.json_out import basic, no_headers, trusting
from remediator.errors import CannotSee, NotFound, ReadError
from remediator.outside_patroni import PatroniCluster

LEADERS = frozenset({"leader", "master", "primary", "standby_leader"})
SYNCHRONOUS = frozenset({"sync_standby", "quorum_standby"})
MOST = 50
MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a member says of all. `leader` is empty when nobody holds the lock."""

    source: str
    leader: str
    standby: bool
    """It follows another cluster."""
    paused: bool
    scheduled: bool
    members: Mapping[str, Mapping[str, Any]]

    def told(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "leader": self.leader,
            "standby": self.standby,
            "paused": self.paused,
            "scheduled": self.scheduled,
            "members": dict(self.members),
        }


class Api:
    """One cluster. Questions have a short timeout, requests the long one of a switchover."""

    def __init__(self, place: PatroniCluster) -> None:
        """Raises: InvalidConfig."""
        self.place = place
        tls = trusting(place.ca, f"outside.patroni[{place.name}]")
        login = basic(place.username, place.password_file.read) if place.password_file else no_headers
        self._asking, self._telling = (
            {
                name: Wire(f"patroni {name}", url, login=login, tls=tls, timeout_s=limit.total_seconds())
                for name, url in place.members.items()
            }
            for limit in (place.timeout, place.switchover_timeout)
        )

    async def close(self) -> None:
        for wire in (*self._asking.values(), *self._telling.values()):
            await wire.close()

    async def cluster(self) -> Cluster:
        """By the first member that answers. Raises: ReadError."""
        problems = []
        for name, wire in self._asking.items():
            try:
                return _cluster(name, await _got(wire, "/cluster"))
            except ReadError as exc:
                problems.append(str(exc))
        raise CannotSee(f"no member of {self.place.name} says how it is: {'; '.join(problems)[:300]}")

    async def started(self, member: str) -> str:
        """When its PostgreSQL was started, as it writes it; empty when it does not run. Raises: ReadError."""
        wire = self._wire(self._asking, member)
        answer = await asked(wire, "GET", "/patroni")  # 503 where PostgreSQL does not run
        content = answer.json()
        if not isinstance(content, dict) or answer.status not in (200, 503):
            raise read_failure(wire, answer)
        return str(content.get("postmaster_start_time") or "")[:MAX_TEXT]

    async def tell(self, member: str, path: str, body: Mapping[str, Any]) -> tuple[Wire, Answered]:
        """Raises: EffectError, NotFound."""
        wire = self._wire(self._telling, member)
        return wire, await wire.exchange("POST", path, dict(body))

    def _wire(self, wires: Mapping[str, Wire], member: str) -> Wire:
        """Raises: NotFound."""
        found = wires.get(member)
        if found is None:
            raise NotFound(f"outside.patroni[{self.place.name}].members has no {member!r:.80}")
        return found


async def _got(wire: Wire, path: str) -> Any:
    """Raises: ReadError."""
    answer = await asked(wire, "GET", path)
    if answer.status != 200:
        raise read_failure(wire, answer)
    return answer.json()


def _cluster(source: str, found: Any) -> Cluster:
    """Raises: CannotSee."""
    try:
        members = {str(one["name"])[:MAX_TEXT]: _member(one) for one in found["members"][:MOST]}
    except (KeyError, TypeError) as exc:
        raise CannotSee(f"{source}: its answer is no cluster of Patroni") from exc
    leaders = [name for name, one in members.items() if one["role"] in LEADERS]
    if len(leaders) > 1:
        raise CannotSee(f"{source} names {len(leaders)} leaders")
    leader = leaders[0] if leaders else ""
    return Cluster(
        source=source,
        leader=leader,
        standby=bool(leader) and members[leader]["role"] == "standby_leader",
        paused=bool(found.get("pause")),
        scheduled=bool(found.get("scheduled_switchover")),
        members=members,
    )


def _member(one: Mapping[str, Any]) -> dict[str, Any]:
    """`lag` in bytes, None where it is not known."""
    lag, tags = one.get("lag"), one.get("tags") or {}
    return {
        "role": str(one["role"])[:MAX_TEXT],
        "state": str(one.get("state", ""))[:MAX_TEXT],
        "lag": lag if isinstance(lag, int) and not isinstance(lag, bool) else None,
        "timeline": one.get("timeline") if isinstance(one.get("timeline"), int) else None,
        "sync": one["role"] in SYNCHRONOUS,
        "nofailover": bool(tags.get("nofailover")) if isinstance(tags, Mapping) else True,
        "pending_restart": bool(one.get("pending_restart")),
    }
