"""Remediations: stored whole as JSON, with columns for what the database has to find or compare.

Every write is a compare-and-set. `version` counts transitions; `epoch` fences whoever lost the remediation to somebody
else; `holder` is who works on it until its lease is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, insert, or_, select, update

from remediator.adapters.sql import alerts as alert_rows
from remediator.adapters.sql import attempts, episodes, events, outbox, reservations, revisions
from remediator.adapters.sql.dialect import insert_or_ignore
from remediator.adapters.sql.events import Head, NewEvent
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import alerts, counters, holds, remediations, reverts
from remediator.adapters.sql.values import AnyRow, maybe_time, maybe_us, span_us, to_us
from remediator.objects import ObjectRef
from remediator.people.outbox_rows import OutboxMessage
from remediator.remediation.draft import Decision
from remediator.remediation.events import Joined
from remediator.remediation.holds import holds_of
from remediator.remediation.journal import Committed, ReservationRefused, ReserveRequest, StaleRemediation
from remediator.remediation.state import Remediation, State, dump, load
from remediator.remediation.temporary import temporary

OPENED = "opened"
"""Type of the first line of every remediation's record."""

WAIT_FOR_A_PAUSE = (State.HELD, State.APPROVED, State.WAITING)


_this = remediations.c.id == bindparam("row_id")
_unfinished = remediations.c.ended_at.is_(None)
_update = update(remediations).where(_this)

_DOC = Prepared(select(remediations.c.doc).where(_this))
_UNFINISHED = Prepared(
    select(remediations.c.doc)
    .where(
        _unfinished,
        remediations.c.cluster == bindparam("cluster"),
        remediations.c.root_key == bindparam("root_key"),
    )
    .order_by(remediations.c.seq)
)


def get(connection: Connection, remediation_id: str) -> Remediation | None:
    doc = _DOC.value(connection, row_id=remediation_id)
    return None if doc is None else load(doc)


def recent(connection: Connection, limit: int, state: str, playbook: str) -> tuple[Remediation, ...]:
    """Newest first."""
    query = select(remediations.c.doc).order_by(remediations.c.seq.desc()).limit(limit)
    if state:
        query = query.where(remediations.c.state == state)
    if playbook:
        query = query.where(remediations.c.playbook == playbook)
    return tuple(load(doc) for doc in connection.scalars(query))


def unfinished(connection: Connection, cluster: str, root: ObjectRef) -> tuple[Remediation, ...]:
    return tuple(map(load, _UNFINISHED.column(connection, cluster=cluster, root_key=root.key)))


def last_of_quiet_episodes(connection: Connection, now: datetime, quiet: timedelta) -> dict[str, Remediation | None]:
    """The quiet episodes, each with its remediation that was the last to end; one that only observed, or only released
    a hold, does not count.

    None where an alert was closed without an end: that nobody sends it any more does not prove that it is over.
    """
    silent = select(alerts.c.id).where(alerts.c.episode_id == remediations.c.episode_id, alerts.c.ends_at.is_(None))
    found: dict[str, Remediation | None] = {}
    for episode in episodes.quiet_ones(connection, now, quiet):
        docs = connection.scalars(
            select(remediations.c.doc)
            .where(
                remediations.c.episode_id == episode,
                remediations.c.state != State.OBSERVED.value,
                ~silent.exists(),
            )
            .order_by(remediations.c.ended_at.desc(), remediations.c.seq.desc())
        )
        found[episode] = next((r for r in map(load, docs.all()) if not r.releases), None)
    return found


# Beginning ------------------------------------------------------------------------------------------------------------


_GATHERING = Prepared(
    select(remediations.c.id).where(
        remediations.c.cluster == bindparam("cluster"),
        remediations.c.root_key == bindparam("root_key"),
        _unfinished,
        remediations.c.state == State.RECEIVED.value,
    )
)


def open_new(
    connection: Connection, remediation: Remediation, now: datetime, *, tie: bool = True
) -> Remediation | None:
    """Create it with its episode and decide its alerts; None when a gathering one of its root exists by now. Without
    `tie` the alerts stay with whom they are.

    The same id again is the same call again, after an answer that got lost: what is stored comes back.
    Raises: AlreadyDecided.
    """
    stored = get(connection, remediation.id)
    if stored is not None:
        return stored
    root_key = _root_key(remediation)
    own = "e-" + remediation.id.removeprefix("r-")
    if remediation.state is State.RECEIVED and root_key:
        gathering = _GATHERING.row(connection, cluster=remediation.cluster, root_key=root_key)
        if gathering is not None:
            return None
    episode = episodes.ensure(
        connection,
        remediation.episode or own,
        remediation.cluster,
        # Without a target nothing else can belong to its incident.
        root_key or f"?//{remediation.id}",
        now,
        otherwise=own,
    )
    created = replace(remediation, episode=episode)
    _insert(connection, created, now, had_effect=False)
    if tie:
        alert_rows.tie(connection, created.alerts, alert_rows.REMEDIATION + created.id, created.id, episode)
    return created


def _insert(connection: Connection, r: Remediation, now: datetime, *, had_effect: bool) -> None:
    data = {"alerts": list(r.alerts), "severity": r.severity, "parent": r.parent, "requester": r.requester}
    data |= {"cause": r.cause} if r.cause else {}
    opened = NewEvent(at=now, type=OPENED, to_state=r.state.value, reason=r.reason, data=data)
    head = events.append(connection, r.id, Head(), opened)
    _INSERT.execute(
        connection,
        id=r.id,
        parent=r.parent,
        cause=r.cause,
        had_effect=had_effect,
        created_at=to_us(r.created_at),
        event_seq=head.seq,
        event_hash=head.hash,
        **_columns(r),
    )


def _root_key(r: Remediation) -> str:
    return r.root.key if r.root else ""


_COLUMNS = (
    "episode_id",
    "cluster",
    "root_key",
    "state",
    "outcome",
    "playbook",
    "reason",
    "wake_at",
    "ended_at",
    "version",
    "epoch",
    "doc",
)
_INSERT = Prepared(
    insert(remediations), "id", "parent", "cause", "had_effect", "created_at", "event_seq", "event_hash", *_COLUMNS
)


def _columns(r: Remediation) -> dict[str, Any]:
    """What every write of a remediation sets: `_COLUMNS`."""
    wakes = [to_us(at) for at in (r.due, r.deadline) if at is not None]
    return {
        "episode_id": r.episode,
        "cluster": r.cluster,
        "root_key": _root_key(r),
        "state": r.state.value,
        "outcome": r.outcome.value,
        "playbook": r.playbook,
        "reason": r.reason,
        "wake_at": min(wakes, default=None),
        "ended_at": maybe_us(r.ended_at),
        "version": r.version,
        "epoch": r.epoch,
        "doc": dump(r),
    }


# Transitions ----------------------------------------------------------------------------------------------------------

_PRESENT = Prepared(
    select(
        remediations.c.version,
        remediations.c.epoch,
        remediations.c.holder,
        remediations.c.lease_until,
        remediations.c.reason,
        remediations.c.had_effect,
        remediations.c.event_seq,
        remediations.c.event_hash,
    ).where(_this)
)
_UNCHANGED = ("event_seq", "event_hash", "holder", "lease_until")
_MOVE = Prepared(
    _update.where(
        remediations.c.version == bindparam("was_version"),
        remediations.c.epoch == bindparam("was_epoch"),
        remediations.c.holder == bindparam("was_holder"),
    ),
    "had_effect",
    *_UNCHANGED,
    *_COLUMNS,
)


def _present(connection: Connection, before: Remediation, holder: str) -> AnyRow:
    """The row as it is, when it is still what the decision was made on. Raises: StaleRemediation."""
    row = _PRESENT.row(connection, row_id=before.id)
    if row is None:
        raise StaleRemediation(f"{before.id} does not exist")
    if row.version != before.version:
        raise StaleRemediation(f"{before.id} is at version {row.version}, not {before.version}")
    if row.epoch != before.epoch:
        raise StaleRemediation(f"{before.id} has epoch {row.epoch}, not {before.epoch}")
    if holder and row.holder != holder:
        raise StaleRemediation(f"{before.id} is held by {row.holder or 'nobody'}, not by {holder}")
    return row


def _move(connection: Connection, r: Remediation, present: AnyRow, values: Mapping[str, Any]) -> None:
    """The compare-and-set itself: on a database with several writers the row may have moved since it was read."""
    unchanged = {name: getattr(present, name) for name in _UNCHANGED if name not in values}
    moved = _MOVE.execute(
        connection,
        row_id=r.id,
        was_version=present.version,
        was_epoch=present.epoch,
        was_holder=present.holder,
        **_columns(r),
        **unchanged,
        **values,
    )
    if moved != 1:
        raise StaleRemediation(f"{r.id} was moved by somebody else just now")


def commit(
    connection: Connection,
    decision: Decision,
    now: datetime,
    *,
    holder: str,
    reserve: ReserveRequest | None,
    child: Remediation | None,
    messages: Sequence[OutboxMessage],
    facts: Mapping[str, object] | None,
    keep_claim: bool,
) -> Committed | ReservationRefused:
    """See Journal.commit. A refused reservation has written nothing. Raises: StaleRemediation."""
    present = _present(connection, decision.before, holder)
    r = decision.remediation
    if reserve is not None:
        refused = reservations.refusals(connection, r.id, reserve, now)
        if refused:
            return ReservationRefused(verdicts=refused)
        r = replace(r, epoch=next_epoch(connection))
        reservations.take(connection, r, reserve, now)
    had_effect = bool(present.had_effect) or bool(r.done) or (r.ended and attempts.maybe_done(connection, r.id))
    if child is not None:
        reservations.pass_on(connection, r.id, child.id)
        alert_rows.pass_on(connection, r.alerts, child.id)
        _insert(connection, child, now, had_effect=had_effect)
    if r.alerts_quiet:
        # Resolved messages may be switched off, and none comes for what is silenced.
        alert_rows.resolve(connection, r.alerts, now)
    if decision.release:
        reservations.release(connection, r.id, now)
    if decision.refund or (r.ended and r.releases):  # the end of a hold is no attempt
        reservations.refund(connection, r.id, now)
    # Inconclusive counts at once: its lock is free, and the next attempt must not slip in before it ends.
    over = r.state is State.INCONCLUSIVE or (r.ended and child is None)
    if over and had_effect and not r.reverts and decision.came_from is not State.INCONCLUSIVE:
        episodes.count_ladder(connection, r.episode)
    if decision.known_bad is not None:
        revisions.mark_known_bad(connection, r.cluster, *decision.known_bad, now)
    if r.ended and temporary(r) is not None:
        row = {"remediation_id": r.id, "at": to_us(now)}
        connection.execute(insert_or_ignore(connection.dialect, reverts).values(**row))
    for hold in holds_of(r):  # with the effect, whatever becomes of its remediation; known ones stay as they are
        row = {"effect_id": hold.effect_id, "remediation_id": r.id, "at": to_us(hold.at)}
        connection.execute(insert_or_ignore(connection.dialect, holds).values(**row))
    outbox.store(connection, messages, now)
    values: dict[str, Any] = {"had_effect": had_effect}
    # An ignored event is on record already (`note`); here only the time of the next look moves.
    if not decision.ignored and events.says_something(decision, present.reason):
        line = events.of_decision(replace(decision, remediation=r), now, facts)
        head = events.append(connection, r.id, Head(present.event_seq, present.event_hash), line)
        values |= {"event_seq": head.seq, "event_hash": head.hash}
    if r.ended or (holder and not keep_claim):
        values |= {"holder": "", "lease_until": None}
    _move(connection, r, present, values)
    return Committed(remediation=r)


def join(connection: Connection, decision: Decision, now: datetime, messages: Sequence[OutboxMessage]) -> None:
    """Commit a `Joined` and decide its alerts. Raises: StaleRemediation, AlreadyDecided."""
    joined = decision.event
    assert isinstance(joined, Joined)
    commit(
        connection,
        decision,
        now,
        holder="",
        reserve=None,
        child=None,
        messages=messages,
        facts=None,
        keep_claim=True,
    )
    r = decision.remediation
    alert_rows.tie(connection, joined.alerts, alert_rows.JOINED + r.id, r.id, r.episode)


_NEXT_EPOCH = Prepared(
    update(counters).where(counters.c.name == "epoch").values(value=counters.c.value + 1).returning(counters.c.value)
)


def next_epoch(connection: Connection) -> int:
    """A number that was never given out before."""
    value = _NEXT_EPOCH.value(connection)
    assert value is not None, "the first migration makes the counter"
    return int(value)


# Claims ---------------------------------------------------------------------------------------------------------------


_not_busy = remediations.c.id.not_in(bindparam("busy", expanding=True))
_CLAIMABLE = Prepared(
    select(remediations.c.id, remediations.c.holder, remediations.c.epoch, remediations.c.doc)
    .where(
        _unfinished,
        remediations.c.wake_at <= bindparam("now"),
        or_(
            remediations.c.holder == "",
            remediations.c.holder == bindparam("me"),
            remediations.c.lease_until.is_(None),
            remediations.c.lease_until <= bindparam("now"),
        ),
        _not_busy,
    )
    .order_by(remediations.c.wake_at, remediations.c.seq)
    .limit(bindparam("limit"))
    # Other replicas take the rows after these instead of waiting for them; SQLite has one writer and no such clause.
    .with_for_update(skip_locked=True)
)
_HOLD = Prepared(_update, "holder", "lease_until")
_HOLD_ANEW = Prepared(_update, "holder", "lease_until", "epoch", "doc")


def claim(
    connection: Connection, holder: str, now: datetime, lease: timedelta, limit: int, busy: Sequence[str]
) -> tuple[Remediation, ...]:
    """Take what is due and free, ours, or left by a holder whose lease is over; most overdue first."""
    at = to_us(now)
    until = at + span_us(lease)
    claimed = []
    for row in _CLAIMABLE.rows(connection, me=holder, now=at, busy=busy, limit=limit):
        r = load(row.doc)
        if row.holder not in ("", holder) and row.epoch:
            r = replace(r, epoch=next_epoch(connection))
            _HOLD_ANEW.execute(connection, row_id=r.id, holder=holder, lease_until=until, epoch=r.epoch, doc=dump(r))
        else:
            _HOLD.execute(connection, row_id=r.id, holder=holder, lease_until=until)
        claimed.append(r)
    return tuple(claimed)


_LEFT_BEHIND = Prepared(
    select(remediations.c.id, remediations.c.epoch, remediations.c.doc).where(
        _unfinished,
        remediations.c.holder != bindparam("me"),
        or_(remediations.c.holder != "", remediations.c.epoch != 0),
    )
)


def take_over(connection: Connection, holder: str) -> int:
    """Every lease of anybody else is over, and everything that has an epoch gets a new one. Returns how many had one.

    Only for a process that has the whole store to itself: what an earlier process may still be doing is fenced off.
    """
    rows = _LEFT_BEHIND.rows(connection, me=holder)
    for row in rows:
        if row.epoch:
            r = replace(load(row.doc), epoch=next_epoch(connection))
            _HOLD_ANEW.execute(connection, row_id=r.id, holder="", lease_until=None, epoch=r.epoch, doc=dump(r))
        else:
            _HOLD.execute(connection, row_id=row.id, holder="", lease_until=None)
    return len(rows)


_RENEW = Prepared(
    update(remediations)
    # What has ended has no holder any more.
    .where(remediations.c.id.in_(bindparam("ids", expanding=True)), remediations.c.holder == bindparam("me"))
    .returning(remediations.c.id),
    "lease_until",
)


def renew(connection: Connection, holder: str, ids: Sequence[str], now: datetime, lease: timedelta) -> frozenset[str]:
    """Extend our leases; the ids that are still ours."""
    return frozenset(_RENEW.column(connection, ids=ids, me=holder, lease_until=to_us(now) + span_us(lease)))


_ASLEEP = Prepared(
    select(remediations.c.doc).where(
        _unfinished,
        remediations.c.state.in_([state.value for state in WAIT_FOR_A_PAUSE]),
        remediations.c.wake_at > bindparam("now"),
    )
)
_WAKE = Prepared(_update, "wake_at", "doc")


def wake(connection: Connection, now: datetime) -> None:
    """A pause is over: what may have waited for its end is due at once. A `wait` step waits its time, and a question
    its answer."""
    for doc in _ASLEEP.column(connection, now=to_us(now)):
        r = load(doc)
        if r.due is None or r.due <= now or (r.state is State.WAITING and r.waiting_for not in ("pause", "guard")):
            continue
        r = replace(r, due=now)
        # No transition: whoever moves it at this moment does it on what he knows, and sets the next time himself.
        _WAKE.execute(connection, row_id=r.id, wake_at=to_us(now), doc=dump(r))


# What another replica works on is due all the time; asking for it again and again would get it no sooner.
_leased_away = and_(
    remediations.c.holder != "",
    remediations.c.holder != bindparam("me"),
    remediations.c.lease_until > remediations.c.wake_at,
)
_NEXT_WAKE = Prepared(select(func.min(remediations.c.wake_at)).where(_unfinished, _not_busy))
_NEXT_WAKE_FOR = Prepared(
    select(func.min(case((_leased_away, remediations.c.lease_until), else_=remediations.c.wake_at))).where(
        _unfinished, _not_busy
    )
)


def next_due(connection: Connection, busy: Sequence[str], holder: str = "") -> datetime | None:
    if not holder:
        return maybe_time(_NEXT_WAKE.value(connection, busy=busy))
    return maybe_time(_NEXT_WAKE_FOR.value(connection, busy=busy, me=holder))
