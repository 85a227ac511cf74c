"""The service as it is started: the route is there, rows from Slack have their handler, secrets are read again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.adapters.slack import SlackChat
from remediator.adapters.sql.journal import SqlJournal
from remediator.app import App
from remediator.config import Config
from remediator.connecting import Outside
from remediator.http.slack import PATH
from tests.support.fake_slack import FakeSlack
from tests.support.slack_base import APP_ID, APP_TOKEN, SIGNING_SECRET, TEAM_ID, TOKEN

ANN = "U0ANN"


@contextlib.asynccontextmanager
async def started(slack: FakeSlack, clock: VirtualClock, folder: Path, **changes: Any) -> AsyncIterator[App]:
    content = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": "prod", "cluster": "c1", "tokens": [{"value": "webhook"}]}],
        "clusters": [{"name": "c1"}],
        "slack": {"token": {"value": TOKEN}, "url": slack.url, "app_id": APP_ID, "team": TEAM_ID, **changes},
        "playbooks": {"folders": [str(folder)]},
    }
    async with SlackChat(TOKEN, base_url=slack.url) as chat:
        cluster = SimulatedCluster("c1", clock)
        outside = Outside(clusters={"c1": cluster}, journal=SqlJournal.in_memory(), clock=clock, chat=chat, slack=chat)
        async with App(Config.model_validate(content), outside).started(loops=False) as app:
            slack.request_url = f"http://127.0.0.1:{app.port}{PATH}"
            yield app


async def test_a_command_is_answered(slack: FakeSlack, clock: VirtualClock, tmp_path: Path) -> None:
    async with started(slack, clock, tmp_path, signing_secret={"value": SIGNING_SECRET}) as app:
        assert (await slack.command(ANN, "pending")).ok
        assert await app.inbox.run_once() == 1
        assert "Nothing waits" in slack.whispered(ANN)[0]


async def test_messages_have_buttons_only_where_clicks_can_come_back(
    slack: FakeSlack, clock: VirtualClock, tmp_path: Path
) -> None:
    async with started(slack, clock, tmp_path) as app:
        assert app.slack is None
        assert app.core.settings.interactive is False
        assert (await slack.command(ANN, "status")).status == 404
    async with started(slack, clock, tmp_path, app_token={"value": APP_TOKEN}) as app:
        assert app.core.settings.interactive is True
        assert app.slack is not None
        assert app.slack.socket is not None
        assert (await slack.command(ANN, "status")).status == 401, "no signing secret fits"


async def test_a_rotated_signing_secret_is_read_at_reload(
    slack: FakeSlack, clock: VirtualClock, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    async with started(slack, clock, tmp_path, signing_secret=str(secret)) as app:
        slack.secret = "new"
        assert (await slack.command(ANN, "status")).status == 401
        secret.write_text("new\n")
        await app.service.reload("ann")
        assert (await slack.command(ANN, "status")).ok
        secret.unlink()
        answer = await app.service.reload("ann")
        assert "cannot be read" in str(answer["errors"])
        assert (await slack.command(ANN, "status")).ok, "the last good one stays in force"
