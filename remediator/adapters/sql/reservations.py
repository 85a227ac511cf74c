"""Locks, slots and tokens: all of one reservation or nothing, counted in the transaction that takes them.

One row of `reservations` is both a slot, until it is released, and a token, until it leaves the window or is refunded.
Tokens are counted per true sliding window: every row younger than the window, not one count per full hour.

A remediation with several targets has one row for each, so that each of them counts; it is one remediation all the
same.

The clock that a token is stamped with never goes backwards: if the wall clock is set back, tokens taken meanwhile would
look older than they are once it is right again. Tokens in the future count, for the same reason.
(On PostgreSQL the scope rows are locked in a fixed order before they are counted; SQLite has one writer.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product

from sqlalchemy import BindParameter, Connection, and_, bindparam, delete, func, insert, select, true, union, update

from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import locks, remediations, reservations
from remediator.adapters.sql.values import from_us, maybe_time, span_us, to_us
from remediator.guardrails import failure_domain, in_flight, rate_limit
from remediator.guardrails.answers import holds
from remediator.guardrails.facts import Run
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, iso, many
from remediator.remediation.journal import ReserveRequest
from remediator.remediation.state import Remediation, State

ZONE = "UTC"
NAMED = 3
"""At most so many of those who are in the way are named."""

_cluster = reservations.c.cluster == bindparam("here_cluster")
_namespace = and_(_cluster, reservations.c.namespace == bindparam("here_namespace"))
_SCOPES = {
    "target": reservations.c.target_key == bindparam("here_target_key"),
    # Limits per playbook count per namespace of a cluster, so that one generic playbook serves many services.
    "playbook": and_(_namespace, reservations.c.playbook == bindparam("here_playbook")),
    "namespace": _namespace,
    "cluster": _cluster,
    "everywhere": true(),
}


def _places(request: ReserveRequest) -> Iterator[dict[str, str]]:
    for target_key, namespace in request.places:
        yield {
            "here_target_key": target_key,
            "here_playbook": request.playbook,
            "here_cluster": request.cluster,
            "here_namespace": namespace,
        }


def refusals(
    connection: Connection, remediation_id: str, request: ReserveRequest, now: datetime
) -> tuple[Verdict, ...]:
    """What stands in the way; empty = nothing. Own and inherited reservations never do."""
    found = (
        _locked(connection, remediation_id, request),
        _elsewhere(connection, remediation_id, request),
        _running(connection, remediation_id, request),
        _spent(connection, remediation_id, request, now),
    )
    return tuple(verdict for verdict in found if verdict is not None)


_TAKEN = Prepared(
    select(locks.c.key, locks.c.remediation_id)
    .where(locks.c.key.in_(bindparam("keys", expanding=True)), locks.c.remediation_id != bindparam("me"))
    .order_by(locks.c.key)
)


def _locked(connection: Connection, remediation_id: str, request: ReserveRequest) -> Verdict | None:
    taken = _TAKEN.rows(connection, keys=request.locks, me=remediation_id)
    if not taken:
        return None
    key, other = taken[0].key, taken[0].remediation_id
    more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
    return holds(
        in_flight.NAME,
        f"{key}{more} locked by {other}",
        "passes when it ends",
        brief=f"{in_flight.NAME} {key}{more} locked by {other}",
        locked=[row.key for row in taken],
        by=sorted({row.remediation_id for row in taken}),
    )


def _slots(request: ReserveRequest) -> Iterator[tuple[str, int]]:
    limits = request.limits
    if not request.between_rungs:
        yield "target", limits.in_flight_target
    yield "playbook", limits.in_flight_playbook
    yield "cluster", limits.in_flight_cluster
    yield "everywhere", limits.in_flight_everywhere


_of_others = and_(reservations.c.released_at.is_(None), reservations.c.held_by != bindparam("me"))
_DOMAINS = Prepared(
    select(reservations.c.held_by, reservations.c.domains).where(_of_others, _cluster, reservations.c.domains != "")
)
_RUNNING = {
    scope: Prepared(
        select(reservations.c.held_by).distinct().where(_of_others, condition).order_by(reservations.c.held_by)
    )
    for scope, condition in _SCOPES.items()
}


def _elsewhere(connection: Connection, remediation_id: str, request: ReserveRequest) -> Verdict | None:
    """Two that were planned side by side must not be at work in two failure domains."""
    if not request.domains:
        return None
    rows = _DOMAINS.rows(connection, me=remediation_id, here_cluster=request.cluster)
    busy = {domain for row in rows for domain in _domains(row.domains)}
    if not busy or len(busy | request.domains) <= request.limits.failure_domain_max:
        return None
    others = _names(sorted({row.held_by for row in rows}))
    return holds(
        failure_domain.NAME,
        f"{', '.join(sorted(busy))} is being worked on ({others}), this is in {', '.join(sorted(request.domains))}; "
        f"at most {many(request.limits.failure_domain_max, request.limits.failure_domain_label)} at a time",
        "passes when they end",
        domains=sorted(busy | request.domains),
    )


def _domains(text: str) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()


def _running(connection: Connection, remediation_id: str, request: ReserveRequest) -> Verdict | None:
    for here, (scope, limit) in product(_places(request), _slots(request)):
        others = _RUNNING[scope].column(connection, me=remediation_id, **here)
        if len(others) >= limit:
            waiting = _names(others)
            return holds(
                in_flight.NAME,
                f"{scope} {len(others)}/{limit} running ({waiting})",
                "passes when one of them ends",
                brief=f"{in_flight.NAME} {scope} {len(others)}/{limit} ({waiting})",
                **{scope: f"{len(others)}/{limit}"},
            )
    return None


def _names(others: Sequence[str]) -> str:
    return ", ".join(others[:NAMED]) + (", ..." if len(others) > NAMED else "")


def _tokens(request: ReserveRequest) -> Iterator[tuple[str, int]]:
    limits = request.limits
    yield "target", limits.rate_target
    yield "playbook", limits.rate_playbook
    yield "namespace", limits.rate_namespace
    yield "cluster", limits.rate_cluster


_SPENT = {
    scope: Prepared(
        select(reservations.c.remediation_id, reservations.c.at)
        .where(
            reservations.c.at > bindparam("after"),
            reservations.c.refunded_at.is_(None),
            reservations.c.remediation_id != bindparam("me"),
            condition,
        )
        .order_by(reservations.c.at)
    )
    for scope, condition in _SCOPES.items()
}


def _spent(connection: Connection, remediation_id: str, request: ReserveRequest, now: datetime) -> Verdict | None:
    window = request.limits.rate_window
    after = _stamp(connection, now) - span_us(window)
    for here, (scope, limit) in product(_places(request), _tokens(request)):
        rows = _SPENT[scope].rows(connection, after=after, me=remediation_id, **here)
        # One remediation is one, however often it had to begin: its latest reservation counts.
        times = sorted({row.remediation_id: row.at for row in rows}.values())
        if len(times) >= limit:
            free = from_us(times[len(times) - limit]) + window
            spent = f"{scope} {len(times)}/{limit} in {about(window)}"
            return holds(
                rate_limit.NAME,
                spent,
                f"next token at {clock(free, now, ZONE)}",
                brief=f"{rate_limit.NAME} {spent} (next token {clock(free, now, ZONE, with_zone=False)})",
                until=iso(free),
                **{scope: f"{len(times)}/{limit}"},
            )
    return None


_NEWEST = Prepared(select(func.max(reservations.c.at)))


def _stamp(connection: Connection, now: datetime) -> int:
    """Now, but never earlier than any reservation before."""
    return max(to_us(now), _NEWEST.value(connection) or 0)


_LOCK = Prepared(insert(locks), "key", "remediation_id")
_TAKE = Prepared(
    insert(reservations),
    "remediation_id",
    "held_by",
    "episode_id",
    "playbook",
    "cluster",
    "namespace",
    "target_key",
    "direction",
    "domains",
    "at",
)


def take(connection: Connection, r: Remediation, request: ReserveRequest, now: datetime) -> None:
    """Nothing stands in the way any more (`refusals`): take it all."""
    # What it inherited, or still had, becomes part of this one, so that it has one slot and not two.
    release(connection, r.id, now)
    for key in sorted(set(request.locks)):
        # A lock that somebody else took between counting and here (another replica) fails on the key.
        _LOCK.execute(connection, key=key, remediation_id=r.id)
    at = _stamp(connection, now)
    for target_key, namespace in request.places:
        _TAKE.execute(
            connection,
            remediation_id=r.id,
            held_by=r.id,
            episode_id=r.episode,
            playbook=request.playbook,
            cluster=request.cluster,
            namespace=namespace,
            target_key=target_key,
            direction=request.direction,
            domains="\n".join(sorted(request.domains)),
            at=at,
        )


_my_locks = locks.c.remediation_id == bindparam("of")
_my_slot = and_(reservations.c.held_by == bindparam("of"), reservations.c.released_at.is_(None))
_UNLOCK = Prepared(delete(locks).where(_my_locks))
_RELEASE = Prepared(update(reservations).where(_my_slot), "released_at")
_REFUND = Prepared(
    update(reservations).where(reservations.c.remediation_id == bindparam("of"), reservations.c.refunded_at.is_(None)),
    "refunded_at",
)
_PASS_LOCKS = Prepared(update(locks).where(_my_locks), "remediation_id")
_PASS_SLOT = Prepared(update(reservations).where(_my_slot), "held_by")


def release(connection: Connection, remediation_id: str, now: datetime) -> None:
    """Locks and slots are free again; the token stays spent."""
    _UNLOCK.execute(connection, of=remediation_id)
    _RELEASE.execute(connection, of=remediation_id, released_at=to_us(now))


def refund(connection: Connection, remediation_id: str, now: datetime) -> None:
    """It is proven that nothing was done: its tokens were never spent."""
    _REFUND.execute(connection, of=remediation_id, refunded_at=to_us(now))


def pass_on(connection: Connection, parent_id: str, child_id: str) -> None:
    """The next rung has the locks and the slot now. Never free in between: this is one statement each."""
    _PASS_LOCKS.execute(connection, of=parent_id, remediation_id=child_id)
    _PASS_SLOT.execute(connection, of=parent_id, held_by=child_id)


_after: BindParameter[int] = bindparam("after")
# A union, because each part has an index; joined by OR, none of them would be used.
_wanted = union(
    select(reservations.c.id).where(reservations.c.released_at.is_(None)),
    select(reservations.c.id).where(reservations.c.released_at > _after),
    select(reservations.c.id).where(reservations.c.at > _after),
    select(reservations.c.id)
    .join(remediations, remediations.c.id == reservations.c.remediation_id)
    .where(remediations.c.ended_at > _after),
)
_RUNS = Prepared(
    select(
        reservations,
        remediations.c.ended_at,
        remediations.c.state,
        remediations.c.outcome,
    )
    .select_from(reservations.outerjoin(remediations, remediations.c.id == reservations.c.remediation_id))
    .where(reservations.c.id.in_(_wanted))
    .order_by(reservations.c.at, reservations.c.id)
)


def runs(connection: Connection, now: datetime, window: timedelta) -> tuple[Run, ...]:
    """Everything running, and everything reserved or ended within the window; oldest first.

    A slot that was passed on shows twice: the parent's run with its end and its token, and one for the rung that has
    the slot now, without a token: that one it takes when it reserves.
    """
    found = []
    for row in _RUNS.rows(connection, after=to_us(now) - span_us(window)):
        common = {
            "episode_id": row.episode_id,
            "playbook": row.playbook,
            "cluster": row.cluster,
            "namespace": row.namespace,
            "target_key": row.target_key,
            "reserved_at": from_us(row.at),
            "direction": row.direction,
            "domains": _domains(row.domains),
        }
        refunded = row.refunded_at is not None
        # Refunded rows are about that reservation only; the remediation may have gone on and reserved anew.
        ended = row.released_at if refunded else (row.ended_at or row.released_at)
        outcome = "" if ended is None else _outcome(row.state or "", row.outcome or "")
        found.append(
            Run(
                remediation_id=row.remediation_id,
                ended_at=maybe_time(ended),
                outcome=outcome,
                tokens_back=refunded,
                **common,
            )
        )
        if row.held_by != row.remediation_id and row.released_at is None:
            found.append(Run(remediation_id=row.held_by, tokens_back=True, **common))
    return tuple(found)


def _outcome(state: str, outcome: str) -> str:
    """`succeeded`, or how it failed (`undone`, `inconclusive`, ...), or the state it ended in."""
    return state if state == State.SUCCEEDED.value else outcome or state
