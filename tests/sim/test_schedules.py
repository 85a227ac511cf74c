"""Many schedules of the whole core, each with its own interleaving, crashes and faults, replayed by its seed."""

from __future__ import annotations

import os
from collections import Counter

from tests.sim.running import run_schedule

SCHEDULES = int(os.environ.get("SIM_SCHEDULES", "60"))
FIRST = int(os.environ.get("SIM_FIRST", "0"))


def test_every_invariant_holds_in_every_schedule() -> None:
    sometimes: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + SCHEDULES):
        result = run_schedule(seed)
        sometimes += result.sometimes
        assert not result.violations, f"{result.violations[0]}\nreplay: python -m tests.sim {seed} --trace"
    # Otherwise the schedules would prove nothing.
    for what in ("effects", "uncertain", "succeeded", "escalated", "reserved"):
        assert sometimes[what], f"no schedule of {SCHEDULES} had: {what}"


def test_a_seed_replays_exactly() -> None:
    assert run_schedule(7).trace == run_schedule(7).trace
