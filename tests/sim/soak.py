"""`python -m tests.sim.soak SCHEDULES [--first N] [--jobs J]`: many schedules, on all cores, with what they reached.

Its last line is `soak: N schedules, V violations`; the exit code is 1 when V is not 0.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

from tests.sim.coverage import missing, report
from tests.sim.running import replay, run_schedule

PORTION = 25
"""Schedules that a worker is given at once."""
PROGRESS_EVERY_S = 30.0


@dataclass(slots=True)
class Portion:
    """Some schedules, run."""

    first: int
    schedules: int
    violations: list[tuple[int, str]] = field(default_factory=list)
    """Seed and what was violated."""
    sometimes: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    """In how many schedules."""

    def add(self, other: Portion) -> None:
        self.schedules += other.schedules
        self.violations += other.violations
        self.sometimes += other.sometimes
        self.reached += other.reached


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_portion(span: tuple[int, int]) -> Portion:
    """The schedules of these seeds, in this process."""
    first, behind = span
    done = Portion(first, behind - first)
    # A schedule leaves a few thousand objects behind; looking for them once in a while is enough.
    gc.disable()
    try:
        for seed in range(first, behind):
            _run(seed, done)
    finally:
        gc.enable()
        gc.collect()
    return done


def _run(seed: int, done: Portion) -> None:
    try:
        result = run_schedule(seed)
    except Exception:  # as text: not every exception finds its way through a pipe
        done.violations.append((seed, f"the simulation itself failed\n{traceback.format_exc()}\n{replay(seed)}"))
        return
    done.sometimes += result.sometimes
    done.reached.update(result.reached)
    if result.violations:
        done.violations.append((seed, f"{result.violations[0]}\nreplay: {replay(seed)}"))


def spans(first: int, schedules: int) -> Iterator[tuple[int, int]]:
    for start in range(first, first + schedules, PORTION):
        yield start, min(start + PORTION, first + schedules)


def run_all(
    first: int,
    schedules: int,
    jobs: int,
    *,
    progress: Callable[[Portion], None] = lambda done: None,
    stop_at: int | None = None,
) -> Portion:
    """All of them, over `jobs` processes; `stop_at` so many violations the rest is left out."""
    total = Portion(first, 0)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_frozen) as pool:
        ahead = spans(first, schedules)
        # A few portions per worker are enough; the rest need not be in anybody's queue.
        waiting = {pool.submit(run_portion, span) for span in islice(ahead, 3 * jobs)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for portion in done:
                total.add(portion.result())
            progress(total)
            if stop_at is None or len(total.violations) < stop_at:
                waiting |= {pool.submit(run_portion, span) for span in islice(ahead, len(done))}
    return total


def _frozen() -> None:
    """Whatever is loaded stays: no collector needs to look at it. A killed process leaves coroutines behind that never
    began."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    gc.collect()
    gc.freeze()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.soak", description=__doc__)
    parser.add_argument("schedules", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes; all cores by default")
    parser.add_argument("--stop-at", type=int, default=None, metavar="V", help="stop after so many violations")
    given = parser.parse_args(arguments)
    began = said = time.monotonic()
    shown = 0

    def progress(done: Portion) -> None:
        nonlocal said, shown
        for seed, text in done.violations[shown:]:
            print(f"seed {seed}: {text}", flush=True)
        shown = len(done.violations)
        if (now := time.monotonic()) - said >= PROGRESS_EVERY_S:
            said = now
            rate = done.schedules / (now - began)
            print(f"{done.schedules} schedules, {rate:.1f}/s, {shown} violations", flush=True)

    done = run_all(given.first, given.schedules, given.jobs, progress=progress, stop_at=given.stop_at)
    took = time.monotonic() - began
    print(report(done.reached, done.schedules))
    left = missing(done.reached)
    print(f"not reached, although it should be: {len(left)}")
    last = given.first + given.schedules - 1
    print(f"seeds {given.first} to {last}, {took:.0f} s, {done.schedules / took:.1f}/s on {given.jobs} processes")
    print(f"soak: {done.schedules} schedules, {len(done.violations)} violations")
    return 1 if done.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
