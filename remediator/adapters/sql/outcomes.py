"""How a playbook has fared: what the circuit breaker counts."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, or_, select, true

from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import holds, remediations
from remediator.adapters.sql.values import from_us
from remediator.guardrails.facts import Outcome
from remediator.remediation.state import State, StepOutcome, load

BAD = frozenset(
    {
        StepOutcome.FAILED,
        StepOutcome.UNDONE,
        StepOutcome.UNDO_FAILED,
        StepOutcome.INCONCLUSIVE,
        StepOutcome.UNCERTAIN,
    }
)
"""Endings that speak against the playbook. Held, refused, stopped and expired ones say nothing about what it does."""


def _latest(where: ColumnElement[bool]) -> Select[tuple[str, str, str, str, str, int | None]]:
    return (
        select(
            remediations.c.id,
            remediations.c.cluster,
            remediations.c.root_key,
            remediations.c.state,
            remediations.c.outcome,
            remediations.c.ended_at,
        )
        .where(
            remediations.c.playbook == bindparam("playbook"),
            where,
            remediations.c.had_effect,
            # The end of a hold says nothing about the change that was made meanwhile.
            remediations.c.id.not_in(select(holds.c.release_id).where(holds.c.release_id.is_not(None))),
            or_(
                # What is inconclusive counts at once, though sampling goes on for an hour.
                remediations.c.state == State.INCONCLUSIVE.value,
                and_(
                    remediations.c.ended_at.is_not(None),
                    or_(
                        remediations.c.state == State.SUCCEEDED.value,
                        remediations.c.outcome.in_(sorted(outcome.value for outcome in BAD)),
                    ),
                ),
            ),
        )
        .order_by(remediations.c.seq.desc())
        .limit(bindparam("at_most"))
    )


_EVERYWHERE = Prepared(_latest(true()))
_HERE = Prepared(_latest(remediations.c.cluster == bindparam("here")))


_DOC = Prepared(select(remediations.c.doc).where(remediations.c.id == bindparam("row_id")))


def latest(connection: Connection, playbook: str, cluster: str, limit: int) -> tuple[Outcome, ...]:
    """The latest of this cluster and the latest of all, newest first by when they ended: an open breaker must not be
    forgotten because other clusters are busy."""
    rows = {row.id: row for row in _HERE.rows(connection, playbook=playbook, here=cluster, at_most=limit)}
    rows |= {row.id: row for row in _EVERYWHERE.rows(connection, playbook=playbook, at_most=limit)}
    found = []
    for row in rows.values():
        good = row.state == State.SUCCEEDED.value
        ended = load(_DOC.value(connection, row_id=row.id)).since if row.ended_at is None else from_us(row.ended_at)
        found.append(
            Outcome(
                remediation_id=row.id,
                cluster=row.cluster,
                target_key=f"{row.cluster}/{row.root_key}",
                ended_at=ended,
                good=good,
                outcome=row.state if good else row.outcome,
            )
        )
    return tuple(sorted(found, key=lambda o: o.ended_at, reverse=True))
