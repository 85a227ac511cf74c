"""Asks Prometheus what must not be acted under: blockers and overload.

No answer is an answer too: it blocks. An empty one counts as "nothing" only from a Prometheus that scrapes something,
because one that has just started, or lost its targets, finds nothing whatever is the matter.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from remediator.errors import CannotSee
from remediator.guardrails.facts import BlockerFact, Overload
from remediator.playbooks.limits import Blocker
from remediator.ports import Queries, Sample

FRESH_WITHIN = timedelta(minutes=2)
"""An answer dated further away from our clock, either way, is not believed."""

ALIVE = "count(up) > 0"
NAMED = 3
NOT_CONFIGURED = "no Prometheus is configured"
_OF_THE_SERIES = frozenset({"__name__", "alertstate"})


class ConditionReader:
    """Holds no state but its port. `queries` None = no Prometheus is configured, and whatever asks it is unknown."""

    def __init__(self, queries: Queries | None) -> None:
        self._queries = queries

    async def blockers(
        self, asked: Sequence[Blocker], own: Sequence[Mapping[str, str]], now: datetime
    ) -> tuple[BlockerFact, ...]:
        """What of them fires or holds. `own` are the labels of the alerts that are being remediated: an alert never
        blocks its own cure."""
        return tuple(await asyncio.gather(*(self._blocker(blocker, own, now) for blocker in asked)))

    async def overload(self, query: str, now: datetime) -> Overload:
        """Raises: CannotSee."""
        found = await self._holding(query, now)
        return Overload(query=query, says=", ".join(_shown(s) for s in found[:NAMED]))

    async def _blocker(self, blocker: Blocker, own: Sequence[Mapping[str, str]], now: datetime) -> BlockerFact:
        try:
            found = await self._holding(blocker.query, now)
        except CannotSee as exc:
            return BlockerFact(name=blocker.title, problem=str(exc))
        if blocker.alerts:
            found = tuple(s for s in found if not any(_is(s.labels, labels) for labels in own))
        return BlockerFact(name=blocker.title, blocks=tuple(_shown(s) for s in found))

    async def _holding(self, query: str, now: datetime) -> tuple[Sample, ...]:
        """The samples that are not zero. Raises: CannotSee, also for NaN and stale answers."""
        if self._queries is None:
            raise CannotSee(NOT_CONFIGURED)
        found = await self._queries.instant(query)
        for sample in found or await self._alive():
            if math.isnan(sample.value):
                raise CannotSee(f"Prometheus answered NaN to {query}")
            if abs(sample.at - now) > FRESH_WITHIN:
                raise CannotSee(f"Prometheus' answer is dated {sample.at:%H:%M:%S} UTC, ours is {now:%H:%M:%S}")
        return tuple(s for s in found if s.value != 0.0)

    async def _alive(self) -> tuple[Sample, ...]:
        assert self._queries is not None
        found = await self._queries.instant(ALIVE)
        if not found:
            raise CannotSee("Prometheus has no target that it scrapes, so that nothing is found proves nothing")
        return found


def _is(series: Mapping[str, str], alert: Mapping[str, str]) -> bool:
    """Whether this ALERTS series is that alert. Prometheus adds external labels to alerts on their way out, never to
    the series, and relabelling may drop some: no label that both have may differ, and the name must be there."""
    shared = series.keys() & alert.keys() - _OF_THE_SERIES
    return "alertname" in shared and all(series[k] == alert[k] for k in shared)


def _shown(sample: Sample) -> str:
    """`KubeNodeNotReady{node="n1"}`, or the value where there are no labels."""
    name = sample.labels.get("alertname", sample.labels.get("__name__", ""))
    rest = {k: v for k, v in sorted(sample.labels.items()) if k not in _OF_THE_SERIES and k != "alertname"}
    labels = ", ".join(f'{k}="{v}"' for k, v in list(rest.items())[:NAMED])
    return f"{name}{{{labels}}}" if labels else name or f"{sample.value:g}"
