"""`remediator watch`: explain each firing alert as it comes. Polls, read-only: no route, no Slack, no write access.

It is the second step after the demo: what would the starter set have done about my alerts?
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from remediator.actions.registry import load_actions
from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.clock import SystemClock
from remediator.adapters.http_probe import AiohttpProbe
from remediator.adapters.json_api import Endpoint
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.prometheus import PrometheusQueries
from remediator.adapters.sql.journal import SqlJournal
from remediator.cli.explaining import print_explanation
from remediator.errors import CannotSee, InvalidConfig, RemediatorError
from remediator.guardrails.policy import Policy
from remediator.playbooks.model import Mode
from remediator.playbooks.reload import PlaybookFolder
from remediator.preview import Preview
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS

POLL_S = 15.0
SHIPPED = (Path(__file__).parent / "starter", Path(__file__).parents[1] / "playbooks")
"""Inside an installed package, and in a checkout."""


def starter_set() -> Path:
    """The folder of the shipped playbooks. Raises: InvalidConfig."""
    for folder in SHIPPED:
        if folder.is_dir():
            return folder
    raise InvalidConfig("the shipped playbooks are not installed; name a folder with --playbooks")


async def watch(
    *,
    alertmanager: str,
    prometheus: str = "",
    kubeconfig: Path | None = None,
    context: str = "",
    playbooks: Sequence[Path] = (),
    once: bool = False,
) -> int:
    """Until Ctrl-C, or once. Returns 0. Raises: InvalidConfig, CannotSee (the first time Alertmanager cannot be
    asked)."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    async with AsyncExitStack() as stack:
        source = AlertmanagerSilences(Endpoint(name="Alertmanager", url=alertmanager))
        stack.push_async_callback(source.close)
        preview, loaded = await _preview(source, prometheus, kubeconfig, context, playbooks, stack)
        console.print(f"{loaded} playbooks; watching {alertmanager}. Nothing is written anywhere.", highlight=False)
        told: set[str] = set()
        first = True
        while True:
            try:
                firing = await source.firing()
            except CannotSee as exc:
                if first:
                    raise
                console.print(f"cannot see: {exc}", style="yellow", highlight=False)
                firing = ()
            for alert in firing:
                if alert["fingerprint"] not in told:
                    told.add(alert["fingerprint"])
                    await _tell(console, preview, alert)
            told &= {alert["fingerprint"] for alert in firing} or told
            if first and not firing:
                console.print("No alert fires at the moment.", highlight=False)
            if once:
                return 0
            first = False
            await asyncio.sleep(POLL_S)


async def _preview(
    source: AlertmanagerSilences,
    prometheus: str,
    kubeconfig: Path | None,
    context: str,
    playbooks: Sequence[Path],
    stack: AsyncExitStack,
) -> tuple[Preview, int]:
    cluster = await KubernetesCluster.connect("default", kubeconfig=kubeconfig, context=context or None)
    stack.push_async_callback(cluster.close)
    journal = SqlJournal.in_memory()
    stack.push_async_callback(journal.close)
    queries = PrometheusQueries(Endpoint(name="Prometheus", url=prometheus)) if prometheus else None
    if queries is not None:
        stack.push_async_callback(queries.close)
    probe = AiohttpProbe()
    stack.push_async_callback(probe.close)
    folder = PlaybookFolder(
        list(playbooks) or [starter_set()],
        actions=load_actions(),
        checks={name: kind.args for name, kind in CHECKS.items()},
        collectors={name: kind.args for name, kind in COLLECTORS.items()},
    )
    result = await asyncio.to_thread(folder.scan)
    if not result.catalog:
        raise InvalidConfig("no playbook could be loaded: " + "; ".join(str(p) for p in result.errors))
    core: Core = assemble(
        Ports(
            clusters={"default": cluster},
            journal=journal,
            clock=SystemClock(),
            queries=queries,
            silences=source,
            http=probe,
        ),
        Settings(policy=Policy(mode_ceiling=Mode.AUTO)),
        lambda: folder.catalog,
        holder="watch",
    )
    return Preview(core, lambda: folder.catalog), len(result.catalog)


async def _tell(console: Console, preview: Preview, alert: Mapping[str, Any]) -> None:
    name = alert.get("labels", {}).get("alertname", "?")
    console.rule(name, align="left")
    body = {
        "status": "firing",
        "labels": alert.get("labels", {}),
        "annotations": alert.get("annotations", {}),
        "startsAt": alert.get("startsAt"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": alert.get("generatorURL", ""),
        "fingerprint": alert.get("fingerprint", ""),
    }
    try:
        view = await preview.explain(body)
    except RemediatorError as exc:
        console.print(f"cannot explain it: {exc}", style="yellow", highlight=False)
        return
    print_explanation(console, view)
