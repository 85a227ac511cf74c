"""What can be asked of a running service, by whatever asks: HTTP routes, chat, the command line.

No route decides anything and nothing in here knows HTTP. Every write names the person and is in the journal. What
people decide about remediations is in deciding.py, what they start in asking.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from remediator import views
from remediator.alerts.source import Source
from remediator.alerts.webhook import parse_webhook
from remediator.asking import Asking
from remediator.deciding import covering
from remediator.errors import JournalUnavailable
from remediator.metrics import Metrics
from remediator.pager_test import PagerTest
from remediator.people.approvers import Approvers
from remediator.people.directory import Directory
from remediator.people.handover import Handover
from remediator.ports import Clock
from remediator.remediation.break_glass import Glass
from remediator.remediation.journal import Accepted, Journal
from remediator.remediation.pausing import playbook_scope
from remediator.remediation.reporting import Reporter
from remediator.remediation.starting import Starter
from remediator.remediation.state import ENDINGS, Remediation, State
from remediator.service_errors import InvalidRequest as InvalidRequest
from remediator.service_errors import NotAllowed as NotAllowed
from remediator.service_errors import NotNow as NotNow
from remediator.service_errors import ServiceError as ServiceError
from remediator.service_errors import UnknownId as UnknownId
from remediator.stopping import PeopleEvents, tell_nobody

log = structlog.get_logger()

OPEN = "open"
"""In place of a state: every remediation that has not ended."""
WATCHDOG = "Watchdog"
"""The alert that always fires, routed to us: its silence says that no alert can reach us."""
PING_TIMEOUT_S = 2.0
PING_EVERY_S = 1.0
"""Anybody may ask whether we are ready; the store is not asked more often than this."""
EXPLAIN_AT_ONCE = 4
"""Each reads the cluster and rehearses on the API server."""

View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Readiness:
    """`missing` names what is not there yet, and why."""

    missing: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return not self.missing


async def _nothing_to_reload() -> View:
    raise NotNow("this service has nothing to reload")


async def _nothing_to_examine() -> View:
    raise NotNow("this service has nothing to examine")


class Service(Asking):
    """Every method raises JournalUnavailable when the store does not answer.

    `playbooks` returns views (views.playbook); `explain` takes one alert in the form of a webhook, and perhaps a
    `cluster`, and acts on nothing (preview.py); `missing` says what keeps the service from being ready besides the
    store; `clusters` are the names from the config. Without `approvers` nobody is known, so that only the roles of API
    tokens count.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        runner: PeopleEvents,
        poke_intake: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        playbooks: Callable[[], Sequence[View]],
        explain: Callable[[View], Awaitable[View]],
        missing: Callable[[], Mapping[str, str]] = dict,
        reload: Callable[[], Awaitable[View]] = _nothing_to_reload,
        clusters: Sequence[str] = ("default",),
        approvers: Approvers | None = None,
        tell: Callable[[Remediation], Awaitable[None]] = tell_nobody,
        glass: Glass | None = None,
        reporter: Reporter | None = None,
        examine: Callable[[], Awaitable[View]] = _nothing_to_examine,
        starter: Starter | None = None,
        pager_test: PagerTest | None = None,
    ) -> None:
        super().__init__(
            journal=journal,
            runner=runner,
            clock=clock,
            metrics=metrics,
            approvers=approvers or Approvers(Directory(), clock),
            clusters=clusters,
            known_playbooks=lambda: frozenset(playbook_scope(str(p["name"])) for p in playbooks()),
            tell=tell,
            glass=glass,
            starter=starter,
        )
        self._examine = examine
        self._pager_test = pager_test or PagerTest(journal, clock, ())
        self._reporter = reporter or Reporter(journal, clock)
        self._poke_intake = poke_intake
        self._playbooks = playbooks
        self._explain = explain
        self._missing = missing
        self._reload = reload
        self._explaining = asyncio.Semaphore(EXPLAIN_AT_ONCE)
        self._pinging = asyncio.Lock()
        self._pinged: tuple[float, str] | None = None
        self._firing = metrics.alerts_received.labels("firing")
        self._resolved = metrics.alerts_received.labels("resolved")

    # --- alerts -----------------------------------------------------------------------------------------------------

    async def accept(self, body: bytes, source: Source) -> Accepted:
        """Take one delivery of Alertmanager. Returns only when its alerts are durable.

        Raises: InvalidWebhook, JournalUnavailable.
        """
        webhook = parse_webhook(body, source=source)
        if webhook.truncated:
            log.warning("webhook_truncated", source=source.name, receiver=webhook.receiver, left_out=webhook.truncated)
        if not webhook.alerts:
            return Accepted()
        accepted = await self._journal.accept(webhook.alerts, self._clock.now())
        if any(alert.name == WATCHDOG and alert.status == "firing" for alert in webhook.alerts):
            self._watchdog_seen()
        firing = sum(alert.status == "firing" for alert in webhook.alerts)
        if firing:
            self._firing.inc(firing)
        if resolved := len(webhook.alerts) - firing:
            self._resolved.inc(resolved)
        if accepted.new or accepted.resolved:
            self._poke_intake()
        return accepted

    def _watchdog_seen(self) -> None:
        """From now on the metric grows until the next one comes."""
        seen = self._clock.boot()
        self._metrics.watchdog.set_function(lambda: self._clock.boot() - seen)

    async def alerts(self, limit: int = 50) -> list[View]:
        """The newest alerts with their verdicts."""
        return [views.alert(record) for record in await self._journal.recent_alerts(limit)]

    # --- remediations -----------------------------------------------------------------------------------------------

    async def remediations(self, *, limit: int = 50, state: str = "", playbook: str = "") -> list[View]:
        """Newest first. `state` is one state, or `open`. Raises: InvalidRequest."""
        if state == OPEN:
            unfinished = [s for s in State if s not in ENDINGS]
            found = await asyncio.gather(
                *(self._journal.recent(limit, state=s.value, playbook=playbook) for s in unfinished)
            )
            rows = sorted((r for rows in found for r in rows), key=lambda r: r.created_at, reverse=True)[:limit]
        elif state and state not in set(State):
            raise InvalidRequest(f"no state is called {state!r}", advice=f"One of: {OPEN}, {', '.join(State)}.")
        else:
            rows = list(await self._journal.recent(limit, state=state, playbook=playbook))
        return [views.summary(r) for r in rows]

    async def show(self, remediation_id: str, *, evidence: bool = True) -> View:
        """Everything on record about one. `evidence`: with collected log text, which is not for everybody.

        Raises: UnknownId.
        """
        r = await self._get(remediation_id)
        records, history, attempts, pauses = await asyncio.gather(
            self._journal.alerts(r.alerts),
            self._journal.history(r.id),
            self._journal.attempts(r.id),
            self._journal.pauses(self._clock.now()),
        )
        return views.remediation(
            r, records=records, history=history, attempts=attempts, pauses=covering(r, pauses), evidence=evidence
        )

    # --- the rest ---------------------------------------------------------------------------------------------------

    async def handover(self, shift: timedelta) -> Handover:
        """What the next one on call has to know about the `shift` that ends now."""
        return await self._reporter.handover(self._clock.now() - shift)

    async def test_page(self, who: str, service: str) -> View:
        """Ring the pager, so that whoever takes over sees that it reaches them. Raises: InvalidRequest."""
        return await self._pager_test.ring(who, service)

    def playbooks(self) -> list[View]:
        return list(self._playbooks())

    async def explain(self, alert: View) -> View:
        """What would be done about one alert (in the form of a webhook's `alerts` items), without doing it.

        The answer has `would` and `explanation` in words, `acts` (whether anything would be sent, perhaps after an
        approval), and `remediation` as `show` has it. Raises: InvalidWebhook, InvalidRequest (no such cluster).
        """
        cluster = alert.get("cluster")
        if cluster and cluster not in self._clusters:
            raise InvalidRequest(f"no cluster is called {cluster!r}", advice=f"Known: {', '.join(self._clusters)}.")
        async with self._explaining:
            explained = await self._explain(alert)
        return {"acts": False, "remediation": None, "not_chosen": [], **explained, "alert": alert}

    async def doctor(self) -> View:
        """`{"ok": bool, "findings": [{check, ok, said, next}]}`; `ok` null = it could not be tried."""
        return await self._examine()

    async def reload(self, who: str) -> View:
        """Read playbooks and secrets again; what cannot be read stays as it is."""
        log.info("reload_asked", who=who)
        return await self._reload()

    async def readiness(self) -> Readiness:
        """Never raises. A reload that failed is no reason: the last good version is in force."""
        missing = dict(self._missing())
        async with self._pinging:
            now = self._clock.boot()
            if self._pinged is None or now - self._pinged[0] >= PING_EVERY_S:
                self._pinged = (now, await self._store_problem())
        if problem := self._pinged[1]:
            missing["store"] = problem
        return Readiness(missing)

    async def _store_problem(self) -> str:
        """Why the store cannot commit; empty when it can."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._journal.ping()
        except JournalUnavailable as exc:
            return str(exc)
        except TimeoutError:
            return f"no answer within {PING_TIMEOUT_S:.0f} s"
        return ""
