"""The pure half of the observer: from what a workload looked like over time to which of its revisions were healthy.

Healthy = fully available for 30 minutes with no matched alert firing, seen by us. The age of a ReplicaSet is no
evidence: one that a rollback took back into use looks as old as the day it was made. A revision that we rolled back
from is known bad, and stays so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.actions.view import Revision, View
from remediator.actions.workload import read_workload, rollout_state
from remediator.objects import Object, ref_of

HEALTHY_AFTER = timedelta(minutes=30)
ALERTS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A workload at one moment, with the names of the matched alerts about it that were firing."""

    at: datetime
    workload: Object
    firing: frozenset[str] = frozenset()


def fold(rows: Iterable[Revision], snapshots: Iterable[Snapshot]) -> tuple[Revision, ...]:
    """All snapshots in turn. Between two of them nothing is assumed to have happened: a watch tells every change.

    After a gap in the watching call `interrupted` first.
    """
    current = tuple(rows)
    for snapshot in snapshots:
        current = observe(current, snapshot)
    return current


def observe(rows: Sequence[Revision], snapshot: Snapshot) -> tuple[Revision, ...]:
    """The rows after one look at the workload. Rows of other workloads stay as they are, a new template gets a row.

    `available_since` begins when everything is available and nothing fires, and begins anew after either. Once healthy
    stays healthy: an alert of next week (a dead database) does not make a release bad that had run well.
    """
    workload = read_workload(snapshot.workload)
    found = {(row.workload_uid, row.template_hash): row for row in rows}
    key = (workload.uid, workload.template_hash)
    found.setdefault(key, Revision(workload_uid=workload.uid, template_hash=workload.template_hash))
    for other, row in found.items():
        if other == key:
            found[other] = _present(row, snapshot)
        elif row.workload_uid == workload.uid:
            found[other] = _closed(row, snapshot.at)
    return tuple(found.values())


def interrupted(rows: Iterable[Revision], last_watched: datetime) -> tuple[Revision, ...]:
    """The rows when the watching resumes: what was available at `last_watched` may have been gone since."""
    return tuple(_closed(row, last_watched) for row in rows)


def mark_known_bad(rows: Iterable[Revision], workload_uid: str, template_hash: str) -> tuple[Revision, ...]:
    """The rows after a rollback from this template."""
    found = {(row.workload_uid, row.template_hash): row for row in rows}
    key = (workload_uid, template_hash)
    row = found.get(key, Revision(workload_uid=workload_uid, template_hash=template_hash))
    return tuple({**found, key: replace(row, known_bad=True)}.values())


def healthy_at(row: Revision) -> datetime | None:
    """When the row becomes healthy if nothing happens until then; None when it is already or cannot."""
    if row.healthy or row.available_since is None or row.available_until is not None:
        return None
    return row.available_since + HEALTHY_AFTER


def _present(row: Revision, snapshot: Snapshot) -> Revision:
    row = replace(row, alerts=_alerts(row.alerts, snapshot.firing))
    if snapshot.firing or not _fully_available(snapshot.workload, snapshot.at):
        return _closed(row, snapshot.at)
    if row.available_since is None or row.available_until is not None:
        return replace(row, available_since=snapshot.at, available_until=None)
    return replace(row, healthy=row.healthy or snapshot.at - row.available_since >= HEALTHY_AFTER)


def _closed(row: Revision, at: datetime) -> Revision:
    """The span of health ends here, and counts if it was long enough: until now it had lasted."""
    if row.available_since is None or row.available_until is not None:
        return row
    lasted = at - row.available_since >= HEALTHY_AFTER
    return replace(row, available_until=at, healthy=row.healthy or lasted)


def _fully_available(workload: Object, at: datetime) -> bool:
    """All copies are of the present template and available. No copy at all is no evidence of health."""
    if read_workload(workload).desired == 0:
        return False
    ref = ref_of(workload)
    return rollout_state(View(target=workload, ref=ref, root=ref, read_at=at)) == "done"


def _alerts(known: tuple[str, ...], firing: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *firing}))[:ALERTS_KEPT]
