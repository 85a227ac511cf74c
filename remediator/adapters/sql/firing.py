"""What happens in a cluster as a whole: what fires per root target (the observer must not call a release healthy while
a matched alert is firing), which targets arrived (a storm), and how many workloads there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, distinct, func, select

from remediator.adapters.sql.schema import alerts, remediations, revisions
from remediator.adapters.sql.values import from_us, to_us
from remediator.guardrails.facts import Arrival


def firing_roots(connection: Connection, cluster: str) -> Mapping[str, frozenset[str]]:
    """Root key -> names of unresolved alerts for which a remediation of that root was opened or joined."""
    query = (
        select(remediations.c.root_key, alerts.c.name)
        .join_from(alerts, remediations, alerts.c.remediation_id == remediations.c.id)
        .where(alerts.c.resolved_at.is_(None), remediations.c.cluster == cluster)
    )
    found: dict[str, set[str]] = defaultdict(set)
    for root_key, name in connection.execute(query):
        found[root_key].add(name)
    return {key: frozenset(names) for key, names in found.items()}


def arrivals(connection: Connection, cluster: str, since: datetime) -> tuple[Arrival, ...]:
    """Root targets of remediations opened since then; the next rung of a ladder is no arrival."""
    query = select(remediations.c.root_key, remediations.c.created_at).where(
        remediations.c.cluster == cluster, remediations.c.created_at >= to_us(since), remediations.c.parent == ""
    )
    return tuple(
        Arrival(target_key=f"{cluster}/{root_key}", at=from_us(created))
        for root_key, created in connection.execute(query)
    )


def known_workloads(connection: Connection, cluster: str) -> int:
    query = select(func.count(distinct(revisions.c.workload_uid))).where(revisions.c.cluster == cluster)
    return int(connection.execute(query).scalar_one())
