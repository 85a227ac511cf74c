"""What `init alertmanager` prints, given to a real Alertmanager: it loads, and its alerts reach us."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remediator.cli.main import app
from tests.http.harness import SENDER, World, source
from tests.support.controlplane import AlertmanagerServer, NoControlPlane, command, wait_until
from tests.support.fixtures_controlplane import NO_CONTROL_PLANE, REQUIRE_VARIABLE

pytestmark = pytest.mark.controlplane


@pytest.fixture(autouse=True)
def alertmanager() -> None:
    """Skips where it cannot be built."""
    try:
        command("alertmanager")
    except NoControlPlane as exc:
        reason = f"{NO_CONTROL_PLANE}: {exc}"
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.mark.parametrize("pattern", ["A", "B", "C"])
async def test_alerts_reach_us(tmp_path: Path, pattern: str) -> None:
    """Each by itself and at once, authenticated, the Watchdog as well; what is about us does not come to us."""
    token = tmp_path / "token"
    token.write_text(SENDER)
    world = World()
    async with world.serving(sources=(source(),)) as client:
        args = ["--url", f"http://127.0.0.1:{client.port}", "--pattern", pattern, "--token-file", str(token)]
        printed = CliRunner().invoke(app, ["init", "alertmanager", *args]).stdout
        server = AlertmanagerServer(tmp_path / "alertmanager", printed)
        await asyncio.to_thread(server.start)
        try:
            names = ("RemediatorDown", "HighErrorRate", "HighLatency", "Watchdog")
            await asyncio.to_thread(server.post_alerts, *({"labels": {"alertname": name}} for name in names))
            async with asyncio.timeout(20):
                while world.intake_pokes < 3:
                    world.poked.clear()
                    await world.poked.wait()
        finally:
            await asyncio.to_thread(server.stop)
    records = await world.journal.undecided(10)
    assert sorted(r.alert.name for r in records) == ["HighErrorRate", "HighLatency", "Watchdog"]
    assert {r.alert.source for r in records} == {"am"}
    assert world.intake_pokes == 3


async def test_a_wrong_token_is_refused_and_counted(tmp_path: Path) -> None:
    """Alertmanager shows it as failed notifications: that is what operators alert on."""
    token = tmp_path / "token"
    token.write_text("wrong")
    world = World()
    async with world.serving() as client:
        args = ["--url", f"http://127.0.0.1:{client.port}", "--token-file", str(token)]
        printed = CliRunner().invoke(app, ["init", "alertmanager", *args]).stdout
        server = AlertmanagerServer(tmp_path / "alertmanager", printed)
        await asyncio.to_thread(server.start)
        try:
            await asyncio.to_thread(server.post_alerts, {"labels": {"alertname": "HighErrorRate"}})
            refused = partial(
                world.metrics.registry.get_sample_value, "remediator_webhook_seconds_count", {"code": "401"}
            )
            await asyncio.to_thread(wait_until, refused, what="a refused webhook")
        finally:
            await asyncio.to_thread(server.stop)
    assert await world.journal.undecided(10) == ()
