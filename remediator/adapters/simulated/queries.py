"""PromQL without Prometheus: answers by the text of the query. What nobody answers is CannotSee, as it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.adapters.simulated.clock import Now
from remediator.errors import CannotSee
from remediator.ports import AlertRule, Sample, Series

Value = float | Mapping[str, float] | Iterable[Sample]
"""One number (a single series without labels), numbers by a label's value, or samples. No samples = an empty vector."""

Answer = Value | Callable[[datetime], "Value | None"]
"""A value, or a function of the time that gives one; None from it means that nobody answers now."""


class SimulatedQueries:
    """The `Queries` port. Later answers win over earlier ones."""

    def __init__(self, clock: Now) -> None:
        self._clock = clock
        self._answers: list[tuple[re.Pattern[str], Answer]] = []
        self._rules: dict[str, list[AlertRule]] = {}
        self.asked: list[str] = []
        self.down = False
        """While true, nothing is answered."""

    def set(self, query: str | re.Pattern[str], answer: Answer) -> None:
        """Answer queries that contain this text, or that match this pattern."""
        self._answers.insert(0, (re.compile(re.escape(query)) if isinstance(query, str) else query, answer))

    def add_rule(self, rule: AlertRule) -> None:
        self._rules.setdefault(rule.name, []).append(rule)

    async def instant(self, query: str) -> tuple[Sample, ...]:
        self.asked.append(query)
        return self._at(query, self._clock.now())

    async def range(self, query: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        self.asked.append(query)
        points: dict[tuple[tuple[str, str], ...], list[tuple[datetime, float]]] = {}
        at = start
        while at <= end:
            for sample in self._at(query, at):
                points.setdefault(tuple(sorted(sample.labels.items())), []).append((at, sample.value))
            at += timedelta(seconds=step_s)
        return tuple(Series(dict(labels), tuple(values)) for labels, values in points.items())

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        if self.down:
            raise CannotSee("simulated: Prometheus does not answer")
        now = self._clock.now()
        found = self._rules.get(alertname, ())
        return tuple(r if r.last_evaluation is not None else replace(r, last_evaluation=now) for r in found)

    async def close(self) -> None:
        """Nothing to close."""

    def _at(self, query: str, at: datetime) -> tuple[Sample, ...]:
        if self.down:
            raise CannotSee("simulated: Prometheus does not answer")
        for pattern, answer in self._answers:
            if pattern.search(query):
                value = answer(at) if callable(answer) else answer
                if value is not None:
                    return _samples(value, at)
        raise CannotSee(f"simulated: nobody answers {query!r}")


def _samples(value: Value, at: datetime) -> tuple[Sample, ...]:
    if isinstance(value, int | float):
        return (Sample({}, float(value), at),)
    if isinstance(value, Mapping):
        return tuple(Sample({"name": name}, float(number), at) for name, number in value.items())
    return tuple(replace(sample, at=at) for sample in value)
