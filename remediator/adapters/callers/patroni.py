"""The caller `patroni`: switchover, failover, restart and reload by Patroni's REST API.

    ask   {"about": "cluster"}                              leader and members
          {"about": "member", "member"}                     that, and since when its PostgreSQL runs
    send  {"do": "switchover", "leader", "candidate"}       from a leader that is well
          {"do": "failover", "candidate"}                   of a cluster without a leader
          {"do": "restart", "member", "role", "started"}    `started`: since when it ran, as the plan saw it
          {"do": "reload", "member"}

A 200 may mean another member than asked for, so the cluster is read again before anything is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.adapters.callers.http_wire import send_failure
from remediator.adapters.callers.patroni_api import LEADERS, Api, Cluster
from remediator.errors import Conflict, Forbidden, NotFound, ReadError, Refused, Unavailable, Uncertain
from remediator.outside_patroni import PatroniCluster
from remediator.ports import Found

RESTART_TIMEOUT_S = 60
RUNNING = frozenset({"running", "streaming", "in archive recovery"})

Request = Mapping[str, Any]


class PatroniCaller:
    """`place` is a name of `outside.patroni`."""

    def __init__(self, places: Sequence[PatroniCluster]) -> None:
        """Raises: InvalidConfig."""
        self._apis = {one.name: Api(one) for one in places}

    async def close(self) -> None:
        for api in self._apis.values():
            await api.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        api = self._api(place)
        about = request.get("about")
        if about not in ("cluster", "member"):
            raise NotFound(f"{about!r:.40} cannot be asked of Patroni")
        told = {**(await api.cluster()).told(), "stands_for": list(api.place.stands_for)}
        if about == "member":
            told["started"] = await api.started(str(request.get("member")))
        return told

    async def rehearse(self, place: str, request: Request) -> str:
        """Patroni has no dry run: whether the cluster is as planned. Raises: Refused, ReadError."""
        api = self._api(place)
        cluster = await api.cluster()
        try:
            await _refuse(api, request, cluster)
        except (Conflict, Unavailable) as exc:
            raise Refused(str(exc)) from exc
        return ""

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            api = self._api(place)
            cluster = await api.cluster()
            await _refuse(api, request, cluster)
            return await _DO[str(request["do"])](api, request, cluster)
        except (NotFound, Forbidden) as exc:  # before anything was sent
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """What is not so yet may still come. Raises: ReadError."""
        api = self._api(place)
        match request.get("do"):
            case "switchover":
                leader = (await api.cluster()).leader
                return "happened" if leader and leader != request["leader"] else "unknown"
            case "failover":
                return "happened" if (await api.cluster()).leader == request["candidate"] else "unknown"
            case "restart":
                started = await api.started(str(request["member"]))
                return "happened" if started and started != request["started"] else "unknown"
            case _:
                return "unknown"

    def _api(self, place: str) -> Api:
        """Raises: NotFound."""
        found = self._apis.get(place)
        if found is None:
            known = ", ".join(sorted(self._apis)) or "none"
            raise NotFound(f"outside.patroni has no {place!r:.80}; there are: {known}")
        return found


async def _refuse(api: Api, request: Request, cluster: Cluster) -> None:
    """Raises: Refused, Conflict, Unavailable, ReadError unless the cluster is still as the plan saw it."""
    do = request.get("do")
    if do not in _DO:
        raise Refused(f"patroni cannot do {do!r:.40}")
    if do in ("switchover", "failover"):
        wanted = "" if do == "failover" else str(request["leader"])
        if cluster.leader != wanted:
            raise Conflict(f"the leader of {api.place.name} is {cluster.leader or 'nobody'}, not {wanted or 'nobody'}")
        if cluster.scheduled:
            raise Unavailable(f"{api.place.name} has a switchover scheduled already")
    name = str(request["candidate"] if do in ("switchover", "failover") else request["member"])
    member = cluster.members.get(name)
    if member is None:
        raise Refused(f"{api.place.name} has no member {name!r:.80}")
    if name not in api.place.members:
        raise Refused(f"outside.patroni[{api.place.name}].members has no {name}")
    if do in ("switchover", "failover") and (member["state"] not in RUNNING or member["nofailover"]):
        raise Unavailable(f"{name} is {member['state']}, or may not become the leader")
    if do == "restart":
        if (member["role"] in LEADERS) != (request["role"] == "leader"):
            raise Conflict(f"{name} is a {member['role']} by now, not a {request['role']}")
        started = await api.started(name)
        if started != request["started"]:
            raise Conflict(f"{name} was restarted by somebody else at {started or 'an unknown time'}")


async def _switch(api: Api, request: Request, cluster: Cluster) -> Mapping[str, Any]:
    """Raises: EffectError."""
    candidate = str(request["candidate"])
    body = {"candidate": candidate}
    if request["do"] == "switchover":
        body["leader"] = str(request["leader"])
    wire, answer = await api.tell(cluster.source, f"/{request['do']}", body)
    if answer.status != 200:  # 202 would be a switchover at some time, which nobody asked for
        raise Uncertain(wire.said(answer)) if answer.status == 202 else send_failure(wire, answer)
    try:
        leader = (await api.cluster()).leader
    except ReadError as exc:
        raise Uncertain(f"{wire.said(answer)}; who leads now cannot be seen: {exc}") from exc
    if not leader or leader == request.get("leader"):
        raise Uncertain(f"{wire.said(answer)}; but the leader is {leader or 'nobody'}")
    instead = "" if leader == candidate else f" instead of {candidate}"
    return {"leader": leader, "says": f"{leader} leads {api.place.name} now{instead}"}


async def _restart(api: Api, request: Request, cluster: Cluster) -> Mapping[str, Any]:
    """Patroni checks the role once more itself. Raises: EffectError."""
    member = str(request["member"])
    # Patroni 4 knows no `master`, and what is before it no `primary`: the role that the member itself gives.
    role = "replica" if request["role"] == "replica" else None
    body: dict[str, Any] = {"timeout": RESTART_TIMEOUT_S, **({"role": role} if role else {})}
    wire, answer = await api.tell(member, "/restart", body)
    if answer.status != 200:
        raise Uncertain(wire.said(answer)) if answer.status == 202 else send_failure(wire, answer)
    return {"says": f"{member} was restarted"}


async def _reload(api: Api, request: Request, cluster: Cluster) -> Mapping[str, Any]:
    """Raises: EffectError."""
    member = str(request["member"])
    wire, answer = await api.tell(member, "/reload", {})
    if answer.status not in (200, 202):
        raise send_failure(wire, answer)
    return {"says": f"{member} reads its settings again"}


_DO = {"switchover": _switch, "failover": _switch, "restart": _restart, "reload": _reload}
