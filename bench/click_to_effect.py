"""From a signed click on Approve to the acknowledged effect; beside it a handler that only answers 200.

    python -m bench.click_to_effect [--count 20] [--real]

One whole service over loopback, journal on disk, one proposal at a time on a simulated cluster that answers at once;
the fake Slack sends the clicks. Between click and effect: signature, durable row, users.info, approval, a second plan
with its guards on fresh reads, reservation, last look, attempt row. Also printed: how long Slack waits for its 200.

With `--real` the service is a process of its own on the real API server, and the effect is counted when that one's
audit log received the patch; beside it a read, a rehearsal and a write, which nobody could leave out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from bench.post_to_effect import bare_calls
from remediator.adapters.simulated import SimulatedCluster
from remediator.adapters.slack import SlackChat
from remediator.adapters.sql.journal import SqlJournal
from remediator.app import App
from remediator.config import Config
from remediator.connecting import Outside
from remediator.demo.incidents import post_webhook
from remediator.demo.world import FastClock
from remediator.http.slack import PATH
from remediator.logs import set_up_logging
from remediator.objects import Object
from remediator.people.buttons import Button
from remediator.ports import WriteRequest
from tests.support.controlplane import ControlPlane, wait_until
from tests.support.fake_slack import OPS, FakeMessage, FakeSlack
from tests.support.scenes import Grounds
from tests.support.slack_base import APP_ID, SIGNING_SECRET, TEAM_ID, TOKEN
from tests.support.workplace import ANN, Scene, Workplace, approve_playbook
from tests.support.world import deployment, restart_playbook

WEBHOOK_TOKEN = "bench-webhook"
BETWEEN = timedelta(hours=2)
"""The service's clock is moved on by so much after each, so that no limit on rates is met."""


class Cluster(SimulatedCluster):
    """Notes when a write was acknowledged."""

    acknowledged: asyncio.Queue[float]

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        answer = await super().write(request, dry_run=dry_run)
        if not dry_run and request.ref.kind == "Deployment":  # and no Event about it
            self.acknowledged.put_nowait(time.perf_counter())
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--real", action="store_true", help="on the real API server")
    asked = parser.parse_args()
    set_up_logging(level="error")
    with tempfile.TemporaryDirectory() as folder:
        if asked.real:
            bare, answered, effects = on_the_real_server(Path(folder), asked.count)
        else:
            bare, answered, effects = asyncio.run(measure(Path(folder), asked.count))
    show("bare: get, dry run, patch" if asked.real else "bare: POST answered 200", bare)
    show("click to Slack's 200", answered)
    show("click to effect", effects)
    print(f"click to effect / bare, medians: {statistics.median(effects) / statistics.median(bare):.1f}")
    if not asked.real:
        print(f"click to 200 / bare, medians: {statistics.median(answered) / statistics.median(bare):.1f}")


async def measure(folder: Path, count: int) -> tuple[list[float], list[float], list[float]]:
    clock = FastClock(1.0, datetime.now(UTC))
    cluster = Cluster("sim", clock, schedule=clock.call_later)
    cluster.acknowledged = asyncio.Queue()
    names = [f"api-{n}" for n in range(count)]
    cluster.apply(*(deployment(name) for name in names))
    bare: list[float] = []
    answered: list[float] = []
    effects: list[float] = []
    async with FakeSlack(wall=lambda: clock.now().timestamp()) as slack, running(folder, slack, clock, cluster) as app:
        clock.skip(timedelta(minutes=10))
        async with only_200() as address:
            for name in names:
                message = await proposed(app, slack, clock, name)
                slack.request_url = address
                began = time.perf_counter()
                assert (await slack.click(ANN, message, Button.APPROVE)).ok
                bare.append(time.perf_counter() - began)
                slack.request_url = f"http://127.0.0.1:{app.port}{PATH}"
                began = time.perf_counter()
                assert (await slack.click(ANN, message, Button.APPROVE)).ok
                answered.append(time.perf_counter() - began)
                async with asyncio.timeout(10):
                    effects.append(await cluster.acknowledged.get() - began)
                await ended(app)
                clock.skip(BETWEEN)
    assert cluster.acknowledged.empty(), "more than one effect for a click"
    return bare, answered, effects


def on_the_real_server(folder: Path, count: int) -> tuple[list[float], list[float], list[float]]:
    """One Deployment, service and channel for each click."""
    plane = ControlPlane(folder / "plane")
    plane.start()
    try:
        with Workplace() as place:
            grounds = Grounds(plane, count)
            answered, effects, namespaces = [], [], []
            for n in range(count):
                scene = Scene(place, plane, folder / f"scene-{n}", grounds.take(), approve_playbook()).start()
                try:
                    message = scene.proposed()
                    start, began = datetime.now(UTC), time.perf_counter()
                    scene.click(ANN, message, Button.APPROVE)
                    answered.append(time.perf_counter() - began)
                    (event,) = wait_until(scene.effects, timeout_s=60, what="the effect")
                    effects.append((datetime.fromisoformat(event.received_at) - start).total_seconds())
                    scene.ended()
                    namespaces.append(scene.namespace)
                finally:
                    scene.stop()
        return asyncio.run(bare_calls(plane, [(namespace, "api") for namespace in namespaces])), answered, effects
    finally:
        plane.stop()


@contextlib.asynccontextmanager
async def running(folder: Path, slack: FakeSlack, clock: FastClock, cluster: Cluster) -> AsyncIterator[App]:
    playbooks = folder / "playbooks"
    playbooks.mkdir()
    quick = {"settle": "1s", "interval": "1s", "successes": 1, "timeout": "2m", "checks": [{"rollout": {}}]}
    playbook = restart_playbook(mode="approve", approval={"approvers": [f"slack:{ANN}"]}, verify=quick)
    (playbooks / "restart-api.yaml").write_text(yaml.safe_dump(playbook))
    config: dict[str, Any] = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": "bench", "cluster": "sim", "tokens": [{"value": WEBHOOK_TOKEN}]}],
        "clusters": [{"name": "sim"}],
        "slack": {
            "token": {"value": TOKEN},
            "url": slack.url,
            "app_id": APP_ID,
            "team": TEAM_ID,
            "signing_secret": {"value": SIGNING_SECRET},
        },
        "routes": {"slack": {"default_channel": OPS}},
        "playbooks": {"folders": [str(playbooks)]},
        "policy": {"mode_ceiling": "auto"},
    }
    async with SlackChat(TOKEN, base_url=slack.url) as chat:
        journal = SqlJournal.open_file(folder / "journal.db")
        outside = Outside(clusters={"sim": cluster}, journal=journal, clock=clock, chat=chat, slack=chat)
        try:
            async with App(Config.model_validate(config), outside).started() as app:
                yield app
        finally:
            await journal.close()


async def ended(app: App) -> None:
    """One at a time: the next would wait for its slot."""
    async with asyncio.timeout(60):
        while not (await app.outside.journal.recent(1))[0].ended:  # noqa: ASYNC110 (a bench may look)
            await asyncio.sleep(0.1)


async def proposed(app: App, slack: FakeSlack, clock: FastClock, name: str) -> FakeMessage:
    """Until people see the proposal, and the store knows where it is."""
    started = (clock.now() - timedelta(minutes=2)).isoformat().replace("+00:00", "Z")
    alert = {
        "status": "firing",
        "labels": {"alertname": "Stuck", "severity": "warning", "namespace": "shop", "deployment": name},
        "annotations": {},
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
    }
    await post_webhook(f"http://127.0.0.1:{app.port}/webhooks/alertmanager", WEBHOOK_TOKEN, [alert])
    async with asyncio.timeout(30):
        while True:
            for message in reversed(slack.main(OPS)):
                asks = slack.elements(message.blocks, Button.APPROVE)
                if asks and re.search(rf"shop/{name}\b", message.shown):
                    await asyncio.sleep(0.1)  # the answer to the post is on its way into the store
                    return message
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def only_200() -> AsyncIterator[str]:
    """A server that reads the same requests and does nothing."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post(PATH, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    finally:
        await runner.cleanup()


def show(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(s * 1000 for s in seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    print(f"{what}: p50 {statistics.median(ordered):.1f} ms, p95 {p95:.1f} ms, {len(ordered)} runs")


if __name__ == "__main__":
    main()
