"""Gives every accepted alert its verdict: no playbook, a new remediation, or joined to one that is on its way.

Alerts that lead to the same root target belong to one incident: ten crash-looping pods of one Deployment are one
rollback, not ten. An alert is decided in the same transaction that opens or joins a remediation, so a crash anywhere
leaves it undecided and it is taken again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from remediator.errors import ReadError
from remediator.objects import ObjectRef
from remediator.people.outbox_rows import OutboxMessage
from remediator.playbooks.catalog import Catalog, Entry
from remediator.ports import Clock
from remediator.remediation.aim import Aim, Aiming
from remediator.remediation.decide import decide
from remediator.remediation.draft import Decision
from remediator.remediation.events import Joined
from remediator.remediation.journal import AlertRecord, AlreadyDecided, Journal, StaleRemediation
from remediator.remediation.state import Candidate, Remediation, State
from remediator.remediation.targeting import TargetUnclear

log = structlog.get_logger()

BATCH = 200
READERS = 16
JOINABLE = frozenset(State) - {State.UNDOING, State.INCONCLUSIVE}
"""A join while undoing opens a remediation of its own, which waits for the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lead:
    """An alert, the playbooks that match it, and the object it leads to."""

    record: AlertRecord
    candidates: tuple[Candidate, ...]
    cluster: str
    root: ObjectRef
    target: ObjectRef | None
    gather: timedelta


def _takes_more(r: Remediation) -> bool:
    """What takes back what was done for an alert is no help for one that fires now."""
    return r.state in JOINABLE and not r.reverts


async def _tell_nobody(decision: Decision) -> Sequence[OutboxMessage]:
    return ()


class Intake:
    """`poke` wakes the runner; `tell` turns a join into the messages that are committed with it."""

    def __init__(
        self,
        *,
        journal: Journal,
        catalog: Callable[[], Catalog],
        aiming: Aiming,
        clock: Clock,
        new_id: Callable[[], str],
        poke: Callable[[], None],
        tell: Callable[[Decision], Awaitable[Sequence[OutboxMessage]]] = _tell_nobody,
    ) -> None:
        self._journal = journal
        self._catalog = catalog
        self._aiming = aiming
        self._clock = clock
        self._new_id = new_id
        self._poke = poke
        self._tell = tell
        self._turn = asyncio.Lock()

    async def take_all(self) -> int:
        """Decide every undecided alert. Returns how many. Raises: JournalUnavailable."""
        total = 0
        # The loop and every remediation that is gathering ask for it, often at once: one reads targets for all.
        async with self._turn:
            while records := await self._journal.undecided(BATCH, self._clock.now()):
                await self._take(records)
                total += len(records)
        if total:
            self._poke()
        return total

    async def _take(self, records: Sequence[AlertRecord]) -> None:
        catalog = self._catalog()
        verdicts: dict[str, str] = {}
        wanted: list[tuple[AlertRecord, tuple[Entry, ...]]] = []
        for record in records:
            playbooks = catalog.candidates(record.alert)
            if record.resolved_at is not None:
                verdicts[record.id] = "resolved: over before it was looked at"
            elif not playbooks:
                refused = "; ".join(map(str, catalog.refused(record.alert)))
                verdicts[record.id] = f"no_playbook: {refused or 'no loaded playbook matches its labels'}"
            else:
                wanted.append((record, playbooks))
        if verdicts:
            await self._journal.decide_alerts(verdicts, self._clock.now())
        gate = asyncio.Semaphore(READERS)
        leads = await asyncio.gather(*(self._lead(record, playbooks, gate) for record, playbooks in wanted))
        for lead in leads:
            await self._place(lead)

    async def _lead(self, record: AlertRecord, playbooks: Sequence[Entry], gate: asyncio.Semaphore) -> _Lead:
        """The target of the first playbook that has one; playbooks that lead elsewhere are no candidates of this
        run."""
        aims: list[tuple[Entry, Aim]] = []
        async with gate:
            for entry in playbooks:
                try:
                    aims.append((entry, await self._aiming.aim(entry.loaded, record.alert, self._clock.now())))
                except (TargetUnclear, ReadError) as exc:
                    log.info("target_not_known", alert=record.alert.name, playbook=entry.name, error=str(exc))
        if not aims:
            # It is opened all the same: there it is denied or held, explained, and told.
            names = tuple(Candidate(playbook=p.name, alert_id=record.id) for p in playbooks)
            namespace = record.alert.labels.get("namespace", "")
            root = ObjectRef("Alert", namespace[:63], record.alert.fingerprint)
            return self._made(record, names, record.alert.cluster, root, None, timedelta(0))
        first = aims[0][1]
        same = [p for p, aim in aims if (aim.cluster, aim.root) == (first.cluster, first.root)]
        names = tuple(Candidate(playbook=p.name, alert_id=record.id) for p in same)
        return self._made(
            record, names, first.cluster, first.root, first.ref, max(p.loaded.playbook.gather for p in same)
        )

    def _made(
        self,
        record: AlertRecord,
        candidates: tuple[Candidate, ...],
        cluster: str,
        root: ObjectRef,
        target: ObjectRef | None,
        gather: timedelta,
    ) -> _Lead:
        return _Lead(record=record, candidates=candidates, cluster=cluster, root=root, target=target, gather=gather)

    async def _place(self, lead: _Lead) -> None:
        """Join what is on its way to the same root, or open a new one. Raises: JournalUnavailable."""
        while True:
            now = self._clock.now()
            running = await self._journal.unfinished(lead.cluster, lead.root)
            names = {c.playbook for c in lead.candidates}
            host = next(
                (r for r in running if _takes_more(r) and (r.spec is None or r.playbook in names)),
                None,
            )
            try:
                if host is not None:
                    event = Joined(
                        alerts=(lead.record.id,), candidates=lead.candidates, severity=lead.record.alert.severity
                    )
                    decision = decide(host, event, now)
                    await self._journal.join(decision, now, await self._tell(decision))
                    return
                if await self._journal.open(self._received(lead, now), now) is not None:
                    return
            except StaleRemediation:
                continue
            except AlreadyDecided as exc:
                log.info("already_decided", detail=str(exc))
                return

    def _received(self, lead: _Lead, now: datetime) -> Remediation:
        return Remediation(
            id=self._new_id(),
            episode="",
            cluster=lead.cluster,
            target=lead.target,
            root=lead.root,
            created_at=now,
            state=State.RECEIVED,
            since=now,
            due=now + lead.gather,
            alerts=(lead.record.id,),
            severity=lead.record.alert.severity,
            candidates=lead.candidates,
            reason=f"gathering alerts for {lead.gather.total_seconds():.0f} s" if lead.gather else "",
        )
