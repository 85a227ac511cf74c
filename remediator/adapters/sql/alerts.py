"""Alerts and their identity: one row per firing interval of a fingerprint in a cluster, as one source tells it.

A fingerprint is whatever a sender says it is, so it names an alert of that sender only: no sender can end another one's
alert, or say what it is about.

A delivery is judged against the latest interval of its fingerprint, in Python, on what one SELECT for the whole batch
found; then one batch of inserts and one of updates. Only one writer does this at a time. (On PostgreSQL that SELECT
takes FOR UPDATE, in fingerprint order, and the unique index turns a race between two replicas into a retry.)

What a webhook does not tell is when it was sent, so messages are put in order by the sender's own times:

    resolved, endsAt before the newest startsAt seen    an old message: ignored
    resolved, nothing open                              a duplicate, or never seen firing: ignored, nothing can start
    firing within 10 minutes of the resolve             the same alert, opened again
    firing, the same startsAt long after the resolve    a new interval: Alertmanager lost sight of it and found it again

Nothing that fires is passed over for ever. What is opened again is decided anew, unless its remediation is still at
work. A re-send is decided anew when nothing was done about it: no playbook matched, or the last ending had no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, or_, select, true, update

from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import alerts, episodes, pauses, remediations
from remediator.adapters.sql.values import (
    AnyRow,
    from_json,
    from_us,
    maybe_time,
    maybe_us,
    span_us,
    to_json,
    to_us,
)
from remediator.alerts.alert import Alert
from remediator.guardrails.scopes import EPISODE
from remediator.remediation.journal import Accepted, AlertRecord, AlreadyDecided
from remediator.remediation.state import State, StepOutcome

SAME_ALERT_WITHIN = timedelta(minutes=10)
"""A refire this soon after the resolve is the same alert: Alertmanager restarts and missed scrapes make such gaps."""

NOT_AGAIN_WITHIN = timedelta(minutes=5)
"""Before this much time since an ending without effect, a re-send is not evaluated anew; nor, where no playbook
matched, since the message before."""

NOT_RESENT = "not re-sent"

LOOK_UP_AT_ONCE = 400
"""Fingerprints per SELECT: SQLite takes 999 parameters in old builds."""

PREFIX = "a-"

REMEDIATION = "remediation:"
JOINED = "joined:"
RESOLVED = "resolved:"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook's alerts and when it came."""

    alerts: Sequence[Alert]
    now: datetime


@dataclass(slots=True)
class _Interval:
    """The latest interval of a fingerprint, as it is becoming. `id` None = to be inserted. Times in microseconds."""

    id: int | None
    alert: Alert | None
    starts_at: int
    latest_start_at: int
    ends_at: int | None
    first_seen_at: int
    last_seen_at: int
    resolved_at: int | None
    undecided_at: int | None
    again_at: int | None
    """From when on a re-send is evaluated anew: nothing was done about it. None = it is not."""
    reopened_at: int | None
    """From when on a refire is evaluated anew: nothing is at work on it. None = it is not."""
    latest: bool = True
    write_body: bool = False


_Key = tuple[str, str, str]
"""Cluster, source, fingerprint."""

_LOOK_UP = Prepared(
    select(
        alerts.c.cluster,
        alerts.c.source,
        alerts.c.fingerprint,
        alerts.c.id,
        alerts.c.starts_at,
        alerts.c.latest_start_at,
        alerts.c.ends_at,
        alerts.c.first_seen_at,
        alerts.c.last_seen_at,
        alerts.c.resolved_at,
        alerts.c.undecided_at,
        alerts.c.remediation_id,
        alerts.c.body.is_(None).label("no_body"),
        remediations.c.seq,
        remediations.c.state,
        remediations.c.had_effect,
        remediations.c.ended_at,
    )
    .select_from(alerts.outerjoin(remediations, remediations.c.id == alerts.c.remediation_id))
    .where(alerts.c.latest.is_(true()), alerts.c.fingerprint.in_(bindparam("fingerprints", expanding=True)))
)

_NEW_COLUMNS = (
    "cluster",
    "fingerprint",
    "source",
    "name",
    "starts_at",
    "latest_start_at",
    "ends_at",
    "first_seen_at",
    "last_seen_at",
    "resolved_at",
    "latest",
    "undecided_at",
    "body",
)


_INSERT = Prepared(insert(alerts), *_NEW_COLUMNS)
_SEEN = Prepared(
    update(alerts).where(alerts.c.id == bindparam("row_id")),
    "last_seen_at",
    "latest_start_at",
    "ends_at",
    "resolved_at",
    "undecided_at",
    "latest",
)
_BODY = Prepared(update(alerts).where(alerts.c.id == bindparam("row_id")), "body")


def accept(connection: Connection, deliveries: Sequence[Delivery]) -> list[Accepted]:
    """Take these deliveries, in order. One `Accepted` each."""
    latest = _look_up(connection, {a.fingerprint for d in deliveries for a in d.alerts})
    touched: dict[int, _Interval] = {}
    results = []
    for delivery in deliveries:
        counts = {"new": 0, "known": 0, "resolved": 0}
        now = to_us(delivery.now)
        for alert in delivery.alerts:
            key = (alert.cluster, alert.source, alert.fingerprint)
            present = latest.get(key)
            what, after = _take(present, alert, now)
            counts[what] += 1
            if after is not present and present is not None:
                present.latest = False
                touched[id(present)] = present
            if after is not None:
                latest[key] = after
                touched[id(after)] = after
        results.append(Accepted(**counts))
    _store(connection, touched.values())
    return results


def _look_up(connection: Connection, fingerprints: Iterable[str]) -> dict[_Key, _Interval]:
    found: dict[_Key, _Interval] = {}
    wanted = sorted(fingerprints)
    for start in range(0, len(wanted), LOOK_UP_AT_ONCE):
        for row in _LOOK_UP.rows(connection, fingerprints=wanted[start : start + LOOK_UP_AT_ONCE]):
            found[row.cluster, row.source, row.fingerprint] = _Interval(
                id=row.id,
                alert=None,
                starts_at=row.starts_at,
                latest_start_at=row.latest_start_at,
                ends_at=row.ends_at,
                first_seen_at=row.first_seen_at,
                last_seen_at=row.last_seen_at,
                resolved_at=row.resolved_at,
                undecided_at=row.undecided_at,
                again_at=_again_at(row),
                reopened_at=_reopened_at(row),
                write_body=row.no_body,
            )
    return found


def _again_at(row: AnyRow) -> int | None:
    if row.remediation_id is None:  # a playbook may have been loaded since
        return int(row.last_seen_at) + span_us(NOT_AGAIN_WITHIN)
    if row.seq is None:
        return 0  # its remediation is so old that retention took it
    if row.ended_at is None or row.had_effect or row.state == State.REJECTED.value:
        return None
    return int(row.ended_at) + span_us(NOT_AGAIN_WITHIN)


def _reopened_at(row: AnyRow) -> int | None:
    """After an effect at once: the guards (cooldown, max_attempts) answer, and people hear that it did not last."""
    if row.seq is None:
        return 0
    if row.ended_at is None:
        return None
    return 0 if row.had_effect else int(row.ended_at) + span_us(NOT_AGAIN_WITHIN)


def _take(present: _Interval | None, alert: Alert, now: int) -> tuple[str, _Interval | None]:
    """What one alert message does to the latest interval: which count it is, and the interval that is latest now."""
    starts = to_us(alert.starts_at)
    if alert.status == "resolved":
        if present is None or present.resolved_at is not None:
            return "known", present
        # A sender's clock may be ahead of ours; the end of an alert is not in the future.
        ends = min(to_us(alert.ends_at), now) if alert.ends_at else now
        if alert.ends_at and to_us(alert.ends_at) < present.latest_start_at:
            return "known", present
        present.ends_at, present.resolved_at = maybe_us(alert.ends_at), ends
        present.last_seen_at = max(present.last_seen_at, now)
        return "resolved", present
    if present is None or not _same_alert(present, starts, now):
        return "new", _Interval(
            id=None,
            alert=alert,
            starts_at=starts,
            latest_start_at=starts,
            ends_at=None,
            first_seen_at=now,
            last_seen_at=now,
            resolved_at=None,
            undecided_at=now,
            again_at=None,
            reopened_at=None,
        )
    again_at = present.again_at if present.resolved_at is None else present.reopened_at
    present.resolved_at = present.ends_at = None
    present.latest_start_at = max(present.latest_start_at, starts)
    present.last_seen_at = max(present.last_seen_at, now)
    present.alert = alert
    if present.undecided_at is None and again_at is not None:
        # Not lost when it is too early: it is decided as soon as the time has come.
        present.undecided_at = max(now, again_at)
        present.write_body = True  # evaluated anew means on what it says now
        return "new", present
    return "known", present


def _same_alert(present: _Interval, starts: int, now: int) -> bool:
    if present.resolved_at is None:
        return True
    within = span_us(SAME_ALERT_WITHIN)
    # A sender's clock may be ahead of ours, and a start in the future would look long after the end.
    starts = min(starts, now)
    if starts > present.resolved_at:
        return starts - present.resolved_at <= within
    # When we heard of the end: from the sender, or from Prometheus.
    return now - max(present.last_seen_at, present.resolved_at) <= within


def _store(connection: Connection, intervals: Iterable[_Interval]) -> None:
    new, seen, bodies = [], [], []
    for interval in intervals:
        if interval.id is None:
            assert interval.alert is not None
            new.append(_new_row(interval, interval.alert))
            continue
        seen.append(
            {
                "row_id": interval.id,
                "last_seen_at": interval.last_seen_at,
                "latest_start_at": interval.latest_start_at,
                "ends_at": interval.ends_at,
                "resolved_at": interval.resolved_at,
                "undecided_at": interval.undecided_at,
                "latest": interval.latest,
            }
        )
        if interval.write_body and interval.alert is not None:
            bodies.append({"row_id": interval.id, "body": _body(interval.alert)})
    # First the old ones stop being the latest, then their successors can be.
    _SEEN.execute_many(connection, seen)
    _BODY.execute_many(connection, bodies)
    _INSERT.execute_many(connection, new)


def _new_row(interval: _Interval, alert: Alert) -> dict[str, Any]:
    return {
        "cluster": alert.cluster,
        "fingerprint": alert.fingerprint,
        "source": alert.source,
        "name": alert.name,
        "starts_at": interval.starts_at,
        "latest_start_at": interval.latest_start_at,
        "ends_at": interval.ends_at,
        "first_seen_at": interval.first_seen_at,
        "last_seen_at": interval.last_seen_at,
        "resolved_at": interval.resolved_at,
        "latest": interval.latest,
        "undecided_at": interval.undecided_at,
        "body": _body(alert),
    }


def _body(alert: Alert) -> str:
    return to_json(
        {
            "labels": alert.labels,
            "annotations": alert.annotations,
            "generator_url": alert.generator_url,
            "group_key": alert.group_key,
        }
    )


_RECORD = select(
    alerts.c.id,
    alerts.c.cluster,
    alerts.c.fingerprint,
    alerts.c.source,
    alerts.c.name,
    alerts.c.starts_at,
    alerts.c.ends_at,
    alerts.c.first_seen_at,
    alerts.c.last_seen_at,
    alerts.c.resolved_at,
    alerts.c.undecided_at,
    alerts.c.verdict,
    alerts.c.detail,
    alerts.c.body,
)


def _record(row: AnyRow) -> AlertRecord:
    body: Mapping[str, Any] = (
        from_json(row.body) if row.body else {"labels": {"alertname": row.name} if row.name else {}}
    )
    return AlertRecord(
        id=f"{PREFIX}{row.id}",
        alert=Alert(
            fingerprint=row.fingerprint,
            status="firing" if row.resolved_at is None else "resolved",
            labels=body["labels"],
            annotations=body.get("annotations", {}),
            starts_at=from_us(row.starts_at),
            ends_at=maybe_time(row.ends_at),
            generator_url=body.get("generator_url", ""),
            group_key=body.get("group_key", ""),
            source=row.source,
            cluster=row.cluster,
        ),
        first_seen=from_us(row.first_seen_at),
        last_seen=from_us(row.last_seen_at),
        resolved_at=maybe_time(row.resolved_at),
        verdict="" if row.undecided_at is not None else row.verdict,
        detail=row.detail,
        undecided_since=maybe_time(row.undecided_at),
    )


_undecided = (
    _RECORD.where(alerts.c.undecided_at.is_not(None))
    .order_by(alerts.c.undecided_at, alerts.c.id)
    .limit(bindparam("limit"))
)
_UNDECIDED = Prepared(_undecided)
_DUE = Prepared(_undecided.where(alerts.c.undecided_at <= bindparam("now")))
_BY_IDS = Prepared(_RECORD.where(alerts.c.id.in_(bindparam("ids", expanding=True))))
_RECENT = Prepared(_RECORD.order_by(alerts.c.id.desc()).limit(bindparam("limit")))


def undecided(connection: Connection, limit: int, now: datetime | None) -> tuple[AlertRecord, ...]:
    """Oldest first; without `now` also those whose time has not come."""
    if now is None:
        return tuple(map(_record, _UNDECIDED.rows(connection, limit=limit)))
    return tuple(map(_record, _DUE.rows(connection, limit=limit, now=to_us(now))))


def by_ids(connection: Connection, ids: Sequence[str]) -> tuple[AlertRecord, ...]:
    """In the order asked for; unknown ones (or such that retention took) are left out."""
    found = {record.id: record for record in map(_record, _BY_IDS.rows(connection, ids=row_ids(ids)))}
    return tuple(found[alert_id] for alert_id in ids if alert_id in found)


def recent(connection: Connection, limit: int) -> tuple[AlertRecord, ...]:
    return tuple(map(_record, _RECENT.rows(connection, limit=limit)))


_OF_OPEN_EPISODES = Prepared(
    _RECORD.add_columns(alerts.c.episode_id)
    .where(alerts.c.episode_id.in_(select(episodes.c.id).where(episodes.c.closed_at.is_(None))))
    .order_by(alerts.c.id.desc())
)


def of_open_episodes(connection: Connection) -> dict[str, tuple[AlertRecord, ...]]:
    """By episode, the newest first."""
    found: dict[str, list[AlertRecord]] = {}
    for row in _OF_OPEN_EPISODES.rows(connection):
        found.setdefault(row.episode_id, []).append(_record(row))
    return {episode: tuple(records) for episode, records in found.items()}


_LOOK_AGAIN = (
    update(alerts)
    .where(
        alerts.c.latest.is_(true()),
        alerts.c.resolved_at.is_(None),
        alerts.c.undecided_at.is_(None),
        exists().where(remediations.c.id == alerts.c.remediation_id, remediations.c.outcome == StepOutcome.TAKEN.value),
        ~exists().where(pauses.c.scope == EPISODE + alerts.c.episode_id, pauses.c.ended_at.is_(None)),
    )
    .returning(alerts.c.episode_id)
)


def look_again(connection: Connection, now: datetime) -> frozenset[str]:
    """What still fires, and ended only because a person had its episode, whom nobody has any more. The episodes."""
    return frozenset(connection.scalars(_LOOK_AGAIN.values(undecided_at=to_us(now))))


def row_ids(ids: Iterable[str]) -> list[int]:
    """`a-17` is row 17; what is none of ours is no row."""
    numbers = (alert_id.removeprefix(PREFIX) for alert_id in ids if alert_id.startswith(PREFIX))
    return [int(number) for number in numbers if number.isdecimal()]


_decide = (
    update(alerts)
    .where(alerts.c.id == bindparam("row_id"), alerts.c.undecided_at.is_not(None))
    .values(detail="", undecided_at=None)
)
_DECIDE = Prepared(_decide, "verdict", "remediation_id")
_DECIDE_OVER = Prepared(_decide.where(alerts.c.resolved_at.is_not(None)), "verdict", "remediation_id")
"""It may fire again since it was looked at: then it is still to be decided."""


def decide(connection: Connection, verdicts: Mapping[str, str], now: datetime) -> None:
    """Alert id -> verdict text, of those still undecided. `remediation:ID` and `joined:ID` also tie the alert to that
    remediation; `resolved: ...` is no verdict for what fires again by now."""
    plain: list[dict[str, Any]] = []
    over: list[dict[str, Any]] = []
    for alert_id, verdict in verdicts.items():
        tied = [verdict.removeprefix(p) for p in (REMEDIATION, JOINED) if verdict.startswith(p)]
        rows = over if verdict.startswith(RESOLVED) else plain
        for row_id in row_ids([alert_id]):
            rows.append({"row_id": row_id, "verdict": verdict, "remediation_id": tied[0] if tied else None})
    _DECIDE.execute_many(connection, plain)
    _DECIDE_OVER.execute_many(connection, over)


_THESE = alerts.c.id.in_(bindparam("ids", expanding=True))
_TO_TIE = Prepared(select(alerts.c.id, alerts.c.undecided_at).where(_THESE).with_for_update())
_TIE = Prepared(
    update(alerts).where(_THESE).values(detail="", undecided_at=None), "verdict", "remediation_id", "episode_id"
)
_PASS_ON = Prepared(update(alerts).where(_THESE), "remediation_id")
_RESOLVE = Prepared(update(alerts).where(_THESE, alerts.c.resolved_at.is_(None)), "resolved_at", "ends_at")


def tie(connection: Connection, ids: Sequence[str], verdict: str, remediation_id: str, episode_id: str) -> None:
    """These alerts belong to this remediation now, and are decided. Raises: AlreadyDecided (one of them is)."""
    mine = row_ids(ids)
    found = _TO_TIE.rows(connection, ids=mine)
    if decided := [f"{PREFIX}{row.id}" for row in found if row.undecided_at is None]:
        raise AlreadyDecided(f"{', '.join(decided)} has its verdict by now")
    _TIE.execute(connection, ids=mine, verdict=verdict, remediation_id=remediation_id, episode_id=episode_id)


def pass_on(connection: Connection, ids: Sequence[str], child_id: str) -> None:
    """The next rung answers for these alerts; what they were decided to stays on record."""
    _PASS_ON.execute(connection, ids=row_ids(ids), remediation_id=child_id)


def resolve(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """Close these intervals: it was proven that they no longer fire. Returns how many were open."""
    return _RESOLVE.execute(connection, ids=row_ids(ids), resolved_at=to_us(now), ends_at=to_us(now))


def close_unsent(connection: Connection, now: datetime, silent: timedelta, limit: int) -> int:
    """Close open intervals that no message spoke of for longer than `silent`. Returns how many, at most `limit`.

    Not what is still to be decided, nor what a remediation is at work on: that ends by itself.
    """
    before = to_us(now - silent)
    unfinished = select(remediations.c.id).where(remediations.c.ended_at.is_(None))
    some = (
        select(alerts.c.id)
        .where(
            alerts.c.resolved_at.is_(None),
            # Not needed for the meaning; it is what the index knows.
            alerts.c.first_seen_at < before,
            alerts.c.last_seen_at < before,
            alerts.c.undecided_at.is_(None),
            or_(alerts.c.remediation_id.is_(None), alerts.c.remediation_id.not_in(unfinished)),
        )
        .limit(limit)
    )
    closed = connection.execute(
        update(alerts).where(alerts.c.id.in_(some)).values(resolved_at=to_us(now), detail=NOT_RESENT)
    )
    return closed.rowcount
