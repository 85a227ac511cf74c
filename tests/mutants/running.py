"""Runs one mutant in a process of its own: its tables, then schedules, until something notices or its time is up.

The budget is time of the processor, so that a busy machine does not let a mutant live. One that hangs is noticed too.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest

from tests.mutants.cutting import Stale
from tests.mutants.mutant import Mutant

BUDGET_S = 20.0
"""Of processor time."""
ENDLESS_S = 15.0
"""Of processor time that no single test or schedule needs."""
HANGS_AFTER_S = 45.0
"""Of true time without a word: it waits for something that never comes."""
SCHEDULES = 300
ARGUMENTS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-m", "not controlplane and not soak"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # several runs in one process
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by`: what noticed it; empty = nothing did, although `schedules` were run. `broken`: it could not be applied."""

    by: str = ""
    schedules: int = 0
    took_s: float = 0.0
    broken: str = ""

    @property
    def killed(self) -> bool:
        return bool(self.by)


class _Watch:
    """A plugin of pytest: which test runs, and which failed first."""

    def __init__(self, say: Any) -> None:
        self._say = say
        self.failed = ""
        self.ran = 0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say(doing=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid} (cannot be collected)"


def run(
    mutant: Mutant | None, tables: Sequence[str], schedules: int = SCHEDULES, budget_s: float = BUDGET_S
) -> Verdict:
    """In a fork of this process; None = nothing is changed. Raises: nothing of the mutant's."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_the_child(writing, mutant, tables, schedules, budget_s)
    os.close(writing)
    try:
        verdict = _listen(reading)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return Verdict(verdict.by, verdict.schedules, time.monotonic() - started, verdict.broken)


def _listen(reading: int) -> Verdict:
    """What the child says last; what it was doing when it went silent, or away."""
    text, doing = b"", "the beginning"
    while True:
        ready, _, _ = select.select([reading], [], [], HANGS_AFTER_S)
        if not ready:
            return Verdict(by=f"hangs in {doing}")
        more = os.read(reading, 65536)
        if not more:
            return Verdict(by=f"dies in {doing}")
        text += more
        *lines, text = text.split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "doing" not in said:
                return Verdict(**said)
            doing = said["doing"]


def _in_the_child(writing: int, mutant: Mutant | None, tables: Sequence[str], schedules: int, budget_s: float) -> None:
    doing = "the beginning"

    def say(**said: Any) -> None:
        nonlocal doing
        if "doing" in said:
            doing = said["doing"]
            signal.setitimer(signal.ITIMER_PROF, ENDLESS_S)
        os.write(writing, json.dumps(said).encode() + b"\n")

    def endless(*_: object) -> None:
        say(by=f"no end of {doing}")
        os._exit(0)

    signal.signal(signal.SIGPROF, endless)
    try:
        for change in mutant.changes if mutant else ():
            change.apply()
        say(**_judge(tables, schedules, budget_s, say))
    except Stale as exc:
        say(broken=str(exc))
    except BaseException:
        say(broken=traceback.format_exc())
    finally:
        os._exit(0)


def _judge(tables: Sequence[str], schedules: int, budget_s: float, say: Any) -> dict[str, Any]:
    begun = _processor_s()
    for table in tables:
        if _processor_s() - begun > budget_s:
            return {}
        if by := _table(table, say):
            return {"by": by}
    for seed in range(schedules):
        if _processor_s() - begun > budget_s:
            return {"schedules": seed}
        say(doing=f"schedule {seed}")
        if by := _schedule(seed):
            return {"by": by, "schedules": seed + 1}
    return {"schedules": schedules}


def _table(table: str, say: Any) -> str:
    """The first test of it that fails; empty = none."""
    hypothesis.settings.register_profile(
        "mutants", database=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], deadline=None
    )
    hypothesis.settings.load_profile("mutants")
    watch = _Watch(say)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*ARGUMENTS, table], [watch])
    if code != pytest.ExitCode.OK and not watch.failed:
        raise Stale(f"{table}: pytest ended with {code!r}\n{said.getvalue()[-2000:]}")
    return watch.failed


def _schedule(seed: int) -> str:
    from tests.sim.running import run_schedule

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result = run_schedule(seed)
    except (Exception, asyncio.CancelledError) as exc:
        return f"seed {seed}: {type(exc).__name__}: {exc}"[:200]
    return f"seed {seed}: {result.violations[0]}"[:200] if result.violations else ""


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
