"""Everything is on record, nothing acknowledged is lost, work goes on after whoever did it, and no secret gets out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from aiohttp import web

from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.pagerduty import PagerDuty
from remediator.adapters.prometheus import PrometheusQueries
from remediator.adapters.simulated import Reject, Script
from remediator.adapters.slack import SlackChat
from remediator.cli.serving import secrets_of
from remediator.config import load_config
from remediator.connecting import endpoint_of as wired
from remediator.errors import EffectError, InvalidConfig, ReadError
from remediator.guardrails import order
from remediator.logs import set_up_logging
from remediator.metrics import Metrics
from remediator.people.carrier import Carrier
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.ports import WriteRequest
from remediator.remediation.runner import LEASE
from remediator.remediation.state import State
from remediator.service import Service
from tests.invariants.given import API, WORSE, At, checked, crash, ready, scale_to
from tests.support.world import World, deployment, restart_playbook

# --- 21 --------------------------------------------------------------------------------------------------------------


async def test_21_no_silent_skip() -> None:
    """Every alert has a verdict on record, and every plan the answer of every guardrail with its numbers; the record
    shows it when somebody changes it afterwards.
    """
    tie = restart_playbook(name="tie", match={"alerts": ['alertname="Tie"']})
    world = World(
        restart_playbook(),
        scale_to(5, mode="observe", match={"alerts": ['alertname="Seen"']}),
        restart_playbook(name="never", match={"alerts": ['alertname="When"'], "when": "false"}),
        restart_playbook(name="broken", match={"alerts": ['alertname="Broken"'], "when": 'labels["none"] == "x"'}),
        tie,
        {**tie, "name": "tie-2"},
    )
    names = ("Stuck", "Seen", "When", "Broken", "Tie", "Unknown", "Gone")
    for name in names:
        world.cluster.apply(deployment(name.lower()))
    world.cluster.advance(60)
    sent = [
        *(world.make_alert(name, deployment=name.lower()) for name in names),
        world.make_alert(deployment="api; rm -rf /"),
        world.make_alert(deployment="${x}"),
        world.make_alert(pod="<!channel>"),
        world.make_alert(team="no target at all"),
        world.make_alert("Gone", deployment="gone", resolved=True),
    ]
    for alert in sent:  # one after the other: together they would be a storm
        await world.deliver(alert)
        await world.run_for(100, step=20)
    await world.run_for(1200, step=40)
    records = await world.journal.recent_alerts(100)
    assert {a.fingerprint for a in sent} == {record.alert.fingerprint for record in records}
    remediations = {r.id: r for r in await world.all()}
    for record in records:
        assert record.verdict, record.alert.labels
    guards = [guard.name for guard in order.ORDER]
    for r in remediations.values():
        assert r.ended
        lines = await world.journal.history(r.id)
        assert lines[-1].to_state == r.state.value
        assert r.reason
        assert await world.journal.history_broken_at(r.id) is None
        if r.plan is not None:
            assert [v.guardrail for v in r.verdicts][: len(guards)] == guards
            assert all(v.reason for v in r.verdicts)
            json.dumps([dict(v.facts) for v in r.verdicts], allow_nan=False)
    (r, *_) = [r for r in remediations.values() if r.plan is not None]
    raw = world.journal._writer._connection.connection.driver_connection  # type: ignore[attr-defined]
    raw.execute("update events set reason = 'all was well' where remediation_id = ? and seq = 2", (r.id,))
    assert await world.journal.history_broken_at(r.id) == 2


# --- 26 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["reserve", "record_attempt", "record_outcome", "commit"])
async def test_26_work_of_the_dead_goes_on(point: str) -> None:
    """A holder that dies with locks in its hands, at any point: a replica ends its work within the lease, the locks are
    free again, and what waited behind them runs.
    """
    playbooks = (scale_to(5), restart_playbook(match={"alerts": ['alertname="Later"']}, guardrails={"max_attempts": 3}))
    world = ready(*playbooks, store_faults=At(point, "after", crash, number=2 if point == "commit" else 1))
    await world.alert()
    for _ in range(5):
        await world.turn()
        world.cluster.advance(1.0)
    other = world.another(*playbooks)
    died = other.clock.now()
    r = await other.run_until("succeeded", within_s=120)
    assert r.ended_at is not None
    assert r.ended_at - died < LEASE + timedelta(seconds=60)
    raw = other.journal._writer._connection.connection.driver_connection  # type: ignore[attr-defined]
    assert raw.execute("select key from locks").fetchall() == []
    assert all(run.ended_at is not None for run in await other.journal.runs(other.clock.now(), timedelta(hours=1)))
    other.cluster.advance(900)
    await other.alert("Later")
    assert (await other.run_until("succeeded", "held")).state is State.SUCCEEDED


async def test_26_what_is_held_runs_when_nothing_holds_it_any_more() -> None:
    """A pause with an end, a cooldown, an unanswered question: each really is over by itself."""
    world = ready(scale_to(5))
    until = world.clock.now() + timedelta(minutes=5)
    await world.journal.pause("everything", "bob", "", until, world.clock.now())
    await world.alert()
    await world.run_for(400, step=10)
    r = await world.newest()
    assert r.ended_at is not None
    assert timedelta(0) <= r.ended_at - until < timedelta(minutes=1)

    other = scale_to(5, match={"alerts": ['alertname="Other"']}, guardrails={"max_attempts": 3})
    world = ready(restart_playbook(), other)
    await world.alert()
    first = await world.run_until("succeeded")
    world.cluster.advance(10 * 60)
    await world.alert("Other")
    second = await world.run_until("held")
    assert "cooldown" in second.reason
    await world.run_for(420, step=10)
    second = await world.newest()
    assert second.state is State.SUCCEEDED, second.reason
    assert second.ended_at is not None
    assert first.ended_at is not None
    assert timedelta(minutes=15) <= second.ended_at - first.ended_at < timedelta(minutes=17)

    world = ready(scale_to(5, mode="approve", approval={"expires": "3m"}))
    await world.alert()
    asked = await world.run_until("awaiting_approval")
    world.clock.advance(180)
    world.cluster.advance(1)
    expired = await world.run_until("escalated", within_s=5)
    assert (expired.id, expired.outcome.value) == (asked.id, "expired")


# --- 27 --------------------------------------------------------------------------------------------------------------

CRASHES = [
    (name, when)
    for name in ("accept", "claim", "open", "join", "decide_alerts", "commit", "reserve")
    for when in ("before", "after")
]


@pytest.mark.parametrize(("name", "when"), CRASHES)
async def test_27_an_acknowledged_alert_is_never_lost(name: str, when: str) -> None:
    """Acknowledged means that `accept` has returned. Whatever is killed afterwards, each such alert has a verdict in
    the end, and its remediation an end.

    With `kill -9` on real processes: `tests/crash`, `tests/journal/test_crash.py`.
    """
    world = ready(restart_playbook(gather="5s"), store_faults=At(name, when, crash))
    pods = [pod["metadata"]["name"] for pod in world.cluster.all("Pod", "shop")]
    acknowledged = set()
    for alert in (
        world.make_alert(),
        world.make_alert("Unknown"),
        *(world.make_alert(pod=pod) for pod in pods),
        world.make_alert("Unknown", deployment="other"),
    ):
        try:
            await world.deliver(alert)
            acknowledged.add(alert.fingerprint)
            await world.turn()
        except BaseException as exc:
            assert "Cancelled" in type(exc).__name__  # noqa: PT017
            world = world.another(restart_playbook(gather="5s"))
            await world.journal.takeover("test-2")
    world = world.another(restart_playbook(gather="5s"), holder="test-3")
    await world.journal.takeover("test-3")
    await world.run_for(120, step=2)
    verdicts = {a.alert.fingerprint: a.verdict for a in await world.journal.recent_alerts(100)}
    assert len(acknowledged) >= 5
    assert all(verdicts.get(fingerprint) for fingerprint in acknowledged)
    ours = [a.verdict.partition(":")[0] for a in await world.journal.recent_alerts(100) if a.alert.name == "Stuck"]
    assert set(ours) <= {"remediation", "joined"}
    assert all(r.ended for r in await world.all())


# --- 28 --------------------------------------------------------------------------------------------------------------

SECRETS = {
    name: f"hush-{name}-0xB1F7c0ffee{'0123456789' * (6 if name == 'pagerduty' else 0)}"
    for name in ("slack", "pagerduty", "webhook", "basic", "api", "prometheus", "header", "alertmanager", "kubernetes")
}


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """Everything that is logged."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@asynccontextmanager
async def parrot() -> AsyncIterator[str]:
    """A server, or a proxy in front of one, that answers every request with an error and all that it was told."""

    async def answer(request: web.Request) -> web.Response:
        said = {"headers": dict(request.headers), "body": (await request.read()).decode(errors="replace")}
        text = f"500: upstream said no to {json.dumps(said)}"
        return web.json_response({"error": text, "message": text, "ok": False, "status": "Failure"}, status=403)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _config(url: str, directory: Path) -> dict[str, Any]:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {"token": SECRETS["kubernetes"]}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    (directory / "slack").write_text(SECRETS["slack"] + "\n")
    value = lambda name: {"value": SECRETS[name]}  # noqa: E731
    return {
        "sources": [
            {
                "name": "am",
                "cluster": "c1",
                "tokens": [value("webhook")],
                "basic": [{"username": "am", "password": value("basic")}],
            }
        ],
        "api": [{"name": "ann", "role": "admin", "token": value("api")}],
        "clusters": [{"name": "c1", "kubeconfig": str(directory / "kubeconfig")}],
        "prometheus": {"url": url, "bearer": value("prometheus"), "headers": {"X-Auth-Token": SECRETS["header"]}},
        "alertmanager": {"url": url, "basic": {"username": "us", "password": value("alertmanager")}},
        "slack": {"token": str(directory / "slack"), "url": f"{url}/api/"},
        "pagerduty": {"services": {"shop": value("pagerduty")}, "url": url},
    }


def no_secret_in(*texts: object) -> None:
    for text in texts:
        for name, secret in SECRETS.items():
            assert secret[:20] not in str(text), f"{name} in {str(text)[:500]}"


async def test_28_no_secret_that_we_hold_gets_out(heard: io.StringIO, tmp_path: Path) -> None:
    """Everybody whom we authenticate to answers with an error that repeats our credentials; nothing of it reaches a log
    line, a message, a page, the journal, an answer of the API, or an error for people.
    """
    async with parrot() as url:
        content = _config(url, tmp_path)
        path = tmp_path / "remediator.yaml"
        path.write_text(yaml.safe_dump(content))
        config = load_config(path, {})
        no_secret_in(repr(config))
        set_up_logging(style="json", level="debug", secrets=secrets_of(config), stream=heard)
        await _whole_run(config, heard, tmp_path)
        # Whoever misspells his configuration sees where, not what.
        for wrong in (
            {**content, "slack": {"tokn": SECRETS["slack"]}},
            {**content, "slack": {"token": {"value": SECRETS["slack"], "file": "x"}}},
            {**content, "pagerduty": {"services": SECRETS["pagerduty"]}},
            {**content, "api": [{"name": "ann", "role": SECRETS["api"], "token": {"value": SECRETS["api"]}}]},
            {**content, "prometheus": {"url": "nowhere", "bearer": {"value": SECRETS["prometheus"]}}},
        ):
            path.write_text(yaml.safe_dump(wrong))
            with pytest.raises(InvalidConfig) as caught:
                load_config(path, {})
            no_secret_in(caught.value)


async def _whole_run(config: Any, heard: io.StringIO, directory: Path) -> None:
    kubernetes = await KubernetesCluster.connect("c1", kubeconfig=directory / "kubeconfig")
    prometheus = PrometheusQueries(wired("Prometheus", config.prometheus))
    silences = AlertmanagerSilences(wired("Alertmanager", config.alertmanager))
    chat = SlackChat(config.slack.token.read(), base_url=config.slack.url)
    pager = PagerDuty(config.pagerduty.services["shop"].read(), endpoint=config.pagerduty.url)
    errors: list[Exception] = []
    for call in (
        kubernetes.get(API),
        kubernetes.list("Pod", "shop"),
        kubernetes.logs(API),
        kubernetes.write(WriteRequest("patch", API, "application/merge-patch+json", b"{}")),
    ):
        with pytest.raises((ReadError, EffectError)) as caught:
            await call
        errors.append(caught.value)
    no_secret_in(*errors, *map(repr, errors))
    try:
        for seen, playbook in (
            (silences, restart_playbook()),  # held: cannot see the silences
            (None, checked(scale_to(5), WORSE)),  # inconclusive: cannot see the numbers
            (None, restart_playbook()),  # refused by the API server
        ):
            world = ready(playbook, queries=prometheus, silences=seen)
            if playbook["verify"]["checks"] == [{"rollout": {}}] and seen is None:
                script = Script()
                script.write(Reject(errors[-1]))  # type: ignore[arg-type]
                world.cluster.faults = script
            await world.alert()
            await world.run_for(60, step=5)
            await world.run_for(1200, step=100)
            carriers: dict[str, Carrier] = {"slack": SlackCarrier(chat), "pagerduty": PagerDutyCarrier({"shop": pager})}
            outbox = Outbox(world.journal, carriers)
            sent: list[Any] = []
            for channel in ("slack", "pagerduty"):
                sent += await world.journal.due(channel, world.clock.now(), 100)
                await outbox.run_channel(channel, world.clock.now())
            assert sent
            service = Service(
                journal=world.journal,
                runner=world.core.runner,
                poke_intake=lambda: None,
                clock=world.clock,
                metrics=Metrics(),
                playbooks=list,
                explain=_nothing,
            )
            shown = [await service.show(r.id) for r in await world.all()]
            raw = world.journal._writer._connection.connection.driver_connection  # type: ignore[attr-defined]
            rows = list(raw.iterdump())
            assert "upstream said no" in str(rows)  # what they said is on record, without what we told them
            no_secret_in(sent, shown, rows)
    finally:
        for adapter in (kubernetes, prometheus, silences, chat, pager):
            await adapter.close()
    structlog.get_logger("test").error("failed", error=f"Bearer {SECRETS['prometheus']}", secret=SECRETS["slack"])
    logging.getLogger("library").warning("sent %s", SECRETS["pagerduty"])
    assert heard.getvalue()
    no_secret_in(heard.getvalue())


async def _nothing(alert: Any) -> Any:
    return {}
