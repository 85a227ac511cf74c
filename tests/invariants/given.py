"""What the invariants are tried on: one world, and what can go wrong in it at a chosen moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from remediator.adapters.simulated import NoFaults, SimulatedCluster, VirtualClock
from remediator.adapters.sql.engine import SqliteMemory
from remediator.errors import JournalUnavailable
from remediator.guardrails import order
from remediator.guardrails.facts import Facts
from remediator.guardrails.order import Guard
from remediator.guardrails.verdict import Verdict
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from remediator.remediation.draft import Notice
from remediator.remediation.events import Approved
from remediator.remediation.state import Remediation
from tests.support.world import World, deployment, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")
WORSE = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
TOLD = frozenset(
    {
        Notice.ESCALATED.value,
        Notice.DENIED.value,
        Notice.SUGGESTED.value,
        Notice.ENDED_BY_PERSON.value,
        Notice.NEXT_RUNG.value,
    }
)
"""The notices that hand a rung over: to a person, or to the next rung."""


def ready(*playbooks: Any, replicas: int = 3, **options: Any) -> World:
    """A world with Deployment shop/api rolled out a minute ago; without playbooks, one that restarts it."""
    world = World(*(playbooks or (restart_playbook(),)), **options)
    world.cluster.apply(deployment(replicas=replicas))
    world.settle()
    world.cluster.advance(60)
    return world


def scale_to(number: int, **changes: Any) -> dict[str, Any]:
    """A playbook that scales."""
    steps = [{"action": "scale", "with": {"to": number, "min": 1, "max": 9}}]
    return restart_playbook(**{"name": f"scale-to-{number}", "steps": steps, **changes})


def checked(playbook: dict[str, Any], *checks: dict[str, Any]) -> dict[str, Any]:
    """The same playbook with other checks at its end."""
    return {**playbook, "verify": {**playbook["verify"], "checks": list(checks)}}


async def approve(world: World, r: Remediation, who: str = "ann", **changes: Any) -> bool:
    """Whether this yes counted."""
    decision = await world.core.runner.apply_from_person(r.id, Approved(who=who, **{"digest": r.digest, **changes}))
    return decision is not None and not decision.ignored


async def rows_of(world: World) -> list[Any]:
    """Every attempt row, of every remediation."""
    return [row for r in await world.all() for row in await world.journal.attempts(r.id)]


async def handed_over(world: World, r: Remediation) -> list[str]:
    """How often, and how, a remediation was handed over, by its record."""
    lines = await world.journal.history(r.id)
    return [n for line in lines for n in line.data.get("notices", ()) if n in TOLD]  # type: ignore[attr-defined]


def hurt(world: World, unready: str | None = "true", name: str = "api") -> None:
    """Make the pods of a Deployment unready; None makes them well again."""
    for pod in world.cluster.all("Pod", "shop"):
        if pod["metadata"]["labels"].get("app") == name:
            ref = ObjectRef("Pod", "shop", pod["metadata"]["name"])
            world.cluster.edit(ref, {"metadata": {"annotations": {"test.remediator.dev/unready": unready}}})


def measured(values: float, clock: VirtualClock | None = None) -> tuple[VirtualClock, Any]:
    """A clock, and a Prometheus that answers `errors`."""
    clock = clock or VirtualClock()
    return clock, queries(clock, {"errors": values})


# Guards ---------------------------------------------------------------------------------------------------------------


def guards_are(monkeypatch: pytest.MonkeyPatch, guards: Sequence[Guard]) -> None:
    """Put other guardrails in force everywhere."""
    kept = order.evaluate.__defaults__
    assert kept is not None
    monkeypatch.setattr(order.evaluate, "__defaults__", tuple(tuple(guards) if d is order.ORDER else d for d in kept))


def with_guard(name: str, check: Callable[[Facts], Verdict]) -> tuple[Guard, ...]:
    """All guardrails, this one with another answer."""
    assert name in {guard.name for guard in order.ORDER}
    return tuple(replace(guard, check=check) if guard.name == name else guard for guard in order.ORDER)


class Shared(SqliteMemory):
    """A store of several living processes: one more does not end the others' connection."""

    def connect_writer(self) -> Connection:
        return self._connection or super().connect_writer()


# What goes wrong ------------------------------------------------------------------------------------------------------


class Machine:
    """The clock of one machine: it can jump, its boot time and its sleep cannot. `true` is everybody else's."""

    def __init__(self, true: VirtualClock) -> None:
        self.true = true
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return self.true.now() + self.ahead

    def boot(self) -> float:
        return self.true.boot()

    async def sleep(self, seconds: float) -> None:
        await self.true.sleep(seconds)


def on_a_machine(*playbooks: Any, **options: Any) -> tuple[World, Machine]:
    """A world whose process may have another idea of the time than its cluster."""
    true = VirtualClock()
    machine = Machine(true)
    cluster = SimulatedCluster("c1", true)
    world = World(*playbooks, cluster=cluster, clock=machine, **options)  # type: ignore[arg-type]  # not a VirtualClock
    cluster.apply(deployment())
    world.settle()
    cluster.advance(60)
    return world, machine


class At:
    """Does something around the n-th commit of a name: `do(point)`, once. As `store_faults` of a World."""

    def __init__(self, name: str, when: str, do: Callable[[], Any], *, number: int = 1) -> None:
        self.name, self.when, self._do, self._left = name, when, do, number
        self.struck = False

    async def before_commit(self, name: str) -> None:
        await self._reached("before", name)

    async def after_commit(self, name: str) -> None:
        await self._reached("after", name)

    async def before_read(self, name: str) -> None:
        return

    async def _reached(self, when: str, name: str) -> None:
        if self.struck or (when, name) != (self.when, self.name):
            return
        self._left -= 1
        if self._left == 0:
            self.struck = True
            result = self._do()
            if isinstance(result, Awaitable):
                await result


def crash() -> None:
    """kill -9 here: an open transaction is dropped, nothing after this line of the process happens."""
    raise asyncio.CancelledError


class Broken:
    """A store that answers nothing while `down`."""

    down = False

    async def before_commit(self, name: str) -> None:
        self._fail()

    async def after_commit(self, name: str) -> None:
        return

    async def before_read(self, name: str) -> None:
        self._fail()

    def _fail(self) -> None:
        if self.down:
            raise JournalUnavailable("the disk is gone")


class OnWrite(NoFaults):
    """Everything works; `seen(request, dry_run)` hears of each write as it arrives, before it is carried out."""

    def __init__(self, seen: Callable[[WriteRequest, bool], None]) -> None:
        self._seen = seen

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> None:
        self._seen(request, dry_run)


@contextmanager
def nothing_is_written(world: World) -> Any:
    """No request of ours is carried out inside of this block."""
    before = len(world.cluster.audit)
    yield
    assert world.cluster.audit[before:] == []
