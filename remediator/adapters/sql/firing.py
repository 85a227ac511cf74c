"""What fires now, per root target: the observer must not call a release healthy while a matched alert is firing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, select

from remediator.adapters.sql.schema import alerts, remediations


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
