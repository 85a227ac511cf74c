"""What happens in a cluster as a whole: what fires per root target (the observer must not call a release healthy while
a matched alert is firing), which targets arrived (a storm), and how many workloads there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, distinct, func, select

from remediator.adapters.sql.prepared import Prepared
from remediator.adapters.sql.schema import alerts, remediations, revisions
from remediator.adapters.sql.values import from_us, to_us
from remediator.guardrails.facts import Arrival

_FIRING = Prepared(
    select(remediations.c.root_key, alerts.c.name)
    .join_from(alerts, remediations, alerts.c.remediation_id == remediations.c.id)
    .where(alerts.c.resolved_at.is_(None), remediations.c.cluster == bindparam("cluster"))
)
_ARRIVALS = Prepared(
    select(remediations.c.root_key, remediations.c.created_at).where(
        remediations.c.cluster == bindparam("cluster"),
        remediations.c.created_at >= bindparam("since"),
        remediations.c.parent == "",
        # What people and schedules start is no sign of a shared cause.
        remediations.c.cause == "",
    )
)
_WORKLOADS = Prepared(
    select(func.count(distinct(revisions.c.workload_uid))).where(revisions.c.cluster == bindparam("cluster"))
)


def firing_roots(connection: Connection, cluster: str) -> Mapping[str, frozenset[str]]:
    """Root key -> names of unresolved alerts for which a remediation of that root was opened or joined."""
    found: dict[str, set[str]] = defaultdict(set)
    for root_key, name in _FIRING.rows(connection, cluster=cluster):
        found[root_key].add(name)
    return {key: frozenset(names) for key, names in found.items()}


def arrivals(connection: Connection, cluster: str, since: datetime) -> tuple[Arrival, ...]:
    """Root targets of remediations opened since then; the next rung of a ladder is no arrival."""
    return tuple(
        Arrival(target_key=f"{cluster}/{root_key}", at=from_us(created))
        for root_key, created in _ARRIVALS.rows(connection, cluster=cluster, since=to_us(since))
    )


def known_workloads(connection: Connection, cluster: str) -> int:
    return int(_WORKLOADS.value(connection, cluster=cluster))
