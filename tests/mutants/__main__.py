"""`python -m tests.mutants [NAME...]`: every mutant, or those whose names begin so, must be noticed.

--list          only their names and what each does without
--jobs N        so many at once (1)
--schedules N   at most so many schedules for each (300)
--budget S      seconds of the processor for each (20)
--no-baseline   do not run the tables without any mutant first
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants import running
from tests.mutants.catalog import ALL
from tests.mutants.mutant import Mutant


def main(arguments: Sequence[str]) -> int:
    options = _options().parse_args(arguments)
    mutants = [m for m in ALL if not options.names or any(m.name.startswith(n) for n in options.names)]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:32} {mutant.gone}")
        return 0
    if not mutants:
        print(f"no mutant's name begins with {' or '.join(options.names)}; see --list")
        return 2
    _warm_up()
    if not options.no_baseline and not _baseline(mutants, options.schedules):
        return 1
    survivors = _all(mutants, options.jobs, options.schedules, options.budget)
    for mutant in survivors:
        print(f"survived: {mutant.name}: {mutant.gone}")
    print(f"mutants: {len(mutants) - len(survivors)} killed, {len(survivors)} survived")
    return 1 if survivors else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Guard mutation.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=running.SCHEDULES)
    parser.add_argument("--budget", type=float, default=running.BUDGET_S)
    parser.add_argument("--no-baseline", action="store_true")
    return parser


def _warm_up() -> None:
    """Import once what every child needs."""
    for name in ("remediator.app", "tests.sim.running", "tests.support.world"):
        importlib.import_module(name)


def _baseline(mutants: Sequence[Mutant], schedules: int) -> bool:
    """Without a mutant nothing fails."""
    tables = tuple(dict.fromkeys(table for mutant in mutants for table in mutant.tables))
    found = running.run(None, tables, min(schedules, 20), budget_s=float("inf"))
    ok = not found.by and not found.broken
    print(
        f"baseline: {'passes' if ok else found.by or found.broken} ({len(tables)} tables, {found.took_s:.0f} s)",
        flush=True,
    )
    return ok


def _all(mutants: Sequence[Mutant], jobs: int, schedules: int, budget_s: float) -> list[Mutant]:
    survivors = []
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(running.run, mutant, mutant.tables, schedules, budget_s) for mutant in mutants]
        for number, (mutant, future) in enumerate(zip(mutants, runs, strict=True), 1):
            found = future.result()
            said = f"killed by {found.by}" if found.killed else f"SURVIVED {found.schedules} schedules"
            if found.broken:
                said = f"CANNOT BE APPLIED: {found.broken}"
            print(f"{number:3}/{len(mutants)} {mutant.name:32} {found.took_s:5.1f} s  {said}", flush=True)
            if not found.killed:
                survivors.append(mutant)
    return survivors


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
