"""What is known about a storm in one cluster at one moment: arrivals, what is on record, and a common parent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.actions.view import View
from remediator.errors import ReadError
from remediator.guardrails import storm
from remediator.guardrails.facts import Arrival, Parent, Storm
from remediator.guardrails.storm import Lasting
from remediator.objects import ObjectRef
from remediator.ports import Cluster
from remediator.remediation.journal import Journal
from remediator.remediation.parent_reading import read_parent, target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """`arrivals` reach back to before the storm on record. `problem`: why the common parent is not known."""

    now: datetime
    arrivals: tuple[Arrival, ...]
    known_workloads: int
    on_record: Storm | None
    parent: Parent | None = None
    problem: str = ""

    @property
    def limit(self) -> int:
        return storm.limit_for(self.known_workloads)

    @property
    def by_arrivals(self) -> Lasting | None:
        return storm.by_arrivals(self.arrivals, self.limit, self.now)

    @property
    def lasting(self) -> Lasting | None:
        return storm.lasting(self.arrivals, self.on_record, self.limit, self.now)


class StormReader:
    """Holds no state but its ports."""

    def __init__(self, journal: Journal, clusters: Mapping[str, Cluster]) -> None:
        self._journal = journal
        self._clusters = clusters

    async def read(self, cluster: str, now: datetime, views: Sequence[View] = (), *, keeping: bool = False) -> Weather:
        """With `views` of a remediation also whether its target is what the storm's targets stand on.

        A storm on record holds whatever comes in, so that its arrivals are only read for whoever keeps it and for what
        may be its common parent: there are thousands of them when thousands ask. Raises: JournalUnavailable.
        """
        # First what is on record: one that ends meanwhile is then still held by what was read here.
        on_record = await self._journal.storm(cluster)
        if on_record is not None and not keeping and target_of(views) is None:
            workloads = await self._journal.known_workloads(cluster)
            return Weather(now=now, arrivals=(), known_workloads=workloads, on_record=on_record)
        since = min(now, on_record.opened_at) if on_record else now
        arrivals, workloads = await asyncio.gather(
            self._journal.arrivals(cluster, since - storm.LOOK_BACK), self._journal.known_workloads(cluster)
        )
        weather = Weather(now=now, arrivals=arrivals, known_workloads=workloads, on_record=on_record)
        if target_of(views) is None or weather.lasting is None:
            return weather
        members = [_ref(cluster, arrival) for arrival in arrivals]
        try:
            return replace(weather, parent=await read_parent(self._clusters[cluster], views, members))
        except ReadError as exc:
            return replace(weather, problem=f"what the storm's targets stand on cannot be read: {exc}")


def _ref(cluster: str, arrival: Arrival) -> ObjectRef:
    return ObjectRef(*arrival.target_key.removeprefix(f"{cluster}/").split("/", 2))
