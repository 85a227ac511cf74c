"""`sentinel_failover`: the Sentinels of a Redis promote a replica, now.

They do so by themselves when a majority holds the master to be down. This is for when they do not: an attempt of theirs
has failed and the next one is minutes away. The command itself asks nobody and takes the master for lost, so every
Sentinel's own view is measured here, and the guardrail `failover_fence` judges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.base import Params
from remediator.actions.change import Call, Change, Failover, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, dig, uid_of
from remediator.playbooks.fields import Duration

KINDS = (*WORKLOADS, "Service")
"""What stands for a Redis: locks, pauses and protection are asked of it."""

LEAST = 2


class SentinelFailoverParams(Params):
    """`redis` is a name of `outside.redis`. `max_lag`: how much longer than the master's silence the best replica may
    have been without it. `debounce`: how long the Sentinels must have held the master to be down."""

    redis: Name
    max_lag: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(hours=1))]
    debounce: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(hours=1))] = timedelta(minutes=1)


class SentinelFailover:
    """No inverse: the old master comes back as a replica, and may be promoted again when it is healthy."""

    name = "sentinel_failover"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    changes_data = True
    rights = ()
    params = SentinelFailoverParams

    def wants(self, params: SentinelFailoverParams, view: View) -> Mapping[str, Ask]:
        return {"redis": Ask("redis", params.redis, {"about": "standing"})}

    def resolve(self, params: SentinelFailoverParams, view: View) -> SentinelFailoverParams:
        return params

    def plan(self, params: SentinelFailoverParams, view: View) -> Change:
        """What the Sentinels measure goes to `failover_fence`; without two of them it is not even asked.

        Raises: NotPossible.
        """
        found = view.found["redis"]
        _refuse_other_target(view, found, params.redis)
        sentinels: Sequence[Mapping[str, Any]] = found["sentinels"]
        _refuse_discord(sentinels, found, params.redis)
        master, epoch = str(sentinels[0]["master"]), int(sentinels[0]["epoch"])
        candidate, lag_s = _candidate(sentinels, params.redis)
        request = {"do": "failover", "from": master, "epoch": epoch}
        says = f"SENTINEL FAILOVER {found['master']} (redis {params.redis}): {master} -> {candidate}, as far as known"
        silent = sorted(found["silent"])
        return Change(
            effects=(
                Call(
                    ref=view.ref,
                    uid=uid_of(view.target),
                    via="redis",
                    place=params.redis,
                    request=request,
                    says=says,
                ),
            ),
            summary=f"redis {params.redis}: master {master} -> {candidate}",
            direction="failover",
            needs_approval=f"writes that {master} has acknowledged and not sent to {candidate} are lost",
            notes=(
                "the Sentinels choose the replica themselves: by priority, then by how much it has received",
                "open connections are dropped; clients have to ask the Sentinels again",
                "no undo: the old master comes back as a replica and loses what only it had",
                *([f"no answer from {len(silent)} Sentinels: {', '.join(silent)}"] if silent else []),
            ),
            failover=Failover(
                old_primary={f"sentinel {one['sentinel']}": _state(one) for one in sentinels},
                candidate=candidate,
                lag_s=lag_s,
                max_lag_s=params.max_lag.total_seconds(),
                failing_since=_failing_since(sentinels, view),
                debounce=params.debounce,
                operator_busy="; ".join(str(one["busy"]) for one in sentinels if one["busy"]),
            ),
        )


def _refuse_other_target(view: View, found: Mapping[str, Any], name: str) -> None:
    """Raises: NotPossible."""
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")
    stands_for = found["stands_for"]
    if stands_for and view.ref.key not in stands_for:
        raise NotPossible(f"redis {name} stands for {', '.join(stands_for)}, not for {view.ref}: name that as target")


def _refuse_discord(sentinels: Sequence[Mapping[str, Any]], found: Mapping[str, Any], name: str) -> None:
    """Raises: NotPossible."""
    quorum = max(LEAST, *(int(one["quorum"]) for one in sentinels))
    if len(sentinels) < quorum:
        raise NotPossible(f"CANNOT SEE: {len(sentinels)} Sentinels of redis {name} answer, {quorum} have to", hold=True)
    if len({one["identity"] for one in sentinels}) != len(sentinels):
        raise NotPossible(f"two addresses of redis {name} lead to the same Sentinel: list each Sentinel's own address")
    masters = sorted({f"{one['master']} (epoch {one['epoch']})" for one in sentinels})
    if len(masters) > 1:
        raise NotPossible(f"the Sentinels of redis {name} name {' and '.join(masters)}: they have to agree", hold=True)
    unable = [one for one in sentinels if one["able"]]
    if unable:
        raise NotPossible(
            f"sentinel {unable[0]['sentinel']} could not have a failover agreed to: {unable[0]['able']}", hold=True
        )


def _candidate(sentinels: Sequence[Mapping[str, Any]], name: str) -> tuple[str, float | None]:
    """The replica that they would take, and how long before the master's silence it lost touch.

    Sentinels order by priority, then by what was received, then by run id. Each has its own measurements: the worst
    lag of all counts. Raises: NotPossible when there is none.
    """
    usable = [one for one in sentinels[0]["replicas"] if one["usable"]]
    if not usable:
        raise NotPossible(f"redis {name} has no replica that could be promoted", hold=True)
    best = min(usable, key=lambda one: (one["priority"], -one["offset"], one["run_id"]))
    lags = [_lag(one, best["address"]) for one in sentinels]
    return str(best["address"]), None if None in lags else max(lag for lag in lags if lag is not None)


def _lag(sentinel: Mapping[str, Any], address: str) -> float | None:
    for replica in sentinel["replicas"]:
        if replica["address"] == address:
            down, silent = replica["link_down_s"], sentinel["silent_for_s"]
            return None if down is None or silent is None or not replica["usable"] else max(0.0, down - silent)
    return None


def _state(sentinel: Mapping[str, Any]) -> Any:
    state = sentinel["state"]
    return state if state in ("running", "unreachable") else "unknown"


def _failing_since(sentinels: Sequence[Mapping[str, Any]], view: View) -> Any:
    """Since the last of them holds the master to be down; None when one of them does not."""
    times = [one["down_for_s"] for one in sentinels]
    if None in times:
        return None
    return view.read_at - timedelta(seconds=min(times))
