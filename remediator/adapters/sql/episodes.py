"""Episodes: an incident as we see it, one open per cluster and root target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, bindparam, insert, or_, select, update

from remediator.adapters.sql import outbox, pauses
from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import alerts, episodes, remediations
from remediator.adapters.sql.values import AnyRow, from_us, maybe_time, ref_from_key, span_us, to_us
from remediator.guardrails.scopes import episode_scope
from remediator.people.outbox_rows import OutboxMessage
from remediator.remediation.journal import Episode

PAGE = 200


_OPEN = Prepared(
    select(episodes.c.id).where(
        episodes.c.cluster == bindparam("cluster"),
        episodes.c.root_key == bindparam("root_key"),
        episodes.c.closed_at.is_(None),
    )
)
_INSERT = Prepared(insert(episodes), "id", "cluster", "root_key", "opened_at", "ladders")
_GET = Prepared(select(episodes).where(episodes.c.id == bindparam("id")))
_COUNT = Prepared(update(episodes).where(episodes.c.id == bindparam("row_id")).values(ladders=episodes.c.ladders + 1))


def ensure(
    connection: Connection, episode_id: str, cluster: str, root_key: str, now: datetime, *, otherwise: str = ""
) -> str:
    """The id of the open episode of this root; a new one is called `episode_id`, or `otherwise` where the one of that
    name is over: what begins hours after an incident does not open that again."""
    present = _OPEN.value(connection, cluster=cluster, root_key=root_key)
    if present is not None:
        return str(present)
    if otherwise and otherwise != episode_id and _GET.row(connection, id=episode_id) is not None:
        episode_id = otherwise
    _INSERT.execute(connection, id=episode_id, cluster=cluster, root_key=root_key, opened_at=to_us(now), ladders=0)
    return episode_id


def get(connection: Connection, episode_id: str) -> Episode | None:
    row = _GET.row(connection, id=episode_id)
    return None if row is None else _episode(row)


def _episode(row: AnyRow) -> Episode:
    return Episode(
        id=row.id,
        cluster=row.cluster,
        root=ref_from_key(row.root_key),
        opened_at=from_us(row.opened_at),
        closed_at=maybe_time(row.closed_at),
        ladders=row.ladders,
    )


def count_ladder(connection: Connection, episode_id: str) -> None:
    """One more ladder of it has ended with an effect."""
    _COUNT.execute(connection, row_id=episode_id)


def _is_quiet(now: datetime, quiet: timedelta) -> ColumnElement[bool]:
    """Open, and over for `quiet`: every alert resolved, every remediation ended, all of it that long ago."""
    before = to_us(now) - span_us(quiet)
    of_alert = select(alerts.c.id).where(
        alerts.c.episode_id == episodes.c.id,
        or_(alerts.c.resolved_at.is_(None), alerts.c.resolved_at > before),
    )
    of_remediation = select(remediations.c.seq).where(
        remediations.c.episode_id == episodes.c.id,
        or_(remediations.c.ended_at.is_(None), remediations.c.ended_at > before),
    )
    return and_(
        episodes.c.closed_at.is_(None),
        episodes.c.opened_at <= before,
        ~of_alert.exists(),
        ~of_remediation.exists(),
    )


def quiet_ones(connection: Connection, now: datetime, quiet: timedelta) -> tuple[str, ...]:
    """Oldest first, at most a page: the next look finds the rest."""
    query = select(episodes.c.id).where(_is_quiet(now, quiet)).order_by(episodes.c.opened_at).limit(PAGE)
    return tuple(connection.scalars(query))


def close_quiet(
    connection: Connection,
    now: datetime,
    quiet: timedelta,
    messages: Mapping[str, Sequence[OutboxMessage]] | None = None,
) -> int:
    """Close what is quiet, with `messages` only what it names. What stirred since it was looked at is not told. Nobody
    needs to give back what is over."""
    closing = update(episodes).where(_is_quiet(now, quiet)).values(closed_at=to_us(now))
    if messages is not None:
        closing = closing.where(episodes.c.id.in_(list(messages)))
    closed = connection.scalars(closing.returning(episodes.c.id)).all()
    pauses.end_scopes(connection, [episode_scope(episode) for episode in closed], "the end of the episode", now)
    for episode in closed:
        outbox.store(connection, (messages or {}).get(episode, ()), now)
    return len(closed)
