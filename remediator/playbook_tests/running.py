"""Plays one story from beginning to end and says where it differs from what was expected."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from remediator.actions.base import Action
from remediator.people.directory import Directory
from remediator.playbook_tests.expectations import difference
from remediator.playbook_tests.filling import CannotFill
from remediator.playbook_tests.happenings import Director, NotThere, StatusError
from remediator.playbook_tests.model import Happening, TestAlert, Values
from remediator.playbook_tests.operators import Operators
from remediator.playbook_tests.placing import place
from remediator.playbook_tests.reading import Case, policy_of
from remediator.playbook_tests.record import Record
from remediator.playbook_tests.stage import Stage
from remediator.playbook_tests.times import Moment, clock_text
from remediator.playbook_tests.virtual_loop import Standstill, VirtualLoop
from remediator.playbooks.catalog import Catalog

LOOK_S = 5.0
"""How often it is looked whether anything is left to happen."""
QUIET_LOOKS = 3
"""So often in a row nothing was: what has been poked has run."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """Something that happens: when, what in words, where it is written, and how."""

    at: Moment
    what: str
    where: tuple[str, int]
    do: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met, or a problem; `line` is where it stands in the file."""

    line: int
    expected: str
    happened: str


@dataclass(frozen=True, slots=True)
class Result:
    """How one test went."""

    case: Case
    record: Record
    failures: tuple[Failure, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return not self.failures


def run_case(case: Case, actions: Mapping[str, Action[Any]]) -> Result:
    """In virtual time, on a loop of its own: not to be called from inside a running one."""
    record = Record()
    with _defects(record), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(_Play(case, record, actions).play())
        except Standstill:
            record.trouble("nothing moves any more, and something still waits: a defect of the service")
    return Result(case, record, tuple(_failures(case, record)))


def _failures(case: Case, record: Record) -> Iterator[Failure]:
    for trouble in record.troubles:
        line = case.line_of(*trouble.where) if trouble.where else case.line
        yield Failure(line, "the test can be played", trouble.text)
    expected = case.story.expect
    wanted = {e.refused for e in expected if e.refused}
    for refusal in record.refusals:
        if refusal.who not in wanted:
            said = f"at {clock_text(refusal.at)}: {refusal.text}"
            yield Failure(case.line_of("happens", refusal.where), f"{refusal.who} can do this", said)
    for number, one in enumerate(expected):
        if (found := difference(one, record)) is not None:
            yield Failure(case.line_of("expect", number), *found)


@contextlib.contextmanager
def _defects(record: Record) -> Iterator[None]:
    """Nothing is logged meanwhile; what the service did not foresee is a problem of the test."""

    def keep(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if event.pop("exc_info", None):
            said = "".join(traceback.format_exception(sys.exception())).strip()
            record.trouble(f"{event.pop('event')} {event}: {said}")
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[keep])
    try:
        yield
    finally:
        structlog.configure(processors=before)


class _Play:
    def __init__(self, case: Case, record: Record, actions: Mapping[str, Action[Any]]) -> None:
        self._case, self._record, self._story = case, record, case.story
        self._actions = actions
        self._left = 0
        """How many things are sure to happen and have not yet."""
        self._waiting: list[Thing] = []
        """What waits for something that the service does."""

    async def play(self) -> None:
        story = self._story
        config = story.config
        self._stage = stage = Stage(
            record=self._record,
            start=story.start,
            before=story.before,
            cluster_name=config.cluster,
            nodes=story.nodes,
            catalog=Catalog(self._case.playbooks),
            settings={
                "policy": policy_of(story),
                "label_rules": config.labels,
                "metric_labels": config.metric_labels,
                "params": config.params,
            },
            projects=(self._case.project,) if self._case.project else (),
            people=Directory(config.people),
            actions=self._actions,
            outside=story.outside,
        )
        self._director = Director(stage)
        try:
            place(stage.cluster, stage.filler(), *story.cluster)
        except (StatusError, CannotFill) as exc:
            self._record.trouble(f"the cluster refuses one of its objects: {exc}")
            return
        self._measure()
        operators = Operators(
            story.operators,
            stage.cluster,
            later=self._later,
            filler=stage.filler,
            said=lambda text: self._record.line(stage.now_s(), "happens", text),
            trouble=lambda text, number: self._record.trouble(text, ("operators", number)),
        )
        stage.on_call = operators.called
        observer = await stage.history()
        loops = [asyncio.ensure_future(loop) for loop in await stage.service(observer)]
        things = [asyncio.ensure_future(thing) for thing in self._things()]
        try:
            await self._until_over(loops, things)
        finally:
            for task in (*things, *loops):
                task.cancel()
            await asyncio.gather(*things, *loops, return_exceptions=True)
        for thing in self._waiting:
            self._record.line(stage.now_s(), "happens", f"never: {thing.what}, at {thing.at}")
        await stage.close()

    async def _until_over(self, loops: Sequence[asyncio.Future[Any]], things: Sequence[asyncio.Future[Any]]) -> None:
        quiet, until = 0, self._story.until.total_seconds()
        while quiet < QUIET_LOOKS and not self._record.troubles:
            if self._stage.now_s() >= until:
                self._record.unfinished = True
                busy = await self._stage.busy() or "something is still to happen"
                self._record.line(
                    self._stage.now_s(), "service", f"the time is up (until: {clock_text(until)}): {busy}"
                )
                return
            await asyncio.sleep(min(LOOK_S, until - self._stage.now_s()))
            for loop in (loop for loop in loops if loop.done()):
                self._record.trouble(f"a loop of the service ended: {loop!r}")
            for thing in (thing for thing in things if thing.done() and thing.exception() is not None):
                self._record.trouble(f"what happens could not be played: {thing.exception()!r}")
            quiet = 0 if self._left or await self._stage.busy() else quiet + 1

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        """The story is not over before."""

        def then() -> None:
            self._left -= 1
            do()

        self._left += 1
        asyncio.get_running_loop().call_later(seconds, then)

    # What happens

    def _things(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What has a time of its own, in its order; and what waits for something, each by itself."""
        things = [
            *(self._happening(number, one) for number, one in enumerate(self._story.happens)),
            *(thing for number, alert in enumerate(self._story.alerts) for thing in self._alert(number, alert)),
        ]
        fixed = sorted((thing for thing in things if not thing.at.anchor), key=lambda thing: thing.at.after)
        self._left = len(fixed)
        yield self._one_after_the_other(fixed)
        self._waiting = [thing for thing in things if thing.at.anchor]
        for thing in self._waiting:
            yield self._in_its_time(thing)

    async def _one_after_the_other(self, things: Sequence[Thing]) -> None:
        for thing in things:
            await self._stage.until(thing.at)
            await self._do(thing)

    async def _in_its_time(self, thing: Thing) -> None:
        await self._stage.until(Moment(timedelta(0), thing.at.anchor))
        self._waiting.remove(thing)
        self._left += 1
        await asyncio.sleep(thing.at.after.total_seconds())
        await self._do(thing)

    async def _do(self, thing: Thing) -> None:
        try:
            await thing.do()
        except (NotThere, StatusError, CannotFill) as exc:
            self._record.trouble(f"at {clock_text(self._stage.now_s())}: {exc}", thing.where)
        finally:
            self._left -= 1

    def _happening(self, number: int, one: Happening) -> Thing:
        return Thing(one.at, one.kind, ("happens", number), lambda: self._director.let(one, number))

    def _alert(self, number: int, alert: TestAlert) -> Iterator[Thing]:
        began: list[datetime] = []
        labels: dict[str, str] = {"alertname": alert.name, **alert.labels}
        stage, where = self._stage, ("alerts", number)

        async def fires() -> None:
            if alert.pod_of is not None:
                labels.setdefault("namespace", alert.pod_of.namespace)
                labels["pod"] = self._director.pod_of(alert.pod_of)
            began.append(stage.clock.now() - alert.firing_for)
            stage.prometheus.look_back[alert.name] = alert.looks_back
            stage.prometheus.firing[number] = stage.prometheus.seen[number] = labels
            self._record.line(stage.now_s(), "alert", f"{_named(labels)} fires")
            await stage.deliver(labels, alert.annotations, began[0], over=False)

        async def resolves() -> None:
            if not began:
                raise NotThere(f"{alert.name} resolves before it fires")
            stage.prometheus.firing.pop(number, None)
            self._record.line(stage.now_s(), "alert", f"{_named(labels)} is resolved")
            await stage.deliver(labels, alert.annotations, began[0], over=True)

        yield Thing(alert.fires, f"{alert.name} fires", where, fires)
        if alert.resolves is not None:
            yield Thing(alert.resolves, f"{alert.name} is resolved", where, resolves)

    # What is measured

    def _measure(self) -> None:
        prometheus = self._stage.prometheus
        for metric in self._story.metrics:
            if metric.query:
                prometheus.answer(metric.query, self._level(metric.values))
            elif metric.series:
                prometheus.add_series(metric.series, self._level(metric.values))
            else:
                rate, errors, latency = map(self._level, (metric.per_second, metric.errors, metric.latency))
                prometheus.requests(metric.requests, metric.of, rate, errors, latency)

    def _level(self, values: Values) -> Callable[[datetime], float | None]:
        """The latest value whose time has come. The one of second 0 was there before, too."""
        if not isinstance(values, Mapping):
            return lambda at: values
        stage = self._stage

        def level(at: datetime) -> float | None:
            second = stage.seconds(at)
            come = [(t, value) for moment, value in values.items() if (t := stage.time_of(moment)) is not None]
            past = [(t, value) for t, value in come if t <= max(second, 0.0)]
            return sorted(past, key=lambda one: one[0])[-1][1] if past else None  # of two at once, the later written

        return level


def _named(labels: Mapping[str, str]) -> str:
    others = ", ".join(f"{k}={v}" for k, v in sorted(labels.items()) if k != "alertname")
    return f"{labels['alertname']}{{{others}}}"
