"""Prometheus of a schedule: the error ratio of each workload and `ALERTS`, or nothing, or rubbish."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated.clock import START
from remediator.errors import CannotSee
from remediator.ports import AlertRule, Sample, Series

INTERVAL_S = 5.0
STALE_S = 600.0
BLOCKER = 'alertname="Boss"'


class Prometheus:
    """`mode`: up, down, empty, nan, stale. `errors` by workload; `firing` are the label sets that fire; `holds` says
    which of the operator's own conditions hold."""

    def __init__(
        self,
        now: Callable[[], float],
        latency: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now, self._latency, self._sleep = now, latency, sleep
        self.mode = "up"
        self.errors: dict[str, float] = {}
        self.firing: dict[str, dict[str, str]] = {}
        self.seen: dict[str, dict[str, str]] = {}
        self.holds: dict[str, bool] = {}

    def fire(self, key: str, labels: dict[str, str]) -> None:
        self.firing[key] = self.seen[key] = labels

    def at(self) -> datetime:
        """When what it answers was measured."""
        return START + timedelta(seconds=self._now() - (STALE_S if self.mode == "stale" else 0.0))

    async def instant(self, query: str) -> tuple[Sample, ...]:
        await self._sleep(self._latency())
        if self.mode == "down":
            raise CannotSee("503 Service Unavailable: simulated")
        at = self.at()
        if BLOCKER in query:
            return (Sample({"alertname": "Boss"}, 1.0, at),) if self.holds.get("blocker") else ()
        if query.startswith("ALERTS"):
            return (*self._series(self.firing, query, at), Sample({}, at.timestamp(), at))
        if query.startswith("last_over_time(ALERTS"):
            return self._series(self.seen, query, at)
        if self.mode == "empty":
            return ()
        if query.startswith("count(up)"):
            return (Sample({}, 3.0, at),)
        if query.startswith("overloaded"):
            return (Sample({"shard": "a"}, 7.0, at),) if self.holds.get("overload") else ()
        found = re.search(r'errors\{d="(\w+)"\}', query)
        if found is None:
            return ()
        value = math.nan if self.mode == "nan" else self.errors.get(found[1], 0.0)
        return (Sample({}, value, at),)

    def _series(self, among: dict[str, dict[str, str]], query: str, at: datetime) -> tuple[Sample, ...]:
        return tuple(
            Sample({"__name__": "ALERTS", "alertstate": "firing", **labels}, 1.0, at)
            for labels in among.values()
            if f'alertname="{labels["alertname"]}"' in query and f'|{labels["deployment"]}"' in query
        )

    async def range(self, query: str, **options: Any) -> tuple[Series, ...]:
        raise CannotSee("simulated: no ranges here")

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        await self._sleep(self._latency())
        if self.mode not in ("up", "stale"):
            raise CannotSee("503 Service Unavailable: simulated")
        evaluated = START + timedelta(seconds=(self.at() - START).total_seconds() // INTERVAL_S * INTERVAL_S)
        return (AlertRule(name=alertname, query="errors > 5", interval_s=INTERVAL_S, last_evaluation=evaluated),)

    async def close(self) -> None:
        return
