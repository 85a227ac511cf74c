"""Wiring: the only place that knows everybody. Builds the service from its configuration and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from remediator.adapters.kubernetes_events import EventCarrier
from remediator.adapters.slack import SlackChat
from remediator.config import Config
from remediator.connecting import Outside, connect
from remediator.counting import Counting
from remediator.doctor import Doctor
from remediator.errors import InvalidConfig
from remediator.freeze_calendars import CalendarFile, FreezeCalendars
from remediator.guardrails.ceilings import policy_problems, unknown_words
from remediator.http.auth import Senders, Users
from remediator.http.pagerduty import PagerDutyWebhook, Signatures, add_pagerduty
from remediator.http.server import Listening, make_app
from remediator.in_force import PlaybooksInForce
from remediator.inbox_checks import inbox_checks
from remediator.metrics import Metrics
from remediator.pager_test import PagerTest
from remediator.pagerduty_checks import pagerduty_checks
from remediator.people.approvers import Approvers
from remediator.people.beside import Beside
from remediator.people.carrier import Carrier
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.carriers.slack_channel import SlackChannelCarrier
from remediator.people.carriers.slack_file import SlackFileCarrier
from remediator.people.directory import Directory
from remediator.people.inbox import Handler, Inbox
from remediator.people.inbox_rows import InboxSource
from remediator.people.incident_desk import IncidentDesk
from remediator.people.incidents import IncidentNotes
from remediator.people.mentions import WithPeople
from remediator.people.outbox import Outbox
from remediator.people.overdue import Overdue
from remediator.playbooks.projects import unknown_actions
from remediator.preview import Preview
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.coming import coming_up
from remediator.remediation.company import LADDERS
from remediator.remediation.draft import Decision
from remediator.remediation.observer import Observer
from remediator.remediation.reporting import Digests, Reporter
from remediator.remediation.state import Remediation
from remediator.rights import needed_rights, needed_scopes
from remediator.service import Service
from remediator.slack_side import SlackSide
from remediator.upkeep import Housekeeping, for_ever, take_alerts

log = structlog.get_logger()

FROZEN_EXIT = 75
"""Exit code after a freeze longer than the lease (EX_TEMPFAIL): start me again."""


class App:
    """One running service. Use `async with App.started(...)`."""

    def __init__(self, config: Config, outside: Outside, metrics: Metrics | None = None) -> None:
        self.config = config
        self.outside = outside
        self.metrics = metrics or Metrics()
        self.port = 0
        self.core: Core
        self.playbooks: PlaybooksInForce
        self.service: Service
        self.inbox: Inbox
        self.doctor: Doctor
        self.slack: SlackSide | None = None
        self.calendars = FreezeCalendars(
            {name: CalendarFile(path=c.file, zone=c.zone) for name, c in config.calendars.items()},
            now=outside.clock.now,
        )
        self._reporter = Reporter(
            outside.journal,
            outside.clock,
            severities=config.severities,
            coming=coming_up(config.policy, lambda: self.calendars.known),
        )
        self.stopped = asyncio.Event()
        self._alerts = asyncio.Event()
        self._reloading: asyncio.Task[Any] | None = None
        self._signatures: Signatures | None = None

    @contextlib.asynccontextmanager
    async def started(self, *, loops: bool = True) -> AsyncIterator[App]:
        """Everything up: loops running, sockets open. Raises: InvalidConfig, JournalUnavailable, OSError."""
        config, out = self.config, self.outside
        holder = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        counting = Counting(self.metrics, out.clock)

        def decided(decision: Decision) -> None:
            counting.decision(decision)
            if out.tracing is not None:
                out.tracing.decision(decision)
            self.core.pictures.saw(decision)
            if decision.notices:
                outbox.poke()

        self.core = core = assemble(
            Ports(
                clusters=out.clusters,
                journal=out.journal,
                clock=out.clock,
                queries=out.queries,
                silences=out.silences,
                changes=out.changes,
                http=out.http,
                callers=out.callers,
                reach=out.reach,
            ),
            Settings(
                policy=config.policy,
                routes=config.routes,
                severities=config.severities,
                escalation=config.escalation,
                quiet_hours=config.quiet_hours,
                label_rules=config.labels,
                metric_labels=config.metric_labels,
                params=config.playbooks.params,
                projects=config.projects,
                calendars=lambda: self.calendars.known,
                instance=config.instance,
                interactive=bool(config.slack and config.slack.interactive),
                console=config.external_url,
                break_glass=config.approvals.break_glass,
                argocd_namespace=config.gitops.argocd_namespace,
                notes=self._incident_notes(),
                beside=Beside(
                    kubernetes_events=config.kubernetes_events,
                    dashboards=config.grafana.dashboards if config.grafana else None,
                ),
            ),
            lambda: self.playbooks.catalog,
            holder=holder,
            on_decision=decided,
            on_frozen=_leave,
            on_told=lambda: outbox.poke(),
        )
        approvers = Approvers(
            Directory(config.people), out.clock, oncall=out.oncall, chat=out.slack, cache=config.approvals.cache
        )
        carriers = self._carriers(core, approvers)
        for channel in carriers:
            self.metrics.dead_letters.labels(channel)  # a counter that begins at 1 has not increased
        outbox = Outbox(out.journal, carriers, report=counting.message)
        self.playbooks = PlaybooksInForce(config, core.actions, out.journal, self.metrics, out.clusters)

        async def refresh(r: Remediation) -> None:
            await core.teller.refresh(r)
            outbox.poke()

        self.doctor = self._doctor(core)
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
            approvers=approvers,
            tell=refresh,
            glass=core.glass,
            reporter=self._reporter,
            examine=self.doctor.examine,
            starter=core.starter,
            pager_test=PagerTest(
                out.journal,
                out.clock,
                out.pagers,
                default=config.routes.pagerduty.default_service,
                instance=config.instance,
                on_told=outbox.poke,
            ),
        )
        desk = self._incident_desk()
        handlers: dict[InboxSource, Handler] = {"pagerduty": desk.handle} if desk else {}
        self.inbox = Inbox(out.journal, handlers, out.clock)
        self.slack = self._slack_side(core)
        if self.slack:
            handlers["slack"] = self.slack.handler
        self._senders, self._users = Senders(config.sources), Users(config.api)
        unknown = (*unknown_actions(config.projects, core.actions), *unknown_words(config.policy, core.actions))
        if unknown:
            raise InvalidConfig("\n".join(unknown))
        await out.journal.takeover(holder)
        await self.playbooks.scan()
        await self.calendars.turn()
        app = make_app(self.service, self._senders, self._users, self.metrics, config.listen, out.clock)
        if desk and config.pagerduty and config.pagerduty.webhook:
            self._signatures = Signatures(config.pagerduty.webhook.secrets)
            add_pagerduty(
                app, PagerDutyWebhook(self._signatures, out.journal, desk.concerns, self.inbox.poke, out.clock)
            )
        async with AsyncExitStack() as stack:
            if self.slack:
                stack.push_async_callback(self.slack.close)
                self.slack.webhook.add_to(app)
            tasks = self._start(core, outbox) if loops else []
            stack.push_async_callback(_stop, tasks)
            listening = await stack.enter_async_context(Listening(app, config.listen))
            self.port = listening.port
            if config.listen.port_file is not None:
                await asyncio.to_thread(_write_port, config.listen.port_file, self.port)
            log.info("ready", port=self.port, playbooks=len(self.playbooks.catalog), clusters=list(out.clusters))
            yield self

    def _doctor(self, core: Core) -> Doctor:
        """Everything that this process depends on, to be examined."""
        config, out = self.config, self.outside
        join = config.pagerduty.join if config.pagerduty else None
        by_socket = config.slack is not None and config.slack.app_token is not None
        return Doctor(
            journal=out.journal,
            clock=out.clock,
            clusters=out.clusters,
            queries=out.queries,
            silences=out.silences,
            reach=out.reach,
            chat=out.chat if isinstance(out.chat, SlackChat) else None,
            scopes=lambda: needed_scopes(config, self.playbooks.catalog),
            rights=lambda cluster: needed_rights(self.playbooks.catalog, core.actions, config.projects, cluster),
            more={
                **pagerduty_checks(out.incidents, join, out.journal, out.clock),
                **inbox_checks(out.journal, out.clock, self._hears_slack if by_socket else None),
            },
        )

    def _hears_slack(self) -> bool:
        """Whether the socket stands."""
        return bool(self.slack and self.slack.socket and self.slack.socket.connected)

    def _slack_side(self, core: Core) -> SlackSide | None:
        """What deals with clicks, where they can reach us. Raises: InvalidConfig."""
        settings, out = self.config.slack, self.outside
        if settings is None or not settings.interactive or out.slack is None:
            return None
        return SlackSide(
            settings,
            instance=self.config.instance,
            slack=out.slack,
            service=self.service,
            journal=out.journal,
            inbox=out.journal,
            stories=core.teller.stories,
            whole=core.teller.whole,
            clock=out.clock,
            poke=self.inbox.poke,
            console=self.config.external_url.rstrip("/"),
        )

    def _incident_notes(self) -> IncidentNotes | None:
        """What is written on the pager's incidents, where it can be."""
        settings, out = self.config.pagerduty, self.outside
        if settings is None or out.incidents is None:
            return None
        asks = self.config.alertmanager is not None
        return IncidentNotes(out.journal.paged_incident, join=settings.join, resolves=asks)

    def _incident_desk(self) -> IncidentDesk | None:
        """Who deals with what PagerDuty tells us."""
        settings, out = self.config.pagerduty, self.outside
        if settings is None or settings.webhook is None:
            return None
        return IncidentDesk(
            out.journal,
            self.service.take,
            out.clock,
            instance=self.config.instance,
            join=settings.join,
            incidents=out.incidents,
        )

    def _reporting(self, core: Core, outbox: Outbox) -> dict[str, Any]:
        """Ladders and digests, where they are configured."""
        config, clock, journal = self.config, self.outside.clock, self.outside.journal
        work: dict[str, Any] = {}
        if core.ladders is not None:
            work["ladders"] = for_ever("ladders", core.ladders.turn, clock)
        if config.digests:
            digests = Digests(
                self._reporter,
                journal,
                clock,
                config.digests,
                quiet=config.quiet_hours,
                console=config.external_url,
                on_told=outbox.poke,
            )
            work["digests"] = for_ever("digests", digests.turn, clock)
        return work

    def _carriers(self, core: Core, approvers: Approvers) -> dict[str, Carrier]:
        """What brings messages to people, by the channel of their rows in the outbox."""
        out = self.outside
        carriers: dict[str, Carrier] = dict(out.carriers)
        if out.chat is not None:
            carriers["slack"] = WithPeople(SlackCarrier(out.chat), approvers.slack_accounts)
        if isinstance(out.chat, SlackChat):
            carriers["slack_file"] = SlackFileCarrier(out.chat)
            carriers["slack_channel"] = WithPeople(SlackChannelCarrier(out.chat, out.chat), approvers.slack_accounts)
        if out.pagers:
            carriers["pagerduty"] = PagerDutyCarrier(out.pagers)
        if core.ladders is not None:
            carriers[LADDERS] = core.ladders
        if self.config.kubernetes_events:
            carriers["kubernetes_event"] = EventCarrier(out.clusters, out.clock, instance=socket.gethostname())
        return carriers

    def _start(self, core: Core, outbox: Outbox) -> list[asyncio.Task[Any]]:
        clock, journal = self.outside.clock, self.outside.journal
        keeping = Housekeeping(journal, clock, self.metrics, core.teller.cleared)
        work: dict[str, Any] = {
            "runner": core.runner.run(),
            "intake": for_ever("intake", lambda: take_alerts(core.intake), clock, self._alerts),
            "playbooks": for_ever("playbooks", self.playbooks.turn, clock, self.playbooks.wake),
            "schedules": for_ever("schedules", core.scheduler.turn, clock),
            "reverts": for_ever("reverts", core.reverter.turn, clock),
            "housekeeping": for_ever("housekeeping", keeping.turn, clock),
            "outbox": outbox.run(clock),
            "inbox": self.inbox.run(),
            "pictures": core.pictures.run(),
            **self._reporting(core, outbox),
            **(self.slack.work() if self.slack else {}),
        }
        if self.config.pagerduty and self.config.routes.pagerduty.acknowledge:
            overdue = Overdue(journal, core.teller.stories, self.config.routes.pagerduty, clock)
            work["overdue"] = for_ever("overdue", overdue.turn, clock)
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

    def _secrets(self) -> list[Callable[[], None]]:
        """What reads secrets again; each raises InvalidConfig, and keeps the old ones then."""
        loads = [partial(self._senders.load, self.config.sources), partial(self._users.load, self.config.api)]
        if self._signatures and self.config.pagerduty and self.config.pagerduty.webhook:
            loads.append(partial(self._signatures.load, self.config.pagerduty.webhook.secrets))
        return [*loads, *([self.slack.reload] if self.slack else [])]

    async def _reload(self) -> dict[str, Any]:
        """Playbooks and secrets; what cannot be read stays as it was, and is said."""
        result = await self.playbooks.scan()
        errors = [str(p) for p in result.errors]
        for load in self._secrets():
            try:
                await asyncio.to_thread(load)
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
