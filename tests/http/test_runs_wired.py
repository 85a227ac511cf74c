"""The service as `serve` puts it together: it starts what people ask for, and what is due."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import yaml

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.app import App
from remediator.config import load_config
from remediator.connecting import Outside
from tests.http.harness import bearer
from tests.remediation.test_triggers import by_hand
from tests.support.world import deployment


def made(folder: Path) -> App:
    playbooks = folder / "playbooks"
    playbooks.mkdir()
    (playbooks / "restart-api.yaml").write_text(yaml.safe_dump(by_hand(schedule={"cron": "0 * * * *", "zone": "UTC"})))
    file = folder / "remediator.yaml"
    content = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": "prod", "tokens": [{"value": "secret-of-am"}], "cluster": "c1"}],
        "clusters": [{"name": "c1", "in_cluster": True}],
        "api": [{"name": "robot", "role": "operator", "token": {"value": "secret-of-robot"}}],
        "playbooks": {"folders": [str(playbooks)]},
        "policy": {"mode_ceiling": "auto"},
    }
    file.write_text(yaml.safe_dump(content))
    clock = VirtualClock()
    cluster = SimulatedCluster("c1", clock)
    cluster.apply(deployment())
    return App(load_config(file, {}), Outside(clusters={"c1": cluster}, journal=SqlJournal.in_memory(), clock=clock))


async def test_a_request_from_outside_opens_a_remediation(tmp_path: Path) -> None:
    app = made(tmp_path)
    async with app.started(loops=False), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{app.port}/api/v1/playbooks/restart-api/run"
        async with session.post(url, json={"reason": "it leaks"}, headers=bearer("secret-of-robot")) as answer:
            assert answer.status == 202, await answer.text()
        (r,) = await app.outside.journal.recent(9)
        assert (r.playbook, r.cause, r.requester) == ("restart-api", "robot asked for it: it leaks", "robot")


async def test_the_schedules_are_looked_after(tmp_path: Path) -> None:
    app = made(tmp_path)
    async with app.started():
        assert "schedules" in {task.get_name() for task in asyncio.all_tasks()}
