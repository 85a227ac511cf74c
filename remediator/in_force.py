"""The playbooks in force: from folders and ConfigMaps, reloaded as they change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from remediator import views
from remediator.adapters.clock import SystemClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.sql.last_good import JournalLastGood
from remediator.config import Config
from remediator.guardrails.ceilings import highest_mode, over_ceiling
from remediator.metrics import Metrics
from remediator.not_here import not_here
from remediator.playbooks.config_maps import ConfigMapFiles
from remediator.playbooks.folder import Folder
from remediator.playbooks.projects import Project, cluster_of
from remediator.playbooks.reload import PlaybookFolder, ScanResult
from remediator.playbooks.unsupported import unsupported
from remediator.ports import Cluster
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS

log = structlog.get_logger()


class PlaybooksInForce:
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
                *not_here(playbook, config),
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
