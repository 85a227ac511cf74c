"""What `doctor` asks about PagerDuty's API; the Events API is asked like every way to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from remediator.doctor import Check, Finding
from remediator.people.incidents import Incidents
from remediator.people.join import Join
from remediator.people.join_check import join_problem
from remediator.ports import Clock, Reachable
from remediator.remediation.journal import Journal


class PagerDutyApi(Incidents, Reachable, Protocol):
    """The REST API."""


def pagerduty_checks(
    api: PagerDutyApi | None, join: Join | None, journal: Journal, clock: Clock
) -> Mapping[str, Check]:
    """By name; none where `pagerduty.api` is not configured."""
    if api is None:
        return {}

    async def token() -> Finding:
        await api.probe()
        return Finding(check="PagerDuty API", ok=True, said="answers and takes pagerduty.api.token")

    async def joined() -> Finding:
        assert join is not None
        found = await join_problem(journal, api, join, clock.now())
        return Finding(check="PagerDuty join", ok=found.ok, said=found.said, next=found.next)

    return {"PagerDuty API": token, **({"PagerDuty join": joined} if join else {})}
