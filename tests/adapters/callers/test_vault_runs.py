"""Whole runs against a Vault: one version for each, the way back, and no value in anything that is kept or told."""

from __future__ import annotations

import logging
import pickle
from collections.abc import AsyncIterator

import pytest

from remediator.adapters.callers.vault import VaultCaller
from remediator.adapters.simulated import SimulatedQueries, VirtualClock
from remediator.adapters.sql.engine import SqliteMemory
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.adapters.callers.test_vault import OLD, OTHER, PATH, settings
from tests.support.fake_http import Fault
from tests.support.fake_vault import FIXED, JWT, FakeVault
from tests.support.world import World, deployment, restart_playbook

STEP = {"action": "vault_rotate", "with": {"vault": "main", "secret": "database"}}
PROVEN = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m"}
WORSE = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}


class Stage:
    """A world, the Vault that it talks to, and everything that is left of a run."""

    def __init__(self, server: FakeVault, caller: VaultCaller) -> None:
        self.server = server
        clock = VirtualClock()
        self.queries = SimulatedQueries(clock)
        self.queries.set("errors", 0.0)
        self.database = SqliteMemory()
        playbook = restart_playbook(steps=[STEP], verify={**PROVEN, "checks": [WORSE]})
        self.world = World(
            playbook, clock=clock, queries=self.queries, database=self.database, callers={"vault": caller}
        )
        self.world.cluster.apply(deployment())
        self.world.settle()
        self.world.cluster.advance(60)

    def rows(self) -> str:
        """Every row of every table, as text."""
        connection = self.database._connection
        assert connection is not None
        driver = connection.connection.driver_connection
        assert driver is not None
        return "\n".join(driver.iterdump())

    @property
    def values(self) -> set[str]:
        versions = self.server.secrets[PATH]["versions"].values()
        return {OLD, OTHER, JWT, FIXED} | {one["data"]["password"] for one in versions}

    @property
    def current(self) -> int:
        return int(self.server.secrets[PATH]["now"])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with FakeVault() as server:
        server.put(PATH, {"password": OLD, "user": OTHER})
        caller = VaultCaller((settings(server),))
        yield Stage(server, caller)
        await caller.close()


def assert_untold(stage: Stage, r: Remediation, caplog: pytest.LogCaptureFixture, least: int) -> None:
    assert len(stage.values) >= least
    kept = stage.rows()
    assert "vault_rotate" in kept
    assert f"secret/{PATH}" in kept
    told = f"{kept}{r!r}{pickle.dumps(r)!r}{stage.world.decisions!r}{caplog.text}{caplog.records!r}"
    for value in stage.values:
        assert value not in told


async def test_a_rotation_is_proven_and_told_to_nobody(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await stage.world.alert()
    r = await stage.world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert stage.current == 2
    assert stage.server.value(PATH, "password") != OLD
    assert_untold(stage, r, caplog, 5)


async def test_a_lost_answer_is_found_out_about(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stage.server.fail(f"PATCH secret/data/{PATH}", Fault(hang="after"))
    await stage.world.alert()
    r = await stage.world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert stage.current == 2
    assert_untold(stage, r, caplog, 5)


async def test_one_that_never_arrived_is_sent_again(stage: Stage) -> None:
    stage.server.fail(f"PATCH secret/data/{PATH}", Fault(status=500))
    await stage.world.alert()
    r = await stage.world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert stage.current == 2


async def test_what_made_it_worse_is_taken_back(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await stage.world.alert()
    await stage.world.run_until("verifying")
    stage.queries.set("errors", 50.0)
    r = await stage.world.run_until("escalated", "inconclusive", "succeeded")
    assert r.outcome is StepOutcome.UNDONE, r.reason
    assert (stage.current, stage.server.value(PATH, "password")) == (3, OLD)
    assert_untold(stage, r, caplog, 5)


async def test_what_somebody_has_written_since_is_not_undone(stage: Stage) -> None:
    await stage.world.alert()
    await stage.world.run_until("verifying")
    stage.server.put(PATH, {"password": "by-a-person-123456", "user": OTHER})
    stage.queries.set("errors", 50.0)
    r = await stage.world.run_until("escalated", "inconclusive", "succeeded")
    assert r.state is State.ESCALATED
    assert (stage.current, stage.server.value(PATH, "password")) == (3, "by-a-person-123456")


async def test_a_sealed_vault_is_waited_for(stage: Stage) -> None:
    stage.server.sealed = True
    await stage.world.alert()
    await stage.world.run_for(60, step=5.0)
    r = await stage.world.newest()
    assert r.state is State.HELD
    assert "Vault is sealed" in r.reason
    stage.server.sealed = False
    r = await stage.world.run_until("succeeded", "escalated", "denied")
    assert (r.state, stage.current) == (State.SUCCEEDED, 2), r.reason
