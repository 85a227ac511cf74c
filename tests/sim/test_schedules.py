"""Many schedules of the whole core, each with its own interleaving, crashes and faults, replayed by its seed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sim.coverage import NOT_HERE, expected, missing
from tests.sim.running import run_schedule
from tests.sim.soak import Portion, cores, run_all

ENOUGH = 5_000
"""Fewer cannot be asked to reach everything."""
SCHEDULES = int(os.environ.get("SIM_SCHEDULES", str(ENOUGH)))
FIRST = int(os.environ.get("SIM_FIRST", "0"))


@pytest.fixture(scope="module")
def done() -> Portion:
    """All schedules, run once for the tests below; the first violation ends it."""
    return run_all(FIRST, SCHEDULES, cores(), stop_at=1)


@pytest.mark.slow
def test_every_invariant_holds_in_every_schedule(done: Portion) -> None:
    for seed, text in done.violations:
        pytest.fail(f"seed {seed}: {text}", pytrace=False)
    assert done.schedules == SCHEDULES


@pytest.mark.slow
@pytest.mark.skipif(SCHEDULES < ENOUGH, reason=f"needs {ENOUGH} schedules")
def test_the_schedules_reach_everything(done: Portion) -> None:
    """Otherwise they would prove nothing: each guardrail stops some and lets some pass, each row is taken."""
    assert done.violations or missing(done.reached) == []


def test_what_is_not_reached_exists() -> None:
    """A reason for something that is gone, or has another name by now, explains nothing."""
    assert set(NOT_HERE) <= set(expected())


def test_a_seed_replays_exactly() -> None:
    assert run_schedule(7).trace == run_schedule(7).trace


def test_a_seed_replays_exactly_in_another_process() -> None:
    """The order of sets of strings differs from process to process; nothing may rest on it."""
    traces = {_trace_with_hash_seed(seed) for seed in ("1", "2")}
    assert len(traces) == 1


def _trace_with_hash_seed(seed: str) -> str:
    code = "from tests.sim.running import run_schedule; print([run_schedule(n).trace for n in (7, 8, 9, 10)])"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return done.stdout
