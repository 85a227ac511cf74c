"""Sets the stage: the service with everything real but cluster, Prometheus and chat, then the incidents in turn."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from remediator.adapters.sql.journal import SqlJournal
from remediator.app import App
from remediator.config import Config
from remediator.connecting import Outside
from remediator.demo.incidents import INCIDENTS, Stage, post_webhook
from remediator.demo.telling import Narrator, PrintedChat, PrintedPager
from remediator.demo.world import Shop
from remediator.logs import set_up_logging
from remediator.objects import WORKLOADS
from remediator.people.carriers.pagerduty_change import CHANNEL as CHANGES
from remediator.people.carriers.pagerduty_change import ChangeCarrier
from remediator.remediation.observer import Observer

SPEED = 25.0
"""Seconds of the story in one real second."""

WATCHED_FOR = timedelta(minutes=45)
PLAYBOOKS = Path(__file__).with_name("playbooks")


def configuration(folder: Path, token: str, api_token: str) -> Config:
    return Config.model_validate(
        {
            "listen": {"host": "127.0.0.1", "port": 0},
            "sources": [{"name": "demo", "cluster": "demo", "tokens": [{"value": token}]}],
            "api": [{"name": "you", "role": "admin", "token": {"value": api_token}}],
            "store": {"path": folder / "demo.db"},
            "clusters": [{"name": "demo"}],
            "pagerduty": {"services": {"shop": {"value": "nobody's: the demo has a pager of its own"}}},
            "routes": {"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "shop"}},
            "playbooks": {"folders": [PLAYBOOKS], "reload": "60s"},
            "policy": {"mode_ceiling": "auto"},
        }
    )


async def run(*, once: bool = False) -> int:
    """Play the demo. Returns 0 only if every incident ended as expected."""
    set_up_logging(level="error")
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory(prefix="remediator-demo-") as folder:
        token, api_token = secrets.token_hex(8), secrets.token_hex(8)
        config = configuration(Path(folder), token, api_token)
        shop = Shop(SPEED)
        narrator = Narrator(shop.clock, console)
        journal = await asyncio.to_thread(SqlJournal.open_file, config.store.path)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(journal.close)
            await _history(shop, journal)
            pager = PrintedPager(narrator)
            outside = Outside(
                clusters={"demo": shop.cluster},
                journal=journal,
                clock=shop.clock,
                queries=shop.queries,
                chat=PrintedChat(narrator),
                pagers={"shop": pager},
                carriers={CHANGES: ChangeCarrier({"shop": pager})},
            )
            app = App(config, outside)
            await stack.enter_async_context(app.started())
            _introduce(narrator, app.port)
            url = f"http://127.0.0.1:{app.port}/webhooks/alertmanager"

            async def post(alerts: list[dict[str, Any]]) -> None:
                await post_webhook(url, token, alerts)

            stage = Stage(shop=shop, journal=journal, narrator=narrator, post=post)
            results = [await incident(stage) for incident in INCIDENTS]
            good = sum(results)
            narrator.plain()
            if not once:
                _stay(narrator, app.port, api_token)
                await _until_interrupted()
            narrator.plain(f"demo: {len(results)} incidents, {good} as expected")
        return 0 if good == len(results) else 1


async def _history(shop: Shop, journal: SqlJournal) -> None:
    """The observer has watched the shop for a while: this is what a rollback rests on."""
    shop.clock.skip(timedelta(minutes=2))
    observer = Observer(shop.cluster, journal, shop.clock)
    for span in (timedelta(0), WATCHED_FOR):
        shop.clock.skip(span)
        for kind in WORKLOADS:
            for obj in (await shop.cluster.list(kind)).items:
                await observer.see(obj)


def _introduce(narrator: Narrator, port: int) -> None:
    narrator.plain("remediator demo: the real service on a simulated cluster; chat and pager are printed here.")
    narrator.plain(f"Time runs {SPEED:.0f} times as fast. The webhook listens on http://127.0.0.1:{port}")


def _stay(narrator: Narrator, port: int, token: str) -> None:
    narrator.plain("The service stays up. In another terminal, from the same folder:")
    narrator.plain(f"  export REMEDIATOR_SERVER=http://127.0.0.1:{port} REMEDIATOR_TOKEN={token}")
    narrator.plain("  .venv/bin/remediator remediations list")
    narrator.plain("  .venv/bin/remediator remediations show r-...     # the whole story of one")
    narrator.plain("Ctrl-C ends it.")


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
