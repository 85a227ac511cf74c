"""`kill -9` in the middle of everything: what was acknowledged is there, what was not is there wholly or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.journal import Attempt
from tests.journal.given import LEASE, attempt
from tests.support.building import NOW

ROOT = Path(__file__).parents[2]

BUSY = """
import asyncio, sys
from pathlib import Path
from remediator.adapters.sql.journal import SqlJournal
from tests.journal.given import alert, attempt, opened, reserved
from tests.support.building import NOW

def say(*words):
    print(*words, flush=True)

async def sender(journal, number):
    for n in range(100_000):
        name = f"{number}-{n}"
        await journal.accept([alert(name)], NOW)
        say("accepted", name)

async def worker(journal):
    for n in range(1, 100_000):
        r = await reserved(journal, await opened(journal, n), locks=(f"k{n}",))
        say("reserved", r.id, r.epoch)
        row = await journal.record_attempt(attempt(r), NOW)
        say("attempted", r.id, row.id)

async def main():
    journal = SqlJournal.open_file(Path(sys.argv[1]))
    say("ready")
    await asyncio.gather(worker(journal), *(sender(journal, n) for n in range(8)))

asyncio.run(main())
"""


def _killed_after(path: Path, seconds: float) -> list[list[str]]:
    """What the process had said when it was shot."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
    )
    assert process.stdout is not None
    said: list[list[str]] = []
    deadline = None
    for line in process.stdout:
        if deadline is None:
            assert line == "ready\n"
            deadline = time.monotonic() + seconds
            continue
        if line.endswith("\n"):
            said.append(line.split())
        if time.monotonic() >= deadline and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    return said


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
async def test_nothing_acknowledged_is_lost(path: Path, round_: int) -> None:
    seconds = random.Random(round_).uniform(0.05, 0.6)
    said = await asyncio.to_thread(_killed_after, path, seconds)
    journal = SqlJournal.open_file(path)
    stored = {record.alert.name for record in await journal.recent_alerts(1_000_000)}
    accepted = {words[1] for words in said if words[0] == "accepted"}
    assert accepted
    assert accepted <= stored
    assert len(stored) <= len(accepted) + 8, "at most one delivery per sender was under way"

    for kind, remediation_id, number in (words for words in said if words[0] != "accepted"):
        r = await journal.get(remediation_id)
        assert r is not None
        assert await journal.history_broken_at(remediation_id) is None
        if kind == "reserved":
            assert r.epoch == int(number)
        else:
            (row,) = await journal.attempts(remediation_id)
            assert row.id == number
    await _goes_on(journal)
    await journal.close()


async def _goes_on(journal: SqlJournal) -> None:
    """The next process takes over: everything that had an epoch is fenced and can be worked on."""
    before = {r.id: r for r in await journal.recent(1_000_000)}
    await journal.takeover("next")
    for r in await journal.claim("next", NOW, LEASE, 1_000_000):
        if r.epoch:
            assert r.epoch > before[r.id].epoch
            refused = await journal.record_attempt(attempt(before[r.id]), NOW)
            assert not isinstance(refused, Attempt)
            assert isinstance(await journal.record_attempt(attempt(r), NOW), Attempt)
