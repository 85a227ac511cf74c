"""`python -m tests.sim SEED [--trace]` replays one schedule; `python -m tests.sim FROM TO` looks for failing ones.

Many of them, on all cores: `python -m tests.sim.soak`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.sim.running import run_schedule


def main(arguments: list[str]) -> int:
    numbers = [int(a) for a in arguments if not a.startswith("-")]
    first, last = (numbers[0], numbers[0] + 1) if len(numbers) == 1 else (numbers[0], numbers[1])
    started, failed = time.perf_counter(), 0
    sometimes: Counter[str] = Counter()
    for seed in range(first, last):
        result = run_schedule(seed)
        sometimes += result.sometimes
        if "--trace" in arguments:
            print("\n".join(result.trace))
        if result.violations:
            failed += 1
            print(f"seed {seed}: {result.violations[0]}", flush=True)
    took = time.perf_counter() - started
    print(f"{last - first} schedules, {failed} failed, {(last - first) / took:.1f}/s")
    if "--sometimes" in arguments:
        print("\n".join(f"{n:7d} {what}" for what, n in sometimes.most_common()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
