"""A click goes by the control lane of the store: it passes thousands of alerts that wait to be written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.people.inbox_rows import Incoming
from tests.journal.given import alert
from tests.support.building import NOW

WAITING = 5_000


class Gate:
    """Holds the writer's first commit until it is opened, and remembers what each commit held."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.commits: list[tuple[str, ...]] = []

    def before_commit(self, names: Sequence[str]) -> None:
        self.reached.set()
        self.opened.wait(30)

    def after_commit(self, names: Sequence[str]) -> None:
        self.commits.append(tuple(names))


async def test_a_click_passes_five_thousand_alerts(tmp_path: Path) -> None:
    gate, clock = Gate(), VirtualClock()
    journal = SqlJournal.open_file(tmp_path / "journal.db", hooks=gate, queue=WAITING + 100)
    try:
        first = asyncio.create_task(journal.accept([alert("First")], NOW))
        assert await asyncio.to_thread(gate.reached.wait, 30)
        alerts = [
            asyncio.create_task(journal.accept([alert(f"A{n}-{k}") for k in range(50)], NOW))
            for n in range(WAITING // 50)
        ]
        await asyncio.sleep(0)
        click = asyncio.create_task(journal.take_in(Incoming(source="slack", key="k", body={}), clock.now()))
        await asyncio.sleep(0)
        gate.opened.set()
        assert await click
        await asyncio.gather(first, *alerts)
    finally:
        gate.opened.set()
        await journal.close()
    assert gate.commits[0] == ("accept",)
    assert gate.commits[1][0] == "take_in", "the very next commit, with only some of the alerts behind it"
    assert len(gate.commits) >= WAITING // 500
