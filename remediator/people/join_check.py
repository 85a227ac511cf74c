"""Whether `pagerduty.join` finds Alertmanager's incidents: tried on what fires now, for `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.people.incidents import Incidents
from remediator.people.join import Join
from remediator.ports import ChatError
from remediator.remediation.journal import Journal

TRIED = 5
KNOWN_ALERTS = 500
SETTLED = timedelta(minutes=10)
"""An alert that is younger may still wait in the group_wait of the route to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinCheck:
    """`ok` None: it could not be tried. `next` is the next step."""

    ok: bool | None
    said: str
    next: str = ""


async def join_problem(journal: Journal, incidents: Incidents, join: Join, now: datetime) -> JoinCheck:
    """Compute the keys of some alerts that fire and look for their incidents. Raises: JournalUnavailable."""
    firing = [
        record.alert
        for record in await journal.recent_alerts(KNOWN_ALERTS)
        if record.resolved_at is None and now - record.first_seen >= SETTLED
    ]
    groups = {join.key(alert.labels): join.group(alert.labels) for alert in firing}
    if not groups:
        return JoinCheck(
            ok=None,
            said=f"no alert has fired for {SETTLED.total_seconds() / 60:.0f} minutes, so the key could not be tried",
            next="Run it again while an alert fires that pages people.",
        )
    missing = []
    for key, group in list(groups.items())[:TRIED]:
        try:
            found = await incidents.find(key)
        except ChatError as exc:
            return JoinCheck(ok=None, said=f"incidents could not be looked up: {exc}")
        if found:
            return JoinCheck(ok=True, said=f"incident {found[0].id} is the one of {dict(group)}")
        missing.append(f"{dict(group)} ({key[:12]}…)")
    return JoinCheck(
        ok=False,
        said=f"none of the alerts that fire has an incident with the computed key: {'; '.join(missing)}",
        next="If they page people: compare pagerduty.join.route_key and group_by with the route to the PagerDuty "
        "receiver; `aggrGroup` in Alertmanager's debug log shows both.",
    )
