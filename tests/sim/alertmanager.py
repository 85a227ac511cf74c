"""Alertmanager of a schedule: sends alerts until somebody takes them, and knows what is silenced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from remediator.adapters.simulated.clock import START
from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.errors import CannotSee
from remediator.ports import Silence
from tests.sim.playbooks import NAMESPACE, SYSTEM
from tests.sim.scenario import Incident

if TYPE_CHECKING:
    from tests.sim import scenario
    from tests.sim.world import World


class Silences:
    """`mode`: up, down, unreadable."""

    def __init__(
        self, silences: list[scenario.Silence], now: Callable[[], float], travel: Callable[[], Awaitable[None]]
    ) -> None:
        self._silences, self._now, self._travel = silences, now, travel
        self.mode = "up"
        self.over = False

    async def active(self) -> tuple[Silence, ...]:
        await self._travel()
        if self.mode != "up":
            raise CannotSee(f"simulated: Alertmanager is {self.mode}")
        if self.over:
            return ()
        now = self._now()
        return tuple(
            Silence(
                id=f"s-{number}",
                created_by="ann",
                comment="known",
                ends_at=START + timedelta(seconds=s.at + s.lasts),
                matchers=(f'deployment="{s.deployment}"',),
            )
            for number, s in enumerate(self._silences)
            if s.at <= now < s.at + s.lasts
        )

    async def close(self) -> None:
        return


class Alertmanager:
    """The alerts of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.acknowledged: set[str] = set()
        self.about: dict[str, str] = {}
        """By fingerprint: the workload."""

    async def send(self, incident: Incident) -> None:
        """All that comes of one incident, until it is over or everything is calm."""
        world = self._world
        await asyncio.sleep(incident.at)
        while True:
            await self._fires(incident)
            if incident.again_after is None or world.calm:
                return
            await asyncio.sleep(incident.again_after)
            if world.loop.now > world.scenario.calm_at - 15.0:
                return

    async def _fires(self, incident: Incident) -> None:
        world, prometheus = self._world, self._world.prometheus
        labels = {
            "alertname": incident.alertname,
            "severity": incident.severity,
            "namespace": NAMESPACE,
            "deployment": incident.deployment,
            **({"system": SYSTEM} if incident.alertname == "D" else {}),
        }
        key = fingerprint(labels)
        self.about[key] = incident.deployment
        started = world.loop.now - incident.age
        prometheus.fire(key, labels)
        prometheus.errors[incident.deployment] = max(9.0, prometheus.errors.get(incident.deployment, 0.0))
        if incident.gone_after is not None:
            world.at(incident.gone_after, lambda: prometheus.firing.pop(key, None))
        sent = -1e9
        while not world.calm:
            if key not in prometheus.firing:
                await self._post(labels, started, ended=world.loop.now)
                return
            if world.loop.now - sent >= incident.resend:
                sent = world.loop.now
                if incident.duplicate:
                    world.spawn(self._post(labels, started))
                await self._post(labels, started)
            await asyncio.sleep(world.rng.uniform(5.0, 15.0))

    async def _post(self, labels: dict[str, str], started: float, ended: float | None = None) -> None:
        """Until a process has said 200."""
        world = self._world
        at = START + timedelta(seconds=world.loop.now)
        alert = Alert(
            fingerprint=fingerprint(labels),
            status="firing" if ended is None else "resolved",
            labels=labels,
            starts_at=START + timedelta(seconds=started),
            ends_at=None if ended is None else at,
            cluster="c1",
        )
        while True:
            process = world.somebody()
            if process is not None and await world.ask(process, process.journal.accept((alert,), process.clock.now())):
                self.acknowledged.add(alert.fingerprint)
                process.alerts.set()
                return
            await asyncio.sleep(world.rng.uniform(1.0, 10.0))
