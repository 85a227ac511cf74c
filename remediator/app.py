"""Wiring: the only place that knows everybody. Builds the service from its configuration and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from remediator import views
from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.clock import SystemClock
from remediator.adapters.http_probe import AiohttpProbe
from remediator.adapters.json_api import Endpoint
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.pagerduty import PagerDuty
from remediator.adapters.prometheus import PrometheusQueries
from remediator.adapters.slack import SlackChat
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.last_good import JournalLastGood
from remediator.config import ClusterConfig, Config
from remediator.config import Endpoint as EndpointConfig
from remediator.counting import Counting
from remediator.errors import InvalidConfig
from remediator.freeze_calendars import CalendarFile, FreezeCalendars, unknown_calendars
from remediator.guardrails.ceilings import highest_mode, over_ceiling, policy_problems, unknown_words
from remediator.http.auth import Senders, Users
from remediator.http.server import Listening, make_app
from remediator.metrics import Metrics
from remediator.objects import KINDS
from remediator.people.outbox import Outbox
from remediator.playbooks.config_maps import CONFIG_MAP, ConfigMapFiles
from remediator.playbooks.folder import Folder
from remediator.playbooks.projects import Project, cluster_of, unknown_actions
from remediator.playbooks.reload import PlaybookFolder, ScanResult
from remediator.playbooks.unsupported import unsupported
from remediator.ports import Chat, Clock, Cluster, Pager, Queries, Reachable, Silences
from remediator.preview import Preview
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.checks.base import HttpProbe
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.draft import Decision
from remediator.remediation.evidence import COLLECTORS
from remediator.remediation.observer import Observer
from remediator.service import Service
from remediator.upkeep import Housekeeping, for_ever, take_alerts

log = structlog.get_logger()

FROZEN_EXIT = 75
"""Exit code after a freeze longer than the lease (EX_TEMPFAIL): start me again."""


@dataclass(slots=True, kw_only=True)
class Outside:
    """The adapters of one process; the demo brings its own."""

    clusters: Mapping[str, Cluster]
    journal: SqlJournal
    clock: Clock = field(default_factory=SystemClock)
    queries: Queries | None = None
    silences: Silences | None = None
    http: HttpProbe | None = None
    chat: Chat | None = None
    pagers: Mapping[str, Pager] = field(default_factory=dict)
    reach: Mapping[str, Reachable] = field(default_factory=dict)
    """Chat and pagers by the name that people know, to see whether they answer."""


class Playbooks:
    """The playbooks in force, reloaded from their folders and ConfigMaps; scans run in a thread, one at a time."""

    def __init__(
        self,
        config: Config,
        core_actions: Mapping[str, Any],
        journal: SqlJournal,
        metrics: Metrics,
        clusters: Mapping[str, Cluster],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._maps = _config_maps(config.projects, clusters)
        self._folder = PlaybookFolder(
            [*_folders(config), *self._maps],
            actions=core_actions,
            checks={name: kind.args for name, kind in CHECKS.items()},
            collectors={name: kind.args for name, kind in COLLECTORS.items()},
            last_good=JournalLastGood(journal, loop, SystemClock()),
            objections=lambda playbook: (
                *unsupported(playbook),
                *over_ceiling(playbook, config.policy),
                *unknown_calendars(playbook.guardrails.windows, config.calendars, "guardrails.windows"),
            ),
        )
        self._policy = config.policy
        self._metrics = metrics
        self._every = config.playbooks.reload.total_seconds()
        self._lock = asyncio.Lock()
        self.last: ScanResult | None = None
        self.wake = asyncio.Event()

    @property
    def catalog(self) -> Any:
        return self._folder.catalog

    async def scan(self) -> ScanResult:
        """Put in force what is good. Never raises; what is wrong stays on its last good version and is said."""
        async with self._lock:
            await asyncio.gather(*(files.refresh() for files in self._maps))
            result = await asyncio.to_thread(self._folder.scan)
        self.last = result
        self._metrics.reload_ok.set(1 if result.ok else 0)
        if result.news:
            log.info(
                "playbooks_loaded",
                in_force=len(result.catalog),
                loaded=list(result.loaded),
                kept=[k.name for k in result.kept],
                removed=list(result.removed),
            )
            for problem in result.errors:
                log.error("playbook_invalid", problem=str(problem))
        return result

    async def turn(self) -> float:
        await self.scan()
        return self._every

    def views(self) -> list[dict[str, Any]]:
        kept = (
            {k.name: f"{k.source} is invalid; this is its last good version" for k in self.last.kept}
            if self.last
            else {}
        )
        return [
            views.playbook(
                loaded,
                mode=highest_mode(loaded.playbook, self._policy).value,
                problem=kept.get(loaded.playbook.name, ""),
            )
            for loaded in self.catalog
        ]


def _folders(config: Config) -> list[Folder]:
    """Every folder of playbooks: those of the projects, or, where there are none, those of the service."""
    if config.projects:
        return [Folder(path, project) for project in config.projects for path in project.playbooks.folders]
    return [Folder(path, alone=len(config.playbooks.folders) == 1) for path in config.playbooks.folders]


def _config_maps(projects: Sequence[Project], clusters: Mapping[str, Cluster]) -> list[ConfigMapFiles]:
    """The playbooks of projects that are kept in ConfigMaps."""
    return [
        ConfigMapFiles(clusters[cluster_of(maps, project)], namespace, maps.labels, project)
        for project in projects
        for maps in project.playbooks.config_maps
        for namespace in maps.namespaces
    ]


class App:
    """One running service. Use `async with App.started(...)`."""

    def __init__(self, config: Config, outside: Outside, metrics: Metrics | None = None) -> None:
        self.config = config
        self.outside = outside
        self.metrics = metrics or Metrics()
        self.port = 0
        self.core: Core
        self.playbooks: Playbooks
        self.service: Service
        self.calendars = FreezeCalendars(
            {name: CalendarFile(path=c.file, zone=c.zone) for name, c in config.calendars.items()},
            now=outside.clock.now,
        )
        self.stopped = asyncio.Event()
        self._alerts = asyncio.Event()
        self._reloading: asyncio.Task[Any] | None = None

    @contextlib.asynccontextmanager
    async def started(self, *, loops: bool = True) -> AsyncIterator[App]:
        """Everything up: loops running, sockets open. Raises: InvalidConfig, JournalUnavailable, OSError."""
        config, out = self.config, self.outside
        holder = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        counting = Counting(self.metrics, out.clock)
        outbox = Outbox(out.journal, chat=out.chat, pagers=out.pagers, report=counting.message)

        def decided(decision: Decision) -> None:
            counting.decision(decision)
            if decision.notices:
                outbox.poke()

        self.core = core = assemble(
            Ports(
                clusters=out.clusters,
                journal=out.journal,
                clock=out.clock,
                queries=out.queries,
                silences=out.silences,
                http=out.http,
                reach=out.reach,
            ),
            Settings(
                policy=config.policy,
                routes=config.routes,
                label_rules=config.labels,
                metric_labels=config.metric_labels,
                params=config.playbooks.params,
                projects=config.projects,
                calendars=lambda: self.calendars.known,
                console=config.external_url,
            ),
            lambda: self.playbooks.catalog,
            holder=holder,
            on_decision=decided,
            on_frozen=_leave,
            on_told=outbox.poke,
        )
        self.playbooks = Playbooks(config, core.actions, out.journal, self.metrics, out.clusters)
        self.service = Service(
            journal=out.journal,
            runner=core.runner,
            poke_intake=self._alerts.set,
            clock=out.clock,
            metrics=self.metrics,
            playbooks=self.playbooks.views,
            explain=Preview(core, lambda: self.playbooks.catalog, [s.source() for s in config.sources]).explain,
            missing=self._missing,
            reload=self._reload,
            clusters=tuple(out.clusters),
        )
        self._senders, self._users = Senders(config.sources), Users(config.api)
        unknown = (*unknown_actions(config.projects, core.actions), *unknown_words(config.policy, core.actions))
        if unknown:
            raise InvalidConfig("\n".join(unknown))
        await out.journal.takeover(holder)
        await self.playbooks.scan()
        await self.calendars.turn()
        app = make_app(self.service, self._senders, self._users, self.metrics, config.listen, out.clock)
        async with AsyncExitStack() as stack:
            tasks = self._start(core, outbox) if loops else []
            stack.push_async_callback(_stop, tasks)
            listening = await stack.enter_async_context(Listening(app, config.listen))
            self.port = listening.port
            if config.listen.port_file is not None:
                await asyncio.to_thread(_write_port, config.listen.port_file, self.port)
            log.info("ready", port=self.port, playbooks=len(self.playbooks.catalog), clusters=list(out.clusters))
            yield self

    def _start(self, core: Core, outbox: Outbox) -> list[asyncio.Task[Any]]:
        clock, journal = self.outside.clock, self.outside.journal
        keeping = Housekeeping(journal, clock, self.metrics, core.teller.cleared)
        work: dict[str, Any] = {
            "runner": core.runner.run(),
            "intake": for_ever("intake", lambda: take_alerts(core.intake), clock, self._alerts),
            "playbooks": for_ever("playbooks", self.playbooks.turn, clock, self.playbooks.wake),
            "housekeeping": for_ever("housekeeping", keeping.turn, clock),
            "outbox": outbox.run(clock),
        }
        if self.config.calendars:
            work["calendars"] = for_ever("calendars", self.calendars.turn, clock)
        if self.config.observer:
            for name, cluster in self.outside.clusters.items():
                watched = Observer(cluster, journal, clock, namespaces=self.config.observed_namespaces)
                work[f"observer {name}"] = watched.run()
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
        for task in tasks:
            task.add_done_callback(self._loop_ended)
        return tasks

    def _loop_ended(self, task: asyncio.Task[Any]) -> None:
        """A loop that ends is a defect: better no process than one that silently does half its work."""
        if not task.cancelled():
            log.error("loop_ended", loop=task.get_name(), error=repr(task.exception()))
            self.stopped.set()

    def reload_soon(self) -> None:
        """For SIGHUP: as `POST /-/reload`, in the background."""
        self._reloading = asyncio.create_task(self._reload(), name="reload")

    def _missing(self) -> Mapping[str, str]:
        return {} if self.playbooks.last is not None else {"playbooks": "not loaded yet"}

    async def _reload(self) -> dict[str, Any]:
        """Playbooks and secrets; what cannot be read stays as it was, and is said."""
        result = await self.playbooks.scan()
        errors = [str(p) for p in result.errors]
        for holder, configs in ((self._senders, self.config.sources), (self._users, self.config.api)):
            try:
                await asyncio.to_thread(holder.load, configs)  # type: ignore[arg-type]  # each with its own configs
            except InvalidConfig as exc:
                log.error("secrets_not_reloaded", error=str(exc))
                errors.append(str(exc))
        return {
            "in_force": len(result.catalog),
            "loaded": list(result.loaded),
            "kept": [k.name for k in result.kept],
            "removed": list(result.removed),
            "errors": errors,
        }


def _write_port(path: Path, port: int) -> None:
    """Whole or not at all: whoever waits for the file reads it as soon as it is there."""
    part = path.with_name(path.name + ".part")
    part.write_text(f"{port}\n")
    part.replace(path)


def _leave(gap_s: float) -> None:
    """After a freeze another process may act in our place: no cleaning up, nothing more is sent."""
    os._exit(FROZEN_EXIT)


async def _stop(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code. Raises: InvalidConfig."""
    problems = policy_problems(config.policy)
    if problems:
        raise InvalidConfig("policy:\n  " + "\n  ".join(problems))
    async with AsyncExitStack() as stack:
        outside = await connect(config, stack)
        app = App(config, outside)
        await stack.enter_async_context(app.started())
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGINT"):
            loop.add_signal_handler(getattr(signal, name), app.stopped.set)
        loop.add_signal_handler(signal.SIGHUP, app.reload_soon)
        await app.stopped.wait()
        log.info("stopping")
    return 0


async def connect(config: Config, stack: AsyncExitStack) -> Outside:
    """The adapters that the configuration asks for. Raises: InvalidConfig, JournalUnavailable."""
    journal = await asyncio.to_thread(SqlJournal.open_file, config.store.path, queue=config.store.queue)
    stack.push_async_callback(journal.close)
    clusters: dict[str, Cluster] = {}
    for cluster in config.clusters:
        clusters[cluster.name] = await _cluster(cluster)
        stack.push_async_callback(clusters[cluster.name].close)
    reach: dict[str, Reachable] = {}
    outside = Outside(clusters=clusters, journal=journal, reach=reach)
    if config.prometheus:
        outside.queries = PrometheusQueries(_endpoint("Prometheus", config.prometheus))
        stack.push_async_callback(outside.queries.close)
    if config.alertmanager:
        outside.silences = AlertmanagerSilences(_endpoint("Alertmanager", config.alertmanager))
        stack.push_async_callback(outside.silences.close)
    probe = AiohttpProbe()
    outside.http = probe
    stack.push_async_callback(probe.close)
    if config.slack:
        chat = SlackChat(config.slack.token.read(), base_url=config.slack.url)
        outside.chat = reach["Slack"] = chat
        stack.push_async_callback(chat.close)
    if config.pagerduty:
        pagers: dict[str, Pager] = {}
        for name, key in config.pagerduty.services.items():
            pager = PagerDuty(key.read(), endpoint=config.pagerduty.url)
            stack.push_async_callback(pager.close)
            pagers[name] = reach[f"PagerDuty {name}"] = pager
        outside.pagers = pagers
    return outside


async def _cluster(config: ClusterConfig) -> Cluster:
    if config.kubeconfig is None and not config.in_cluster:
        raise InvalidConfig(f"clusters[{config.name}]: give kubeconfig, or in_cluster: true in a pod")
    return await KubernetesCluster.connect(
        config.name,
        kubeconfig=None if config.in_cluster else config.kubeconfig,
        context=config.context,
        kinds={**KINDS, CONFIG_MAP.kind: CONFIG_MAP},
    )


def _endpoint(name: str, config: EndpointConfig) -> Endpoint:
    return Endpoint(
        name=name,
        url=config.url,
        bearer=config.bearer.read if config.bearer else None,
        user=config.basic.username if config.basic else "",
        password=config.basic.password.read if config.basic else None,
        headers=dict(config.headers),
    )
