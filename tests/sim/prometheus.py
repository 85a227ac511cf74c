"""Prometheus of a schedule: the error ratio of each workload and `ALERTS`, or nothing, or rubbish."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated.clock import START
from remediator.errors import CannotSee
from remediator.ports import AlertRule, Sample, Series

INTERVAL_S = 5.0


class Prometheus:
    """`mode`: up, down, empty, nan. `errors` by workload; `firing` are the label sets that fire."""

    def __init__(self, now: Callable[[], float], latency: Callable[[], float]) -> None:
        self._now, self._latency = now, latency
        self.mode = "up"
        self.errors: dict[str, float] = {}
        self.firing: dict[str, dict[str, str]] = {}
        self.seen: dict[str, dict[str, str]] = {}

    def fire(self, key: str, labels: dict[str, str]) -> None:
        self.firing[key] = self.seen[key] = labels

    def at(self) -> datetime:
        return START + timedelta(seconds=self._now())

    async def instant(self, query: str) -> tuple[Sample, ...]:
        await asyncio.sleep(self._latency())
        if self.mode == "down":
            raise CannotSee("simulated: Prometheus does not answer")
        at = self.at()
        if query.startswith("ALERTS"):
            return (*self._series(self.firing, query, at), Sample({}, at.timestamp(), at))
        if query.startswith("last_over_time(ALERTS"):
            return self._series(self.seen, query, at)
        found = re.search(r'errors\{d="(\w+)"\}', query)
        if found is None or self.mode == "empty":
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
        await asyncio.sleep(self._latency())
        if self.mode != "up":
            raise CannotSee("simulated: Prometheus does not answer")
        evaluated = START + timedelta(seconds=self._now() // INTERVAL_S * INTERVAL_S)
        return (AlertRule(name=alertname, query="errors > 5", interval_s=INTERVAL_S, last_evaluation=evaluated),)

    async def close(self) -> None:
        return
